package view_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/resolver"
	"github.com/getcd/getcd/view"
	"github.com/getcd/getcd/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ view.Follower = (*client.Client)(nil)
	_ view.Follower = watch.Watcher(nil)
)

// rig is a fake cluster of two members in a synctest bubble, with a client that uses both
// and a store on the second, which no fault befalls.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	client  *client.Client
	kv.KV
	log     []string // what a view has told
	decoded int
}

func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		cl, err := client.New(client.Config{
			Endpoints: c.Addrs(), DialOptions: c.DialOptions(),
			Resolver: resolver.Options{KeepOrder: true}, // the first member is the one in use
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cl.Close() })
		synctest.Wait()
		test(&rig{t: t, cluster: c, client: cl, KV: kv.New(c.Member(1).Conn(t))})
	})
}

// config is of numbers, whose view writes to the log.
func (r *rig) config() view.Config[int] {
	return view.Config[int]{
		Decode: func(_ string, value []byte) (int, error) {
			r.decoded++
			return strconv.Atoi(string(value))
		},
		OnChange: func(changes []view.Change[int]) {
			var all []string
			for _, c := range changes {
				was, is := "none", "none"
				if c.Had {
					was = strconv.Itoa(c.Old)
				}
				if !c.Deleted {
					is = strconv.Itoa(c.New)
				}
				all = append(all, fmt.Sprintf("%s: %s -> %s", c.Key, was, is))
			}
			r.log = append(r.log, strings.Join(all, ", "))
		},
		OnBad: func(err error) {
			bad, ok := errors.AsType[*view.DecodeError](err)
			if !ok {
				r.t.Errorf("OnBad got %v, want a *DecodeError", err)
				return
			}
			r.log = append(r.log, "bad "+bad.Key)
		},
	}
}

// view is a view of "n/" until the test ends.
func (r *rig) view() *view.View[int] {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	v, err := view.New(ctx, r.client, "n/", r.config(), kv.WithPrefix())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { cancel(); <-v.Done() })
	return v
}

