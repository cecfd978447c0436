package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
)

// A call without a deadline ends with Config.CallTimeout, and no other call does.
func TestCallTimeout(t *testing.T) {
	limited := func(c *client.Config) { c.CallTimeout = 2 * time.Second }
	run(t, 1, limited, func(r *rig) {
		t := r.t
		r.warm()
		for name, call := range map[string]func(context.Context) error{
			"get": func(ctx context.Context) error { _, err := r.get(ctx); return err },
			"put": func(ctx context.Context) error { return r.put(ctx, "k", "v") },
		} {
			r.cluster.Member(0).Freeze()
			start := time.Now()
			err := call(t.Context())
			if got := time.Since(start); got != 2*time.Second {
				t.Errorf("%s: ended after %v, want 2 s", name, got)
			}
			if !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "Config.CallTimeout") {
				t.Errorf("%s: got %v, want a deadline's error that names Config.CallTimeout", name, err)
			}
			start = time.Now()
			err = call(r.timeout(3 * time.Second))
			if got := time.Since(start); got != 3*time.Second || strings.Contains(err.Error(), "CallTimeout") {
				t.Errorf("%s with a deadline of its own, 3 s: got %v after %v", name, err, got)
			}
			r.cluster.Member(0).Thaw()
			r.warm()
		}
	})
}

// What may take long by its nature has no limit but its context's.
func TestCallTimeoutSparesCallsThatWait(t *testing.T) {
	limited := func(c *client.Config) { c.CallTimeout = 2 * time.Second }
	run(t, 1, limited, func(r *rig) {
		t := r.t
		lease, err := r.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		lock := v3lockpb.NewLockClient(r.Conn())
		request := &v3lockpb.LockRequest{Name: []byte("l"), Lease: int64(lease.ID)}
		if _, err := lock.Lock(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		other, err := r.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		locked := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context()) // no deadline
		defer cancel()
		go func() {
			_, err := lock.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("l"), Lease: int64(other.ID)})
			locked <- err
		}()
		time.Sleep(10 * time.Second)
		select {
		case err := <-locked:
			t.Errorf("a lock that waits: got %v, want it to wait on", err)
		default:
		}
	})
}

// A call with grpc.WaitForReady(false) waits for the first connections, and fails while no
// endpoint can be reached.
func TestFailFast(t *testing.T) {
	killed := func(r *rig) {
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		time.Sleep(time.Second) // each endpoint is tried once more
	}
	check := func(r *rig, name string, err error, start time.Time) {
		r.t.Helper()
		if e, ok := errors.AsType[*client.Error](err); !ok || status.Code(err) != codes.Unavailable || client.IsAmbiguous(err) || len(endpointsOf(e)) != 3 {
			r.t.Errorf("%s: got %v, want Unavailable, unambiguous, and three endpoints", name, err)
		}
		if time.Since(start) != 0 {
			r.t.Errorf("%s: it took %v", name, time.Since(start))
		}
	}
	failFast := grpc.WaitForReady(false)
	run(t, 3, nil, func(r *rig) {
		// A new client's call waits until it is connected.
		c, err := client.New(client.Config{Endpoints: r.cluster.Addrs(), DialOptions: r.cluster.DialOptions()})
		if err != nil {
			r.t.Fatal(err)
		}
		defer c.Close()
		if _, err := pb.NewKVClient(c.Conn()).Put(r.timeout(time.Minute), &pb.PutRequest{Key: []byte("k")}, failFast); err != nil {
			r.t.Errorf("the first put of a client: %v", err)
		}
		killed(r)
		start := time.Now()
		_, err = r.kv.Put(r.t.Context(), &pb.PutRequest{Key: []byte("k")}, failFast)
		check(r, "a put", err, start)
		_, err = r.kv.Range(r.t.Context(), &pb.RangeRequest{Key: []byte("k")}, failFast)
		check(r, "a get", err, start)
		_, err = pb.NewWatchClient(r.Conn()).Watch(r.t.Context(), failFast)
		check(r, "a stream", err, start)
		if _, err := r.get(r.timeout(time.Second)); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			r.t.Errorf("a get without it: got %v after %v, want it to wait for 1 s", err, time.Since(start))
		}
		r.cluster.Member(1).Start()
		if _, err := r.get(r.timeout(time.Minute)); err != nil {
			r.t.Fatal(err)
		}
		if _, err := r.kv.Put(r.t.Context(), &pb.PutRequest{Key: []byte("k")}, failFast); err != nil {
			r.t.Errorf("a put after the return of a member: %v", err)
		}
	})
	run(t, 3, func(c *client.Config) { c.FailFast = true }, func(r *rig) {
		killed(r)
		start := time.Now()
		check(r, "a put, with Config.FailFast", r.put(r.t.Context(), "k", "v"), start)
		_, err := r.kv.Range(r.timeout(time.Second), &pb.RangeRequest{Key: []byte("k")}, grpc.WaitForReady(true))
		if !errors.Is(err, context.DeadlineExceeded) {
			r.t.Errorf("a get that is to wait: got %v, want that it waits", err)
		}
		// A watch waits, and goes on.
		w := r.Watch(r.timeout(time.Minute), "k")
		time.Sleep(time.Second)
		r.cluster.Member(2).Start()
		time.Sleep(2 * time.Second)
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			r.t.Fatal(err)
		}
		if resp := <-w; len(resp.Events) != 1 {
			r.t.Errorf("the watch: got %v, want the put", resp)
		}
	})
}

