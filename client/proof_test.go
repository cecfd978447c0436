package client_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/lease"
)

// with adds options to those of the rig.
func with(opts ...grpc.DialOption) func(*client.Config) {
	return func(c *client.Config) { c.DialOptions = append(c.DialOptions, opts...) }
}

// What the user's options do to a call, a write is not applied twice.
func TestUsersOptionsApplyNothingTwice(t *testing.T) {
	interceptor := func(ctx func(context.Context) context.Context) grpc.DialOption {
		return grpc.WithUnaryInterceptor(func(c context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(ctx(c), method, req, reply, cc, opts...)
		})
	}
	for name, opt := range map[string]grpc.DialOption{
		"a method's timeout": grpc.WithDefaultServiceConfig(`{"methodConfig":[{"name":[{}],"timeout":"5s"}]}`),
		"retries": grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"pick_first":{}}],"methodConfig":[{"name":[{}],
			"retryPolicy":{"maxAttempts":4,"initialBackoff":"0.01s","maxBackoff":"0.01s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`),
		"an idle timeout":      grpc.WithIdleTimeout(time.Millisecond),
		"a context of its own": interceptor(func(context.Context) context.Context { return context.Background() }),
		"a context made of it": interceptor(func(c context.Context) context.Context { return context.WithValue(c, extra{}, 1) }),
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, with(opt), func(r *rig) {
				for _, m := range r.cluster.Members() {
					m.Intercept(times(100, pb.KV_Put_FullMethodName, applyThen(errLostAnswer)))
				}
				if err := r.put(r.timeout(10*time.Second), "k", "v"); !client.IsAmbiguous(err) {
					r.t.Errorf("got %v, want doubt", err)
				}
				if got := r.version(); got != 1 {
					r.t.Errorf("the key was written %d times, want once", got)
				}
				time.Sleep(time.Second) // the bubble's clock
				if got := r.active(); got != m1 && got != m2 {
					r.t.Errorf("active: got %q, want a member: the policy is in use", got)
				}
			})
		})
	}
}

type extra struct{}

// An interceptor that ends a call by itself leaves no doubt.
func TestInterceptorThatRefuses(t *testing.T) {
	refusal := grpc.WithUnaryInterceptor(func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
		return status.Error(codes.ResourceExhausted, "not now")
	})
	run(t, 3, with(refusal), func(r *rig) {
		if err := r.put(r.timeout(time.Second), "k", "v"); err == nil || client.IsAmbiguous(err) || !strings.Contains(err.Error(), "not now") {
			r.t.Errorf("got %v (ambiguous: %v), want its refusal, and certainty", err, client.IsAmbiguous(err))
		}
	})
}

// A member that was left for having no leader, and what is held meanwhile, is not
// let go by an answer that takes no leader.
func TestAnswersFromMemoryProveNothing(t *testing.T) {
	leases := map[string]func(r *rig) error{
		"LeaseLeases": func(r *rig) error {
			_, err := pb.NewLeaseClient(r.Conn()).LeaseLeases(r.timeout(time.Second), &pb.LeaseLeasesRequest{})
			return err
		},
		"LeaseTimeToLive": func(r *rig) error {
			_, err := pb.NewLeaseClient(r.Conn()).LeaseTimeToLive(r.timeout(time.Second), &pb.LeaseTimeToLiveRequest{ID: 7})
			return err
		},
		"MemberList": func(r *rig) error { // linearizable, but not for etcd 3.4
			_, err := pb.NewClusterClient(r.Conn()).MemberList(r.timeout(time.Second), &pb.MemberListRequest{Linearizable: true})
			return err
		},
	}
	for name, ask := range leases {
		t.Run(name, func(t *testing.T) {
			run(t, 1, nil, func(r *rig) {
				r.warm()
				m := r.cluster.Member(0)
				put := make(chan error, 1)
				// Reads and writes meet a member without a leader; the rest is answered.
				m.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
					switch method {
					case pb.KV_Range_FullMethodName, pb.KV_Put_FullMethodName:
						return nil, rpctypes.ErrGRPCNoLeader
					}
					return next()
				})
				go func() { put <- r.put(r.timeout(time.Minute), "k", "v") }()
				time.Sleep(10 * time.Millisecond)
				before := m.Calls(pb.KV_Put_FullMethodName)
				for range 50 {
					if err := ask(r); err != nil && !errors.Is(err, context.DeadlineExceeded) && status.Code(err) != codes.Unimplemented {
						r.t.Fatal(err)
					}
					time.Sleep(20 * time.Millisecond)
					synctest.Wait()
				}
				if n := m.Calls(pb.KV_Put_FullMethodName) - before; n > 0 {
					r.t.Errorf("the write that was held was sent %d times meanwhile, want not at all", n)
				}
				if s := r.Endpoints()[0]; s.Demoted == nil {
					r.t.Errorf("%+v, want it demoted still", s)
				}
				m.Intercept(nil)
				if err := <-put; err != nil {
					r.t.Errorf("when it serves: %v", err)
				}
			})
		})
	}
}

