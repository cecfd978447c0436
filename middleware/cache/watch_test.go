package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/cache"
	"github.com/getcd/getcd/view"
	"github.com/getcd/getcd/watch"
)

// watches is a Watch stream, and what it has told of each watch.
type watches struct {
	t      *testing.T
	stream pb.Watch_WatchClient
	told   map[int64][]*pb.WatchResponse
	events map[int64][]*mvccpb.Event
	err    error // why it ended
}

func open(t *testing.T, cc grpc.ClientConnInterface) *watches {
	t.Helper()
	stream, err := pb.NewWatchClient(cc).Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &watches{t: t, stream: stream, told: make(map[int64][]*pb.WatchResponse), events: make(map[int64][]*mvccpb.Event)}
	go func() {
		for {
			var resp *pb.WatchResponse
			if resp, w.err = stream.Recv(); w.err != nil {
				return
			}
			w.told[resp.WatchId] = append(w.told[resp.WatchId], resp)
			w.events[resp.WatchId] = append(w.events[resp.WatchId], resp.Events...)
		}
	}()
	return w
}

func (w *watches) create(r *pb.WatchCreateRequest) {
	w.t.Helper()
	w.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}})
}

// send waits until what follows has happened, too.
func (w *watches) send(r *pb.WatchRequest) {
	w.t.Helper()
	if err := w.stream.Send(r); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func progress() *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
}

func cancelOf(id int64) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}}
}

// TestSameEvents makes the same random watches on a cached stream and on one of the server's,
// while keys change, and compares what they get.
func TestSameEvents(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			run(t, []string{"a/", "b/"}, []cache.Option{cache.WithWindow(50, 1<<20)}, nil, func(r *rig) {
				sameEvents(r, random{rand.New(rand.NewPCG(seed, 9))})
			})
		})
	}
}

func sameEvents(r *rig, rnd random) {
	ctx, t := r.t.Context(), r.t
	r.cluster.SetWatchFragment(3)
	cached, direct := open(t, r.cached), open(t, r.plain)
	for step := range 250 {
		if rnd.IntN(4) > 0 {
			if _, err := r.direct.Put(ctx, &pb.PutRequest{Key: []byte(rnd.key()), Value: fmt.Append(nil, step)}); err != nil {
				t.Fatal(err)
			}
		} else if _, err := r.direct.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte(rnd.key())}); err != nil {
			t.Fatal(err)
		}
		if rnd.IntN(3) > 0 {
			continue
		}
		synctest.Wait()
		// The cache's own progress: a watch from now begins with the next revision on both.
		for _, prefix := range []string{"a/", "b/"} {
			r.get(&pb.RangeRequest{Key: []byte(prefix)})
		}
		c := &pb.WatchCreateRequest{PrevKv: rnd.IntN(2) == 0, Fragment: rnd.IntN(3) == 0}
		c.Key, c.RangeEnd = rnd.span()
		if rnd.IntN(2) == 0 {
			c.StartRevision = max(0, r.cluster.Revision()+4-rnd.Int64N(80))
		}
		if c.WatchId = int64(step + 1); rnd.IntN(20) == 0 {
			c.WatchId = 1 + rnd.Int64N(int64(step+1)) // one that there may be
		}
		if rnd.IntN(4) == 0 {
			c.Filters = []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_FilterType(rnd.IntN(2))}
		}
		cached.create(c)
		direct.create(c)
		if rnd.IntN(10) == 0 {
			id := 1 + rnd.Int64N(int64(step+1))
			cached.send(cancelOf(id))
			direct.send(cancelOf(id))
		}
	}
	synctest.Wait()
	if cached.err != nil || direct.err != nil {
		t.Fatalf("the streams have ended: %v, %v", cached.err, direct.err)
	}
	if len(cached.told) != len(direct.told) {
		t.Errorf("%d watches, want %d", len(cached.told), len(direct.told))
	}
	for id := range direct.told {
		got, want := cached.events[id], direct.events[id]
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || !proto.Equal(got[i], want[i]) {
				t.Errorf("watch %d: %d events, want %d; the first difference is event %d", id, len(got), len(want), i)
				break
			}
		}
		if len(cached.told[id]) == 0 {
			t.Errorf("nothing of watch %d, want %v", id, direct.told[id])
			continue
		}
		gotCreated, wantCreated := cached.told[id][0], direct.told[id][0]
		if gotCreated.Created != wantCreated.Created || gotCreated.Canceled != wantCreated.Canceled || gotCreated.CancelReason != wantCreated.CancelReason {
			t.Errorf("watch %d: %v, want %v", id, gotCreated, wantCreated)
		}
	}
	for _, s := range r.cached.Stats().Prefixes {
		if s.Watches < 10 || s.WatchesPassed == 0 {
			t.Errorf("%+v: want watches from memory, and some that were passed on", s)
		}
	}
}

