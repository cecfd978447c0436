package client_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/attempt"
)

// A write that is declared idempotent is sent again when its answer is lost, whether it was
// applied or not.
func TestIdempotentWritesAreSentAgain(t *testing.T) {
	calls := map[string]func(r *rig, ctx context.Context) error{
		pb.KV_Put_FullMethodName: func(r *rig, ctx context.Context) error { return r.put(ctx, "k", "v") },
		pb.KV_DeleteRange_FullMethodName: func(r *rig, ctx context.Context) error {
			_, err := r.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("k")})
			return err
		},
	}
	for method, call := range calls {
		for name, hook := range map[string]func(*rig) time.Duration{
			"lost before": func(r *rig) time.Duration {
				r.cluster.Member(0).Intercept(once(method, refuse(errLostAnswer)))
				return 0
			},
			"lost after": func(r *rig) time.Duration {
				r.cluster.Member(0).Intercept(once(method, applyThen(errLostAnswer)))
				return 0
			},
			"stopped": func(r *rig) time.Duration { r.cluster.Member(0).Freeze(); return 100 * time.Millisecond },
		} {
			t.Run(operationOf(method)+", "+name, func(t *testing.T) {
				run(t, 2, nil, func(r *rig) {
					t := r.t
					slowest := hook(r)
					defer r.cluster.Member(0).Thaw()
					began := time.Now()
					if err := call(r, client.WithIdempotentWrites(r.timeout(5*time.Second))); err != nil {
						t.Errorf("got %v, want success", err)
					}
					if n := r.cluster.Member(1).Calls(method); n != 1 {
						t.Errorf("the second member was called %d times, want once", n)
					}
					if took := time.Since(began); took > slowest {
						t.Errorf("it took %v, want %v", took, slowest)
					}
				})
			})
		}
	}
}

func operationOf(method string) string { return method[strings.LastIndexByte(method, '/')+1:] }

// Without the declaration, and for all other requests, nothing changes. Wishes that the context
// has already are kept.
func TestIdempotentWritesAreKeysOnly(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("k")}}}
		r.cluster.Member(0).Intercept(once(pb.KV_Txn_FullMethodName, refuse(errLostAnswer)))
		if _, err := r.kv.Txn(client.WithIdempotentWrites(r.timeout(time.Second)), &pb.TxnRequest{Success: []*pb.RequestOp{put}}); !client.IsAmbiguous(err) {
			t.Errorf("Txn: got %v, want doubt", err)
		}
		method := pb.Cluster_MemberAdd_FullMethodName
		r.cluster.Member(0).Intercept(once(method, refuse(errLostAnswer)))
		_, err := pb.NewClusterClient(r.Conn()).MemberAdd(client.WithIdempotentWrites(r.timeout(time.Second)), &pb.MemberAddRequest{})
		if n := r.cluster.Member(1).Calls(method); !client.IsAmbiguous(err) || n != 0 {
			t.Errorf("MemberAdd: got %v, and the other member was asked %d times, want doubt, and that it is not", err, n)
		}
		ctx := attempt.NewContext(r.timeout(time.Second), &attempt.Attempt{Avoid: []string{r.cluster.Member(0).Addr()}})
		before := r.cluster.Member(1).Calls(pb.KV_Put_FullMethodName)
		if err := r.put(client.WithIdempotentWrites(ctx), "k", "v"); err != nil || r.cluster.Member(1).Calls(pb.KV_Put_FullMethodName) != before+1 {
			t.Errorf("got %v, want that the member to be avoided is", err)
		}
	})
}

// A large one is not hedged; it goes elsewhere when the policy has found its member silent.
func TestLargeIdempotentWritesAreNotHedged(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		hold := func(_ context.Context, m string, _ any, next func() (any, error)) (any, error) {
			if m == pb.KV_Put_FullMethodName {
				time.Sleep(300 * time.Millisecond)
			}
			return next()
		}
		r.cluster.Member(0).Intercept(hold)
		if err := r.put(client.WithIdempotentWrites(r.timeout(time.Minute)), "k", strings.Repeat("v", 70_000)); err != nil {
			t.Fatal(err)
		}
		if n := r.cluster.Member(1).Calls(pb.KV_Put_FullMethodName); n != 0 {
			t.Errorf("a slow large write was sent %d times elsewhere, want never", n)
		}
		r.cluster.Member(0).Freeze()
		defer r.cluster.Member(0).Thaw()
		if err := r.put(client.WithIdempotentWrites(r.timeout(time.Minute)), "k", strings.Repeat("w", 70_000)); err != nil {
			t.Errorf("on a stopped member: %v", err)
		}
	})
}

