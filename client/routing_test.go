package client_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// With SpreadReads, a read that is sent again, or a second time, goes to a member that may be used,
// as long as one is connected. The one that says NOT_SERVING might answer late, or not at all.
func TestSpreadReadsAreRepeatedOnUsableMembers(t *testing.T) {
	for name, fault := range map[string]etcdtest.UnaryHook{
		"sent again": refuse(status.Error(codes.Canceled, "context canceled")),
		"a second copy": func(ctx context.Context, _ string, _ any, _ func() (any, error)) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, func(c *client.Config) { c.Routing.SpreadReads = true }, func(r *rig) {
				t := r.t
				for range 10 { // until each member has answered: a read waits longer for one that the client does not know
					r.warm()
				}
				r.cluster.Member(2).SetServing(false)
				time.Sleep(100 * time.Millisecond) // the bubble's clock; until the client knows
				var asked, wronglyAsked atomic.Int32
				count := func(n *atomic.Int32, hook etcdtest.UnaryHook) etcdtest.UnaryHook {
					return func(ctx context.Context, method string, req any, next func() (any, error)) (any, error) {
						if read, ok := req.(*pb.RangeRequest); ok && string(read.Key) == "k" { // the policy's reads are of another key
							n.Add(1)
							return hook(ctx, method, req, next)
						}
						return next()
					}
				}
				r.cluster.Member(1).Intercept(count(&asked, fault))
				r.cluster.Member(2).Intercept(count(&wronglyAsked, fault))
				for range 100 {
					start := time.Now()
					if _, err := r.get(r.timeout(10 * time.Second)); err != nil {
						t.Fatal(err)
					}
					if d := time.Since(start); d > 60*time.Millisecond {
						t.Fatalf("a read took %v, want at most the delay of a hedge", d)
					}
				}
				if asked.Load() < 10 || wronglyAsked.Load() > 0 {
					t.Errorf("of 100 reads %d went to the member that fails, and %d to the one that does not serve; want several and none",
						asked.Load(), wronglyAsked.Load())
				}
				r.cluster.Member(1).Intercept(nil)
				r.cluster.Member(2).Intercept(nil)
			})
		})
	}
}

// With WritesToLeader, a leader that answers no write and stays the leader costs the writes that
// were in flight on it, and no more. The client goes on without it until it serves.
func TestLeaderThatHangsAndStaysLeader(t *testing.T) {
	run(t, 3, func(c *client.Config) { c.Routing.WritesToLeader = true }, func(r *rig) {
		t := r.t
		r.cluster.Elect(r.cluster.Member(1))
		time.Sleep(3 * time.Second) // the bubble's clock; until the client knows
		r.warm()
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if n := r.cluster.Member(1).Calls(pb.KV_Put_FullMethodName); n != 1 {
			t.Fatalf("the leader got %d puts, want 1", n)
		}
		r.cluster.Member(1).Intercept(hangLinearizable)
		failed := 0
		for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(20 * time.Millisecond) {
			if err := r.put(r.timeout(5*time.Second), "k", "v"); err != nil {
				failed++
			}
		}
		if failed > 1 {
			t.Errorf("%d writes failed, want the first at most", failed)
		}
		r.cluster.Member(1).Intercept(nil)
	})
}
