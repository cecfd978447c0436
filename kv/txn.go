package kv

import "sync"

// Txn assembles a transaction:
//
//	Txn(ctx).If(comparisons...).Then(operations...).Else(operations...).Commit()
//
// Each part may be left out, none may come twice, and their order is this one.
// Without If, the Then branch is taken. What was assembled wrongly is a
// *UsageError from Commit, which then has sent nothing. A Txn is used once.
type Txn interface {
	// If sets the comparisons that must all hold for the Then branch.
	If(cs ...Cmp) Txn

	// Then sets the operations that are applied if they do.
	Then(ops ...Op) Txn

	// Else sets the operations that are applied if they do not.
	Else(ops ...Op) Txn

	// Commit sends the transaction with the context that Txn was given. Not to
	// have taken the Then branch is no error: see TxnResponse.Succeeded. One
	// answer for each operation of the branch is in Responses, in its order.
	Commit() (*TxnResponse, error)
}

// The steps of a transaction, in the order in which they may come.
const (
	stepIf = iota
	stepThen
	stepElse
	stepCommit
)

// NewTxn returns a Txn for those who send transactions in a way of their own: its
// Commit calls commit, once, with what was assembled, unless that was done wrongly.
func NewTxn(commit func(Op) (*TxnResponse, error)) Txn {
	return &txn{commit: commit, op: Op{kind: opTxn}}
}

type txn struct {
	commit func(Op) (*TxnResponse, error)

	mu   sync.Mutex // guards what follows
	next int        // the first step that may still come
	op   Op
}

// step takes the transaction to step s, or notes why it cannot go there.
func (t *txn) step(s int) {
	names := [...]string{"If", "Then", "Else", "Commit"}
	if s < t.next {
		reason := "it comes after " + names[t.next-1] + "; the order is If, Then, Else, Commit"
		if s == t.next-1 {
			reason = "it comes twice; give it everything at once"
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
	t.op.cmps = append(t.op.cmps, cs...)
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
	op, err := t.finish()
	if err != nil {
		return nil, err
	}
	return t.commit(op)
}

func (t *txn) finish() (Op, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next > stepCommit {
		return Op{}, &UsageError{
			Op: "Txn", Option: "Commit",
			Reason: "the transaction was committed already; begin another one with KV.Txn",
		}
	}
	t.step(stepCommit)
	return t.op, errOrNil(t.op.err)
}
