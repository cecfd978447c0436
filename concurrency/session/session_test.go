package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/lease"
)

var _ election.Session = (*session.Session)(nil)

func TestCloseRevokes(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		s := r.session(session.WithTTL(20 * time.Second))
		if got, want := s.TTL(), 20*time.Second; got != want {
			t.Errorf("TTL is %v, want %v", got, want)
		}
		r.put(s.ID())
		time.Sleep(time.Hour)
		if isDone(s) || s.Err() != nil || s.Context().Err() != nil {
			t.Errorf("after an hour: done %v, error %v; want it alive", isDone(s), s.Err())
		}
		if until := time.Until(s.Deadline()); until <= 0 || until > 20*time.Second {
			t.Errorf("the deadline is in %v, want between 0 and 20s", until)
		}
		r.wantLeft(true)

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 2 {
			if err := s.Close(ended); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if !isDone(s) {
			t.Error("Done is open after Close")
		}
		wantIs(t, "Err", s.Err(), session.ErrClosed)
		wantIs(t, "Context", context.Cause(s.Context()), session.ErrClosed)
		r.wantLeft(false)
		if got := r.cluster.Member(0).Calls(pb.Lease_LeaseRevoke_FullMethodName); got != 1 {
			t.Errorf("revoked %d times, want 1", got)
		}
	})
}

func TestOrphan(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		s := r.session()
		r.put(s.ID())
		s.Orphan()
		s.Orphan()
		wantIs(t, "Err", s.Err(), session.ErrOrphaned)
		r.wantLeft(true)
		time.Sleep(session.DefaultTTL + time.Second)
		r.wantLeft(false)
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		wantIs(t, "Err", s.Err(), session.ErrOrphaned)
	})
}

// A process that is cut off notices before its keys go.
func TestDoneBeforeExpiry(t *testing.T) {
	for name, cut := range map[string]func(*rig){
		"freeze": func(r *rig) { r.cluster.Member(0).Freeze() },
		"hang":   func(r *rig) { r.cluster.Member(0).Hang() },
		"kill":   func(r *rig) { r.cluster.Member(0).Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				s := r.session()
				r.put(s.ID())
				time.Sleep(time.Minute)
				cut(r)
				begin := time.Now()
				<-s.Done()
				if took := time.Since(begin); took > session.DefaultTTL {
					t.Errorf("Done closed after %v, want within %v", took, session.DefaultTTL)
				}
				r.wantLeft(true)
				wantIs(t, "Err", s.Err(), session.ErrLost, lease.ErrExpired)
				begin = time.Now()
				if err := s.Close(t.Context()); err == nil {
					t.Error("Close without a cluster succeeded")
				}
				if took := time.Since(begin); took > 3*time.Second {
					t.Errorf("Close took %v, want at most 3s", took)
				}
				time.Sleep(session.DefaultTTL)
				r.wantLeft(false)
				r.cluster.Member(0).Thaw()
				r.cluster.Member(0).Resume()
			})
		})
	}
}

func TestLeaseRevokedByOthers(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		s := r.session()
		if _, err := r.admin.Revoke(t.Context(), s.ID()); err != nil {
			t.Fatalf("Revoke: %v", err)
		}
		<-s.Done()
		wantIs(t, "Err", s.Err(), session.ErrLost, rpctypes.ErrLeaseNotFound)
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestServiceClosed(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		s := r.session()
		_ = r.leases.Close()
		wantIs(t, "Err", s.Err(), session.ErrLost, lease.ErrClosed)
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		r.wantLeft(false)
	})
}

func TestWithLease(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		before := r.session()
		r.put(before.ID())
		before.Orphan()
		s := r.session(session.WithLease(before.ID()))
		if s.ID() != before.ID() {
			t.Errorf("the lease is %x, want %x", s.ID(), before.ID())
		}
		time.Sleep(time.Hour)
		r.wantLeft(true)
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		r.wantLeft(false)

		_, err := session.New(t.Context(), r.leases, session.WithLease(before.ID()))
		wantIs(t, "New on a lease that is gone", err, rpctypes.ErrLeaseNotFound)
	})
}

func TestWithContext(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		type key struct{}
		parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		s := r.session(session.WithContext(parent))
		if s.Context().Value(key{}) != "value" {
			t.Error("the session's context lacks its parent's values")
		}
		r.put(s.ID())
		cancel()
		if !isDone(s) {
			t.Error("Done is open after the end of its context")
		}
		wantIs(t, "Err", s.Err(), context.Canceled)
		if err := s.Close(t.Context()); err == nil {
			t.Error("Close: it revoked the lease, want it to be abandoned")
		}
		synctest.Wait()
		r.wantLeft(true)
		time.Sleep(session.DefaultTTL + time.Second)
		r.wantLeft(false)
	})
}

