package concurrency

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/election"
)

var (
	// ErrLocked is TryLock's answer when another session has the mutex, or came
	// before.
	ErrLocked = errors.New("mutex: Locked by another session")
	// ErrSessionExpired is Lock's answer when the session ends meanwhile. When it
	// had ended before, that is rpctypes.ErrLeaseNotFound.
	ErrSessionExpired = errors.New("mutex: session is expired")
	// ErrLockReleased is Unlock's answer without a lock.
	ErrLockReleased = errors.New("mutex: lock has already been released")
)

// Mutex is a lock that a session holds: whoever leads the election of the same name.
// Mutexes of one session and one name are the same lock. Package lock has one whose
// lease is its own.
type Mutex struct {
	s      *Session
	native *election.Election
	err    error // of what cannot be: the answer of every call
	held   atomic.Bool
	header atomic.Pointer[pb.ResponseHeader]
}

// NewMutex returns the session's mutex on the given prefix.
func NewMutex(s *Session, pfx string) *Mutex {
	e, err := newElection(s, pfx)
	return &Mutex{s: s, native: e, err: err}
}

// Lock waits until the session holds the mutex, or ctx ends; then nothing of it is
// left on the cluster, for which it takes up to 3 s more.
func (m *Mutex) Lock(ctx context.Context) error {
	if m.err != nil {
		return m.err
	}
	dead := m.s.native.Err() != nil
	return m.locked(m.native.Campaign(ctx, ""), dead)
}

// TryLock is Lock that does not wait for another session: it returns ErrLocked.
func (m *Mutex) TryLock(ctx context.Context) error {
	if m.err != nil {
		return m.err
	}
	dead := m.s.native.Err() != nil
	return m.locked(m.native.TryCampaign(ctx, ""), dead)
}

// locked takes the result of a campaign. dead says that the session had ended before.
func (m *Mutex) locked(err error, dead bool) error {
	switch {
	case err == nil:
		m.header.Store(m.native.Header())
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

// Unlock frees the mutex, if the session still has it.
func (m *Mutex) Unlock(ctx context.Context) error {
	if m.err != nil {
		return m.err
	}
	if !m.held.Swap(false) {
		return ErrLockReleased
	}
	return bare.Error(m.native.Resign(ctx))
}

// IsOwner is the comparison that holds as long as the session has the mutex. Without
// it, it is one that never holds.
func (m *Mutex) IsOwner() clientv3.Cmp {
	if m.err != nil {
		return clientv3.Compare(clientv3.CreateRevision("\x00"), "=", -1)
	}
	return m.native.Guard()
}

// Key is the key that stands for the lock, or empty without one.
func (m *Mutex) Key() string {
	if m.err != nil {
		return ""
	}
	return m.native.Key()
}

// Header is the server's of the request by which the mutex was locked, or had its
// place in the queue: its revision grows from one holder to the next. It stays after
// Unlock, and is nil before the first Lock.
func (m *Mutex) Header() *pb.ResponseHeader { return m.header.Load() }

// NewLocker returns a sync.Locker. Since that has no errors, its methods panic when
// they fail, as clientv3's do.
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
