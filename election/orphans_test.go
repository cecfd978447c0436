package election_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/election"
)

func TestCancelledWaiterLeavesNothing(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		a, b := r.leader(r.alone(0), "a"), r.election(r.alone(0), options()...)
		before := r.leases()
		begin := time.Now()
		err := b.Campaign(timeout(t, time.Minute), "b")
		wantIs(t, "Campaign", err, context.DeadlineExceeded)
		if got := time.Since(begin); got != time.Minute {
			t.Errorf("Campaign returned after %v, want when its context ended, 1m0s", got)
		}
		r.wantCandidates("a")
		if got := r.leases(); got != before {
			t.Errorf("%d leases are left, want %d", got, before)
		}
		r.resign(a)
	})
}

// With the cluster gone, Campaign still returns soon after its context; what it
// leaves goes with its lease.
func TestCancelledWaiterWithoutCluster(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		a, b := r.leader(r.alone(1), "a"), r.election(r.alone(0))
		time.AfterFunc(20*time.Second, r.cluster.Member(0).Freeze)
		begin := time.Now()
		wantIs(t, "Campaign", b.Campaign(timeout(t, 22*time.Second), "b"), context.DeadlineExceeded)
		if got := time.Since(begin); got > 25*time.Second {
			t.Errorf("Campaign returned after %v, want at most 3 s after its context, 25s", got)
		}
		time.Sleep(10 * time.Second)
		r.wantCandidates("a")
		r.resign(a)
	})
}

// puts counts the transactions that a campaign puts its key with: the first may
// create it, and a second hands it to the session's lease.
func isPut(req any) bool {
	txn, ok := req.(*pb.TxnRequest)
	return ok && len(txn.Success) > 0 && txn.Success[0].GetRequestPut() != nil
}

// Whatever answer is lost, a cancelled campaign leaves nothing behind, and
// neither does the request when it is applied long after.
func TestLostRequestsLeaveNothing(t *testing.T) {
	for _, tc := range []struct {
		name  string
		match func(method string, req any, puts int32) bool
	}{
		{"grant", func(m string, _ any, _ int32) bool { return m == pb.Lease_LeaseGrant_FullMethodName }},
		{"put", func(_ string, req any, puts int32) bool { return isPut(req) && puts == 1 }},
		{"hand-over", func(_ string, req any, puts int32) bool { return isPut(req) && puts == 2 }},
	} {
		for _, late := range []bool{false, true} {
			name := tc.name + ", applied at once"
			if late {
				name = tc.name + ", applied late"
			}
			t.Run(name, func(t *testing.T) {
				inBothModes(t, 2, func(r *rig, options func() []election.Option) {
					t := r.t
					e := r.election(r.alone(0), options()...)
					before := r.leases()
					var puts, held atomic.Int32
					var wg sync.WaitGroup
					stragglers := make(chan struct{})
					r.cluster.Member(0).Intercept(func(ctx context.Context, m string, req any, next func() (any, error)) (any, error) {
						if isPut(req) {
							puts.Add(1)
						}
						if !tc.match(m, req, puts.Load()) {
							return next()
						}
						held.Add(1)
						if late { // by a member that does not know that nobody waits for it
							wg.Go(func() { //nolint:contextcheck // it outlives the call, that is the point
								<-stragglers
								apply(t.Context(), r.admin, req)
							})
						} else if _, err := next(); err != nil {
							return nil, err
						}
						<-ctx.Done()
						return nil, ctx.Err()
					})
					err := e.Campaign(timeout(t, time.Second), "a")
					r.cluster.Member(0).Intercept(nil)
					if held.Load() == 0 {
						// With one lease there is no hand-over.
						if err != nil {
							t.Errorf("Campaign: %v", err)
						}
						close(stragglers)
						r.resign(e)
						return
					}
					wantIs(t, "Campaign", err, context.DeadlineExceeded)
					r.wantCandidates()
					close(stragglers)
					wg.Wait()
					synctest.Wait()
					r.wantCandidates()
					if !late {
						if got := r.leases(); got != before {
							t.Errorf("%d leases are left, want %d", got, before)
						}
					}
				})
			})
		}
	}
}