// What the error says of the write is true of all its copies.
func TestIdempotentWritesInDoubt(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		// The first copy is refused while the second, which is applied, is not answered.
		r.cluster.Member(0).Intercept(once(pb.KV_Put_FullMethodName, func(context.Context, string, any, func() (any, error)) (any, error) {
			time.Sleep(200 * time.Millisecond)
			return nil, rpctypes.ErrGRPCPermissionDenied
		}))
		r.cluster.Member(1).Intercept(once(pb.KV_Put_FullMethodName, func(ctx context.Context, _ string, _ any, next func() (any, error)) (any, error) {
			_, _ = next()
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		err := r.put(client.WithIdempotentWrites(r.timeout(time.Minute)), "k", "v")
		if !errors.Is(err, rpctypes.ErrPermissionDenied) || !client.IsAmbiguous(err) || r.version() != 1 {
			t.Errorf("got %v (ambiguous: %v), want %v, and doubt", err, client.IsAmbiguous(err), rpctypes.ErrPermissionDenied)
		}
	})
	run(t, 2, nil, func(r *rig) {
		t := r.t
		for _, m := range r.cluster.Members() {
			m.Hang()
			defer m.Resume()
		}
		err := r.put(client.WithIdempotentWrites(r.timeout(time.Second)), "k", "v")
		if !errors.Is(err, context.DeadlineExceeded) || !client.IsAmbiguous(err) {
			t.Errorf("got %v (ambiguous: %v), want the deadline, and doubt", err, client.IsAmbiguous(err))
		}
	})
	run(t, 1, nil, func(r *rig) {
		r.cluster.Member(0).Kill()
		time.Sleep(10 * time.Millisecond) // the connection is known to be lost
		err := r.put(client.WithIdempotentWrites(r.timeout(time.Second)), "k", "v")
		if !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) {
			r.t.Errorf("never sent: got %v (ambiguous: %v), want the deadline, and certainty", err, client.IsAmbiguous(err))
		}
	})
}

// swallowFirstPut makes a hook that neither applies nor answers the first Put. The calls may come
// together.
func swallowFirstPut() etcdtest.UnaryHook {
	var swallowed atomic.Bool
	return func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
		if method == pb.KV_Put_FullMethodName && !swallowed.Swap(true) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return next()
	}
}

// Copies that a former leader has taken with it are not waited for: another one is sent when
// an answer shows the election.
func TestIdempotentWritesAfterAnElection(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		for _, m := range r.cluster.Members() {
			m.Intercept(swallowFirstPut())
		}
		began := time.Now()
		done := make(chan error, 1)
		go func() { done <- r.put(client.WithIdempotentWrites(r.timeout(5*time.Second)), "k", "v") }()
		time.Sleep(time.Second)
		r.cluster.Elect(r.cluster.Member(1))
		if _, err := r.get(r.timeout(time.Second)); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil || time.Since(began) > 1100*time.Millisecond {
			t.Errorf("got %v after %v, want success at once when the election is known, after 1 s", err, time.Since(began))
		}
	})
}

// When an election has taken both copies, and the member of the second one does not answer, the next
// copy goes to the member of the first one, which serves.
func TestIdempotentWriteReturnsToItsFirstMember(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Intercept(swallowFirstPut())
		r.cluster.Member(1).Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.KV_Put_FullMethodName {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return next()
		})
		time.AfterFunc(time.Second, func() { r.cluster.Elect(r.cluster.Member(0)) })
		began := time.Now()
		err := r.put(client.WithIdempotentWrites(r.timeout(5*time.Second)), "k", "v")
		if took := time.Since(began); err != nil || took > 1200*time.Millisecond {
			t.Errorf("got %v after %v, want success soon after the election, at 1 s", err, took)
		}
	})
}

