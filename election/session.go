package election

import "github.com/getcd/getcd/lease"

// Session is a lease that is kept alive, and until when that is proven. A
// *lease.Keeper is one.
type Session interface {
	// ID is the lease.
	ID() lease.ID
	// Done is closed when the lease can no longer be proven to live. Nil means
	// that it never will be.
	Done() <-chan struct{}
	// Err is nil while the lease is proven to live, and then why it is not.
	Err() error
}

var _ Session = (*lease.Keeper)(nil)

// Unproven is a Session for a lease that somebody else keeps alive. Nobody here
// knows whether it lives, so Done does not close, and Err stays nil, when it
// ends: a leader learns of that from the deletion of its key, too late to be the
// only one. Use Rev or Txn to be safe all the same.
func Unproven(id lease.ID) Session { return unproven(id) }

type unproven lease.ID

func (u unproven) ID() lease.ID        { return lease.ID(u) }
func (unproven) Done() <-chan struct{} { return nil }
func (unproven) Err() error            { return nil }