// put puts a key. A view has seen that when it returns: what comes together is one step.
func (r *rig) put(key, value string) {
	r.t.Helper()
	if _, err := r.Put(r.t.Context(), key, value); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

func (r *rig) delete(key string) {
	r.t.Helper()
	if _, err := r.Delete(r.t.Context(), key); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

// wantLog is what the view has told since the last time.
func (r *rig) wantLog(want ...string) {
	r.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, r.log); diff != "" {
		r.t.Errorf("what the view has told (-want +got):\n%s", diff)
	}
	r.log = nil
}

func (r *rig) wantValues(v *view.View[int], want map[string]int) {
	r.t.Helper()
	synctest.Wait()
	s := v.Snapshot()
	if diff := cmp.Diff(want, s.Values); diff != "" {
		r.t.Errorf("values (-want +got):\n%s", diff)
	}
	if s.Revision != r.cluster.Revision() {
		r.t.Errorf("of revision %d, want the cluster's, %d", s.Revision, r.cluster.Revision())
	}
	for key, value := range want {
		if got, ok := v.Get(key); got != value || !ok {
			r.t.Errorf("Get(%q) is %d, %v, want %d", key, got, ok, value)
		}
	}
}

func TestViewFollowsItsKeys(t *testing.T) {
	run(t, func(r *rig) {
		r.put("n/a", "1")
		r.put("n/b", "2")
		r.put("other", "no number")
		v := r.view()
		if err := v.WaitSync(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		r.wantLog("n/a: none -> 1, n/b: none -> 2")
		r.wantValues(v, map[string]int{"n/a": 1, "n/b": 2})

		r.put("n/a", "3")
		r.delete("n/b")
		r.wantLog("n/a: 1 -> 3", "n/b: 2 -> none")
		if _, err := r.Txn(r.t.Context()).Then(kv.OpPut("n/c", "4"), kv.OpDelete("n/a"), kv.OpPut("n/b", "5")).Commit(); err != nil {
			r.t.Fatal(err)
		}
		r.wantLog("n/c: none -> 4, n/a: 3 -> none, n/b: none -> 5")
		r.wantValues(v, map[string]int{"n/b": 5, "n/c": 4})
		if _, ok := v.Get("n/a"); ok {
			r.t.Error("a key that was deleted has a value")
		}
		if v.Err() != nil || len(v.Bad()) != 0 {
			r.t.Errorf("Err is %v and Bad is %v, want none", v.Err(), v.Bad())
		}
	})
}

func TestTheLastGoodValueIsKept(t *testing.T) {
	run(t, func(r *rig) {
		r.put("n/never", "bad from the start")
		r.put("n/a", "1")
		v := r.view()
		r.wantLog("bad n/never", "n/a: none -> 1")
		r.put("n/a", "one")
		r.wantLog("bad n/a")
		s := v.Snapshot()
		if diff := cmp.Diff(map[string]int{"n/a": 1}, s.Values); diff != "" {
			r.t.Errorf("values (-want +got):\n%s", diff)
		}
		bad := v.Bad()
		if len(bad) != 2 || bad["n/never"] == nil || bad["n/a"] == nil || bad["n/a"].Revision != s.Revision {
			r.t.Errorf("Bad is %v, want n/never, and n/a since revision %d", bad, s.Revision)
		}
		if err := bad["n/a"]; !errors.Is(err, strconv.ErrSyntax) || !strings.HasPrefix(err.Error(), `view: the value of "n/a", of revision `) {
			r.t.Errorf("got %v, want Decode's error, with the key", err)
		}

		r.put("n/a", "2")
		r.delete("n/never")
		r.wantLog("n/a: 1 -> 2") // nobody has seen the other one
		r.wantValues(v, map[string]int{"n/a": 2})
		if bad := v.Bad(); len(bad) != 0 {
			r.t.Errorf("Bad is %v, want nothing any more", bad)
		}
		r.put("n/a", "three")
		r.delete("n/a")
		r.wantLog("bad n/a", "n/a: 2 -> none")
		r.wantValues(v, map[string]int{})
	})
}

// After the loss of its history a view tells the differences, and decodes nothing else.
func TestViewAfterACompaction(t *testing.T) {
	run(t, func(r *rig) {
		for _, key := range []string{"n/a", "n/b", "n/c", "n/d"} {
			r.put(key, "1")
		}
		r.put("n/d", "one")
		v := r.view()
		r.wantLog("bad n/d", "n/a: none -> 1, n/b: none -> 1, n/c: none -> 1")
		before := r.decoded

		r.cluster.Member(1).InterceptStream(refuseStreams) // it serves no watch meanwhile
		r.cluster.Member(0).Kill()
		r.put("n/a", "2")
		r.put("n/a", "3")
		r.delete("n/b")
		r.put("n/e", "4")
		if _, err := r.Compact(r.t.Context(), r.cluster.Revision()); err != nil {
			r.t.Fatal(err)
		}
		r.cluster.Member(1).InterceptStream(nil)
		r.cluster.Member(0).Start()
		time.Sleep(time.Minute)
		r.wantLog("n/a: 1 -> 3, n/e: none -> 4, n/b: 1 -> none")
		if n := r.decoded - before; n != 2 {
			r.t.Errorf("%d values were decoded, want the 2 that have changed", n)
		}
		synctest.Wait()
		if diff := cmp.Diff(map[string]int{"n/a": 3, "n/c": 1, "n/e": 4}, v.Snapshot().Values); diff != "" {
			r.t.Errorf("values (-want +got):\n%s", diff)
		}
		if bad := v.Bad(); len(bad) != 1 || bad["n/d"] == nil {
			r.t.Errorf("Bad is %v, want n/d still", bad)
		}
	})
}

// Members fall silent and die, and the view misses nothing.
func TestViewThroughFaults(t *testing.T) {
	run(t, func(r *rig) {
		v := r.view()
		for i := range 20 {
			switch i {
			case 5:
				r.cluster.Member(0).Freeze()
			case 10:
				r.cluster.Member(0).Kill()
			case 15:
				r.cluster.Member(0).Thaw()
				r.cluster.Member(0).Start()
			}
			r.put("n/a", strconv.Itoa(i))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		want := []string{"n/a: none -> 0"}
		for i := range 19 {
			want = append(want, fmt.Sprintf("n/a: %d -> %d", i, i+1))
		}
		r.wantLog(want...)
		r.wantValues(v, map[string]int{"n/a": 19})
	})
}

func TestWaitSync(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		for _, m := range r.cluster.Members() {
			m.Hang()
		}
		v := r.view()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := v.WaitSync(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "view: ") {
			t.Errorf("WaitSync while nobody answers: %v, want the deadline's error", err)
		}
		if s := v.Snapshot(); len(s.Values) != 0 || s.Revision != 0 {
			t.Errorf("before the first sync: %v, want nothing", s)
		}
		for _, m := range r.cluster.Members() {
			m.Resume()
		}
		if err := v.WaitSync(t.Context()); err != nil || v.Snapshot().Revision == 0 {
			t.Errorf("WaitSync: %v at revision %d, want a snapshot", err, v.Snapshot().Revision)
		}
	})
}

var errStop = errors.New("the program stops")

func TestViewEndsWithItsContext(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		r.put("n/a", "1")
		ctx, cancel := context.WithCancelCause(t.Context())
		v, err := view.New(ctx, r.client, "n/", r.config(), kv.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		if err := v.WaitSync(t.Context()); err != nil {
			t.Fatal(err)
		}
		cancel(errStop)
		<-v.Done()
		if err := v.Err(); !errors.Is(err, errStop) {
			t.Errorf("Err is %v, want the context's cause", err)
		}
		if got, ok := v.Get("n/a"); got != 1 || !ok {
			t.Errorf("Get is %d, %v after the end, want the last value", got, ok)
		}
		if err := v.WaitSync(t.Context()); err != nil {
			t.Errorf("WaitSync of a view that had synced: %v", err)
		}
	})
}

