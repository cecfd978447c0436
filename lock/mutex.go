package lock

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/kv"
)

// Mutex is a lock on an etcd cluster. Waiters get it in the order in which they
// came.
//
// Its methods are safe for concurrent use, but it is not a sync.Mutex for the
// goroutines of a process: it stands for one holder. Lock and TryLock while it
// is held, or while another call of Lock, TryLock or Unlock is under way, return
// ErrAlreadyLocked at once; goroutines that compete need a Mutex each. After a
// lock was lost, Lock and TryLock may be called with or without an Unlock
// before.
//
// Each lock of a Mutex of New has a lease of its own, which is revoked with it, so that
// nothing that is still under way to the cluster can bring back its key. Those of a
// Pool share leases; the package comment says how that is seen to there.
type Mutex struct {
	cfg   config
	share func() sharing // nil: it shares nothing

	mu   sync.Mutex // guards what follows
	busy bool       // a call of Lock, TryLock or Unlock is under way
	held *hold      // nil while nothing was acquired, or it was released
}

// New returns the Mutex for the lock called name, which must not be empty.
// It sends nothing, starts nothing and has nothing to close; a lock that is held
// has goroutines until Unlock or until it is lost. An option that is out of
// bounds is an error that names them.
func New(cc grpc.ClientConnInterface, name string, opts ...Option) (*Mutex, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	cfg, err := newConfig("lock: New", cc, opts)
	if err != nil {
		return nil, err
	}
	cfg.setName(name)
	return &Mutex{cfg: cfg}, nil
}

// Lock waits until it holds the lock or ctx ends; once held, the lock does not
// depend on ctx. When the lease ends while it waits, because the cluster could
// not be reached for so long, it queues again with a new one. After an error
// nothing of it is left on the cluster, for which it takes up to 3 s beyond ctx;
// if the cluster cannot be reached for those either, its key goes when its TTL
// has passed. The error has the context's and the last failure, or is the
// server's where trying on would not help.
func (m *Mutex) Lock(ctx context.Context) error { return m.lock(ctx, true) }

// TryLock is Lock that does not wait for another holder: it returns ErrLocked
// when there is one, or somebody who came before.
func (m *Mutex) TryLock(ctx context.Context) error { return m.lock(ctx, false) }

func (m *Mutex) lock(ctx context.Context, wait bool) error {
	if err := misuse.Context(ctx, "lock: Lock"); err != nil {
		return err
	}
	m.mu.Lock()
	old := m.held
	if m.busy || old != nil && old.Err() == nil {
		m.mu.Unlock()
		return ErrAlreadyLocked
	}
	m.busy, m.held = true, nil
	m.mu.Unlock()

	if old != nil {
		_ = old.Drop(ctx, errReleased) // it was lost; failing that, its TTL ends it
	}
	h, err := holder.Acquire(ctx, &m.cfg.Config, false, func(h *holder.Holder) *hold {
		try := &hold{Holder: h, wait: wait}
		if m.share != nil {
			try.sharing = m.share()
		}
		return try
	})
	if err == nil {
		h.watch()
	}
	m.mu.Lock()
	m.busy, m.held = false, h
	m.mu.Unlock()
	return err
}

// Unlock releases the lock, if it is held: it deletes the key, provided that it
// is still the one that was locked, and revokes the lease, which also deletes it.
// Done closes before anything is sent. The revocation has its own 3 s, so that
// the lock is freed even when ctx has ended. In a Pool the lease stays; what has 3 s then is the
// deletion, if it fails at first.
//
// A lock that was lost before is ErrLost, and nothing of another holder's is
// freed. Without a lock it is ErrNotHeld. Any other error means that the cluster
// could not be reached; the lock is free when its TTL has passed, or, in a Pool, as soon
// as the cluster can be reached. After all of them the Mutex is as good as new.
func (m *Mutex) Unlock(ctx context.Context) error {
	if err := misuse.Context(ctx, "lock: Unlock"); err != nil {
		return err
	}
	m.mu.Lock()
	h := m.held
	if m.busy || h == nil {
		m.mu.Unlock()
		return ErrNotHeld
	}
	m.busy = true
	m.mu.Unlock()

	err := release(ctx, h.Holder, 0, h.Err(), func(ctx context.Context) error { return h.Drop(ctx, errReleased) })

	m.mu.Lock()
	m.busy, m.held = false, nil
	m.mu.Unlock()
	return err
}

