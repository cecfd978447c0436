package client_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/middleware/namespace"
)

// journal is a middleware that notes what passes.
type journal struct {
	mu      sync.Mutex
	made    int
	methods []string // with the name of who has seen it
}

func (j *journal) named(name string) client.Middleware {
	return func(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.made++
		return journaled{cc, j, name}
	}
}

func (j *journal) note(name, method string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.methods = append(j.methods, name+" "+method[strings.LastIndex(method, "/")+1:])
}

// take returns what has passed since it was called last.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	m := j.methods
	j.methods = nil
	return m
}

type journaled struct {
	grpc.ClientConnInterface
	j    *journal
	name string
}

func (c journaled) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	c.j.note(c.name, method)
	return c.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
}

func (c journaled) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	c.j.note(c.name, method)
	return c.ClientConnInterface.NewStream(ctx, desc, method, opts...)
}

// Every service of the client, and what is made on its connection, calls through the
// middleware, and meets the first function first.
func TestMiddlewareSeesEveryService(t *testing.T) {
	var j journal
	outermostFirst := func(cfg *client.Config) {
		cfg.Middleware = []client.Middleware{j.named("outer"), j.named("inner")}
	}
	run(t, 2, outermostFirst, func(r *rig) {
		t := r.t
		if got := j.take(); len(got) != 0 || j.made != 2 {
			t.Errorf("a new client: the middleware was made %d times and saw %q, want 2 and nothing", j.made, got)
		}
		for method, call := range map[string]func(context.Context) error{
			"Range":      func(ctx context.Context) error { _, err := r.Get(ctx, "k"); return err },
			"LeaseGrant": func(ctx context.Context) error { _, err := r.Grant(ctx, 60); return err },
			"UserList":   func(ctx context.Context) error { _, err := r.UserList(ctx); return err },
			"MemberList": func(ctx context.Context) error { _, err := r.MemberList(ctx); return err },
			"Alarm":      func(ctx context.Context) error { _, err := r.AlarmList(ctx); return err },
			"Status":     func(ctx context.Context) error { _, err := r.Status(ctx, m2); return err },
			"Unlock":     func(ctx context.Context) error { _, err := lock.NewService(r.Conn()).Unlock(ctx, "k"); return err },
			"Watch": func(ctx context.Context) error {
				for _, err := range r.Events(ctx, "k", kv.WithRev(1)) {
					return err
				}
				return nil
			},
		} {
			if method == "Watch" {
				if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
					t.Fatal(err)
				}
				j.take()
			}
			if err := call(r.timeout(time.Second)); err != nil && !strings.Contains(err.Error(), "Unimplemented") { // by etcdtest
				t.Errorf("%s: %v", method, err)
			}
			if got, want := j.take(), []string{"outer " + method, "inner " + method}; !slices.Equal(got, want) {
				t.Errorf("%s: the middleware saw %q, want %q", method, got, want)
			}
		}
	})
}

// A connection to one member has middleware of its own.
func TestMiddlewareOfOneEndpoint(t *testing.T) {
	var j journal
	run(t, 2, func(cfg *client.Config) { cfg.Middleware = []client.Middleware{j.named("m")} }, func(r *rig) {
		for want := 2; want <= 3; want++ {
			if _, err := r.Status(r.timeout(time.Second), m2); err != nil {
				r.t.Errorf("Status: %v", err)
			}
			if j.made != want {
				r.t.Errorf("the middleware was made %d times, want %d", j.made, want)
			}
		}
	})
}

// A login is the client's own, and what a middleware does to users' requests must
// not be done to it.
func TestMiddlewareSeesNoLogin(t *testing.T) {
	var j journal
	run(t, 1, func(cfg *client.Config) {
		cfg.Username, cfg.Password = "root", "secret"
		cfg.Middleware = []client.Middleware{j.named("m")}
	}, func(r *rig) {
		r.cluster.EnableAuth(map[string]string{"root": "secret"})
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			r.t.Error(err)
		}
		if got, want := j.take(), []string{"m Put"}; !slices.Equal(got, want) {
			r.t.Errorf("the middleware saw %q, want %q", got, want)
		}
		if r.Counters().Logins == 0 {
			r.t.Error("there was no login, want one")
		}
	})
}

func TestANamespaceForAClient(t *testing.T) {
	run(t, 1, func(cfg *client.Config) { cfg.Middleware = []client.Middleware{namespace.Of("jobs/")} }, func(r *rig) {
		t, ctx := r.t, r.timeout(time.Minute)
		if _, err := r.Put(ctx, "nightly", "03:00"); err != nil {
			t.Fatal(err)
		}
		m, err := lock.New(r.Conn(), "lock")
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Lock(ctx); err != nil {
			t.Fatal(err)
		}
		resp, err := pb.NewKVClient(r.cluster.Conn(t)).Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, kv := range resp.Kvs {
			got = append(got, string(kv.Key))
		}
		if want := []string{"jobs/" + m.Key(), "jobs/nightly"}; !slices.Equal(got, want) {
			t.Errorf("the cluster has the keys %q, want %q", got, want)
		}
		if err := m.Unlock(ctx); err != nil {
			t.Error(err)
		}
	})
}

// hooked is a middleware that has to be closed and, as it has a function, can't be compared.
type hooked struct {
	grpc.ClientConnInterface
	close func()
}

func (h hooked) Close() error {
	h.close()
	return nil
}

func TestMiddlewareThatCannotBeCompared(t *testing.T) {
	var closed []string
	named := func(name string) client.Middleware {
		return func(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
			return hooked{cc, func() { closed = append(closed, name) }}
		}
	}
	run(t, 1, func(cfg *client.Config) { cfg.Middleware = []client.Middleware{named("outer"), named("inner")} }, func(r *rig) {
		if err := r.Close(); err != nil {
			r.t.Error(err)
		}
		if want := []string{"outer", "inner"}; !slices.Equal(closed, want) {
			r.t.Errorf("closed %q, want %q, each once", closed, want)
		}
	})
}

func TestMiddlewareThatIsNil(t *testing.T) {
	same := func(cc grpc.ClientConnInterface) grpc.ClientConnInterface { return cc }
	none := func(grpc.ClientConnInterface) grpc.ClientConnInterface { return nil }
	for want, m := range map[string][]client.Middleware{
		"client: Config.Middleware[1] is nil":       {same, nil},
		"client: Config.Middleware[0] returned nil": {none, same},
		"client: Config.Middleware[1] returned nil": {same, none},
	} {
		c, err := client.New(client.Config{Endpoints: []string{m1}, Middleware: m})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: got %v and %v, want the error %q", c, err, want)
		}
	}
	// A function that returns nil later fails the call that needs it.
	fickle := 0
	run(t, 1, func(cfg *client.Config) {
		cfg.Middleware = []client.Middleware{func(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
			if fickle++; fickle > 1 {
				return nil
			}
			return cc
		}}
	}, func(r *rig) {
		if _, err := r.Status(r.timeout(time.Second), etcdtest.Start(r.t, 1).Addrs()[0]); err == nil || !strings.Contains(err.Error(), "Middleware[0] returned nil") {
			r.t.Errorf("Status: got %v, want that the middleware returned nil", err)
		}
	})
}