// told is a Follower that tells what it was given.
type told func(yield func(watch.Update, error) bool)

func (f told) Follow(context.Context, string, ...kv.OpOption) iter.Seq2[watch.Update, error] {
	return iter.Seq2[watch.Update, error](f)
}

func snapshot(cause error, rev int64, kvs ...*mvccpb.KeyValue) watch.Update {
	return watch.Update{Snapshot: &watch.Snapshot{KVs: kvs, Header: &pb.ResponseHeader{Revision: rev}, Cause: cause}, Revision: rev}
}

func pair(key, value string, rev int64) *mvccpb.KeyValue {
	return &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: rev}
}

func TestViewEndsWithAnError(t *testing.T) {
	for name, tt := range map[string]struct {
		follow told
		want   string
	}{
		"an error": {func(yield func(watch.Update, error) bool) { yield(watch.Update{}, rpctypes.ErrPermissionDenied) }, "etcdserver: permission denied"},
		"nothing":  {func(func(watch.Update, error) bool) {}, "view: the follower has ended without an error"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := view.New(t.Context(), tt.follow, "n", view.Config[int]{Decode: view.JSON[int]})
			if err != nil {
				t.Fatal(err)
			}
			if err := v.WaitSync(t.Context()); err == nil || err.Error() != tt.want {
				t.Errorf("WaitSync: got %v, want %s", err, tt.want)
			}
			<-v.Done()
			if err := v.Err(); err == nil || err.Error() != tt.want {
				t.Errorf("Err: got %v, want %s", err, tt.want)
			}
		})
	}
}

// In another history the same revision may be of another value.
func TestViewOfARestoredCluster(t *testing.T) {
	for name, cause := range map[string]error{
		"restored": &watch.RevisionRegressedError{}, "another": &watch.ClusterChangedError{},
	} {
		t.Run(name, func(t *testing.T) {
			follow := told(func(yield func(watch.Update, error) bool) {
				_ = yield(snapshot(nil, 9, pair("a", "1", 5)), nil) && yield(snapshot(cause, 7, pair("a", "2", 5)), nil)
			})
			v, err := view.New(t.Context(), follow, "a", view.Config[int]{Decode: view.JSON[int]})
			if err != nil {
				t.Fatal(err)
			}
			<-v.Done()
			if got, _ := v.Get("a"); got != 2 || v.Snapshot().Revision != 7 {
				t.Errorf("got %d of revision %d, want 2 of revision 7", got, v.Snapshot().Revision)
			}
		})
	}
}

