package naming_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/naming"
	"github.com/getcd/getcd/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ naming.Client = (*client.Client)(nil)

// rig is a fake cluster in a synctest bubble; the client uses its first member.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	client  recipe.Client
	log     strings.Builder
}

func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		conn := c.Member(0).Conn(t)
		w := watch.New(conn)
		t.Cleanup(func() { _ = w.Close() })
		test(&rig{t: t, cluster: c, client: recipe.NewClient(kv.New(conn), w)})
	})
}

func (r *rig) service(name string) *naming.Service {
	r.t.Helper()
	s, err := naming.New(r.client, name, naming.WithLogger(slog.New(slog.NewTextHandler(&r.log, nil))))
	if err != nil {
		r.t.Fatalf("New(%q): %v", name, err)
	}
	return s
}

func (r *rig) put(key, value string) {
	r.t.Helper()
	if _, err := r.client.Put(r.t.Context(), key, value); err != nil {
		r.t.Fatalf("Put(%q): %v", key, err)
	}
}

func (r *rig) do(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func add(key, addr string) naming.Update {
	return naming.Update{Op: naming.Add, Key: key, Endpoint: naming.Endpoint{Addr: addr}}
}

func TestEndpointsAreListed(t *testing.T) {
	run(t, func(r *rig) {
		web := r.service("web")
		ctx := r.t.Context()
		r.do(web.Add(ctx, "web/a", naming.Endpoint{Addr: "10.0.0.1:80", Metadata: map[string]any{"zone": "x"}}))
		r.do(web.Add(ctx, "web/b", naming.Endpoint{Addr: "10.0.0.2:80"}))
		r.do(web.Add(ctx, "web/c", naming.Endpoint{Addr: "10.0.0.3:80"}))
		r.do(web.Delete(ctx, "web/b"))
		r.do(web.Delete(ctx, "web/never"))
		r.put("web/c", "no JSON")
		r.put("website/a", `{"Op":0,"Addr":"10.0.0.9:80"}`)

		got, err := web.List(ctx, kv.WithSerializable())
		want := map[string]naming.Endpoint{"web/a": {Addr: "10.0.0.1:80", Metadata: map[string]any{"zone": "x"}}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			r.t.Errorf("List (-want +got):\n%s%v", diff, err)
		}
		if !strings.Contains(r.log.String(), "key=web/c") {
			r.t.Errorf("the value that is no endpoint was not logged: %q", r.log.String())
		}
		resp, err := r.client.Get(ctx, "web/a")
		if want := `{"Op":0,"Addr":"10.0.0.1:80","Metadata":{"zone":"x"}}`; err != nil || string(resp.Kvs[0].GetValue()) != want {
			r.t.Errorf("the value is %v, %v; want clientv3's layout %s", resp, err, want)
		}
	})
}

// JSON that has no address is no endpoint, and an endpoint that becomes such is gone.
func TestJSONWithoutAnAddress(t *testing.T) {
	run(t, func(r *rig) {
		web := r.service("web")
		r.do(web.Add(r.t.Context(), "web/a", naming.Endpoint{Addr: "10.0.0.1:80"}))
		r.do(web.Add(r.t.Context(), "web/b", naming.Endpoint{Metadata: "an empty address"}))
		r.put("web/config", `{"timeout":5}`)
		r.put("web/none", "null")

		got, err := web.List(r.t.Context())
		want := map[string]naming.Endpoint{"web/a": {Addr: "10.0.0.1:80"}, "web/b": {Metadata: "an empty address"}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			r.t.Errorf("List (-want +got):\n%s%v", diff, err)
		}
		if log := r.log.String(); !strings.Contains(log, "key=web/config") || !strings.Contains(log, "key=web/none") {
			r.t.Errorf("the values that are no endpoints were not logged: %q", log)
		}
		steps := r.follow(web)
		if got := next(r.t, steps); len(got) != 2 {
			r.t.Errorf("the first step is %v, want two endpoints", got)
		}
		r.put("web/a", "{}")
		if diff := cmp.Diff([]naming.Update{{Op: naming.Delete, Key: "web/a"}}, next(r.t, steps)); diff != "" {
			r.t.Errorf("after a value without an address (-want +got):\n%s", diff)
		}
	})
}

// next returns the next step, or fails the test after a while of the bubble's
// time.
func next(t *testing.T, steps <-chan []naming.Update) []naming.Update {
	t.Helper()
	select {
	case u := <-steps:
		return u
	case <-time.After(time.Minute):
		t.Fatal("there is no step")
		return nil
	}
}

// follow forwards the steps of Follow until the test ends.
func (r *rig) follow(s *naming.Service) <-chan []naming.Update {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	steps, done := make(chan []naming.Update), make(chan struct{})
	go func() {
		defer close(done)
		for u, err := range s.Follow(ctx) {
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					r.t.Errorf("Follow: %v", err)
				}
				return
			}
			select {
			case steps <- u:
			case <-ctx.Done():
			}
		}
	}()
	r.t.Cleanup(func() { cancel(); <-done })
	return steps
}

