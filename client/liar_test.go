package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
)

// An endpoint that is no etcd is left for one that is, whatever is asked, and
// nothing is in doubt.
func TestLeavesWhatIsNotEtcd(t *testing.T) {
	for name, message := range map[string]string{
		"gRPC": "unknown service etcdserverpb.KV",
		"HTTP": `unexpected HTTP status code received from server: 404 (Not Found); transport: received unexpected content-type "text/plain"`,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, nil, func(r *rig) {
				r.cluster.Member(0).Intercept(refuse(status.Error(codes.Unimplemented, message)))
				if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
					r.t.Fatalf("a write: %v", err)
				}
				if got, err := r.get(r.timeout(time.Second)); err != nil || got != "v" {
					r.t.Errorf("a read: got %q and error %v, want %q", got, err, "v")
				}
				if n := r.cluster.Member(0).Calls(pb.KV_Range_FullMethodName); n > 0 {
					r.t.Errorf("it was asked for %d reads, want none: the write has told", n)
				}
				synctest.Wait()
				for _, s := range r.Endpoints() {
					if wrong := s.Address == r.cluster.Addrs()[0]; wrong != (s.Demoted != nil) || wrong == (s.Role == balancer.Active) {
						r.t.Errorf("%+v, want the first demoted and the second active", s)
					}
				}
			})
		})
	}
}

// What a member does not know while it is an etcd is the caller's to hear, at once.
func TestUnimplementedIsAnAnswer(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		unknown := status.Error(codes.Unimplemented, "unknown method Invented for service etcdserverpb.KV")
		for _, m := range r.cluster.Members() {
			m.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
				if method == pb.KV_Put_FullMethodName {
					return nil, unknown
				}
				return next()
			})
		}
		before := r.Counters().Attempts
		err := r.put(r.timeout(time.Second), "k", "v")
		if status.Code(err) != codes.Unimplemented || client.IsAmbiguous(err) {
			r.t.Errorf("got %v, want %v", err, unknown)
		}
		if n := r.Counters().Attempts - before; n != 1 {
			r.t.Errorf("%d attempts, want 1", n)
		}
	})
}
