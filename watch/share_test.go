package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// traffic is what a member has had to do for watches.
type traffic struct {
	mu      sync.Mutex
	live    int
	created int // creations answered, without those of heartbeats
	events  int // sent
}

// watchTraffic counts on the streams that open at m from now on.
func watchTraffic(m *etcdtest.Member) *traffic {
	c := &traffic{}
	m.InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
		if method != watching {
			return next(ss)
		}
		live := make(map[int64]bool) // on this stream, with which they end
		change := func(id int64, to bool) {
			if live[id] != to {
				live[id] = to
				if to {
					c.live++
				} else {
					c.live--
				}
			}
		}
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			for id := range live {
				change(id, false)
			}
		}()
		return next(&tapped{ServerStream: ss, received: oneAtATime(&c.mu, func(r *pb.WatchRequest) error {
			if cancel := r.GetCancelRequest(); cancel != nil {
				change(cancel.WatchId, false)
			}
			return nil
		}), sending: oneAtATime(&c.mu, func(r *pb.WatchResponse) error {
			if r.Created && !r.Canceled {
				change(r.WatchId, true)
				c.created++
			}
			c.events += len(r.Events)
			return nil
		})})
	})
	return c
}

// want checks how many watches the server has, and what it has sent since the last call.
func (c *traffic) want(t *testing.T, when string, live, events int) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live != live || c.events != events {
		t.Errorf("%s: the server has %d watches and has sent %d events, want %d and %d", when, c.live, c.events, live, events)
	}
	c.events = 0
}

// watches is how many the server has.
func (c *traffic) watches() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live
}

// many makes n watches that the server has.
func many(ctx context.Context, t *testing.T, w watch.Watcher, n int, key string, opts ...kv.OpOption) []watch.WatchChan {
	t.Helper()
	chans := make([]watch.WatchChan, n)
	for i := range chans {
		chans[i] = w.Watch(ctx, key, append(slices.Clip(opts), kv.WithCreatedNotify())...)
	}
	for _, ch := range chans {
		created(t, ch)
	}
	synctest.Wait()
	return chans
}

// all checks that each watch is given the event of one revision next.
func all(t *testing.T, chans []watch.WatchChan, rev int64) {
	t.Helper()
	for i, ch := range chans {
		resp := receive(t, ch)
		if len(resp.Events) != 1 || resp.Events[0].Kv.ModRevision != rev {
			t.Fatalf("watch %d: got %+v, want the event of revision %d", i, resp, rev)
		}
	}
}

// A hundred watches of one prefix are one on the server, which sends each event once.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		store, w := kv.New(c.Member(1).Conn(t)), service(t, newRotating(t, c))
		sent, other := watchTraffic(c.Member(0)), watchTraffic(c.Member(1))
		chans := many(t.Context(), t, w, 100, "p/", kv.WithPrefix())
		sent.want(t, "made", 1, 0)
		for i := range 50 {
			all(t, chans, put(t, store, fmt.Sprint("p/", i), "v"))
		}
		sent.want(t, "after 50 changes", 1, 50)
		more := many(t.Context(), t, w, 10, "p/", kv.WithPrefix())
		sent.want(t, "joined in the middle", 1, 0)
		chans = append(chans, more...)
		all(t, chans, put(t, store, "p/x", "v"))
		sent.want(t, "after another change", 1, 1)

		c.Member(0).Kill()
		all(t, chans, put(t, store, "p/x", "v"))
		other.want(t, "at the other member", 1, 1)
		if sent.created != 110 || other.created != 1 {
			t.Errorf("the members have made %d and %d watches, want one for each, and one for all", sent.created, other.created)
		}
	})
}