// TestCancelFreesTheID cancels a watch, and makes another one with its ID at once: before the first
// one was answered, and after that; from memory, and from the cluster.
func TestCancelFreesTheID(t *testing.T) {
	for _, keys := range [][2]string{{"a/k", "a/k"}, {"a/k", "c/k"}, {"c/k", "a/k"}, {"c/k", "c/k"}} {
		for _, wait := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s then %s, wait %v", keys[0], keys[1], wait), func(t *testing.T) {
				run(t, []string{"a/"}, nil, nil, func(r *rig) {
					for name, cc := range map[string]grpc.ClientConnInterface{"cached": r.cached, "direct": r.plain} {
						cancelFreesTheID(r, name, open(r.t, cc), keys, wait)
					}
				})
			})
		}
	}
}

func cancelFreesTheID(r *rig, name string, w *watches, keys [2]string, wait bool) {
	r.t.Helper()
	createOf := func(key string) *pb.WatchRequest {
		return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte(key), WatchId: 5}}}
	}
	for i, req := range []*pb.WatchRequest{createOf(keys[0]), cancelOf(5), createOf(keys[1])} {
		if err := w.stream.Send(req); err != nil {
			r.t.Fatal(err)
		}
		if wait && i == 0 {
			synctest.Wait()
		}
	}
	synctest.Wait()
	rev := r.put(keys[1], "v")
	synctest.Wait()
	var got []string
	for _, resp := range w.told[5] {
		switch {
		case resp.Header.GetClusterId() == 0:
			got = append(got, "no header")
		case resp.Created && !resp.Canceled:
			got = append(got, "created")
		case resp.Canceled && !resp.Created:
			got = append(got, "canceled")
		default:
			got = append(got, "events")
		}
	}
	if want := []string{"created", "canceled", "created", "events"}; !slices.Equal(got, want) || len(w.told) != 1 {
		r.t.Errorf("%s: got %v of watch 5 in %v, want %v", name, got, w.told, want)
	}
	if events := w.events[5]; len(events) != 1 || events[0].Kv.ModRevision != rev {
		r.t.Errorf("%s: got the events %v, want the one at %d", name, events, rev)
	}
}

// TestWatchesCostNothing watches from memory: the server sees no other stream.
func TestWatchesCostNothing(t *testing.T) {
	run(t, []string{"a/"}, nil, nil, func(r *rig) {
		before := r.cluster.Member(0).Messages(pb.Watch_Watch_FullMethodName)
		w := open(r.t, r.cached)
		for range 1000 {
			w.create(&pb.WatchCreateRequest{Key: []byte("a/"), RangeEnd: []byte("a0")})
		}
		r.put("a/k", "v")
		synctest.Wait()
		for id := range int64(1000) {
			if len(w.events[id]) != 1 {
				r.t.Fatalf("watch %d has %d events, want 1", id, len(w.events[id]))
			}
		}
		if got := r.cluster.Member(0).Messages(pb.Watch_Watch_FullMethodName) - before; got > 2 || r.calls(pb.Watch_Watch_FullMethodName) != 1 {
			r.t.Errorf("%d streams, and %d messages for 1000 watches, want the cache's stream alone", r.calls(pb.Watch_Watch_FullMethodName), got)
		}
	})
}

