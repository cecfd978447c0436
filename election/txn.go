package election

import (
	"context"
	"errors"

	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
)

// Txn begins a transaction that is applied only while the candidate leads,
// whatever the clocks say: the server checks. It is a kv.Txn like any other, with
// its own If, Then and Else; on the wire it is nested in one whose comparison is
// Guard, so that the loss of the leadership is told from a comparison that does
// not hold. Commit returns ErrLost when the leadership was lost, and ErrNotLeader
// without one, and then nothing was applied.
func (e *Election) Txn(ctx context.Context) kv.Txn {
	c := e.current()
	return kv.NewTxn(func(inner kv.Op) (*kv.TxnResponse, error) { return e.commit(ctx, c, inner) })
}

// commit sends a transaction if c, which is nil without a candidacy, leads still.
func (e *Election) commit(ctx context.Context, c *candidacy, inner kv.Op) (*kv.TxnResponse, error) {
	if c == nil {
		return nil, ErrNotLeader
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	resp, err := c.place.Commit(ctx, inner)
	if errors.Is(err, queue.ErrDeleted) {
		err = lost(e.name, err)
		c.end(err)
	}
	return resp, err
}
