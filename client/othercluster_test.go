package client_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

const vip = "vip:2379"

// vipRig is a client whose only address, that of a service, leads to one of two clusters of one
// member each: first to its own.
type vipRig struct {
	*rig

	theirs *etcdtest.Cluster
	moved  *atomic.Bool
}

// runVIP runs a test with a client that has written once. With authentication, both clusters have
// the users, and the client is root.
func runVIP(t *testing.T, auth bool, test func(r *vipRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := etcdtest.Start(t, 1), etcdtest.Start(t, 1)
		theirs.SetClusterID(ours.ClusterID() + 1)
		var moved atomic.Bool
		cfg := client.Config{
			Endpoints: []string{vip},
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				to := ours
				if moved.Load() {
					to = theirs
				}
				return to.Dialer()(ctx, to.Member(0).Addr())
			})},
		}
		if auth {
			ours.EnableAuth(users)
			theirs.EnableAuth(users)
			asRoot(&cfg)
		}
		cl, err := client.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		r := &vipRig{&rig{t: t, cluster: ours, Client: cl, kv: pb.NewKVClient(cl.Conn())}, theirs, &moved}
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			t.Fatal(err)
		}
		test(r)
	})
}

// move leads the address to the other cluster, and breaks the connections to the client's own.
func (r *vipRig) move() {
	r.moved.Store(true)
	r.cluster.Member(0).Kill()
	synctest.Wait()
}

// wantStranger checks that the error tells of the other cluster, and leaves no doubt.
func (r *vipRig) wantStranger(err error) {
	r.t.Helper()
	var told *client.ClusterError
	if !errors.As(err, &told) || told.Got != r.theirs.ClusterID() || told.Want != r.cluster.ClusterID() || client.IsAmbiguous(err) {
		r.t.Errorf("got %v (%+v, ambiguous: %v), want a *ClusterError, and certainty", err, told, client.IsAmbiguous(err))
	}
}

// The only address, that of a service, leads to another cluster all at once: nothing of the
// client's reaches that one, also where a member tells its cluster to users alone.
func TestOneAddressThatLeadsToAnotherCluster(t *testing.T) {
	for name, auth := range map[string]bool{"plain": false, "authentication": true} {
		t.Run(name, func(t *testing.T) {
			runVIP(t, auth, func(r *vipRig) {
				t := r.t
				r.move()
				r.wantStranger(r.put(r.timeout(10*time.Second), "k", "w"))
				for _, method := range []string{pb.KV_Put_FullMethodName, pb.Auth_Authenticate_FullMethodName} {
					if n := r.theirs.Member(0).Calls(method); n > 0 {
						t.Errorf("%s reached the other cluster %d times, want never", method, n)
					}
				}
				r.moved.Store(false)
				r.cluster.Member(0).Start()
				if got, err := r.get(r.timeout(10 * time.Second)); err != nil || got != "v" {
					t.Errorf("after the return: got %q and error %v, want %q", got, err, "v")
				}
			})
		})
	}
}

// A member that refuses to say who it is for longer than the client waits for it gets no write: it
// may be another cluster's, whose proxy answers for it while it starts.
func TestStrangerThatRefusesToSayWhoItIs(t *testing.T) {
	for name, tt := range map[string]struct {
		answer error
		auth   bool // it tells its cluster to users alone, and otherwise by how it refuses a watch
	}{
		"a proxy's 503":           {vague["a proxy's 503"], false},
		"too many requests":       {rpctypes.ErrGRPCRequestTooManyRequests, false},
		"a proxy's 503, to users": {vague["a proxy's 503"], true},
	} {
		t.Run(name, func(t *testing.T) {
			runVIP(t, tt.auth, func(r *vipRig) {
				start := time.Now()
				refuses := func() bool { return time.Since(start) < 3*time.Second }
				r.theirs.Member(0).Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
					if refuses() && !tt.auth {
						return nil, tt.answer
					}
					return next()
				})
				r.theirs.Member(0).InterceptStream(func(s grpc.ServerStream, _ string, next func(grpc.ServerStream) error) error {
					if refuses() {
						return tt.answer
					}
					return next(s)
				})
				r.move()
				r.wantStranger(r.put(r.timeout(30*time.Second), "k", "w"))
				if n := r.theirs.Member(0).Calls(pb.KV_Put_FullMethodName); n > 0 {
					r.t.Errorf("%d puts reached the other cluster, want none", n)
				}
			})
		})
	}
}

// A member of another cluster never sees the client's token, not even with the read that is to
// prove that it serves: whoever has the token can act as the user.
func TestStrangerSeesNoToken(t *testing.T) {
	for name, auth := range map[string]bool{"it has users": true, "it has none": false} {
		t.Run(name, func(t *testing.T) {
			runVIP(t, true, func(r *vipRig) {
				if !auth {
					r.theirs.DisableAuth()
				}
				var calls, tokens atomic.Int32
				look := func(ctx context.Context) {
					calls.Add(1)
					if md, _ := metadata.FromIncomingContext(ctx); len(md.Get(rpctypes.TokenFieldNameGRPC)) > 0 {
						tokens.Add(1)
					}
				}
				r.theirs.Member(0).Intercept(func(ctx context.Context, _ string, _ any, next func() (any, error)) (any, error) {
					look(ctx)
					return next()
				})
				r.theirs.Member(0).InterceptStream(func(s grpc.ServerStream, _ string, next func(grpc.ServerStream) error) error {
					look(s.Context())
					return next(s)
				})
				r.move()
				time.Sleep(5 * time.Second) // the bubble's clock; for several connections
				if calls.Load() < 5 || tokens.Load() > 0 {
					r.t.Errorf("the other cluster got %d calls, %d with a token; want several, and no token", calls.Load(), tokens.Load())
				}
			})
		})
	}
}
