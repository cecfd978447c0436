package lock

import (
	"context"

	"github.com/getcd/getcd/kv"
)

// Txn begins a transaction that is applied only while the lock is held, whatever
// the clocks say: the server checks. It is a kv.Txn like any other, with its own
// If, Then and Else; on the wire it is nested in one whose comparison is Guard,
// so that the loss of the lock is told from a comparison that does not hold.
// Commit returns ErrLost when the lock was lost, and ErrNotHeld without one, and
// then nothing was applied.
func (m *Mutex) Txn(ctx context.Context) kv.Txn {
	h := m.current()
	return kv.NewTxn(func(inner kv.Op) (*kv.TxnResponse, error) {
		if h == nil {
			return nil, ErrNotHeld
		}
		if err := h.err(); err != nil {
			return nil, err
		}
		return h.commit(ctx, inner)
	})
}

// Txn is as Mutex.Txn: a transaction that is applied only while the lock is held.
func (h *Held) Txn(ctx context.Context) kv.Txn {
	return kv.NewTxn(func(inner kv.Op) (*kv.TxnResponse, error) {
		if err := h.Err(); err != nil {
			return nil, err
		}
		return h.commit(ctx, inner)
	})
}