// TestSlowWatcher leaves a watch alone until what it has not received is not in the window any
// more. It gets all of it: from the cluster.
func TestSlowWatcher(t *testing.T) {
	run(t, []string{"a/"}, []cache.Option{cache.WithWindow(10, 1<<20)}, nil, func(r *rig) {
		stream, err := pb.NewWatchClient(r.cached).Watch(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		create := &pb.WatchCreateRequest{Key: []byte("a/"), RangeEnd: []byte("a0"), WatchId: 7}
		if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			r.t.Fatal(err)
		}
		if resp, err := stream.Recv(); err != nil || !resp.Created || resp.WatchId != 7 {
			r.t.Fatal(resp, err)
		}
		first := r.put("a/k", "0")
		for i := range 100 {
			r.put("a/k", fmt.Sprint(i+1))
		}
		synctest.Wait()
		for next := first; next <= first+100; {
			resp, err := stream.Recv()
			if err != nil || resp.Created || resp.WatchId != 7 {
				r.t.Fatal(resp, err)
			}
			for _, e := range resp.Events {
				if e.Kv.ModRevision != next {
					r.t.Fatalf("revision %d, want %d", e.Kv.ModRevision, next)
				}
				next++
			}
		}
		if s := r.stats(); s.Watches != 1 || s.WatchesPassed != 1 || s.Events != 10 {
			r.t.Errorf("%+v: want a watch that was passed on", s)
		}
	})
}

// TestSlowWatcherCompacted is the same when the cluster has forgotten, too.
func TestSlowWatcherCompacted(t *testing.T) {
	run(t, []string{"a/"}, []cache.Option{cache.WithWindow(10, 1<<20)}, nil, func(r *rig) {
		w, err := pb.NewWatchClient(r.cached).Watch(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		create := &pb.WatchCreateRequest{Key: []byte("a/k")}
		if err := w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			r.t.Fatal(err)
		}
		if _, err := w.Recv(); err != nil {
			r.t.Fatal(err)
		}
		for i := range 100 {
			r.put("a/k", fmt.Sprint(i))
		}
		if _, err := r.store.Compact(r.t.Context(), 90); err != nil {
			r.t.Fatal(err)
		}
		synctest.Wait()
		if resp, err := w.Recv(); err != nil || !resp.Canceled || resp.Created || resp.CompactRevision != 90 || resp.WatchId != 0 {
			r.t.Errorf("%v %v, want the watch to end with the compaction's revision", resp, err)
		}
	})
}

// TestWatchProgress asks for progress with watches from memory, from the cluster, and of both.
func TestWatchProgress(t *testing.T) {
	run(t, []string{"a/"}, nil, nil, func(r *rig) {
		w := open(r.t, r.cached)
		w.send(progress())
		if len(w.told) != 0 {
			r.t.Errorf("an answer without a watch: %v", w.told)
		}
		w.create(&pb.WatchCreateRequest{Key: []byte("a/k")})
		rev := r.put("c/k", "v")
		answered := func() int64 {
			got := w.told[-1]
			return got[len(got)-1].Header.Revision
		}
		w.send(progress())
		w.send(progress()) // the first has made the cache ask
		if got := answered(); got != rev {
			r.t.Errorf("progress up to %d, want %d", got, rev)
		}
		w.create(&pb.WatchCreateRequest{Key: []byte("c/k")})
		rev = r.put("c/k", "w")
		w.send(progress())
		w.send(progress())
		if got := answered(); got != rev || len(w.events[1]) != 1 {
			r.t.Errorf("progress up to %d with %d events, want %d with 1", got, len(w.events[1]), rev)
		}
	})
}