// What comes and goes within one step is told as a whole.
func TestOneStepOfManyRevisions(t *testing.T) {
	put := func(key, value string, rev int64) *watch.Event {
		return &watch.Event{Type: watch.EventTypePut, Kv: pair(key, value, rev)}
	}
	gone := func(key string, rev int64) *watch.Event {
		return &watch.Event{Type: watch.EventTypeDelete, Kv: pair(key, "", rev)}
	}
	r := &rig{t: t}
	v, err := view.New(t.Context(), told(func(yield func(watch.Update, error) bool) {
		_ = yield(snapshot(nil, 1, pair("a", "1", 1), pair("b", "1", 1), pair("c", "1", 1)), nil) &&
			yield(watch.Update{Revision: 9, Events: []*watch.Event{
				put("a", "2", 2), put("a", "bad", 3), // a good one, and then a bad one
				gone("b", 4), put("b", "bad", 5), // there again, without a good one
				put("d", "1", 6), gone("d", 7), // nobody saw it
				gone("c", 8), put("c", "3", 9),
			}}, nil)
	}), "a", r.config(), kv.WithFromKey())
	if err != nil {
		t.Fatal(err)
	}
	<-v.Done()
	want := []string{"a: none -> 1, b: none -> 1, c: none -> 1", "bad a", "bad b", "a: 1 -> 2, b: 1 -> none, c: 1 -> 3"}
	if diff := cmp.Diff(want, r.log); diff != "" {
		t.Errorf("what the view has told (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"a": 2, "c": 3}, v.Snapshot().Values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if bad := v.Bad(); len(bad) != 2 {
		t.Errorf("Bad is %v, want a and b", bad)
	}
}

func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// Keys that are gone take nothing.
func TestMemoryOfKeysThatAreGone(t *testing.T) {
	const keys = 200_000
	ready, gone := make(chan uint64), make(chan uint64)
	v, err := view.New(t.Context(), told(func(yield func(watch.Update, error) bool) {
		key := func(i int) string { return fmt.Sprintf("n/%d", i) }
		if !yield(snapshot(nil, 1, pair(key(keys), "1", 1)), nil) {
			return
		}
		ready <- heap()
		for i := range keys {
			if !yield(watch.Update{Events: []*watch.Event{{Type: watch.EventTypePut, Kv: pair(key(i), "1", 2)}}, Revision: 2}, nil) {
				return
			}
		}
		for i := range keys {
			if !yield(watch.Update{Events: []*watch.Event{{Type: watch.EventTypeDelete, Kv: pair(key(i), "", 3)}}, Revision: 3}, nil) {
				return
			}
		}
		gone <- heap()
	}), "n/", view.Config[int]{Decode: view.JSON[int], Indexes: map[string]func(string, int) []string{
		"one": func(string, int) []string { return []string{"all"} },
		"own": func(key string, _ int) []string { return []string{key} },
	}}, kv.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	before, after := <-ready, <-gone
	if after > before+1<<20 {
		t.Errorf("%d keys that are gone take %d bytes, want about none", keys, after-before)
	}
	<-v.Done()
	if got := v.Snapshot().Values; len(got) != 1 || got[fmt.Sprintf("n/%d", keys)] != 1 {
		t.Errorf("the values are %v, want the one that has stayed", got)
	}
}

// A view's memory is that of what is there, however much has come and gone.
func TestMemoryIsThatOfTheData(t *testing.T) {
	const steps, size = 20_000, 10_000 // 200 MB in all
	big := strings.Repeat("x", size)
	ready, grown := make(chan uint64), make(chan uint64)
	v, err := view.New(t.Context(), told(func(yield func(watch.Update, error) bool) {
		if !yield(snapshot(nil, 1), nil) {
			return
		}
		ready <- heap()
		for rev := range int64(steps) {
			key := fmt.Sprintf("n/%d", rev%10)
			if rev%3 == 0 {
				key = fmt.Sprintf("n/%d", rev) // comes, and goes with the next
			}
			e := []*watch.Event{{Type: watch.EventTypePut, Kv: pair(key, big, rev+2)}}
			if rev%3 == 1 {
				e = append(e, &watch.Event{Type: watch.EventTypeDelete, Kv: pair(fmt.Sprintf("n/%d", rev-1), "", rev+2)})
			}
			if !yield(watch.Update{Events: e, Revision: rev + 2}, nil) {
				return
			}
		}
		grown <- heap()
	}), "n/", view.Config[string]{Decode: func(key string, value []byte) (string, error) {
		if strings.HasSuffix(key, "7") {
			return "", errors.New("a bad one")
		}
		return string(value), nil
	}}, kv.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	before, after := <-ready, <-grown
	if after > before+4<<20 {
		t.Errorf("the heap has grown by %d bytes, want about those of ten values of %d", after-before, size)
	}
	<-v.Done()
	if n := len(v.Snapshot().Values); n > 11 {
		t.Errorf("%d values are there, want at most 11", n)
	}
}

func TestMisuse(t *testing.T) {
	var nothing told = func(func(watch.Update, error) bool) {}
	decode := view.Config[int]{Decode: view.JSON[int]}
	ctx := t.Context()
	for _, tt := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // a case's
		f    view.Follower
		key  string
		cfg  view.Config[int]
		opts []kv.OpOption
		want string
	}{
		{"no context", nil, nothing, "n", decode, nil, "view: New: the context is nil; pass the caller's, or context.Background()"},
		{"no follower", ctx, nil, "n", decode, nil, "view: New: the follower is nil"},
		{"no decode", ctx, nothing, "n", view.Config[int]{}, nil, "view: New: Config.Decode is nil; use JSON, or a function of your own"},
		{"an index without a function", ctx, nothing, "n", view.Config[int]{Decode: view.JSON[int], Indexes: map[string]func(string, int) []string{"zone": nil}}, nil, `view: New: the function of index "zone" is nil`},
		{"no key", ctx, nothing, "", decode, nil, "view: New: watch: Watch: key: it is empty; name a key, or add WithPrefix or WithFromKey for all keys"},
		{"a filter", ctx, nothing, "n", decode, []kv.OpOption{kv.WithFilterDelete()}, "view: New: WithFilterPut and WithFilterDelete leave out what a view has to see; leave them out"},
		{"a revision", ctx, nothing, "n", decode, []kv.OpOption{kv.WithRev(5)}, "view: New: a view begins with the present state, and WaitSync tells when; leave WithRev and WithCreatedNotify out"},
		{"a nil option", ctx, nothing, "n", decode, []kv.OpOption{nil}, "view: New: option 1 is nil; leave it out"},
		{"an option of a get", ctx, nothing, "n", decode, []kv.OpOption{kv.WithLimit(1)}, "view: New: watch: Watch: WithLimit: it applies to Get; leave it out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := view.New(tt.ctx, tt.f, tt.key, tt.cfg, tt.opts...); err == nil || err.Error() != tt.want {
				t.Errorf("New: got %v, want %q", err, tt.want)
			}
		})
	}
}

func refuseStreams(grpc.ServerStream, string, func(grpc.ServerStream) error) error {
	return status.Error(codes.Unavailable, "refused")
}

func TestJSON(t *testing.T) {
	type settings struct{ Workers int }
	for value, want := range map[string]struct{ loose, strict bool }{
		`{"workers": 2}`:             {true, true},
		` {"workers": 2} ` + "\n":    {true, true},
		`{"workers": 2, "woker": 3}`: {true, false},
		`{"workers": 2} {}`:          {false, false},
		`{"workers": 2} x`:           {false, false},
		`{"workers": "2"}`:           {false, false},
		``:                           {false, false},
	} {
		for name, decode := range map[string]func(string, []byte) (settings, error){"JSON": view.JSON[settings], "StrictJSON": view.StrictJSON[settings]} {
			good := want.loose
			if name == "StrictJSON" {
				good = want.strict
			}
			if got, err := decode("k", []byte(value)); (err == nil) != good || good && got.Workers != 2 {
				t.Errorf("%s of %q: got %v, %v; want it to be good: %v", name, value, got, err, good)
			}
		}
	}
}
