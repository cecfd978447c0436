package lock

import (
	"context"
	"slices"
	"sync"

	"github.com/getcd/getcd/kv"
)

// Txn begins a transaction that is applied only while the lock is held, whatever
// the clocks say: the server checks. It is a kv.Txn like any other, with its own
// If, Then and Else; on the wire it is nested in one whose comparison is Guard,
// so that the loss of the lock is told from a comparison that does not hold.
// Commit returns ErrLost when the lock was lost, and ErrNotHeld without one, and
// then nothing was applied.
func (m *Mutex) Txn(ctx context.Context) kv.Txn {
	return &txn{m: m, h: m.current(), ctx: ctx}
}

type txn struct {
	m   *Mutex
	h   *hold
	ctx context.Context //nolint:containedctx // kv.Txn's shape: Commit takes none

	mu           sync.Mutex // guards what follows
	cmps         []kv.Cmp
	then, orElse []kv.Op
	done         string // the last part that was given
	err          error
}

// part notes which part comes; before lists those that may have come.
func (t *txn) part(name string, before ...string) {
	if slices.Contains(before, t.done) {
		t.done = name
		return
	}
	if t.err == nil {
		t.err = &kv.UsageError{Op: "Txn", Option: name, Reason: "it comes after " + t.done + "; the order is If, Then, Else, Commit, each once"}
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
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part("Commit", "", "If", "Then", "Else")
	if t.err != nil {
		return nil, t.err
	}
	if t.h == nil {
		return nil, ErrNotHeld
	}
	if err := t.h.err(); err != nil {
		return nil, err
	}
	resp, err := t.m.kv.Txn(t.ctx).If(t.h.cmp()).Then(kv.OpTxn(t.cmps, t.then, t.orElse)).Commit()
	if err != nil {
		return nil, err
	}
	if !resp.Succeeded {
		err := lost(t.m.name, errKeyDeleted)
		t.h.end(err)
		return nil, err
	}
	inner := (*kv.TxnResponse)(resp.Responses[0].GetResponseTxn())
	inner.Header = resp.Header // the server fills the outer one alone
	return inner, nil
}