// lateRefusal is an error of a service that passes on what its member has told it.
func lateRefusal(err error) error { return status.Error(codes.Unknown, rpctypes.ErrorDesc(err)) }

// What a later step of a request may have said leaves doubt of the earlier ones.
func TestLateStepsLeaveDoubt(t *testing.T) {
	lock, campaign, promote := v3lockpb.Lock_Lock_FullMethodName, v3electionpb.Election_Campaign_FullMethodName, pb.Cluster_MemberPromote_FullMethodName
	for _, c := range []struct {
		method string
		req    any
		err    error
		doubt  bool
	}{
		{lock, &v3lockpb.LockRequest{Lease: 7}, lateRefusal(rpctypes.ErrGRPCInvalidAuthToken), true},
		{lock, &v3lockpb.LockRequest{Lease: 7}, lateRefusal(rpctypes.ErrGRPCPermissionDenied), true},
		{lock, &v3lockpb.LockRequest{Lease: 7}, lateRefusal(rpctypes.ErrGRPCCompacted), true},
		{lock, &v3lockpb.LockRequest{}, lateRefusal(rpctypes.ErrGRPCRequestTooManyRequests), true},
		{lock, &v3lockpb.LockRequest{Lease: 7}, lateRefusal(rpctypes.ErrGRPCLeaseNotFound), false},
		{lock, &v3lockpb.LockRequest{Lease: 7}, status.Error(codes.Unimplemented, "unknown service v3lockpb.Lock"), false},
		{lock, &v3lockpb.LockRequest{Lease: 7}, status.Error(codes.PermissionDenied, "unexpected HTTP status code received from server: 403 (Forbidden)"), false},
		{campaign, &v3electionpb.CampaignRequest{Lease: 7}, lateRefusal(rpctypes.ErrGRPCUserEmpty), true},
		{campaign, &v3electionpb.CampaignRequest{Lease: 7}, lateRefusal(rpctypes.ErrGRPCAuthOldRevision), true},
		{v3electionpb.Election_Proclaim_FullMethodName, &v3electionpb.ProclaimRequest{}, status.Error(codes.Unknown, "election: not leader"), false},
		{v3lockpb.Lock_Unlock_FullMethodName, &v3lockpb.UnlockRequest{}, lateRefusal(rpctypes.ErrGRPCPermissionDenied), false},
		{promote, &pb.MemberPromoteRequest{}, rpctypes.ErrGRPCNoLeader, true},
		{promote, &pb.MemberPromoteRequest{}, rpctypes.ErrGRPCMemberNotLearner, true},
		{promote, &pb.MemberPromoteRequest{}, rpctypes.ErrGRPCLearnerNotReady, true},
		{promote, &pb.MemberPromoteRequest{}, rpctypes.ErrGRPCPermissionDenied, false},
		{pb.Cluster_MemberRemove_FullMethodName, &pb.MemberRemoveRequest{}, rpctypes.ErrGRPCMemberNotFound, false},
	} {
		run(t, 2, func(cfg *client.Config) { cfg.Token = "fixed" }, func(r *rig) {
			for _, m := range r.cluster.Members() {
				m.Intercept(times(100, c.method, refuse(c.err)))
			}
			err := r.Conn().Invoke(r.timeout(30*time.Second), c.method, c.req, &emptypb.Empty{})
			if !strings.Contains(errText(err), status.Convert(c.err).Message()) || client.IsAmbiguous(err) != c.doubt {
				r.t.Errorf("%s: got %v (ambiguous: %v), want doubt: %v", c.method, err, client.IsAmbiguous(err), c.doubt)
			}
			n := 0
			for _, m := range r.cluster.Members() {
				n += m.Calls(c.method)
			}
			if n != 1 && !strings.Contains(c.err.Error(), "revision of auth store is old") {
				r.t.Errorf("%s: %v: sent %d times, want once", c.method, c.err, n)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A Lock whose token has expired is sent again with its lease, once it has been
// answered: it goes on where it was.
func TestLockRejoinsWithANewToken(t *testing.T) {
	run(t, 2, asRoot, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		granted, err := r.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		r.cluster.ExpireTokens()
		locks := v3lockpb.NewLockClient(r.Conn())
		if _, err := locks.Lock(r.timeout(time.Minute), &v3lockpb.LockRequest{Name: []byte("l"), Lease: int64(granted.ID)}); err != nil {
			t.Errorf("with a lease: %v", err)
		}
		r.cluster.ExpireTokens()
		if _, err := locks.Lock(r.timeout(time.Minute), &v3lockpb.LockRequest{Name: []byte("m")}); !errors.Is(err, rpctypes.ErrInvalidAuthToken) || !client.IsAmbiguous(err) {
			t.Errorf("without one, so that each try makes a lease: got %v, want %v, and doubt", err, rpctypes.ErrInvalidAuthToken)
		}
		if err := r.put(r.timeout(time.Minute), "k", "v"); err != nil || r.logins() != 3 {
			t.Errorf("afterwards: error %v and %d logins, want the token of a third", err, r.logins())
		}
	})
}

// Leases by IDs of the caller's are not repeated: they may be somebody else's. Those
// by IDs that were drawn are, once.
func TestOnlyOwnLeasesAreRepeated(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t, ctx := r.t, r.timeout(time.Minute)
		other := pb.NewLeaseClient(r.cluster.Member(1).Conn(t))
		lose := func(method string, before func()) {
			r.cluster.Member(0).Intercept(once(method, func(context.Context, string, any, func() (any, error)) (any, error) {
				before()
				return nil, errLostAnswer
			}))
		}
		// The grant is lost unapplied, and another client's is not.
		lose(pb.Lease_LeaseGrant_FullMethodName, func() {
			if _, err := other.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: 7, TTL: 100}); err != nil {
				t.Error(err)
			}
		})
		if _, err := r.GrantID(ctx, 7, 60); !client.IsAmbiguous(err) {
			t.Errorf("GrantID that meets another's lease: got %v, want doubt", err)
		}
		lose(pb.Lease_LeaseRevoke_FullMethodName, func() {})
		if _, err := r.Revoke(ctx, 7); !client.IsAmbiguous(err) {
			t.Errorf("Revoke of it: got %v, want doubt", err)
		}
		id := lease.NewID()
		lose(pb.Lease_LeaseGrant_FullMethodName, func() {})
		if _, err := r.GrantID(ctx, id, 60); err != nil {
			t.Errorf("GrantID with an ID that was drawn: %v", err)
		}
		lose(pb.Lease_LeaseRevoke_FullMethodName, func() {})
		if _, err := r.Revoke(ctx, id); err != nil {
			t.Errorf("Revoke of it: %v", err)
		}
		if _, err := r.GrantID(ctx, id, 60); err != nil {
			t.Fatal(err)
		}
		lose(pb.Lease_LeaseRevoke_FullMethodName, func() {})
		if _, err := r.Revoke(ctx, id); !client.IsAmbiguous(err) {
			t.Errorf("Revoke of its second lease: got %v, want doubt", err)
		}
	})
}