// Run takes the lock, as Lock does, calls f, waits for it, and releases the lock, as Unlock
// does, also when f panics. f is not called unless the lock is held.
//
// The context of f is derived from ctx, and ends when the lock is lost, too:
// context.Cause tells which. f must stop then, since another one may get the lock; Run
// waits for it however long that takes.
//
// The error is nil only if f has succeeded, the lock was held until f returned, and it
// was released. Otherwise errors.Is finds all that has happened: the error of f, ErrLost
// with its cause, or ErrNotHeld if somebody has called Unlock meanwhile, and why the lock
// could not be released, in which case it is free when its TTL has passed. When the lock
// was not got it is Lock's error alone.
func (m *Mutex) Run(ctx context.Context, f func(ctx context.Context) error) error {
	return m.run(ctx, "Run", m.Lock, f)
}

// TryRun is Run that does not wait for another holder: it returns ErrLocked when there is
// one, or somebody who came before.
func (m *Mutex) TryRun(ctx context.Context, f func(ctx context.Context) error) error {
	return m.run(ctx, "TryRun", m.TryLock, f)
}

func (m *Mutex) run(ctx context.Context, call string, take func(context.Context) error, f func(context.Context) error) error {
	if err := kind.CheckRun(ctx, call, f); err != nil {
		return err
	}
	if err := take(ctx); err != nil {
		return err
	}
	h := m.current()
	if h == nil { // unlocked by another goroutine in this moment
		return ErrNotHeld
	}
	return h.Run(ctx, f, m.Unlock)
}

// Token is the fencing token of the lock that is held or was lost last: the
// create revision of its key. Whoever gets the lock later, anywhere, has a
// greater one. It is 0 without a lock.
func (m *Mutex) Token() int64 {
	if h := m.current(); h != nil {
		return h.Place.Rev
	}
	return 0
}

// Key is the key that stands for the lock on the cluster, or empty without a
// lock.
func (m *Mutex) Key() string {
	if h := m.current(); h != nil {
		return h.Place.Key
	}
	return ""
}

// Done returns a channel that closes the moment the lock that is now held can no
// longer be proven: its lease is about to run out or is gone, or its key was
// deleted; and at Unlock. Without a lock it is closed already. Each acquisition
// has its own channel, so get it after Lock.
func (m *Mutex) Done() <-chan struct{} {
	return holder.Done(m.current())
}

// Context returns a context that ends when Done closes. Its cause (context.Cause) is
// ErrLost with the reason, or ErrNotHeld after Unlock. It has the values of the context
// that Lock was called with, but neither that one's end nor its deadline, as the lock does
// not depend on them; Run has a context that ends with both. Each acquisition has its
// own, so get it after Lock; without a lock it has ended already.
func (m *Mutex) Context() context.Context {
	return holder.Context(m.current(), ErrNotHeld)
}

// Err is nil while the lock is held, ErrLost with the reason when it was lost,
// and ErrNotHeld otherwise. It looks at the clock, as lease.Keeper.Err does.
func (m *Mutex) Err() error {
	if h := m.current(); h != nil {
		return h.Err()
	}
	return ErrNotHeld
}

// Guard is the comparison that holds as long as the lock does, for transactions
// on the same cluster. Without a lock it is one that never holds.
func (m *Mutex) Guard() kv.Cmp {
	return m.cfg.Guard(m.current())
}

// Txn begins a transaction that is applied only while the lock is held, whatever
// the clocks say: the server checks. It is a kv.Txn like any other, with its own
// If, Then and Else; on the wire it is nested in one whose comparison is Guard,
// so that the loss of the lock is told from a comparison that does not hold.
// Commit returns ErrLost when the lock was lost, and ErrNotHeld without one, and
// then nothing was applied.
//
// When its answer is lost, nobody knows whether it was applied. kv.Marker begins
// transactions on a Mutex of which that can be found out.
func (m *Mutex) Txn(ctx context.Context) kv.Txn {
	return kind.Txn(ctx, m.current(), ErrNotHeld)
}

// current is what is held, or was lost last; nil for nothing.
func (m *Mutex) current() *holder.Holder {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil {
		return nil
	}
	return m.held.Holder
}