// apply sends a request as the member that holds it back would.
func apply(ctx context.Context, cc grpc.ClientConnInterface, req any) {
	switch req := req.(type) {
	case *pb.TxnRequest:
		_, _ = pb.NewKVClient(cc).Txn(ctx, req)
	case *pb.LeaseGrantRequest:
		_, _ = pb.NewLeaseClient(cc).LeaseGrant(ctx, req)
	}
}

// A request whose answer is lost is sent again, and puts the candidate once.
func TestLostAnswers(t *testing.T) {
	for _, applied := range []bool{true, false} {
		for _, nth := range []int32{1, 2} {
			inBothModes(t, 1, func(r *rig, options func() []election.Option) {
				t := r.t
				var puts atomic.Int32
				r.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
					if !isPut(req) || puts.Add(1) != nth {
						return next()
					}
					if applied {
						if _, err := next(); err != nil {
							return nil, err
						}
					}
					return nil, status.Error(codes.Unavailable, "connection lost")
				})
				e := r.leader(r.alone(0), "a", options()...)
				r.cluster.Member(0).Intercept(nil)
				kvs := r.kvs()
				if len(kvs) != 1 || string(kvs[0].Key) != e.Key() || kvs[0].CreateRevision != e.Rev() {
					t.Errorf("candidates are %v, want one with key %q and create revision %d", kvs, e.Key(), e.Rev())
				}
				if err := e.Proclaim(t.Context(), "b"); err != nil {
					t.Errorf("Proclaim: %v", err)
				}
				r.wantCandidates("b")
				r.resign(e)
				r.wantCandidates()
			})
		}
	}
}

// A proclamation that is applied late does not undo the one after it.
func TestLateProclamation(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		e := r.leader(r.alone(0), "a")
		var late *pb.TxnRequest
		r.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			if isPut(req) && late == nil {
				late = req.(*pb.TxnRequest)
				return nil, status.Error(codes.Unavailable, "connection lost")
			}
			return next()
		})
		if err := e.Proclaim(t.Context(), "b"); status.Code(err) != codes.Unavailable {
			t.Errorf("Proclaim: got %v, want the connection's error", err)
		}
		r.cluster.Member(0).Intercept(nil)
		if err := e.Proclaim(t.Context(), "c"); err != nil {
			t.Errorf("Proclaim: %v", err)
		}
		apply(t.Context(), r.admin, late)
		r.wantCandidates("c")
		r.resign(e)
		apply(t.Context(), r.admin, late)
		r.wantCandidates()
	})
}

func TestServerErrorEndsCampaign(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		e := r.election(r.alone(0), options()...)
		r.cluster.Member(0).Intercept(func(_ context.Context, m string, req any, next func() (any, error)) (any, error) {
			if m == pb.KV_Txn_FullMethodName && isPut(req) {
				return nil, status.Error(codes.PermissionDenied, "etcdserver: permission denied")
			}
			return next()
		})
		if err := e.Campaign(t.Context(), "a"); status.Code(err) != codes.PermissionDenied {
			t.Errorf("Campaign: got %v, want code PermissionDenied", err)
		}
		r.cluster.Member(0).Intercept(nil)
		r.wantCandidates()
		if err := e.Campaign(t.Context(), "a"); err != nil {
			t.Errorf("Campaign after an error: %v", err)
		}
		r.resign(e)
	})
}

// Resign waits until a Campaign has cleaned up also when its own context has ended.
func TestResignOfACampaignWithoutTime(t *testing.T) {
	inBothModes(t, 2, func(r *rig, options func() []election.Option) {
		t := r.t
		leader := r.election(r.alone(1), options()...)
		if err := leader.Campaign(t.Context(), "leader"); err != nil {
			t.Fatalf("Campaign: %v", err)
		}
		e := r.election(r.alone(0), options()...)
		campaign := make(chan error, 1)
		go func() { campaign <- e.Campaign(t.Context(), "e") }()
		time.Sleep(time.Second)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := e.Resign(over); err != nil {
			t.Errorf("Resign: %v", err)
		}
		synctest.Wait()
		select {
		case err := <-campaign:
			wantIs(t, "Campaign", err, election.ErrResigned)
		default:
			t.Error("Resign has returned before Campaign")
		}
		if err := leader.Resign(t.Context()); err != nil {
			t.Errorf("Resign: %v", err)
		}
	})
}

