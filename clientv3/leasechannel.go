package clientv3

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/lease"
)

// channels are the open channels of KeepAlive, by their leases.
//
// Package lease ends a lease's keepers before it sends a Revoke, so that nobody can
// prove that a lease lives which may be revoked. clientv3's channels go on until the
// server says that the lease is gone. So a channel waits for the Revoke's outcome. If
// the lease was certainly not revoked, it is kept again.
type channels struct {
	mu   sync.Mutex // guards what follows; a leaf
	open map[LeaseID][]*channel
}

// channel is one of KeepAlive's.
type channel struct {
	service leases
	id      LeaseID
	ctx     context.Context //nolint:containedctx // ends with the program's, and by end
	end     context.CancelFunc
	out     chan *LeaseKeepAliveResponse
	over    <-chan struct{} // closes when the last Revoke has ended; nil without one; guarded by channels.mu
}

// add adds a channel until remove is called. Without channels it does nothing.
func (s *channels) add(c *channel) (remove func()) {
	if s == nil {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[LeaseID][]*channel)
	}
	s.open[c.id] = append(s.open[c.id], c)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open[c.id] = slices.DeleteFunc(s.open[c.id], func(o *channel) bool { return o == c })
		if len(s.open[c.id]) == 0 {
			delete(s.open, c.id)
		}
	}
}

// revoking tells a lease's channels that a Revoke is about to be sent. settle tells
// them whether the lease may be gone.
func (s *channels) revoking(id LeaseID) (settle func(gone bool)) {
	if s == nil {
		return func(bool) {}
	}
	over := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	told := slices.Clone(s.open[id])
	for _, c := range told {
		c.over = over
	}
	return func(gone bool) {
		if gone {
			for _, c := range told {
				c.end()
			}
		}
		close(over)
	}
}

// revoked returns what closes when the last Revoke has ended that began since the
// previous call; nil if none did.
func (s *channels) revoked(c *channel) (over <-chan struct{}) {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	over, c.over = c.over, nil
	return over
}

// mayBeGone reports whether a lease may have been revoked, or may be yet, by a Revoke
// that has returned err.
func mayBeGone(err error) bool {
	switch {
	case err == nil, etcderr.NotFound(err):
		return true
	case errors.Is(err, rpctypes.ErrNoLeader): // said before the request is looked at, also by guard
		return false
	default:
		return etcderr.Ambiguous(err)
	}
}

func (l leases) KeepAlive(ctx context.Context, id LeaseID) (<-chan *LeaseKeepAliveResponse, error) {
	if err := misuse.Context(ctx, "lease: KeepAlive"); err != nil {
		return nil, err
	}
	kept, end := context.WithCancel(ctx)
	guarded, stop := l.guard.watchOver(kept, false)
	c := &channel{service: l, id: id, ctx: guarded, end: end, out: make(chan *LeaseKeepAliveResponse, LeaseResponseChSize)}
	remove := l.channels.add(c) // before the lease is kept, so that it misses no Revoke
	answers, err := l.Lease.KeepAlive(guarded, id)
	if err != nil {
		remove()
		stop()
		end()
		close(c.out)
		switch {
		case errors.Is(err, lease.ErrClosed):
			return c.out, ErrKeepAliveHalted{Reason: err}
		case id == NoLease:
			return c.out, nil // the server treats it as a lease that does not exist
		}
		return c.out, plain(ctx, err)
	}
	go func() { // ends with answers, which end with guarded
		defer end()
		defer stop()
		defer remove()
		c.pass(ctx, answers)
	}()
	return c.out, nil
}

// pass forwards the answers until they end, or until the first one, or the first after a
// Revoke that was refused, is late. When the lease has ended, pass removes the unread
// answers from the channel, since they say that the lease lives.
func (c *channel) pass(ctx context.Context, answers <-chan *LeaseKeepAliveResponse) {
	defer close(c.out)
	timer := time.NewTimer(c.service.first)
	defer timer.Stop()
	var (
		late  = timer.C       // nil while answers come in time
		lives time.Time       // until when, by the last answer
		over  <-chan struct{} // closes with the Revoke that is waited for; nil without one
		ended <-chan struct{} // the context's, meanwhile
	)
	for {
		select {
		case a, ok := <-answers:
			if ok {
				ttl := time.Duration(a.TTL) * time.Second
				lives, late = time.Now().Add(ttl-lease.Margin(ttl)), nil
				select {
				case c.out <- a:
				default:
				}
				continue
			}
			if over = c.service.channels.revoked(c); over != nil {
				answers, ended = nil, c.ctx.Done()
				if late == nil {
					timer.Reset(time.Until(lives))
					late = timer.C
				}
				continue
			}
		case <-over:
			over, ended = nil, nil
			if c.ctx.Err() == nil {
				var err error
				if answers, err = c.service.Lease.KeepAlive(c.ctx, c.id); err == nil { //nolint:contextcheck // the channel's own
					continue
				}
			}
		case <-ended:
		case <-late:
		}
		for ctx.Err() == nil && len(c.out) > 0 {
			select {
			case <-c.out:
			default: // the program has received it meanwhile
			}
		}
		return
	}
}