// Watches that differ in what the server is asked for don't share, nor do those of ranges
// that come before a wider one.
func TestShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		sent := watchTraffic(c.Member(0))
		var chans []watch.WatchChan
		for _, opts := range [][]kv.OpOption{
			nil,
			{kv.WithPrefix()},
			{kv.WithRange("m")},
			{kv.WithFromKey()},
			{kv.WithPrevKV()},
			{kv.WithProgressNotify()},
			{kv.WithFilterDelete()},
		} {
			chans = append(chans, many(t.Context(), t, w, 2, "k", opts...)...)
		}
		without := many(t.Context(), t, w, 2, "k", kv.WithFilterPut())
		sent.want(t, "made", 8, 0)
		all(t, chans, put(t, store, "k", "v"))
		sent.want(t, "after a change", 8, 7)
		for _, ch := range without {
			nothing(t, ch)
		}
	})
}

// A watch that begins in the past is served by itself until it has come as far as the
// others: each sees everything from its own beginning on, once.
func TestShareFromThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		sent := watchTraffic(c.Member(0))
		for range 20 {
			put(t, store, "k", "v") // 2 to 21
		}
		c.SetWatchBatch(3)
		now := many(t.Context(), t, w, 2, "k")
		from := make([]watch.WatchChan, 20)
		for i := range from {
			from[i] = w.Watch(t.Context(), "k", kv.WithRev(int64(i+2)))
		}
		future := w.Watch(t.Context(), "k", kv.WithRev(24))
		synctest.Wait() // the server has it, too
		for i, ch := range from {
			for rev := i + 2; rev <= 21; {
				for _, e := range receive(t, ch).Events {
					if e.Kv.ModRevision != int64(rev) {
						t.Fatalf("from %d: got revision %d, want %d", i+2, e.Kv.ModRevision, rev)
					}
					rev++
				}
			}
		}
		for rev := int64(22); rev <= 25; rev++ {
			if got := put(t, store, "k", "v"); got != rev {
				t.Fatalf("put: revision %d, want %d", got, rev)
			}
			all(t, slices.Concat(now, from), rev)
		}
		all(t, []watch.WatchChan{future}, 24)
		all(t, []watch.WatchChan{future}, 25)
		synctest.Wait()
		sent.events = 0
		put(t, store, "k", "v")
		sent.want(t, "in the end", 1, 1)
	})
}

// Members come and go; the watch on the server goes with the last one.
func TestShareComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		sent := watchTraffic(c.Member(0))
		keep := many(t.Context(), t, w, 1, "other")
		var cancels []context.CancelFunc
		var chans []watch.WatchChan
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			cancels = append(cancels, cancel)
			chans = append(chans, many(ctx, t, w, 1, "k")...)
		}
		for len(chans) > 0 { // the first, whose watch it was, is the first to go
			all(t, chans, put(t, store, "k", "v"))
			cancels[0]()
			synctest.Wait()
			if resp, ok := <-chans[0]; ok && !errors.Is(resp.Err(), context.Canceled) {
				t.Fatalf("got %+v, want it canceled", resp)
			}
			cancels, chans = cancels[1:], chans[1:]
			sent.want(t, fmt.Sprint(len(chans), " are left"), min(len(chans), 1)+1, 1)
		}
		put(t, store, "k", "v")
		sent.want(t, "none is left", 1, 0)
		all(t, keep, put(t, store, "other", "v"))
	})
}

// A member that does not read holds up nobody: for a while it is given what it has
// missed from memory, then it is on its own, and when it has kept up for a while it is back.
func TestShareSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t, watch.WithBuffer(8, 1<<20))
		sent := watchTraffic(c.Member(0))
		fast := many(t.Context(), t, w, 3, "k")
		slow := many(t.Context(), t, w, 1, "k")[0]
		read := func(from, to int64) {
			t.Helper()
			for rev := from; rev <= to; {
				for _, e := range receive(t, slow).Events {
					if e.Kv.ModRevision != rev {
						t.Fatalf("slow: got revision %d, want %d", e.Kv.ModRevision, rev)
					}
					rev++
				}
			}
		}
		rev := int64(1)
		write := func(n int) {
			t.Helper()
			for range n {
				rev = put(t, store, "k", "v")
				all(t, fast, rev)
			}
		}
		write(14) // beyond what its buffer takes
		sent.want(t, "late", 1, 14)
		if _, _, off := watch.Buffered(w); off != 1 {
			t.Errorf("%d watches are late, want the slow one", off)
		}
		read(2, rev)
		sent.want(t, "up to date", 1, 0)
		if _, _, off := watch.Buffered(w); off != 0 {
			t.Errorf("%d watches are late, want none", off)
		}
		write(100)
		sent.want(t, "too late", 1, 100)
		read(rev-99, rev)
		calm(t)
		write(2) // with which it meets the others, at the latest
		read(rev-1, rev)
		synctest.Wait()
		sent.events = 0
		write(1)
		sent.want(t, "back", 1, 1)
		read(rev, rev)
	})
}