// Resign works when its context has ended, and says when it could not.
func TestResignWithoutTime(t *testing.T) {
	inBothModes(t, 2, func(r *rig, options func() []election.Option) {
		t := r.t
		over, cancel := context.WithCancel(t.Context())
		cancel()
		e := r.leader(r.alone(0), "a", options()...)
		if err := e.Resign(over); err != nil {
			t.Errorf("Resign: %v", err)
		}
		r.wantCandidates()

		e = r.leader(r.alone(0), "a", options()...)
		r.cluster.Member(0).Freeze()
		begin := time.Now()
		if err := e.Resign(t.Context()); err == nil {
			t.Error("Resign without a cluster: no error")
		}
		if got := time.Since(begin); got > 3*time.Second {
			t.Errorf("Resign took %v, want at most 3s", got)
		}
		synctest.Wait()
		if e.Key() != "" {
			t.Errorf("after Resign the key is %q, want none", e.Key())
		}
		r.cluster.Member(0).Thaw()
	})
}

// Who gives up, or resigns, while the cluster cannot be reached is gone soon after it
// can, though its session lives on.
func TestGivenUpInAnOutage(t *testing.T) {
	t.Run("keeper", func(t *testing.T) { givenUp(t, func(r *rig) election.Session { return r.session() }) })
	t.Run("session", func(t *testing.T) { givenUp(t, func(r *rig) election.Session { return r.ledgered() }) })
}

func givenUp(t *testing.T, session func(r *rig) election.Session) {
	t.Helper()
	t.Run("waiting", func(t *testing.T) {
		run(t, 2, func(r *rig) {
			t := r.t
			a, b := r.leader(r.alone(1), "a"), r.election(r.alone(0), election.WithSession(session(r)))
			time.AfterFunc(time.Second, r.cluster.Member(0).Freeze)
			wantIs(t, "Campaign", b.Campaign(timeout(t, 2*time.Second), "b"), context.DeadlineExceeded)
			r.wantCandidates("a", "b")
			r.cluster.Member(0).Thaw()
			time.Sleep(2 * time.Second)
			r.wantCandidates("a")
			r.resign(a)
		})
	})
	t.Run("leading", func(t *testing.T) {
		run(t, 2, func(r *rig) {
			e := r.leader(r.alone(0), "a", election.WithSession(session(r)))
			r.cluster.Member(0).Freeze()
			if err := e.Resign(r.t.Context()); err == nil {
				r.t.Error("Resign: got no error while the cluster could not be reached")
			}
			r.wantCandidates("a")
			r.cluster.Member(0).Thaw()
			time.Sleep(2 * time.Second)
			r.wantCandidates()
		})
	})
	t.Run("standing again", func(t *testing.T) {
		run(t, 2, func(r *rig) {
			t := r.t
			session := session(r)
			e := r.leader(r.alone(0), "a", election.WithSession(session))
			r.cluster.Member(0).Freeze()
			if err := e.Resign(t.Context()); err == nil {
				t.Error("Resign: got no error while the cluster could not be reached")
			}
			// By another way to the cluster, the session is a candidate again.
			again := r.leader(r.alone(1), "a", election.WithSession(session))
			r.cluster.Member(0).Thaw()
			time.Sleep(2 * time.Second)
			r.wantCandidates("a")
			if err := again.Proclaim(t.Context(), "b"); err != nil {
				t.Errorf("Proclaim: %v", err)
			}
			r.resign(again)
		})
	})
}

// A deletion that was given up, and is applied long after, takes nothing away from the
// same session when it leads again.
func TestLateDeletion(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		session := r.session()
		e := r.leader(r.alone(0), "a", election.WithSession(session))
		var late atomic.Pointer[pb.TxnRequest]
		r.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			txn, ok := req.(*pb.TxnRequest)
			if !ok || len(txn.Success) == 0 || txn.Success[0].GetRequestDeleteRange() == nil {
				return next()
			}
			late.CompareAndSwap(nil, txn)
			return nil, status.Error(codes.Unavailable, "lost")
		})
		if err := e.Resign(t.Context()); err == nil {
			t.Error("Resign: got no error while the cluster could not be reached")
		}
		again := r.leader(r.alone(1), "a", election.WithSession(session))
		apply(t.Context(), r.admin, late.Load())
		r.wantCandidates("a")
		if err := again.Proclaim(t.Context(), "b"); err != nil {
			t.Errorf("Proclaim: %v", err)
		}
		r.resign(again)
		r.cluster.Member(0).Intercept(nil)
	})
}
