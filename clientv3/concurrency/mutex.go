package concurrency

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/queue"
)

var (
	// ErrLocked is returned by TryLock if another session holds the mutex or was
	// first in line.
	ErrLocked = errors.New("mutex: Locked by another session")
	// ErrSessionExpired is returned by Lock if the session ends while Lock waits, or,
	// of an orphaned session, the lease. If that had already ended, Lock returns
	// rpctypes.ErrLeaseNotFound.
	ErrSessionExpired = errors.New("mutex: session is expired")
	// ErrLockReleased is returned by Unlock if the mutex is not locked.
	ErrLockReleased = errors.New("mutex: lock has already been released")
)

// Mutex is a lock that a session holds. Its holder is the leader of the election
// with the same name. All Mutexes of one session with one name are the same lock.
// A mutex of package lock has its own lease.
type Mutex struct {
	s      *Session
	native *election.Election
	err    error         // a usage error that every call returns
	turn   chan struct{} // capacity 1: full while Lock or TryLock is under way
	held   atomic.Bool
	left   atomic.Pointer[leftover] // nil unless the last Unlock has failed
	header atomic.Pointer[pb.ResponseHeader]
}

// leftover is a key that Unlock could not delete, as far as it knows.
type leftover struct {
	key   string
	guard clientv3.Cmp // holds as long as the key is there
}

// NewMutex returns the session's mutex with the given prefix.
func NewMutex(s *Session, pfx string) *Mutex {
	e, err := newElection(s, pfx)
	return &Mutex{s: s, native: e, err: err, turn: make(chan struct{}, 1)}
}

// Lock waits until the session holds the mutex or ctx ends. If ctx ends, Lock
// first removes its key from the cluster, which takes up to 3 s more. The mutex is the
// session's: it does not keep goroutines of one session apart, and each that calls Lock
// gets it.
func (m *Mutex) Lock(ctx context.Context) error {
	if err := cmp.Or(m.err, misuse.Context(ctx, "concurrency: Lock")); err != nil {
		return err
	}
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	dead := m.s.tenure.gone()
	return m.locked(m.native.Campaign(ctx, ""), dead)
}

// TryLock is like Lock, but returns ErrLocked instead of waiting for another
// session, or for another goroutine that locks the mutex.
func (m *Mutex) TryLock(ctx context.Context) error {
	if m.err != nil {
		return m.err
	}
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	default:
		return ErrLocked
	}
	dead := m.s.tenure.gone()
	return m.locked(m.native.TryCampaign(ctx, ""), dead)
}

// locked handles the result of a campaign. dead says that the session had ended
// before the campaign.
func (m *Mutex) locked(err error, dead bool) error {
	switch {
	case err == nil:
		m.header.Store(m.native.Turn())
		m.left.Store(nil)
		m.held.Store(true)
		return nil
	case errors.Is(err, election.ErrContended):
		return ErrLocked
	case errors.Is(err, election.ErrLost) && dead:
		return rpctypes.ErrLeaseNotFound
	case errors.Is(err, election.ErrLost):
		return ErrSessionExpired
	default:
		return bare.Error(err)
	}
}

// Unlock releases the mutex if the session still holds it. If the cluster cannot be
// reached, it takes up to 3 s, whatever has become of ctx. It can be called again after
// an error, until it returns nil: the key is gone then.
func (m *Mutex) Unlock(ctx context.Context) error {
	if err := cmp.Or(m.err, misuse.Context(ctx, "concurrency: Unlock")); err != nil {
		return err
	}
	if m.held.Swap(false) {
		guard := m.native.Guard()
		err := m.native.Resign(ctx)
		if err != nil {
			m.left.Store(&leftover{string(guard.KeyBytes()), guard})
		}
		return bare.Error(err)
	}
	left := m.left.Load()
	if left == nil {
		return ErrLockReleased
	}
	ctx, cancel := queue.Cleanup(ctx)
	defer cancel()
	_, err := m.s.client.Txn(ctx).If(left.guard).Then(clientv3.OpDelete(left.key)).Commit()
	if err == nil {
		m.left.CompareAndSwap(left, nil)
	}
	return err
}

// IsOwner returns a comparison that holds as long as the session holds the mutex.
// If the session does not hold it now, the comparison never holds. After a failed
// Unlock it holds until the key is gone.
func (m *Mutex) IsOwner() clientv3.Cmp {
	if m.err != nil {
		return clientv3.Compare(clientv3.CreateRevision("\x00"), "=", -1)
	}
	if left := m.left.Load(); left != nil {
		return left.guard
	}
	return m.native.Guard()
}

// Key returns the lock's key, or an empty string if the mutex is not locked. It is kept
// until Unlock succeeds, even if the session has ended meanwhile.
func (m *Mutex) Key() string {
	if left := m.left.Load(); left != nil {
		return left.key
	}
	if m.err != nil || !m.held.Load() {
		return ""
	}
	guard := m.native.Guard() // Key is gone with the session
	return string(guard.KeyBytes())
}

// Header returns the header of an answer that came when the mutex was held already:
// everything that former holders did is in the state at its revision, which grows from
// one holder to the next. It is kept after Unlock, and is nil before the first Lock.
func (m *Mutex) Header() *pb.ResponseHeader { return m.header.Load() }

// NewLocker returns a sync.Locker. A sync.Locker cannot return errors, so its
// methods panic when they fail, as clientv3's do.
func NewLocker(s *Session, pfx string) sync.Locker { return locker{NewMutex(s, pfx)} }

type locker struct{ m *Mutex }

func (l locker) Lock() {
	if err := l.m.Lock(l.m.s.client.Ctx()); err != nil {
		panic(err)
	}
}

func (l locker) Unlock() {
	if err := l.m.Unlock(l.m.s.client.Ctx()); err != nil {
		panic(err)
	}
}