// TestProgressOfSlowWatcher asks for progress while what a watch from memory has not received leaves
// the window. An answer comes after all events that it speaks of.
func TestProgressOfSlowWatcher(t *testing.T) {
	for _, when := range []string{"answered before", "asked just before", "asked afterward"} {
		t.Run(when, func(t *testing.T) {
			run(t, []string{"a/"}, []cache.Option{cache.WithWindow(10, 1<<20)}, nil, func(r *rig) {
				t := r.t
				stream, err := pb.NewWatchClient(r.cached).Watch(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				send := func(req *pb.WatchRequest) {
					t.Helper()
					if err := stream.Send(req); err != nil {
						t.Fatal(err)
					}
				}
				recv := func() *pb.WatchResponse {
					t.Helper()
					resp, err := stream.Recv()
					if err != nil {
						t.Fatal(err)
					}
					return resp
				}
				for i, key := range []string{"c/k", "a/k"} {
					send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte(key), WatchId: int64(i + 1)}}})
					if resp := recv(); !resp.Created {
						t.Fatal(resp)
					}
				}
				first := r.put("a/k", "0")
				for i := range 50 {
					r.put("a/k", fmt.Sprint(i+1))
				}
				synctest.Wait()
				if when != "asked afterward" {
					send(progress())
				}
				if when == "answered before" {
					synctest.Wait()
				}
				next := first
				for asked := false; next <= first+50; {
					resp := recv()
					if resp.WatchId == -1 && resp.Header.Revision >= next {
						t.Fatalf("progress up to %d, and the event at %d was not sent", resp.Header.Revision, next)
					}
					for _, e := range resp.Events {
						if e.Kv.ModRevision != next {
							t.Fatalf("revision %d, want %d", e.Kv.ModRevision, next)
						}
						next++
					}
					if when == "asked afterward" && !asked {
						asked = true
						send(progress())
					}
				}
				rev := r.put("c/k", "")
				until := func(id int64) {
					t.Helper()
					for {
						switch resp := recv(); {
						case resp.WatchId == id && resp.Header.Revision == rev:
							return
						case resp.WatchId != -1 || resp.Header.Revision >= rev:
							t.Fatalf("%v, want watch %d at %d", resp, id, rev)
						}
					}
				}
				until(1)
				send(progress())
				until(-1)
			})
		})
	}
}

// TestPackageWatch has getcd's own watches, which share a stream, of keys in the cache and
// elsewhere: each gets its events, and Follow a snapshot.
func TestPackageWatch(t *testing.T) {
	run(t, []string{"a/"}, nil, func(r *rig) { r.put("a/0", "v"); r.put("c/0", "v") }, func(r *rig) {
		w := watch.New(r.cached)
		defer func() { _ = w.Close() }()
		ctx, cancel := context.WithCancel(r.t.Context())
		defer cancel()
		var mu sync.Mutex
		got := map[string]int{}
		for i := range 40 {
			prefix := []string{"a/", "c/"}[i%2]
			ch := w.Watch(ctx, prefix, kv.WithPrefix(), kv.WithCreatedNotify())
			go func() {
				for resp := range ch {
					for _, e := range resp.Events {
						if string(e.Kv.Key[:2]) != prefix {
							r.t.Errorf("a watch of %s got %s", prefix, e.Kv.Key)
						}
						mu.Lock()
						got[prefix]++
						mu.Unlock()
					}
				}
			}()
		}
		synctest.Wait()
		for i := range 10 {
			r.put("a/k", fmt.Sprint(i))
			r.put("c/k", fmt.Sprint(i))
		}
		time.Sleep(30 * time.Second) // of heartbeats
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if got["a/"] != 200 || got["c/"] != 200 {
			r.t.Errorf("%v events, want 200 of each", got)
		}
		if s := r.stats(); s.Watches < 20 || s.Resyncs != 0 {
			r.t.Errorf("%+v: want 20 watches from memory", s)
		}
	})
}

// TestViewOfACache has the typed view on a cached connection: its snapshot and its changes come from
// memory.
func TestViewOfACache(t *testing.T) {
	run(t, []string{"a/"}, nil, func(r *rig) { r.put("a/0", "1") }, func(r *rig) {
		before := r.calls(pb.KV_Range_FullMethodName)
		w := watch.New(r.cached)
		defer func() { _ = w.Close() }()
		ctx, cancel := context.WithCancel(r.t.Context())
		v, err := view.New(ctx, w, "a/", view.Config[int]{Decode: view.JSON[int]}, kv.WithPrefix())
		if err != nil {
			r.t.Fatal(err)
		}
		if err := v.WaitSync(ctx); err != nil {
			r.t.Fatal(err)
		}
		r.put("a/1", "2")
		synctest.Wait()
		zero, _ := v.Get("a/0")
		one, _ := v.Get("a/1")
		if zero != 1 || one != 2 {
			r.t.Errorf("the view has %d and %d, want 1 and 2", zero, one)
		}
		if got := r.calls(pb.KV_Range_FullMethodName) - before; got != 0 {
			r.t.Errorf("%d Range requests, want none", got)
		}
		cancel()
		<-v.Done()
	})
}

