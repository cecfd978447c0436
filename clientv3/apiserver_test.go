package clientv3_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/stats"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/kubernetes"
	"github.com/getcd/getcd/etcdtest"
)

// apiserver uses its client as kube-apiserver's storage does (k8s.io/apiserver
// 0.37, pkg/storage/storagebackend/factory/etcd3.go). No code is copied.
type apiserver struct {
	*kubernetes.Client

	t       *testing.T // of serve
	cluster *etcdtest.Cluster
	spans   spans

	mu    sync.Mutex
	calls map[string]int // guarded by mu: how often the interceptors have seen each method
	dials int            // guarded by mu
}

// apiserverTimeout is how long a starting apiserver waits for a connection.
const apiserverTimeout = 20 * time.Second

// newAPIServer waits until the server is connected. It returns an error in cases
// in which kube-apiserver would retry.
func newAPIServer(c *etcdtest.Cluster) (*apiserver, error) {
	a := &apiserver{cluster: c, calls: make(map[string]int)}
	dial := c.Dialer()
	var err error
	a.Client, err = kubernetes.New(clientv3.Config{
		Endpoints:            c.Addrs(),
		DialTimeout:          apiserverTimeout,
		DialKeepAliveTime:    30 * time.Second,
		DialKeepAliveTimeout: 10 * time.Second,
		DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				a.count(method)
				return invoke(ctx, method, req, reply, cc, opts...)
			}),
			grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				a.count(method)
				return stream(ctx, desc, cc, method, opts...)
			}),
			grpc.WithStatsHandler(&a.spans),
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { // like the dialer for an egress proxy
				a.mu.Lock()
				a.dials++
				a.mu.Unlock()
				return dial(ctx, addr)
			}),
		},
	})
	if err != nil {
		return nil, err
	}
	if err := a.ready(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *apiserver) count(method string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[method]++
}

func (a *apiserver) dialed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dials
}

// ready waits for the state of the connection.
func (a *apiserver) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), apiserverTimeout)
	defer cancel()
	conn := a.ActiveConnection()
	for {
		switch state := conn.GetState(); state {
		case connectivity.Ready:
			return nil
		case connectivity.Idle:
			conn.Connect()
			fallthrough
		default:
			if !conn.WaitForStateChange(ctx, state) {
				return fmt.Errorf("not ready: %w", ctx.Err())
			}
		}
	}
}

// probe is the health and readiness check.
func (a *apiserver) probe() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := a.Client.Client.Get(ctx, "/registry/health")
	return err
}

// compact is one server's attempt to compact. Several servers compete, and the
// one that finds the key unchanged wins.
func (a *apiserver) compact(ctx context.Context, version, rev int64) (won bool, now int64, err error) {
	const key = "compact_rev_key"
	resp, err := a.KV.Txn(ctx).
		If(clientv3.Compare(clientv3.Version(key), "=", version)).
		Then(clientv3.OpPut(key, strconv.FormatInt(rev, 10))).
		Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return false, 0, err
	}
	if resp.Succeeded && rev > 0 {
		_, err = a.Compact(ctx, rev)
	}
	return resp.Succeeded, resp.Header.GetRevision(), err
}

// spans has the spans of a tracer that have not ended.
type spans struct{ open sync.Map }

type span struct{}

func (s *spans) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	s.open.Store(info, info.FullMethodName)
	return context.WithValue(ctx, span{}, info)
}

func (s *spans) HandleRPC(ctx context.Context, event stats.RPCStats) {
	switch e := event.(type) {
	case *stats.End:
		s.open.Delete(ctx.Value(span{}))
	case *stats.Begin:
		// gRPC tells of two attempts, and of the end of one, when it retries a call for which it
		// had no stream.
		if e.IsTransparentRetryAttempt {
			s.open.Delete(ctx.Value(span{}))
		}
	}
}

func (*spans) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*spans) HandleConn(context.Context, stats.ConnStats)                       {}

// serve runs test in a bubble, with a server that uses a cluster of three
// members.
func serve(t *testing.T, test func(a *apiserver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 3)
		a, err := newAPIServer(c)
		if err != nil {
			t.Fatal(err)
		}
		a.t = t
		test(a)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		a.spans.open.Range(func(_, method any) bool {
			t.Errorf("a span of %v has not ended", method)
			return true
		})
	})
}

