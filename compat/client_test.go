package compat_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	getcd "github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/compat"
	"github.com/getcd/getcd/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an original client on a getcd client of a fake cluster, in a synctest
// bubble.
type rig struct {
	*clientv3.Client

	t       *testing.T
	below   *getcd.Client
	cluster *etcdtest.Cluster
}

func run(t *testing.T, members int, cfg getcd.Config, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, members)
		cfg.Endpoints, cfg.DialOptions = c.Addrs(), []grpc.DialOption{grpc.WithContextDialer(c.Dialer())}
		below, err := getcd.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = below.Close() })
		original, err := compat.Client(below)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = original.Close() })
		synctest.Wait()
		test(&rig{original, t, below, c})
	})
}

// timeout returns the test's context with a time limit.
func (r *rig) timeout(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	r.t.Cleanup(cancel)
	return ctx
}

func (r *rig) await(want connectivity.State) {
	r.t.Helper()
	conn, ctx := r.ActiveConnection(), r.timeout(time.Minute)
	for s := conn.GetState(); s != want; s = conn.GetState() {
		if !conn.WaitForStateChange(ctx, s) {
			r.t.Fatalf("the state is %v, want %v", s, want)
		}
	}
}

// inUse returns the member that has received most of the puts.
func (r *rig) inUse() *etcdtest.Member {
	used := r.cluster.Member(0)
	for _, m := range r.cluster.Members() {
		if m.Calls(pb.KV_Put_FullMethodName) > used.Calls(pb.KV_Put_FullMethodName) {
			used = m
		}
	}
	return used
}

// The services of an original client work as usual, and with getcd's failover: a
// member that hangs costs no call, whereas clientv3 waits for the deadline. (Its
// watches use a channel from outside the bubble, so package integration tests
// them.)
func TestClientFailover(t *testing.T) {
	run(t, 3, getcd.Config{}, func(r *rig) {
		t := r.t
		lease, err := r.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := r.KeepAlive(t.Context(), lease.ID)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := r.Put(t.Context(), "k", "before", clientv3.WithLease(lease.ID)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		r.inUse().Freeze()
		began := time.Now()
		resp, err := r.Get(r.timeout(5*time.Second), "k")
		if err != nil || string(resp.Kvs[0].Value) != "before" {
			t.Fatalf("a Get with the member in use frozen: %v, %v", resp, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v, want less than 1 s", took)
		}
		time.Sleep(time.Second) // the client leaves the member meanwhile
		txn, err := r.Txn(r.timeout(5 * time.Second)).If(clientv3.Compare(clientv3.Version("k"), "=", 10)).
			Then(clientv3.OpPut("k", "after")).Commit()
		if err != nil || !txn.Succeeded {
			t.Fatalf("a transaction with the member in use frozen: %v, %v", txn, err)
		}
		for range 3 {
			if _, ok := <-kept; !ok {
				t.Fatal("the keep-alive has ended")
			}
		}
	})
}

// A member that says that its leader has changed while it read costs no call: clientv3's own
// retries, which are not used here, would ask again.
func TestClientReadsThroughAnElection(t *testing.T) {
	run(t, 3, getcd.Config{}, func(r *rig) {
		t := r.t
		var refused atomic.Int32
		for _, m := range r.cluster.Members() {
			m.Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
				if g, ok := req.(*pb.RangeRequest); ok && string(g.Key) == "k" && refused.Add(1) == 1 {
					return nil, rpctypes.ErrGRPCLeaderChanged
				}
				return next()
			})
		}
		if _, err := r.Get(r.timeout(5*time.Second), "k"); err != nil || refused.Load() != 2 {
			t.Errorf("got %v after %d requests, want success with the second", err, refused.Load())
		}
	})
}

// If a member does not answer a renewal but serves everything else, the renewal
// goes to another member, and the lease survives.
func TestClientKeepAlive(t *testing.T) {
	run(t, 3, getcd.Config{}, func(r *rig) {
		t := r.t
		grant, err := r.Grant(t.Context(), 6)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Put(t.Context(), "k", "v", clientv3.WithLease(grant.ID)); err != nil {
			t.Fatal(err)
		}
		r.inUse().InterceptStream(func(s grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
			if method == pb.Lease_LeaseKeepAlive_FullMethodName {
				<-s.Context().Done()
				return s.Context().Err()
			}
			return next(s)
		})
		kept, err := r.KeepAlive(t.Context(), grant.ID)
		if err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); time.Since(began) < time.Minute; {
			resp, ok := <-kept
			if !ok {
				t.Fatalf("the keep-alive has ended after %v", time.Since(began))
			}
			if resp.ID != grant.ID || resp.TTL != 6 || resp.GetRevision() == 0 {
				t.Errorf("a renewal's answer is %+v", resp)
			}
		}
		if _, err := r.KeepAliveOnce(t.Context(), 4711); err != rpctypes.ErrLeaseNotFound { //nolint:errorlint // programs compare
			t.Errorf("an unknown lease: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		for range kept { // until it closes
		}
		kept, err = r.KeepAlive(context.Background(), grant.ID)
		if _, ok := errors.AsType[clientv3.ErrKeepAliveHalted](err); !ok {
			t.Errorf("KeepAlive after Close: %v", err)
		}
		if _, ok := <-kept; ok {
			t.Error("its channel is open")
		}
	})
}