// Somebody who is known by a certificate is refused when users or roles change while
// the request is under way. Nothing was applied; it is sent again.
func TestOutdatedUserIsNotRefused(t *testing.T) {
	older := status.Error(codes.Unknown, "auth: revision in header is old") // etcd 3.4
	for name, c := range map[string]struct {
		err                error
		token              string
		refusals, calls    int
		succeeds, withUser bool
	}{
		"certificate":            {err: rpctypes.ErrGRPCAuthOldRevision, refusals: 10, calls: 11, succeeds: true},
		"certificate, etcd 3.4":  {err: older, refusals: 10, calls: 11, succeeds: true},
		"for ever":               {err: rpctypes.ErrGRPCAuthOldRevision, refusals: 1000, calls: 33},
		"a fixed simple token":   {err: older, token: "abcdef.17", refusals: 10, calls: 11, succeeds: true},
		"a fixed JWT":            {err: rpctypes.ErrGRPCAuthOldRevision, token: "ab.cd.ef", refusals: 1000, calls: 1},
		"a user's simple tokens": {err: older, refusals: 10, calls: 11, succeeds: true, withUser: true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 1, func(cfg *client.Config) {
				if cfg.Token = c.token; c.withUser {
					asRoot(cfg)
				}
			}, func(r *rig) {
				m := r.cluster.Member(0)
				r.warm()
				for _, method := range []string{pb.KV_Put_FullMethodName, pb.KV_Range_FullMethodName} {
					m.Intercept(times(c.refusals, method, refuse(c.err)))
					before := m.Calls(method)
					var err error
					if method == pb.KV_Put_FullMethodName {
						err = r.put(r.timeout(time.Minute), "k", "v")
					} else {
						_, err = r.get(r.timeout(time.Minute))
					}
					if (err == nil) != c.succeeds || client.IsAmbiguous(err) {
						r.t.Errorf("%s: got %v (ambiguous: %v), want success: %v", method, err, client.IsAmbiguous(err), c.succeeds)
					}
					// Reads are hedged besides.
					if n := m.Calls(method) - before; n != c.calls && method == pb.KV_Put_FullMethodName || n < c.calls {
						r.t.Errorf("%s: sent %d times, want %d", method, n, c.calls)
					}
				}
			})
		})
	}
}

