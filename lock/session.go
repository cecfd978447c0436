package lock

import (
	"context"
	"sync"
	"time"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/lease"
)

// session is a lease that locks of a Pool share, one of each name. It retires when it is
// not certain any more that nothing is under way that could put a key: then it takes no
// more locks, and when the last one has gone it revokes the lease.
type session struct {
	pool *Pool
	life *holder.Life // ends with the lease

	look  chan struct{} // capacity 1: look at all places now
	ready chan struct{} // closed when the lease is kept, or err is set
	// Set before ready is closed.
	id     lease.ID
	keeper *lease.Keeper
	err    error

	finishing sync.Once
	finishErr error

	// Guarded by pool.mu.
	users   map[string]*hold // by the names of their locks; nil while they don't hold
	used    bool             // since the last review
	retired bool
}

func newSession(p *Pool) *session {
	s := &session{pool: p, look: make(chan struct{}, 1), ready: make(chan struct{}), users: make(map[string]*hold)}
	s.life = holder.NewLife(p.life, func(cause error) error { return cause })
	return s
}

// open gets the lease and has it kept.
func (s *session) open() {
	ctx, cfg := s.life.Context(), &s.pool.cfg
	defer close(s.ready)
	s.id, s.err = lease.GrantNew(ctx, cfg.Leases, int64(cfg.TTL/time.Second))
	if s.err == nil {
		s.keeper, s.err = cfg.Leases.Keep(ctx, s.id)
	}
	if s.err != nil {
		s.pool.mu.Lock()
		defer s.pool.mu.Unlock()
		s.pool.retireLocked(s)
		return
	}
	s.life.SetLease(s.keeper)
	s.life.WatchLease()
	s.life.Go(s.tend)
}

// forsake begins to free what a place may have on the cluster. clean is closed when it has
// nothing there.
func (s *session) forsake(place queue.Place) (clean chan struct{}) {
	clean = make(chan struct{})
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.life.Context().Err() == nil {
		s.life.Go(func() { place.Forsake(s.life.Context(), s.id, clean) })
	}
	return clean
}

// opened reports whether open has returned.
func (s *session) opened() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// finish ends the session and revokes the lease, in 3 s. It is for who was the last, and
// for Close; what is still under way to put a key comes too late then.
func (s *session) finish(ctx context.Context) error {
	s.finishing.Do(func() {
		s.pool.mu.Lock() // forsake begins before, or not at all
		s.life.End(errReleased)
		s.pool.mu.Unlock()
		s.life.Wait()
		if s.id != lease.NoLease {
			s.finishErr = kind.Revoke(ctx, s.pool.cfg.Leases, s.id)
		}
		s.pool.mu.Lock()
		defer s.pool.mu.Unlock()
		delete(s.pool.retired, s)
	})
	return s.finishErr
}

// tend looks at the places of all locks that are held, in every half of the time to live.
// Their watches tell sooner, but nothing rests on them. It ends a session that nobody has
// used for that long, unless it is the first.
func (s *session) tend() {
	ctx, cfg := s.life.Context(), &s.pool.cfg
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		t.Reset(backoff.Jitter(cfg.TTL / 2))
		select {
		case <-t.C:
		case <-s.look:
		case <-ctx.Done():
			return
		}
		holds, unused := s.review()
		if unused {
			s.pool.wg.Go(func() { _ = s.finish(context.WithoutCancel(ctx)) }) // it waits for this goroutine
			return
		}
		places := make([]*queue.Place, len(holds))
		of := make(map[*queue.Place]*hold, len(holds))
		for i, h := range holds {
			places[i] = &h.Place
			of[places[i]] = h
		}
		rctx, cancel := context.WithTimeout(ctx, cfg.TTL/2)
		lost, _ := queue.Missing(rctx, cfg.KV, places) // failing that, the lease alone decides
		cancel()
		for _, place := range lost {
			_ = of[place].Lost(queue.ErrDeleted)
		}
	}
}

func (s *session) lookNow() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}

// review returns the locks that are held, or retires a session that was not used since
// the last review.
func (s *session) review() (holds []*hold, unused bool) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.pool.closed {
		return nil, false
	}
	if unused = !s.used && !s.retired && len(s.users) == 0 && s.pool.sessions[0] != s; unused {
		s.pool.retireLocked(s)
		return nil, true
	}
	s.used = false
	return s.holdsLocked(), false
}

// holdsLocked returns the locks that are held.
func (s *session) holdsLocked() (holds []*hold) {
	for _, h := range s.users {
		if h != nil {
			holds = append(holds, h)
		}
	}
	return holds
}
