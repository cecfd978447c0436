package lock

import (
	"context"
	"errors"
	"slices"
	"sync"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// Pool makes Mutexes that share leases and streams. A free lock then takes one
// transaction to lock and one to unlock, and a lock that is held has no goroutine, lease
// or stream of its own. The package comment says what differs from Mutexes that share
// nothing; their API and all that they promise is the same.
//
// Locks of different names share one lease, so they are lost together if it is. Those
// of one name, of which others wait, have a lease each, which they share with locks of
// other names.
//
// It is safe for concurrent use.
type Pool struct {
	cfg                   config
	ownLeases, ownWatcher bool

	life context.Context //nolint:containedctx // the pool's lifecycle
	end  context.CancelCauseFunc
	wg   sync.WaitGroup // of the lookout, and of what ends sessions
	over chan struct{}  // closed when the first Close has done all

	lookout *queue.Lookout // for the keys of locks that are held

	mu sync.Mutex // guards what follows and the sessions' users
	// Those that take more locks, in the order in which they were made. The first stays
	// until Close, the others while they are used.
	sessions []*session
	retired  map[*session]struct{} // those that take no more, and have some
	looking  bool                  // the lookout runs
	closed   bool
}

// NewPool returns a Pool. It sends nothing and starts nothing; from the first lock on it
// has a lease, until Close, which must be called. Without WithLeaseService it has a
// lease service of its own, and without WithWatcher a watcher. An option that is out of
// bounds is an error that names them.
func NewPool(cc grpc.ClientConnInterface, opts ...Option) (*Pool, error) {
	cfg, err := newConfig("lock: NewPool", cc, opts)
	if err != nil {
		return nil, err
	}
	p := &Pool{cfg: cfg, over: make(chan struct{}), retired: make(map[*session]struct{})}
	p.life, p.end = context.WithCancelCause(context.Background())
	p.lookout = queue.NewLookout(misuse.Conn("lock", cc), watchAfter, p.lookNow)
	if p.ownLeases = p.cfg.Leases == nil; p.ownLeases {
		p.cfg.Leases = lease.New(cc)
	}
	if p.ownWatcher = p.cfg.Watcher == nil; p.ownWatcher {
		p.cfg.Watcher = watch.New(cc)
	}
	return p, nil
}

// Mutex returns the Mutex for the lock called name, which must not be empty. Like New it
// sends nothing and starts nothing.
func (p *Pool) Mutex(name string) (*Mutex, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	m := &Mutex{cfg: p.cfg, share: func() sharing { return &shared{pool: p} }}
	m.cfg.setName(name)
	return m, nil
}

// Close ends all locks of the pool with ErrLost and ErrClosed, and revokes the leases,
// with which the keys go. Done closes before anything is sent. The revocations have 3 s
// of their own, so that the locks are freed even when ctx has ended; an error means that
// the cluster could not be reached, and the locks are free when the TTL has passed. Every
// goroutine has ended when it returns. A second Close waits for the first, and has no error.
func (p *Pool) Close(ctx context.Context) error {
	if err := misuse.Context(ctx, "lock: Close"); err != nil {
		return err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.over
		return nil
	}
	defer close(p.over)
	p.closed = true
	sessions := slices.Clone(p.sessions)
	for s := range p.retired {
		sessions = append(sessions, s)
	}
	p.sessions = nil
	var holds []*hold
	for _, s := range sessions {
		holds = append(holds, s.holdsLocked()...)
	}
	p.mu.Unlock()
	p.end(ErrClosed)
	for _, h := range holds {
		_ = h.Lost(ErrClosed) // now, and not when its turn comes to learn of the end
	}

	var wg sync.WaitGroup
	errs := make([]error, len(sessions))
	for i, s := range sessions {
		wg.Go(func() { errs[i] = s.finish(ctx) })
	}
	wg.Wait()
	p.wg.Wait()
	if p.ownWatcher {
		_ = p.cfg.Watcher.Close()
	}
	if p.ownLeases {
		_ = p.cfg.Leases.Close()
	}
	return errors.Join(errs...)
}

// join returns a session, whose lease is kept, for a lock called name, whose only one it
// is in the session, until part. Both are called with one name, also after an error if there
// is a session.
func (p *Pool) join(ctx context.Context, name string) (*session, error) {
	s, err := p.claim(name)
	if err != nil {
		return nil, err
	}
	select {
	case <-s.ready:
		return s, s.err
	case <-ctx.Done():
		return s, context.Cause(ctx)
	}
}

// claim returns a session that has no lock called name, and now has.
func (p *Pool) claim(name string) (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	for i := 0; i < len(p.sessions); i++ {
		s := p.sessions[i]
		if s.opened() && s.life.Err() != nil {
			p.retireLocked(s)
			i--
			continue
		}
		if _, has := s.users[name]; !has {
			s.users[name], s.used = nil, true
			return s, nil
		}
	}
	s := newSession(p)
	s.users[name], s.used = nil, true
	p.sessions = append(p.sessions, s)
	s.life.Go(s.open)
	return s, nil
}

// part ends what join has begun. With retire the session takes no more locks. The last one
// of a session that takes no more is to finish it.
func (p *Pool) part(s *session, name string, retire bool) (last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(s.users, name)
	// Nobody waits for a lease any more that may take long to get.
	if retire || len(s.users) == 0 && !s.opened() {
		p.retireLocked(s)
	}
	return s.retired && len(s.users) == 0
}

func (p *Pool) retireLocked(s *session) {
	if s.retired {
		return
	}
	s.retired = true
	p.sessions = slices.DeleteFunc(p.sessions, func(other *session) bool { return other == s })
	if s.life.Context().Err() == nil || p.closed {
		p.retired[s] = struct{}{}
	} else { // its lease is left to its users, and to its TTL
		p.wg.Go(s.life.Wait)
	}
}

// lookNow makes the sessions look at their places, since a deletion may have been missed.
func (p *Pool) lookNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		s.lookNow()
	}
	for s := range p.retired {
		s.lookNow()
	}
}