// TestRestoredUnderTheCache puts the cluster back to a backup. What the cache has is of a history that is not
// any more: readers get the cluster's answers, and streams end, so that their users look at what
// has become of the cluster.
func TestRestoredUnderTheCache(t *testing.T) {
	run(t, []string{"a/"}, nil, func(r *rig) { r.put("a/k", "then") }, func(r *rig) {
		backup := r.cluster.Backup()
		for range 10 {
			r.put("a/k", "lost")
		}
		synctest.Wait()
		w := open(r.t, r.cached)
		w.create(&pb.WatchCreateRequest{Key: []byte("a/k")})
		r.cluster.Member(0).Kill()
		r.cluster.Restore(backup)
		r.cluster.Member(0).Start()
		var resp *pb.RangeResponse
		for { // a plain connection gives up calls while the member is away
			var err error
			resp, err = r.stub.Range(r.t.Context(), &pb.RangeRequest{Key: []byte("a/k")})
			if err == nil {
				break
			}
			if status.Code(err) != codes.Unavailable {
				r.t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if string(resp.Kvs[0].Value) != "then" {
			r.t.Errorf("a read after the restore: %v", resp)
		}
		r.ready()
		time.Sleep(10 * time.Second)
		if got := r.get(&pb.RangeRequest{Key: []byte("a/k"), Serializable: true}); string(got.Kvs[0].Value) != "then" {
			r.t.Errorf("a serializable read after the restore: %v", got)
		}
		synctest.Wait()
		if status.Code(w.err) != codes.Unavailable {
			r.t.Errorf("the stream: %v, want it to end", w.err)
		}
	})
}

// TestCompactionUnderTheCache takes the cache's watch away until its next revision is compacted.
func TestCompactionUnderTheCache(t *testing.T) {
	run(t, []string{"a/"}, nil, func(r *rig) { r.put("a/k", "0") }, func(r *rig) {
		m := r.cluster.Member(0)
		m.InterceptStream(func(grpc.ServerStream, string, func(grpc.ServerStream) error) error {
			return status.Error(codes.Unavailable, "not now")
		})
		m.Kill()
		m.Start()
		time.Sleep(2 * time.Second) // a dial that comes in between is refused, and made again after some 1 s
		for i := range 10 {
			_, _ = r.direct.Put(r.t.Context(), &pb.PutRequest{Key: []byte("a/k"), Value: fmt.Append(nil, i)}, grpc.WaitForReady(true))
		}
		if _, err := r.store.Compact(r.t.Context(), 10); err != nil {
			r.t.Fatal(err)
		}
		if got := r.get(&pb.RangeRequest{Key: []byte("a/k")}); string(got.Kvs[0].Value) != "9" {
			r.t.Errorf("a read meanwhile: %v", got)
		}
		m.InterceptStream(nil)
		time.Sleep(10 * time.Second)
		before := r.stats()
		if got := r.get(&pb.RangeRequest{Key: []byte("a/k")}); string(got.Kvs[0].Value) != "9" {
			r.t.Errorf("a read after the resync: %v", got)
		}
		if s := r.stats(); s.Hits != before.Hits+1 || s.Resyncs != 1 || s.Keys != 1 {
			r.t.Errorf("%+v: want a hit after one resync", s)
		}
	})
}

// TestCacheIsClosed closes the connection under readers and watches.
func TestCacheIsClosed(t *testing.T) {
	run(t, []string{"a/"}, nil, nil, func(r *rig) {
		w := open(r.t, r.cached)
		w.create(&pb.WatchCreateRequest{Key: []byte("a/k")})
		w.create(&pb.WatchCreateRequest{Key: []byte("c/k")})
		if err := r.cached.Close(); err != nil {
			r.t.Error(err)
		}
		if err := r.cached.Close(); err != nil {
			r.t.Error(err)
		}
		synctest.Wait()
		if w.err == nil || errors.Is(w.err, io.EOF) {
			r.t.Errorf("the stream: %v, want an error", w.err)
		}
		if _, err := r.stub.Range(r.t.Context(), &pb.RangeRequest{Key: []byte("a/k")}); err != nil {
			r.t.Errorf("a read is passed on: %v", err)
		}
		if err := r.cached.WaitReady(r.t.Context()); err == nil {
			r.t.Error("a closed cache is ready")
		}
	})
}