func TestChangesAreFollowed(t *testing.T) {
	run(t, func(r *rig) {
		web := r.service("web")
		ctx := r.t.Context()
		steps := r.follow(web)
		if got := next(r.t, steps); len(got) != 0 {
			r.t.Errorf("the first step is %v, want an empty one: there are no endpoints", got)
		}
		step := func(want ...naming.Update) {
			r.t.Helper()
			if diff := cmp.Diff(want, next(r.t, steps)); diff != "" {
				r.t.Errorf("step (-want +got):\n%s", diff)
			}
		}
		r.do(web.Add(ctx, "web/a", naming.Endpoint{Addr: "10.0.0.1:80"}))
		step(add("web/a", "10.0.0.1:80"))

		var ops []kv.Op // two changes in one transaction, together with a change of another service
		for _, u := range []naming.Update{add("web/b", "10.0.0.2:80"), {Op: naming.Delete, Key: "web/a"}} {
			op, err := web.Op(u)
			r.do(err)
			ops = append(ops, op)
		}
		_, err := r.client.Txn(ctx).Then(append(ops, kv.OpPut("other", ""))...).Commit()
		r.do(err)
		step(add("web/b", "10.0.0.2:80"), naming.Update{Op: naming.Delete, Key: "web/a"})

		r.put("web/junk", "no JSON") // makes no step
		r.put("web/b", "no JSON")    // is an endpoint no longer
		step(naming.Update{Op: naming.Delete, Key: "web/b"})
		r.do(web.Delete(ctx, "web/b")) // so this changes nothing
		r.do(web.Add(ctx, "web/c", naming.Endpoint{Addr: "10.0.0.3:80"}))
		step(add("web/c", "10.0.0.3:80"))
	})
}

func TestChangesThatWereCompactedAreMadeGood(t *testing.T) {
	run(t, func(r *rig) {
		web := r.service("web")
		ctx := r.t.Context()
		r.do(web.Add(ctx, "web/a", naming.Endpoint{Addr: "10.0.0.1:80"}))
		r.do(web.Add(ctx, "web/b", naming.Endpoint{Addr: "10.0.0.2:80"}))
		steps := r.follow(web)
		next(r.t, steps)

		other := kv.New(r.cluster.Member(1).Conn(r.t))
		r.cluster.Member(0).Kill()
		_, err := other.Delete(ctx, "web/b")
		r.do(err)
		resp, err := other.Put(ctx, "other", "")
		r.do(err)
		_, err = other.Compact(ctx, resp.Header.GetRevision())
		r.do(err)
		r.cluster.Member(0).Start()
		want := []naming.Update{add("web/a", "10.0.0.1:80"), {Op: naming.Delete, Key: "web/b"}}
		if diff := cmp.Diff(want, next(r.t, steps)); diff != "" {
			r.t.Errorf("step (-want +got):\n%s", diff)
		}
	})
}

func TestMisuse(t *testing.T) {
	run(t, func(r *rig) {
		if _, err := naming.New(nil, "web"); err == nil {
			r.t.Error("New without a client: no error")
		}
		if _, err := naming.New(r.client, ""); err == nil {
			r.t.Error("New without a name: no error")
		}
		if _, err := naming.NewBuilder(nil); err == nil {
			r.t.Error("NewBuilder without a client: no error")
		}
		web := r.service("web")
		for _, test := range []struct {
			update naming.Update
			want   string
		}{
			{add("web", "10.0.0.1:80"), `"web/"`},
			{add("site/a", "10.0.0.1:80"), `"web/"`},
			{naming.Update{Op: 7, Key: "web/a"}, "is 7; use Add or Delete"},
			{naming.Update{Key: "web/a", Endpoint: naming.Endpoint{Metadata: func() {}}}, "web/a"},
		} {
			if _, err := web.Op(test.update); err == nil || !strings.Contains(err.Error(), test.want) {
				r.t.Errorf("Op(%v): %v; want an error with %s", test.update, err, test.want)
			}
		}
		if err := web.Add(r.t.Context(), "site/a", naming.Endpoint{}); err == nil {
			r.t.Error("Add of another service's key: no error")
		}
		for _, opt := range []kv.OpOption{kv.WithFromKey(), kv.WithRange("web0\x00")} {
			if err := web.Delete(r.t.Context(), "web/a", opt); err == nil || !strings.Contains(err.Error(), "beyond the service") {
				r.t.Errorf("Delete of a range that goes beyond the service: %v; want an error that says so", err)
			}
		}
	})
}

// The range of a Delete may have several endpoints of the service.
func TestDeleteOfSeveral(t *testing.T) {
	run(t, func(r *rig) {
		web, ctx := r.service("web"), r.t.Context()
		for _, key := range []string{"web/a/1", "web/a/2", "web/b"} {
			r.do(web.Add(ctx, key, naming.Endpoint{Addr: "10.0.0.1:80"}))
		}
		left := func(want int) {
			r.t.Helper()
			if all, err := web.List(ctx); err != nil || len(all) != want {
				r.t.Errorf("%v, %v; want %d endpoints", all, err, want)
			}
		}
		r.do(web.Delete(ctx, "web/a/", kv.WithPrefix()))
		left(1)
		r.do(web.Delete(ctx, "web/", kv.WithRange("web0"))) // the whole service
		left(0)
	})
}

// A watcher may yield its snapshots in parts. No endpoint is gone because it is in another part.
func TestFollowInParts(t *testing.T) {
	run(t, func(r *rig) {
		conn := r.cluster.Member(0).Conn(r.t)
		w := watch.New(conn, watch.WithParts())
		defer w.Close()
		web, err := naming.New(recipe.NewClient(kv.New(conn), w), "web")
		if err != nil {
			r.t.Fatal(err)
		}
		const n = 25 // more than the fake sends in a part
		for i := range n {
			if err := web.Add(r.t.Context(), fmt.Sprint("web/", i), naming.Endpoint{Addr: "10.0.0.1:80"}); err != nil {
				r.t.Fatal(err)
			}
		}
		for updates, err := range web.Follow(r.t.Context()) {
			if err != nil || len(updates) != n {
				r.t.Errorf("the first step has %d updates (%v), want %d", len(updates), err, n)
			}
			break
		}
	})
}