// A call that waits for the first connection fails as soon as each endpoint has failed.
func TestFailFastWhileConnecting(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		addrs, options := r.cluster.Addrs(), r.cluster.DialOptions()
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		for _, user := range []string{"", "root"} { // who would wait for a login
			c, err := client.New(client.Config{Endpoints: addrs, DialOptions: options, Username: user, Password: user, FailFast: true})
			if err != nil {
				r.t.Fatal(err)
			}
			defer c.Close()
			start := time.Now()
			_, err = c.Get(r.timeout(time.Minute), "k")
			if status.Code(err) != codes.Unavailable || time.Since(start) > time.Second {
				r.t.Errorf("user %q: got %v after %v, want Unavailable within 1 s", user, err, time.Since(start))
			}
		}
	})
}

func TestFailFastOverTheGateway(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	url := "gateway+" + gone.URL
	c, err := client.New(client.Config{Endpoints: []string{url}, FailFast: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := c.Put(ctx, "k", "v"); ctx.Err() != nil || err == nil || client.IsAmbiguous(err) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want an unambiguous error at once that says connection refused", err)
	}
}

// Every request has the headers, the policy's own too.
func TestHeaders(t *testing.T) {
	run(t, 2, func(c *client.Config) { c.Headers = map[string]string{"X-Tenant": "blue"} }, func(r *rig) {
		t := r.t
		r.warm()
		_ = r.Watch(r.timeout(time.Minute), "k")
		lease, err := r.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.KeepAliveOnce(t.Context(), lease.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, method := range []string{
			pb.KV_Range_FullMethodName, pb.Watch_Watch_FullMethodName, pb.Lease_LeaseGrant_FullMethodName, pb.Lease_LeaseKeepAlive_FullMethodName,
			pb.Maintenance_Status_FullMethodName, "/grpc.health.v1.Health/Watch",
		} {
			if got := r.cluster.Member(0).LastMetadata(method).Get("x-tenant"); len(got) != 1 || got[0] != "blue" {
				t.Errorf("%s: x-tenant is %q, want blue", method, got)
			}
		}
	})
}

func TestHeadersOverTheGateway(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.Header.Get("X-Tenant")]++
		_, _ = w.Write([]byte(served[4:]))
	}))
	defer s.Close()
	c, err := client.New(client.Config{Endpoints: []string{"gateway+" + s.URL}, Headers: map[string]string{"x-tenant": "blue"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Get(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got["blue"] == 0 || len(got) != 1 {
		t.Errorf("the requests' x-tenant: got %v, want blue in all", got)
	}
}

// A connection attempt ends with Config.ConnectTimeout.
func TestConnectTimeout(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{0: 5 * time.Second, 300 * time.Millisecond: 300 * time.Millisecond, 20 * time.Second: 20 * time.Second} {
		var mu sync.Mutex
		var took []time.Duration
		hang := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			start := time.Now()
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(start))
			return nil, ctx.Err()
		})
		run(t, 1, func(c *client.Config) { c.ConnectTimeout, c.DialOptions = limit, []grpc.DialOption{hang} }, func(r *rig) {
			time.Sleep(3*want + 10*time.Second)
			mu.Lock()
			defer mu.Unlock()
			if len(took) < 3 {
				r.t.Fatalf("ConnectTimeout %v: %d attempts have ended, want 3", limit, len(took))
			}
			for _, d := range took {
				if d != want {
					r.t.Errorf("ConnectTimeout %v: an attempt ended after %v, want %v", limit, d, want)
				}
			}
		})
	}
}

// All keys are in the namespace, and middleware sees them without it.
func TestNamespace(t *testing.T) {
	var seen []string
	spy := func(cc grpc.ClientConnInterface) grpc.ClientConnInterface { return &keySpy{cc, &seen} }
	run(t, 1, func(c *client.Config) { c.Namespace, c.Middleware = "jobs/", []client.Middleware{spy} }, func(r *rig) {
		t := r.t
		if _, err := r.Put(t.Context(), "a", "1"); err != nil {
			t.Fatal(err)
		}
		resp, err := r.Get(t.Context(), "a")
		if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Key) != "a" {
			t.Errorf("in the namespace: got %v, %v, want the key a", resp, err)
		}
		for part, err := range r.Parts(t.Context(), "", kv.WithPrefix()) {
			if err != nil || len(part.Kvs) != 1 || string(part.Kvs[0].Key) != "a" {
				t.Errorf("in parts: got %v, %v, want the key a", part, err)
			}
		}
		raw, err := pb.NewKVClient(r.cluster.Conn(t)).Range(t.Context(), &pb.RangeRequest{Key: []byte("jobs/a")})
		if err != nil || len(raw.Kvs) != 1 {
			t.Errorf("in the cluster: got %v, %v, want the key jobs/a", raw, err)
		}
		if len(seen) != 1 || seen[0] != "a" {
			t.Errorf("the middleware saw puts of %q, want a", seen)
		}
	})
}

type keySpy struct {
	grpc.ClientConnInterface

	seen *[]string
}

func (k *keySpy) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	if put, ok := req.(*pb.PutRequest); ok {
		*k.seen = append(*k.seen, string(put.Key))
	}
	return k.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
}