// So it is with the renewal of a lease, whose stream ends with the refusal.
func TestOutdatedUserRenewsItsLease(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		granted, err := r.Grant(r.t.Context(), 60)
		if err != nil {
			r.t.Fatal(err)
		}
		refusals := 3
		r.cluster.Member(0).InterceptStream(func(s grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
			if method == pb.Lease_LeaseKeepAlive_FullMethodName && refusals > 0 {
				refusals--
				return rpctypes.ErrGRPCAuthOldRevision
			}
			return next(s)
		})
		if resp, err := r.KeepAliveOnce(r.timeout(time.Minute), granted.ID); err != nil || resp.TTL != 60 {
			r.t.Errorf("got %v and error %v, want it renewed", resp, err)
		}
	})
}

// An overloaded member is asked less, not more, by all calls together; those that
// have time left are served in the end.
func TestOverloadIsAnsweredWithLess(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		const callers = 1000
		overloaded := times(1<<30, pb.KV_Put_FullMethodName, refuse(rpctypes.ErrGRPCRequestTooManyRequests))
		var mu sync.Mutex
		hook := func(ctx context.Context, m string, req any, next func() (any, error)) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			return overloaded(ctx, m, req, next)
		}
		for _, m := range r.cluster.Members() {
			m.Intercept(hook)
		}
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				err := r.put(r.timeout(10*time.Second), "k", "v")
				if !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) || !strings.Contains(err.Error(), "too many requests") {
					r.t.Errorf("got %v (ambiguous: %v), want a deadline that tells of too many requests, and certainty", err, client.IsAmbiguous(err))
				}
			})
		}
		wg.Wait()
		n := 0
		for _, m := range r.cluster.Members() {
			n += m.Calls(pb.KV_Put_FullMethodName)
		}
		if n > callers+300 {
			r.t.Errorf("%d puts were sent %d times in 10 s, want no more than 200 again, and some", callers, n)
		}
		for _, m := range r.cluster.Members() {
			m.Intercept(nil)
		}
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			r.t.Errorf("a new put afterwards: %v", err)
		}
		// One that is refused for a moment is served soon after.
		r.cluster.Member(0).Intercept(times(2, pb.KV_Put_FullMethodName, refuse(rpctypes.ErrGRPCRequestTooManyRequests)))
		start := time.Now()
		if err := r.put(r.timeout(10*time.Second), "k", "v"); err != nil || time.Since(start) < 50*time.Millisecond || time.Since(start) > time.Second {
			r.t.Errorf("refused for a moment: error %v after %v, want success after some 0.1 s", err, time.Since(start))
		}
	})
}