// Status asks the endpoint that it names.
func TestClientStatus(t *testing.T) {
	run(t, 3, getcd.Config{}, func(r *rig) {
		for i, endpoint := range r.Endpoints() {
			resp, err := r.Status(r.timeout(time.Second), endpoint)
			if err != nil || resp.Header.MemberId != r.cluster.Member(i).ID() {
				r.t.Errorf("the status of %s is %v, %v; want member %x's", endpoint, resp, err, r.cluster.Member(i).ID())
			}
			// The fake implements no more, but records which member was asked.
			_, _ = r.HashKV(r.timeout(time.Second), endpoint, 0)
			_, _ = r.Defragment(r.timeout(time.Second), endpoint)
			for _, method := range []string{pb.Maintenance_HashKV_FullMethodName, pb.Maintenance_Defragment_FullMethodName} {
				if got := r.cluster.Member(i).Calls(method); got != 1 {
					r.t.Errorf("%s got %d calls of %s, want 1", endpoint, got, method)
				}
			}
		}
	})
}

// Errors are clientv3's.
func TestClientErrors(t *testing.T) {
	run(t, 1, getcd.Config{}, func(r *rig) {
		t := r.t
		if _, err := r.Get(t.Context(), "k", clientv3.WithRev(1<<40)); err != rpctypes.ErrFutureRev { //nolint:errorlint // programs compare
			t.Errorf("%v, want ErrFutureRev itself", err)
		}
		_, err := pb.NewKVClient(r.ActiveConnection()).Range(t.Context(), &pb.RangeRequest{Key: []byte("k"), Revision: 1 << 40})
		if status.Code(err) != codes.OutOfRange {
			t.Errorf("a stub's error is %v, want a status", err)
		}
		r.cluster.Member(0).Hang()
		if _, err := r.Get(r.timeout(time.Second), "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's", err)
		}
		conn, err := r.Dial(r.Endpoints()[0])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := pb.NewKVClient(conn).Range(r.timeout(time.Second), &pb.RangeRequest{Key: []byte("k")}); status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "Dial of getcd's client") {
			t.Errorf("on a connection of Dial: %v, want what to do", err)
		}
		if _, err := conn.NewStream(r.timeout(time.Second), &grpc.StreamDesc{ServerStreams: true}, pb.Watch_Watch_FullMethodName); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("a stream on a connection of Dial: %v", err)
		}
		conn.Connect()
		synctest.Wait()
		if conn.GetState() == connectivity.Ready {
			t.Error("a connection of Dial is Ready")
		}
	})
	for _, none := range []*getcd.Client{nil, getcd.NewCtxClient(t.Context())} {
		if _, err := compat.Client(none); err == nil || !strings.Contains(err.Error(), "no connection") {
			t.Errorf("a client without a connection: %v", err)
		}
	}
}

// The state of the original's connection is that of getcd's client.
func TestClientState(t *testing.T) {
	run(t, 1, getcd.Config{}, func(r *rig) {
		r.await(connectivity.Ready)
		r.cluster.Member(0).Kill()
		r.await(connectivity.TransientFailure)
		r.cluster.Member(0).Start()
		r.await(connectivity.Ready)
		if err := r.below.Close(); err != nil {
			r.t.Error(err)
		}
		r.await(connectivity.TransientFailure)
		if _, err := r.Get(r.t.Context(), "k"); !clientv3.IsConnCanceled(err) {
			r.t.Errorf("after the end of getcd's client: %v", err)
		}
		if r.Ctx().Err() == nil {
			r.t.Error("the client's context lives on")
		}
	})
}

