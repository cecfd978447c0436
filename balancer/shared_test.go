package balancer_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
)

// What one stream learns of a connection counts for all on it: when only the renewals of a
// lease and the policy's questions go unanswered, and nobody asks for anything else, the
// watch beside them moves on.
func TestSilenceOfOneCountsForAll(t *testing.T) {
	run(t, 3, func(cfg *client.Config) { cfg.HeartbeatInterval = -1 }, func(r *rig) {
		t, first := r.t, r.cluster.Member(0)
		var mute atomic.Bool
		first.InterceptStream(func(s grpc.ServerStream, _ string, next func(grpc.ServerStream) error) error {
			return next(silent{mutable{s, &mute}})
		})
		granted, err := r.Grant(t.Context(), 6)
		if err != nil {
			t.Fatal(err)
		}
		keeper, err := r.Keep(t.Context(), granted.ID)
		if err != nil {
			t.Fatal(err)
		}
		events := r.Watch(r.timeout(10*time.Minute), "k")
		other := r.another()
		time.Sleep(21 * time.Second) // the bubble's clock
		mute.Store(true)
		first.Intercept(func(ctx context.Context, _ string, _ any, _ func() (any, error)) (any, error) {
			<-ctx.Done() // health checks, too
			return nil, ctx.Err()
		})
		start := time.Now()
		if _, err := other.Put(r.timeout(time.Minute), "k", "v"); err != nil {
			t.Fatal(err)
		}
		resp := <-events
		// The next renewal is sent within 2 s, a third of the lease's time.
		if d := time.Since(start); resp.Err() != nil || len(resp.Events) != 1 || d > 3*time.Second {
			t.Errorf("got %v after %v, want the event within 3 s", resp, d)
		}
		if err := keeper.Err(); err != nil {
			t.Errorf("the lease: %v", err)
		}
	})
}

// silent holds back the answers to renewals, too.
type silent struct{ mutable }

func (s silent) SendMsg(msg any) error {
	if _, ok := msg.(*pb.LeaseKeepAliveResponse); ok && s.mute.Load() {
		return nil
	}
	return s.mutable.SendMsg(msg)
}