// Close ends the calls that pause because members have too much to do, at once and not after
// their pauses, which may take many seconds.
func TestCloseEndsCallsThatPause(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.KV_Put_FullMethodName {
				return nil, rpctypes.ErrGRPCRequestTooManyRequests
			}
			return next()
		})
		ends := make(chan error, 200)
		for range cap(ends) {
			go func() { ends <- r.put(t.Context(), "k", "v") }()
		}
		time.Sleep(30 * time.Second) // the bubble's clock; until the pauses are long
		start := time.Now()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		for range cap(ends) {
			if err := <-ends; !errors.Is(err, client.ErrClosed) {
				t.Errorf("got %v, want %v", err, client.ErrClosed)
			}
		}
		if d := time.Since(start); d > 100*time.Millisecond {
			t.Errorf("the last call ended %v after Close began, want at once", d)
		}
	})
}

func TestNilArguments(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		var none context.Context
		for name, call := range map[string]func() error{
			"Invoke": func() error {
				return r.Conn().Invoke(none, pb.KV_Put_FullMethodName, &pb.PutRequest{}, &pb.PutResponse{})
			},
			"Get":       func() error { _, err := r.Get(none, "k"); return err },
			"Put":       func() error { _, err := r.Put(none, "k", "v"); return err },
			"Grant":     func() error { _, err := r.Grant(none, 10); return err },
			"Revoke":    func() error { _, err := r.Revoke(none, 7); return err },
			"WaitReady": func() error { return r.WaitReady(none) },
			"NewStream": func() error {
				_, err := r.Conn().NewStream(none, &grpc.StreamDesc{ServerStreams: true}, pb.Watch_Watch_FullMethodName)
				return err
			},
			"option": func() error {
				return r.Conn().Invoke(r.t.Context(), pb.KV_Put_FullMethodName, &pb.PutRequest{}, &pb.PutResponse{}, nil)
			},
		} {
			if err := call(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "nil") || client.IsAmbiguous(err) {
				r.t.Errorf("%s: got %v, want InvalidArgument, and that it is nil", name, err)
			}
		}
	})
	if _, err := client.Dial(nil, client.Config{Endpoints: []string{"127.0.0.1:1"}}); status.Code(err) != codes.InvalidArgument { //nolint:staticcheck // SA1012: the point
		t.Errorf("Dial: got %v, want InvalidArgument", err)
	}
}