// Close ends the original's calls and streams, as clientv3's Close does, but does
// not close getcd's client.
func TestClientClose(t *testing.T) {
	run(t, 1, getcd.Config{}, func(r *rig) {
		t := r.t
		r.cluster.Member(0).Intercept(func(ctx context.Context, _ string, _ any, _ func() (any, error)) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		stub, err := pb.NewWatchClient(r.ActiveConnection()).Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		calls.Go(func() {
			if _, err := r.Put(context.Background(), "k", "v"); !clientv3.IsConnCanceled(err) || !strings.Contains(err.Error(), "closing") {
				t.Errorf("the call under way: %v", err)
			}
		})
		calls.Go(func() {
			if _, err := stub.Recv(); status.Code(err) != codes.Canceled {
				t.Errorf("the stream under way: %v", err)
			}
		})
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		calls.Wait()
		if r.Ctx().Err() == nil {
			t.Error("the context lives on")
		}
		if _, err := r.Put(context.Background(), "k", "v"); err != grpc.ErrClientConnClosing { //nolint:errorlint,staticcheck // as callers do
			t.Errorf("a call afterwards: %v", err)
		}
		r.cluster.Member(0).Intercept(nil)
		if _, err := r.below.Put(r.timeout(time.Second), "k", "v"); err != nil {
			t.Errorf("getcd's client afterwards: %v", err)
		}
		if err := r.Close(); !errors.Is(err, context.Canceled) {
			t.Errorf("Close again: %v", err)
		}
	})
}

// SetEndpoints changes the endpoints of getcd's client.
func TestClientSetEndpoints(t *testing.T) {
	run(t, 3, getcd.Config{}, func(r *rig) {
		t := r.t
		for _, m := range r.cluster.Members()[:2] {
			r.SetEndpoints("http://" + m.Addr())
			time.Sleep(time.Second) // the former member serves until this one is connected
			if got := r.below.Endpoints(); len(got) != 1 || got[0] != m.Addr() {
				t.Errorf("the endpoints below are %q, want %s", got, m.Addr())
			}
			if _, err := r.Put(r.timeout(time.Second), "k", "v"); err != nil || m.Calls(pb.KV_Put_FullMethodName) == 0 {
				t.Errorf("%s got no Put, whose error is %v", m.Addr(), err)
			}
		}
	})
}

// The message size limits are those of the client below, or those of the call.
func TestClientLimits(t *testing.T) {
	run(t, 1, getcd.Config{MaxCallSendMsgSize: 1000}, func(r *rig) {
		if _, err := r.Put(r.t.Context(), "k", strings.Repeat("x", 2000)); status.Code(err) != codes.ResourceExhausted {
			r.t.Errorf("above getcd's limit: %v", err)
		}
		req := &pb.PutRequest{Key: []byte("k"), Value: make([]byte, 500)}
		if _, err := pb.NewKVClient(r.ActiveConnection()).Put(r.t.Context(), req, grpc.MaxCallSendMsgSize(100)); status.Code(err) != codes.ResourceExhausted {
			r.t.Errorf("above the call's limit: %v", err)
		}
	})
	run(t, 1, getcd.Config{MaxCallSendMsgSize: 8 << 20}, func(r *rig) {
		if _, err := r.Put(r.t.Context(), "k", strings.Repeat("x", 3<<20)); err != nil {
			r.t.Errorf("below getcd's limit, above clientv3's: %v", err)
		}
	})
}

// New is clientv3.New: it uses the same configuration and needs one Close.
func TestNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 3)
		cfg := clientv3.Config{
			Endpoints: c.Addrs(), Logger: zap.NewNop(), DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())},
		}
		cli, err := compat.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		session, err := concurrency.NewSession(cli, concurrency.WithTTL(5))
		if err != nil {
			t.Fatal(err)
		}
		mutex := concurrency.NewMutex(session, "lock")
		if err := mutex.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := mutex.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		if err := session.Close(); err != nil {
			t.Error(err)
		}
		if err := cli.Close(); err != nil {
			t.Error(err)
		}
	}) // if a goroutine of getcd's client were left, this would be a deadlock

	for want, cfg := range map[string]clientv3.Config{
		"available endpoints": {},
		"mutually exclusive":  {Endpoints: []string{"a:1"}, Username: "u", Password: "p", Token: "t"},
		"no such encoder":     {Endpoints: []string{"a:1"}, LogConfig: &zap.Config{Encoding: "no such encoder"}},
	} {
		if _, err := compat.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

// The original logs to the logger of getcd's client.
func TestClientLogger(t *testing.T) {
	var heard strings.Builder
	run(t, 1, getcd.Config{Logger: slog.New(slog.NewTextHandler(&heard, nil))}, func(r *rig) {
		_ = r.below.Close() // from here on nothing else logs
		r.GetLogger().Info("something happens")
	})
	if !strings.Contains(heard.String(), "something happens") {
		t.Errorf("the log is %q", heard.String())
	}
}