// calm lets the time pass after which a watch that has been behind shares a stream again, or, if
// it is not read, has none.
func calm(t *testing.T) {
	t.Helper()
	time.Sleep(20 * time.Second)
	synctest.Wait()
}

// A burst that is too much for all buffers makes none of them leave: the server sends it once.
func TestShareABurst(t *testing.T) {
	const buffer, watches = 8, 4
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t, watch.WithBuffer(buffer, 1<<20))
		sent := watchTraffic(c.Member(0))
		chans := many(t.Context(), t, w, watches, "k")
		const burst = buffer * watches
		for range burst {
			put(t, store, "k", "v")
		}
		sent.want(t, "nobody reads", 1, burst)
		for _, ch := range chans {
			for n := 0; n < burst; {
				n += len(receive(t, ch).Events)
			}
		}
		all(t, chans, put(t, store, "k", "v"))
		sent.want(t, "all have read", 1, 1)
	})
}

// Consumers that have all stopped cost a bounded number of buffers, and miss nothing.
func TestShareABurstIsBounded(t *testing.T) {
	const buffer, watches = 8, 20
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t, watch.WithBuffer(buffer, 1<<20))
		sent := watchTraffic(c.Member(0))
		chans := many(t.Context(), t, w, watches, "k")
		const burst = buffer * (watches - 1) // which a buffer for each would hold
		for range burst {
			put(t, store, "k", "v")
		}
		calm(t) // streams that are not read are open for half of that
		sent.mu.Lock()
		if sent.live != 0 {
			t.Errorf("the server has %d watches, want all canceled until their consumers go on", sent.live)
		}
		sent.mu.Unlock()
		for _, ch := range chans {
			for rev := int64(2); rev <= burst+1; {
				for _, e := range receive(t, ch).Events {
					if e.Kv.ModRevision != rev {
						t.Fatalf("got revision %d, want %d", e.Kv.ModRevision, rev)
					}
					rev++
				}
			}
		}
	})
}

// The cause that ends the watch on the server ends those of the group whose watches it
// would have ended.
func TestShareCompacted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		store, w := kv.New(c.Member(1).Conn(t)), service(t, newRotating(t, c))
		var away atomic.Bool
		c.Member(1).InterceptStream(func(ss grpc.ServerStream, _ string, next func(grpc.ServerStream) error) error {
			if away.Load() {
				return status.Error(codes.Unavailable, "away")
			}
			return next(ss)
		})
		for range 5 {
			put(t, store, "k", "v") // 2 to 6
		}
		early := append(many(t.Context(), t, w, 2, "k"), w.Watch(t.Context(), "k", kv.WithRev(6)))
		all(t, early[2:], 6)
		late := w.Watch(t.Context(), "k", kv.WithRev(10))
		synctest.Wait()
		away.Store(true)
		c.Member(0).Kill()
		for range 3 {
			put(t, store, "k", "v") // 7 to 9
		}
		compact(t, store, 9)
		synctest.Wait()
		away.Store(false)
		for i, ch := range early {
			var compacted *watch.CompactedError
			if err := ending(t, ch); !errors.As(err, &compacted) || compacted.Revision != 7 || compacted.CompactRevision != 9 {
				t.Errorf("watch %d: got %v, want revision 7 compacted at 9", i, err)
			}
		}
		if rev := put(t, store, "k", "v"); rev != 10 {
			t.Fatalf("put: revision %d, want 10", rev)
		}
		all(t, []watch.WatchChan{late}, 10)
	})
}

