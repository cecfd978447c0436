package election

import (
	"context"
	"slices"
	"sync"

	"github.com/getcd/getcd/kv"
)

// Txn begins a transaction that is applied only while the candidate leads,
// whatever the clocks say: the server checks. It is a kv.Txn like any other, with
// its own If, Then and Else; on the wire it is nested in one whose comparison is
// Guard, so that the loss of the leadership is told from a comparison that does
// not hold. Commit returns ErrLost when the leadership was lost, and ErrNotLeader
// without one, and then nothing was applied.
func (e *Election) Txn(ctx context.Context) kv.Txn {
	return &txn{e: e, c: e.current(), ctx: ctx}
}

type txn struct {
	e   *Election
	c   *candidacy
	ctx context.Context //nolint:containedctx // kv.Txn's shape: Commit takes none

	mu           sync.Mutex // guards what follows
	cmps         []kv.Cmp
	then, orElse []kv.Op
	given        string // the last part
	err          error
}

// part notes which part comes; after lists those that it may follow.
func (t *txn) part(name string, after ...string) {
	if slices.Contains(after, t.given) {
		t.given = name
		return
	}
	if t.err == nil {
		t.err = &kv.UsageError{Op: "Txn", Option: name, Reason: "it comes after " + t.given + "; the order is If, Then, Else, Commit, each once"}
	}
}

func (t *txn) If(cs ...kv.Cmp) kv.Txn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part("If", "")
	t.cmps = append(t.cmps, cs...)
	return t
}

func (t *txn) Then(ops ...kv.Op) kv.Txn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part("Then", "", "If")
	t.then = append(t.then, ops...)
	return t
}

func (t *txn) Else(ops ...kv.Op) kv.Txn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part("Else", "", "If", "Then")
	t.orElse = append(t.orElse, ops...)
	return t
}

func (t *txn) Commit() (*kv.TxnResponse, error) {
	inner, err := t.finish()
	if err != nil {
		return nil, err
	}
	if t.c == nil {
		return nil, ErrNotLeader
	}
	if err := t.c.err(); err != nil {
		return nil, err
	}
	resp, err := t.e.kv.Txn(t.ctx).If(t.c.cmp()).Then(inner).Commit()
	if err != nil {
		return nil, err
	}
	if !resp.Succeeded {
		err := lost(t.e.name, errKeyDeleted)
		t.c.end(err)
		return nil, err
	}
	answer := (*kv.TxnResponse)(resp.Responses[0].GetResponseTxn())
	answer.Header = resp.Header // the server fills the outer one alone
	return answer, nil
}

// finish returns the transaction as an operation.
func (t *txn) finish() (kv.Op, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part("Commit", "", "If", "Then", "Else")
	return kv.OpTxn(t.cmps, t.then, t.orElse), t.err
}