// New returns when its context ends, and leaves no lease.
func TestNewGivesUp(t *testing.T) {
	for name, method := range map[string]string{
		"grant": pb.Lease_LeaseGrant_FullMethodName,
		"renew": pb.Lease_LeaseKeepAlive_FullMethodName,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				m := r.cluster.Member(0)
				if name == "renew" {
					m.Tap(method, etcdtest.Tap{Received: func(ctx context.Context, _ any) error { <-ctx.Done(); return context.Cause(ctx) }})
				} else {
					m.Intercept(func(ctx context.Context, full string, _ any, next func() (any, error)) (any, error) {
						resp, err := next() // granted, and nobody is told
						if full == method {
							<-ctx.Done()
							return nil, context.Cause(ctx)
						}
						return resp, err
					})
				}
				begin := time.Now()
				_, err := session.New(timeout(t, 5*time.Second), r.leases)
				wantIs(t, "New", err, context.DeadlineExceeded)
				if took := time.Since(begin); took < 5*time.Second || took > 8*time.Second {
					t.Errorf("New took %v, want 5s, and at most 3s to clean up", took)
				}
				synctest.Wait()
				r.wantLeft(false)
			})
		})
	}
}

// New does not revoke what the server has refused to grant: the revocation would be refused, too.
func TestNewRefused(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		r.cluster.Member(0).SetLearner(true)
		begin := time.Now()
		_, err := session.New(t.Context(), r.leases)
		if want := rpctypes.ErrorDesc(rpctypes.ErrGRPCNotSupportedForLearner); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want %s", err, want)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("New took %v, want less than the 3s of a revocation", took)
		}
	})
}

// lateLeases ends a context when a lease has just been proven.
type lateLeases struct {
	lease.Lease
	end context.CancelFunc
}

func (l lateLeases) Keep(ctx context.Context, id lease.ID) (*lease.Keeper, error) {
	k, err := l.Lease.Keep(ctx, id)
	l.end()
	return k, err
}

// New leaves no lease if its context ends in the moment in which the lease is
// acknowledged, and leaves one that exists as it is.
func TestNewGivesUpInTheLastMoment(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		ctx, cancel := context.WithCancel(t.Context())
		_, err := session.New(ctx, lateLeases{r.leases, cancel})
		wantIs(t, "New", err, context.Canceled)
		synctest.Wait()
		r.wantLeft(false)

		before := r.session()
		r.put(before.ID())
		before.Orphan()
		ctx, cancel = context.WithCancel(t.Context())
		_, err = session.New(ctx, lateLeases{r.leases, cancel}, session.WithLease(before.ID()))
		wantIs(t, "New with a lease that exists", err, context.Canceled)
		synctest.Wait()
		r.wantLeft(true)
	})
}

// The error of New has both what the context's end is and why.
func TestNewTellsTheCause(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		why := errors.New("the server stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		_, err := session.New(ctx, r.leases)
		wantIs(t, "New with an ended context", err, context.Canceled)
		wantIs(t, "New with an ended context", err, why)
		ctx, cancel = context.WithCancelCause(t.Context())
		_, err = session.New(ctx, lateLeases{r.leases, func() { cancel(why) }})
		wantIs(t, "New", err, context.Canceled)
		wantIs(t, "New", err, why)
		synctest.Wait()
		r.wantLeft(false)
	})
}

// A session outlives the context that it was made with.
func TestNewContextEnds(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		ctx, cancel := context.WithCancel(t.Context())
		s, err := session.New(ctx, r.leases)
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		cancel()
		time.Sleep(time.Minute)
		if err := s.Err(); err != nil {
			t.Errorf("Err: %v, want nil", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestOptions(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		for _, ttl := range []time.Duration{0, -time.Second, 1500 * time.Millisecond, 999 * time.Millisecond} {
			if s, err := session.New(t.Context(), r.leases, session.WithTTL(ttl)); err == nil {
				t.Errorf("TTL %v: got session %x, want an error", ttl, s.ID())
			}
		}
		if _, err := session.New(t.Context(), r.leases, session.WithTTL((lease.MaxTTL+1)*time.Second)); !errors.Is(err, rpctypes.ErrLeaseTTLTooLarge) {
			t.Errorf("a TTL too large: %v, want etcd's error", err)
		}
		r.wantLeft(false)
	})
}