// A watch that the user may not make is refused, though others have it.
func TestShareIsNoWayIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		store, w := kv.New(c.Member(1).Conn(t)), service(t, newRotating(t, c))
		var deny atomic.Bool
		for _, m := range c.Members() {
			tap(m, nil, func(r *pb.WatchResponse) error {
				if r.Created && deny.Load() {
					r.Canceled, r.WatchId, r.CancelReason = true, -1, rpctypes.ErrPermissionDenied.Error()
				}
				return nil
			})
		}
		chans := many(t.Context(), t, w, 3, "k")
		deny.Store(true)
		wantIs(t, "a further one", ending(t, w.Watch(t.Context(), "k")), rpctypes.ErrPermissionDenied)
		all(t, chans, put(t, store, "k", "v"))
		c.Member(0).Kill()
		for _, ch := range chans {
			wantIs(t, "resumed", ending(t, ch), rpctypes.ErrPermissionDenied)
		}
	})
}

// Progress is told to each member of a group as to a watch alone.
func TestShareProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		c.SetProgressInterval(time.Minute)
		chans := many(t.Context(), t, w, 5, "k")
		notified := many(t.Context(), t, w, 5, "k", kv.WithProgressNotify())
		rev := put(t, store, "other", "v")
		if err := w.RequestProgress(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, ch := range slices.Concat(chans, notified) {
			if resp := receive(t, ch); !resp.IsProgressNotify() || resp.Header.Revision != rev {
				t.Errorf("asked: got %+v, want progress up to %d", resp, rev)
			}
		}
		rev = put(t, store, "other", "v")
		for _, ch := range notified {
			if resp := receive(t, ch); !resp.IsProgressNotify() || resp.Header.Revision != rev {
				t.Errorf("not asked: got %+v, want progress up to %d", resp, rev)
			}
		}
		for _, ch := range chans {
			nothing(t, ch)
		}
	})
}

// Close, and a context, end each member as they end a watch alone.
func TestShareClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, store := single(t)
		chans := many(t.Context(), t, w, 5, "k")
		all(t, chans, put(t, store, "k", "v"))
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for _, ch := range chans {
			wantIs(t, "closed", ending(t, ch), watch.ErrClosed)
		}
	})
}

// Members are given the same events: appending to them is safe. WithOwnEvents, they may
// be written into.
func TestShareEvents(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("own=%v", own), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opts []watch.Option
				if own {
					opts = append(opts, watch.WithOwnEvents(), watch.WithResponses())
				}
				w, _, store := single(t, opts...)
				chans := many(t.Context(), t, w, 3, "k", kv.WithPrevKV())
				for _, val := range []string{"old value", "new value"} {
					put(t, store, "k", val)
					synctest.Wait() // a response for each
				}
				var got []watch.WatchResponse
				for _, ch := range chans {
					receive(t, ch)
					resp := receive(t, ch)
					got = append(got, resp)
					e := resp.Events[0]
					_ = append(append(e.Kv.Key, "appended"...), e.Kv.Value...)
					_ = append(e.Kv.Value, "appended"...)
					_ = append(e.PrevKv.Value, "appended"...)
					_ = append(resp.Events, nil)
					if own {
						e.Kv.Value[0], e.PrevKv.Value[0], e.Kv.Key = 'X', 'X', e.Kv.Key[1:]
						resp.Header.Revision = 0
						defer func() { resp.Events[0] = nil }()
					}
				}
				if !own {
					for _, resp := range got {
						if resp.Events[0] != got[0].Events[0] {
							t.Error("the members have events of their own, want the same")
						}
						if e := resp.Events[0]; string(e.Kv.Value) != "new value" || string(e.PrevKv.Value) != "old value" || string(e.Kv.Key) != "k" {
							t.Errorf("got %v", e)
						}
					}
					return
				}
				for _, resp := range got {
					if e := resp.Events[0]; string(e.Kv.Value) != "Xew value" || string(e.PrevKv.Value) != "Xld value" || string(e.Kv.Key) != "" || e.Kv.ModRevision != 3 || e.Kv.Version != 2 {
						t.Errorf("got %v", e)
					}
				}
			})
		})
	}
}

