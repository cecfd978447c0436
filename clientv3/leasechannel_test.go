package clientv3_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/namespace"
	"github.com/getcd/getcd/lease"
)

// refuse has the member answer a Revoke with err, when told has returned.
func (r *rig) refuse(err error, apply bool, told func()) {
	r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
		if method != pb.Lease_LeaseRevoke_FullMethodName {
			return next()
		}
		told()
		if apply {
			if _, err := next(); err != nil {
				return nil, err
			}
		}
		return nil, err
	})
}

// wantKept checks whether a lease of 5 s lives after a minute, and whether its channel
// is open.
func (r *rig) wantKept(id clientv3.LeaseID, answers <-chan *clientv3.LeaseKeepAliveResponse, want bool) {
	r.t.Helper()
	time.Sleep(time.Minute)
	open := true
	for open && len(answers) > 0 {
		_, open = <-answers
	}
	select {
	case _, ok := <-answers:
		open = open && ok
	default:
	}
	left, err := r.TimeToLive(r.t.Context(), id)
	if err != nil || (left.TTL > 0) != want || open != want {
		r.t.Errorf("the lease has %v, %v, and its channel is open: %v; want both to go on: %v", left, err, open, want)
	}
}

// keep keeps a lease of 5 s.
func (r *rig) keep() (clientv3.LeaseID, <-chan *clientv3.LeaseKeepAliveResponse) {
	r.t.Helper()
	grant, err := r.Grant(r.t.Context(), 5)
	if err != nil {
		r.t.Fatal(err)
	}
	answers, err := r.KeepAlive(r.t.Context(), grant.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	<-answers
	return grant.ID, answers
}

// A lease that was certainly not revoked is kept on, and no other.
func TestRevokeRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		answer  error
		apply   bool
		refused bool
	}{
		"permission denied":         {rpctypes.ErrGRPCPermissionDenied, false, true},
		"no such user":              {rpctypes.ErrGRPCUserNotFound, false, true},
		"the answer is lost":        {status.Error(codes.Internal, "lost"), true, false},
		"it says that it timed out": {rpctypes.ErrGRPCTimeout, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, service := range map[string]func(clientv3.Lease) clientv3.Lease{
				"plain":          func(l clientv3.Lease) clientv3.Lease { return l },
				"in a namespace": func(l clientv3.Lease) clientv3.Lease { return namespace.NewLease(l, "ns/") },
				"wrapped":        func(l clientv3.Lease) clientv3.Lease { return struct{ clientv3.Lease }{l} },
			} {
				t.Run(kind, func(t *testing.T) {
					run(t, 1, nil, func(r *rig) {
						t := r.t
						r.Lease = service(r.Lease)
						id, answers := r.keep()
						r.refuse(tc.answer, tc.apply, func() {})
						ctx := r.timeout(time.Second)
						if _, err := r.Revoke(ctx, id); err == nil {
							t.Error("Revoke: no error")
						}
						if !tc.refused {
							synctest.Wait()
							select {
							case a, ok := <-answers:
								if ok {
									t.Errorf("an answer: %v, want the channel closed", a)
								}
							default:
								t.Error("the channel is open, though the lease may be gone")
							}
							return
						}
						r.wantKept(id, answers, true)
						r.cluster.Member(0).Intercept(nil)
						if _, err := r.Revoke(t.Context(), id); err != nil {
							t.Errorf("Revoke: %v", err)
						}
						r.wantKept(id, answers, false)
					})
				})
			}
		})
	}
}

// A Revoke that was not sent ends nothing.
func TestRevokeNotSent(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		id, answers := r.keep()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		native := r.Lease.(lease.Lease)
		keeper, err := native.Keep(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Revoke(ended, id); err != context.Canceled { //nolint:errorlint // as callers do
			t.Errorf("Revoke: %v, want %v", err, context.Canceled)
		}
		if n := r.cluster.Member(0).Calls(pb.Lease_LeaseRevoke_FullMethodName); n != 0 || keeper.Err() != nil {
			t.Errorf("%d requests were sent, and the keeper says %v; want neither", n, keeper.Err())
		}
		r.wantKept(id, answers, true)

		// The members restart, which takes less than the lease lives: it was just renewed, since to
		// connect again may take a second more.
		for len(answers) > 0 {
			<-answers
		}
		<-answers
		r.cluster.Member(0).Kill()
		synctest.Wait()
		if _, err := r.Revoke(r.timeout(time.Second), id); err != context.DeadlineExceeded { //nolint:errorlint // as callers do
			t.Errorf("Revoke: %v, want %v", err, context.DeadlineExceeded)
		}
		if !errors.Is(keeper.Err(), lease.ErrRevoked) {
			t.Errorf("the keeper says %v, want %v: package lease tells before it sends", keeper.Err(), lease.ErrRevoked)
		}
		time.Sleep(time.Second)
		r.cluster.Member(0).Start()
		r.wantKept(id, answers, true)

		// They do not come back: the channel closes when the lease can't be proven to live.
		for len(answers) > 0 {
			<-answers
		}
		<-answers
		begin := time.Now()
		r.cluster.Member(0).Kill()
		synctest.Wait()
		if _, err := r.Revoke(r.timeout(time.Second), id); err != context.DeadlineExceeded { //nolint:errorlint // as callers do
			t.Errorf("Revoke: %v, want %v", err, context.DeadlineExceeded)
		}
		if _, ok := <-answers; ok {
			t.Error("an answer without a member")
		}
		if took := time.Since(begin); took != 4500*time.Millisecond {
			t.Errorf("the channel closed %v after the last answer, want 4.5 s, the TTL less the margin", took)
		}
	})
}

// While a Revoke is under way, so is the channel: it has the last word.
func TestRevokeUnderWay(t *testing.T) {
	for name, refused := range map[string]bool{"refused": true, "applied": false} {
		t.Run(name, func(t *testing.T) {
			run(t, 1, nil, func(r *rig) {
				t := r.t
				id, answers := r.keep()
				other, others := r.keep()
				if refused {
					r.refuse(rpctypes.ErrGRPCPermissionDenied, false, func() { time.Sleep(3 * time.Second) })
				} else {
					r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
						if method == pb.Lease_LeaseRevoke_FullMethodName {
							time.Sleep(3 * time.Second)
						}
						return next()
					})
				}
				results := make(chan error, 2)
				for range 2 {
					go func() {
						_, err := r.Revoke(t.Context(), id)
						results <- err
					}()
				}
				time.Sleep(2 * time.Second)
				select {
				case a, ok := <-answers:
					t.Errorf("%v, %v; want nothing before the outcome", a, ok)
				default:
				}
				for range 2 {
					if err := <-results; refused != (err == rpctypes.ErrPermissionDenied) { //nolint:errorlint // as callers do
						t.Errorf("Revoke: %v, want it refused: %v", err, refused)
					}
				}
				r.wantKept(id, answers, refused)
				r.wantKept(other, others, true)

				if !refused {
					return
				}
				// Whose context ends meanwhile is not kept waiting.
				one, cancel := context.WithCancel(t.Context())
				last, err := r.KeepAlive(one, other)
				if err != nil {
					t.Fatal(err)
				}
				<-last
				go func() {
					_, err := r.Revoke(t.Context(), other)
					results <- err
				}()
				synctest.Wait()
				cancel()
				synctest.Wait()
				select {
				case a, ok := <-last:
					if ok {
						t.Errorf("an answer: %v, want the channel closed", a)
					}
				default:
					t.Error("the channel is open, though its context has ended")
				}
				if err := <-results; err == nil {
					t.Error("Revoke: no error")
				}
			})
		})
	}
}