// The former leader answers nothing that takes consensus, since it is cut off from the others. After the
// election no write is sent to it: neither one of which both copies were lost, nor another one.
func TestWritesAvoidTheFormerLeader(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		first := r.cluster.Member(0)
		r.cluster.Member(1).Intercept(swallowFirstPut())
		first.Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
			// Until the election it serves reads: a leader does so for a while.
			if method == pb.KV_Put_FullMethodName || method == pb.KV_Range_FullMethodName && r.cluster.Leader() != first {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return next()
		})
		time.AfterFunc(time.Second, func() { r.cluster.Elect(r.cluster.Member(1)) })
		began := time.Now()
		later := make(chan error, 1)
		time.AfterFunc(time.Second+time.Millisecond, func() { _, _ = r.get(r.timeout(5 * time.Second)) }) // the second copy's answer has the new term
		time.AfterFunc(1150*time.Millisecond, func() { later <- r.put(r.timeout(5*time.Second), "k2", "v") })
		err := r.put(client.WithIdempotentWrites(r.timeout(5*time.Second)), "k", "v")
		if took := time.Since(began); err != nil || took > 1200*time.Millisecond {
			t.Errorf("got %v after %v, want success soon after the election, at 1 s", err, took)
		}
		err = <-later
		if took := time.Since(began); err != nil || took > 1300*time.Millisecond {
			t.Errorf("another write: got %v after %v, want success at once", err, took)
		}
	})
}

// The election loses a write of which there is no second copy yet. That goes to the member that
// had the first one, and not to the former leader.
func TestTheSecondCopyAvoidsTheFormerLeader(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		first, former := r.cluster.Member(0), r.cluster.Member(1)
		r.cluster.Elect(former)
		if _, err := r.get(r.timeout(time.Second)); err != nil { // which tells its term
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		first.Intercept(swallowFirstPut())
		former.Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.KV_Put_FullMethodName || method == pb.KV_Range_FullMethodName {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return next()
		})
		time.AfterFunc(50*time.Millisecond, func() { r.cluster.Elect(first) })
		time.AfterFunc(51*time.Millisecond, func() { _, _ = r.get(r.timeout(5 * time.Second)) }) // its answer has the new term
		began := time.Now()
		err := r.put(client.WithIdempotentWrites(r.timeout(5*time.Second)), "k", "v")
		if took := time.Since(began); err != nil || took > 150*time.Millisecond {
			t.Errorf("got %v after %v, want success soon after the election, at 0.05 s", err, took)
		}
	})
}

// Nobody reads, and there are users. The answers to probes show the new term all the same.
func TestIdempotentWriteLearnsTheTerm(t *testing.T) {
	run(t, 2, asRoot, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		r.warm()
		for _, m := range r.cluster.Members() {
			m.Intercept(swallowFirstPut())
		}
		time.AfterFunc(time.Second, func() { r.cluster.Elect(r.cluster.Member(1)) })
		began := time.Now()
		err := r.put(client.WithIdempotentWrites(r.timeout(5*time.Second)), "k", "v")
		if took := time.Since(began); err != nil || took > 1200*time.Millisecond {
			t.Errorf("got %v after %v, want success soon after the election, at 1 s", err, took)
		}
	})
}

// One context of WithIdempotentWrites serves several streams. All of them end when their member
// has fallen silent, so that each can be opened on another member.
func TestStreamsShareAContextOfIdempotentWrites(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Hang()
		ctx := client.WithIdempotentWrites(r.timeout(time.Minute))
		start := time.Now()
		ends := make(chan time.Duration, 2)
		for range cap(ends) {
			s, err := pb.NewMaintenanceClient(r.Conn()).Snapshot(ctx, &pb.SnapshotRequest{})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, _ = s.Recv()
				ends <- time.Since(start)
			}()
		}
		for range 20 { // they show that the member is silent
			if _, err := r.get(r.timeout(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		for range cap(ends) {
			if d := <-ends; d > 2*time.Second {
				t.Errorf("a stream ended after %v, want at most a suspicion and a probe", d)
			}
		}
		r.cluster.Member(0).Resume()
	})
}
