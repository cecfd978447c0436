package client_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
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
				synctest.Wait()
				before := r.cluster.Member(0).Calls(pb.KV_Range_FullMethodName) // it was asked to prove that it serves
				if got, err := r.get(r.timeout(time.Second)); err != nil || got != "v" {
					r.t.Errorf("a read: got %q and error %v, want %q", got, err, "v")
				}
				if n := r.cluster.Member(0).Calls(pb.KV_Range_FullMethodName) - before; n > 0 {
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

// Streams leave it too: a watch and a lease go on elsewhere.
func TestStreamsLeaveWhatIsNotEtcd(t *testing.T) {
	for name, test := range map[string]func(r *rig){
		"watch": func(r *rig) {
			events := r.Watch(r.timeout(time.Minute), "k", kv.WithCreatedNotify())
			if resp, ok := <-events; !ok || !resp.Created {
				r.t.Errorf("the watch got %+v, want that it was created: %v", resp, resp.Err())
			}
		},
		"lease": func(r *rig) {
			granted, err := r.Grant(r.timeout(time.Minute), 60)
			if err != nil {
				r.t.Fatal(err)
			}
			if resp, err := r.KeepAliveOnce(r.timeout(time.Minute), granted.ID); err != nil || resp.TTL != 60 {
				r.t.Errorf("the renewal: %+v and error %v, want a TTL of 60", resp, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, nil, func(r *rig) {
				for _, m := range r.cluster.Members() {
					m.Kill() // what serves on a connection goes on serving
				}
				r.cluster.Member(0).Intercept(refuse(status.Error(codes.Unimplemented, "unknown service etcdserverpb.KV")))
				r.cluster.Member(0).InterceptStream(func(_ grpc.ServerStream, method string, _ func(grpc.ServerStream) error) error {
					service, _, _ := strings.Cut(method[1:], "/")
					return status.Errorf(codes.Unimplemented, "unknown service %s", service)
				})
				for _, m := range r.cluster.Members() {
					m.Start()
				}
				test(r)
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

// What stands in for etcd may lack a service: kine has no Auth. The caller hears of it at once, and
// the member serves all the rest.
func TestServiceThatIsMissing(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		missing := func(method string) error {
			service, _, _ := strings.Cut(method[1:], "/")
			return status.Errorf(codes.Unimplemented, "unknown service %s", service)
		}
		r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.Auth_AuthStatus_FullMethodName {
				return nil, missing(method)
			}
			return next()
		})
		r.cluster.Member(0).InterceptStream(func(stream grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
			if method == pb.Lease_LeaseKeepAlive_FullMethodName {
				return missing(method)
			}
			return next(stream)
		})
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			r.t.Fatal(err)
		}
		for name, call := range map[string]func(context.Context) error{
			"a call":   func(ctx context.Context) error { _, err := r.AuthStatus(ctx); return err },
			"a stream": func(ctx context.Context) error { _, err := r.KeepAliveOnce(ctx, 42); return err },
		} {
			if err := call(r.timeout(time.Second)); status.Code(err) != codes.Unimplemented {
				r.t.Errorf("%s: got %v, want Unimplemented", name, err)
			}
		}
		if s := r.Endpoints()[0]; s.Demoted != nil {
			r.t.Errorf("the member was demoted: %v", s.Demoted)
		}
	})
}