// kube-apiserver starts, becomes ready, and does everything that it does with
// etcd.
func TestAPIServer(t *testing.T) {
	serve(t, func(a *apiserver) {
		t, c := a.t, a.cluster
		if err := a.probe(); err != nil {
			t.Error(err)
		}
		ctx := clientv3.WithRequireLeader(t.Context())
		events := a.Watch(ctx, "/registry/", clientv3.WithRev(c.Revision()+1), clientv3.WithPrevKV(), clientv3.WithPrefix(), clientv3.WithProgressNotify())
		lease, err := a.Grant(t.Context(), 3600)
		if err != nil {
			t.Fatal(err)
		}
		put, err := a.Kubernetes.OptimisticPut(t.Context(), "/registry/events/1", []byte("v"), 0, kubernetes.PutOptions{LeaseID: lease.ID})
		if err != nil || !put.Succeeded {
			t.Fatalf("%+v, %v", put, err)
		}
		if resp := <-events; len(resp.Events) != 1 || resp.Header.GetRevision() != put.Revision {
			t.Errorf("the watch has %+v, want the event", resp)
		}
		if err := a.RequestProgress(ctx); err != nil { // also for the watches that require a leader
			t.Error(err)
		}
		if resp := <-events; !resp.IsProgressNotify() || resp.Header.GetRevision() != put.Revision {
			t.Errorf("the watch has %+v, want its progress", resp)
		}
		synctest.Wait() // for the connections that are being made
		dialed := a.dialed()
		for _, endpoint := range a.Endpoints() { // the size of the database, and the features of the version
			if s, err := a.Status(t.Context(), endpoint); err != nil || s.Version == "" {
				t.Errorf("%s: %+v, %v", endpoint, s, err)
			}
		}
		if n := a.dialed() - dialed; n != 3 {
			t.Errorf("%d connections were made for the status of 3 members", n)
		}
		rev := int64(0)
		for version := range int64(2) { // the first call compacts nothing
			won, now, err := a.compact(t.Context(), version, rev)
			if err != nil || !won {
				t.Fatalf("round %d: %v, %v", version, won, err)
			}
			rev = now
		}
		if won, _, err := a.compact(t.Context(), 1, rev); err != nil || won {
			t.Errorf("a round that another server had: %v, %v", won, err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		for method, least := range map[string]int{
			pb.KV_Range_FullMethodName: 1, pb.KV_Txn_FullMethodName: 4, pb.KV_Compact_FullMethodName: 1,
			pb.Lease_LeaseGrant_FullMethodName: 1, pb.Watch_Watch_FullMethodName: 1, pb.Maintenance_Status_FullMethodName: 3,
		} {
			if a.calls[method] < least {
				t.Errorf("the interceptors have seen %d calls of %s, want %d at least", a.calls[method], method, least)
			}
		}
	})
}

// If any one member stops, the server stays ready and its watches continue.
func TestAPIServerMemberStops(t *testing.T) {
	for i := range 3 {
		serve(t, func(a *apiserver) {
			t, c := a.t, a.cluster
			ctx := clientv3.WithRequireLeader(t.Context())
			events := a.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithProgressNotify())
			m := c.Member(i)
			m.Freeze()
			defer m.Thaw()
			for range 30 {
				if err := a.probe(); err != nil {
					t.Errorf("with %s stopped: %v", m.Name(), err)
				}
				time.Sleep(time.Second)
			}
			if state := a.ActiveConnection().GetState(); state != connectivity.Ready {
				t.Errorf("with %s stopped the state is %v", m.Name(), state)
			}
			put, err := a.Kubernetes.OptimisticPut(t.Context(), "/registry/k", []byte("v"), 0, kubernetes.PutOptions{})
			if err != nil || !put.Succeeded {
				t.Fatalf("%+v, %v", put, err)
			}
			if resp := <-events; len(resp.Events) != 1 {
				t.Errorf("the watch has %+v, want the event", resp)
			}
			brief, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if _, err := a.Status(brief, m.Addr()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the status of a member that is stopped: %v", err)
			}
			other, err := newAPIServer(c) // another server that starts meanwhile
			if err != nil {
				t.Fatal(err)
			}
			if err := other.probe(); err != nil {
				t.Error(err)
			}
			if err := other.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Without members the server is not ready, and a new one does not start. When the
// members return, both work, and the watch has missed nothing.
func TestAPIServerRestarts(t *testing.T) {
	serve(t, func(a *apiserver) {
		t, c := a.t, a.cluster
		ctx := clientv3.WithRequireLeader(t.Context())
		events := a.Watch(ctx, "/registry/", clientv3.WithPrefix())
		for _, m := range c.Members() {
			m.Kill()
		}
		if err := a.probe(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without members: %v, want the timeout of the check", err)
		}
		began := time.Now()
		if _, err := newAPIServer(c); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != apiserverTimeout {
			t.Errorf("without members a server gives up after %v with %v", time.Since(began), err)
		}
		starts := make(chan error, 1)
		go func() {
			other, err := newAPIServer(c)
			if err == nil {
				err = other.Close()
			}
			starts <- err
		}()
		time.Sleep(apiserverTimeout / 2)
		for _, m := range c.Members() {
			m.Start()
		}
		if err := <-starts; err != nil {
			t.Errorf("a server that waited for the members: %v", err)
		}
		if err := a.ready(); err != nil {
			t.Error(err)
		}
		if err := a.probe(); err != nil {
			t.Error(err)
		}
		put, err := a.Kubernetes.OptimisticPut(t.Context(), "/registry/k", []byte("v"), 0, kubernetes.PutOptions{})
		if err != nil || !put.Succeeded {
			t.Fatalf("%+v, %v", put, err)
		}
		if resp := <-events; len(resp.Events) != 1 || resp.Events[0].Kv.ModRevision != put.Revision {
			t.Errorf("the watch has %+v, want the event", resp)
		}
	})
}
