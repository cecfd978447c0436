package kv

import "sync"

// Txn assembles a transaction:
//
//	Txn(ctx).If(comparisons...).Then(operations...).Else(operations...).Commit()
//
// Each step is optional, may come only once, and must come in this order. Without
// If, the Then branch is taken. If the steps are wrong, Commit returns a
// *UsageError and sends nothing.
type Txn interface {
	// If sets the comparisons that must all hold for the Then branch.
	If(cs ...Cmp) Txn

	// Then sets the operations that are applied if all comparisons hold.
	Then(ops ...Op) Txn

	// Else sets the operations that are applied otherwise.
	Else(ops ...Op) Txn

	// Commit sends the transaction with the context that was given to KV.Txn. A
	// second Commit sends it a second time, with the steps that came meanwhile. It
	// is no error if the Then branch is not taken: see TxnResponse.Succeeded.
	// TxnResponse.Get, Put, Delete and Txn return the responses to the operations of
	// the branch that was taken, by their numbers.
	Commit() (*TxnResponse, error)
}

// The steps of a transaction, in the order in which they may come.
const (
	stepIf = iota
	stepThen
	stepElse
)

// NewTxn returns a Txn for code that sends transactions in its own way. Its
// Commit calls commit with the transaction as it is assembled so far. If the
// transaction is invalid, Commit does not call commit.
func NewTxn(commit func(Op) (*TxnResponse, error)) Txn {
	return &txn{commit: commit, op: Op{kind: opTxn}}
}

type txn struct {
	commit func(Op) (*TxnResponse, error)

	mu   sync.Mutex // guards the fields below
	next int        // the first step that may still come
	op   Op
}

// step moves the transaction on to step s, or records why it cannot.
func (t *txn) step(s int) {
	names := [...]string{"If", "Then", "Else"}
	if s < t.next {
		reason := "it comes after " + names[t.next-1] + "; the order is If, Then, Else, Commit"
		if s == t.next-1 {
			reason = "it comes twice; call it once with everything"
		}
		t.op.misuse(names[s], reason, nil)
		return
	}
	t.next = s + 1
}

func (t *txn) If(cs ...Cmp) Txn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.step(stepIf)
	t.op.cmps = append(t.op.cmps, taken(cs)...)
	return t
}

func (t *txn) Then(ops ...Op) Txn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.step(stepThen)
	t.op.thenOps = append(t.op.thenOps, ops...)
	return t
}

func (t *txn) Else(ops ...Op) Txn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.step(stepElse)
	t.op.elseOps = append(t.op.elseOps, ops...)
	return t
}

func (t *txn) Commit() (*TxnResponse, error) {
	t.mu.Lock()
	op := t.op
	t.mu.Unlock()
	if op.err != nil {
		return nil, op.err
	}
	return t.commit(op)
}