// Watches that are on different streams come together on one.
func TestShareMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t, watch.WithBuffer(4, 1<<20))
		sent := watchTraffic(c.Member(0))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		many(t.Context(), t, w, 1, "other")
		for i := range 999 { // the rest of a stream's
			w.Watch(ctx, fmt.Sprint("other", i))
		}
		synctest.Wait()
		slow := many(t.Context(), t, w, 1, "k")[0]
		gone, leave := context.WithCancel(t.Context())
		defer leave()
		many(gone, t, w, 1, "k")
		leave()
		synctest.Wait()
		for range 30 {
			put(t, store, "k", "v") // 2 to 31
		}
		synctest.Wait()
		if _, _, off := watch.Buffered(w); off != 1 {
			t.Fatalf("%d watches are off their streams, want the slow one", off)
		}
		cancel() // there is room on the first stream
		synctest.Wait()
		fast := many(t.Context(), t, w, 2, "k")
		for rev := int64(2); rev <= 31; {
			for _, e := range receive(t, slow).Events {
				if e.Kv.ModRevision != rev {
					t.Fatalf("slow: got revision %d, want %d", e.Kv.ModRevision, rev)
				}
				rev++
			}
		}
		all(t, append(fast, slow), put(t, store, "k", "v")) // it has caught up
		calm(t)
		for range 2 {
			all(t, append(fast, slow), put(t, store, "k", "v"))
		}
		synctest.Wait()
		sent.events = 0
		all(t, append(fast, slow), put(t, store, "k", "v"))
		synctest.Wait()
		if sent.events != 1 {
			t.Errorf("the server has sent the event %d times, want once", sent.events)
		}
	})
}

// A watch that begins now does not wait for another one that is replaying history; both
// share when it has.
func TestShareWaitsForNoHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		for range 10 {
			put(t, store, "k", "v") // 2 to 11
		}
		c.SetWatchBatch(1)
		var mu sync.Mutex
		var held []func()
		events, first := 0, int64(-1)
		stand(c.Member(0), func(b *between) {
			b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
				mu.Lock()
				defer mu.Unlock()
				if resp.Created && first < 0 {
					first = resp.WatchId
				}
				if events += len(resp.Events); len(resp.Events) > 0 && resp.WatchId == first && len(held) < 100 {
					held = append(held, func() { send(resp) })
					return
				}
				send(resp)
			}
		})
		past := many(t.Context(), t, w, 1, "k", kv.WithRev(2))
		now := many(t.Context(), t, w, 2, "k")
		all(t, now, put(t, store, "k", "v"))
		nothing(t, past[0])
		mu.Lock()
		for _, send := range held {
			send()
		}
		held = make([]func(), 100) // no more
		mu.Unlock()
		for rev := int64(2); rev <= 12; rev++ {
			all(t, past, rev)
		}
		all(t, slices.Concat(past, now), put(t, store, "k", "v"))
		synctest.Wait()
		mu.Lock()
		events = 0
		mu.Unlock()
		all(t, slices.Concat(past, now), put(t, store, "k", "v"))
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if events != 1 {
			t.Errorf("the server has sent the event %d times, want once", events)
		}
	})
}

// A group is not resumed on a member that knows less than one of its watches has seen,
// before a linearizable read has told that the cluster does not.
func TestShareRemembersRevisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		store, w := kv.New(c.Member(1).Conn(t)), service(t, newRotating(t, c))
		first := many(t.Context(), t, w, 1, "k")
		for range 5 {
			put(t, store, "other", "v") // 2 to 6
		}
		second := many(t.Context(), t, w, 1, "k")
		made := lag(c.Member(1), 4)
		c.Member(0).Kill()
		all(t, append(first, second...), put(t, store, "k", "v"))
		if *made != 2 {
			t.Errorf("the watch was made %d times, want again after the read", *made)
		}
	})
}
