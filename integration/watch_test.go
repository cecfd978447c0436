package integration_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/internal/measure"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// TestWatchThroughKills kills one member after another while a writer writes.
// Each write is one revision. All watches, even a slow one, see every revision
// exactly once and in order.
func TestWatchThroughKills(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	w := watch.New(cl.Conn(), watch.WithBuffer(64, 1<<20))
	t.Cleanup(func() { _ = w.Close() })

	writing, stop := context.WithCancel(patient(t))
	var written atomic.Int64
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for pace(writing) {
			call, cancel := context.WithTimeout(writing, writeTimeout)
			// An ambiguous write is a revision, too, if it was applied.
			if _, err := cl.Txn(call).Then(kv.OpPut("w/a", "v"), kv.OpPut("w/b", "v"), kv.OpPut("w/c", "v")).Commit(); err == nil {
				written.Add(1)
			}
			cancel()
		}
	}()

	watching, end := context.WithCancel(patient(t))
	defer end()
	type seen struct{ at atomic.Int64 }
	run := func(s *seen, pause time.Duration) <-chan error {
		done := make(chan error, 1)
		go func() {
			n := 0
			for e, err := range w.Events(watching, "", kv.WithPrefix(), kv.WithRev(2)) {
				if err != nil {
					if watching.Err() != nil {
						err = nil
					}
					done <- err
					return
				}
				if rev, key := int64(2+n/3), "w/"+string(rune('a'+n%3)); e.Kv.ModRevision != rev || string(e.Kv.Key) != key || e.Kv.Version != rev-1 {
					done <- fmt.Errorf("event %d: got %v, want %s at revision %d", n, e, key, rev)
					return
				}
				if n++; n%3 == 0 {
					s.at.Store(e.Kv.ModRevision)
					time.Sleep(pause) // the work of the consumer
				}
			}
		}()
		return done
	}
	var fast, slow seen
	results := []<-chan error{run(&fast, 0), run(&slow, 30*time.Millisecond)}

	for _, m := range c.Members() {
		for _, away := range []bool{true, false} {
			if away {
				if err := m.Kill(); err != nil {
					t.Fatal(err)
				}
			} else if err := m.Restart(timeout(t)); err != nil {
				t.Fatal(err)
			}
			before, count := fast.at.Load(), written.Load()
			eventually(t, "events after a kill or a restart", func() bool { return written.Load() > count+20 && fast.at.Load() > before+20 })
		}
		if err := c.WaitHealthy(timeout(t)); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	<-wrote
	resp, err := cl.Get(timeout(t), "w/a")
	if err != nil {
		t.Fatal(err)
	}
	last := resp.Header.Revision
	for name, s := range map[string]*seen{"fast": &fast, "slow": &slow} {
		eventually(t, "the last revision at the "+name+" watch", func() bool {
			for _, done := range results {
				select {
				case err := <-done:
					t.Fatal(err)
				default:
				}
			}
			return s.at.Load() == last
		})
	}
	end()
	for _, done := range results {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d revisions, %d of them acknowledged", last-1, written.Load())
}

// TestWatchHistory replays more than fits into a message or a buffer, with
// several events per revision. It then continues through a compaction.
func TestWatchHistory(t *testing.T) {
	const revisions, keys = 300, 5
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	value := strings.Repeat("v", 4<<10) // 6 MiB in total, four times the server's message limit
	ctx := timeout(t)
	for i := range revisions {
		ops := make([]kv.Op, 0, keys)
		for k := range keys {
			ops = append(ops, kv.OpPut(fmt.Sprint("h/", k), fmt.Sprint(i, value)))
		}
		if _, err := cl.Txn(ctx).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	w := watch.New(cl.Conn())
	t.Cleanup(func() { _ = w.Close() })
	n := 0
	for resp, err := range w.Responses(ctx, "h/", kv.WithPrefix(), kv.WithRev(2), kv.WithPrevKV()) {
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Events)%keys != 0 {
			t.Errorf("got %d events, want whole revisions of %d", len(resp.Events), keys)
		}
		for _, e := range resp.Events {
			if rev, key := int64(2+n/keys), fmt.Sprint("h/", n%keys); e.Kv.ModRevision != rev || string(e.Kv.Key) != key || (e.PrevKv == nil) != (rev == 2) {
				t.Fatalf("event %d: got %s at %d, want %s at %d", n, e.Kv.Key, e.Kv.ModRevision, key, rev)
			}
			n++
		}
		if n >= revisions*keys {
			break
		}
	}
	if _, err := cl.Compact(ctx, revisions); err != nil {
		t.Fatal(err)
	}
	for _, err := range w.Events(ctx, "h/", kv.WithPrefix(), kv.WithRev(2)) {
		var compacted *watch.CompactedError
		if !errors.Is(err, rpctypes.ErrCompacted) || !errors.As(err, &compacted) || compacted.CompactRevision != revisions {
			t.Errorf("got %v, want revision 2 compacted at %d", err, revisions)
		}
	}
	for u, err := range w.Follow(ctx, "h/", kv.WithPrefix()) {
		if err != nil || len(u.Snapshot.KVs) != keys || u.Revision != revisions+1 {
			t.Errorf("got %v, %v, want a snapshot of %d keys at revision %d", u, err, keys, revisions+1)
		}
		break
	}
}

// TestWatchProgress asks a real server, which answers for a whole stream.
func TestWatchProgress(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	w := watch.New(cl.Conn(), watch.WithHeartbeat(100*time.Millisecond, 10*time.Second))
	t.Cleanup(func() { _ = w.Close() })
	ctx := timeout(t)
	ch := w.Watch(ctx, "k", kv.WithCreatedNotify())
	if resp := <-ch; !resp.Created {
		t.Fatalf("got %+v, want the watch created", resp)
	}
	resp, err := cl.Put(ctx, "other", "v")
	if err != nil {
		t.Fatal(err)
	}
	if !c.AtLeast("3.4.25") || overGateway() {
		eventually(t, "the server is known for one whose answers overtake events", func() bool { return w.RequestProgress(ctx) != nil })
		lacking(t, c, "3.4.25", w.RequestProgress(ctx))
		return
	}
	for range 5 { // the first response may be from before the put
		if err := w.RequestProgress(ctx); err != nil {
			t.Fatal(err)
		}
		if r := <-ch; !r.IsProgressNotify() {
			t.Fatalf("got %+v, want progress", r)
		} else if r.Header.Revision == resp.Header.Revision {
			return
		}
	}
	t.Errorf("no progress up to revision %d", resp.Header.Revision)
}

// TestWatchProgressIsTrue starts watches of the history on a shared stream, while
// progress is requested all the time and also reported by the server itself.
// After a report, no event up to the reported revision may come later or be
// missing.
func TestWatchProgressIsTrue(t *testing.T) {
	const history, watches = 2000, 40
	c := startCluster(t, cluster.Config{Size: 1, Flags: []string{"--watch-progress-notify-interval=20ms"}})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	need(t, c, "3.4.25", "answers to progress requests that don't overtake events (etcd issue 15220)")
	ctx := timeout(t)
	for range history {
		if _, err := cl.Put(ctx, "p", "v"); err != nil {
			t.Fatal(err)
		}
	}
	last := int64(1 + history)
	asking, stop := context.WithCancel(ctx)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for asking.Err() == nil {
			if err := cl.RequestProgress(asking); err != nil && asking.Err() == nil {
				t.Errorf("RequestProgress: %v", err)
			}
			time.Sleep(time.Millisecond) // frequent requests, but not a flood
		}
	}()
	quiet := cl.Watch(ctx, "quiet", kv.WithCreatedNotify())
	if resp := <-quiet; !resp.Created {
		t.Fatalf("got %+v, want the watch created", resp)
	}
	told := 0
	for i := range watches {
		opts := []kv.OpOption{kv.WithRev(2)}
		if i%2 == 0 {
			opts = append(opts, kv.WithProgressNotify())
		}
		next := int64(2)
		for resp, err := range cl.Responses(ctx, "p", opts...) {
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range resp.Events {
				if e.Kv.ModRevision != next {
					t.Fatalf("watch %d: got revision %d, want %d", i, e.Kv.ModRevision, next)
				}
				next++
			}
			if resp.IsProgressNotify() {
				told++
				if resp.Header.Revision >= next {
					t.Fatalf("watch %d: got progress up to %d before revision %d", i, resp.Header.Revision, next)
				}
				if next > last {
					break
				}
			}
		}
	}
	stop()
	<-asked
	t.Logf("progress was told %d times", told)
}

// TestWatchSlowConsumerMemory sends fifty times the buffer to a watch that nobody
// reads.
func TestWatchSlowConsumerMemory(t *testing.T) {
	long(t)
	const size = 64 << 10
	changes := int64(800) // 50 MiB
	if checksWire() {
		changes = 50 // a trace doesn't hold up a connection, so it would leave out some of the rest
	}
	c := startCluster(t, cluster.Config{Size: 1})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	w := watch.New(cl.Conn(), watch.WithBuffer(1024, 1<<20))
	t.Cleanup(func() { _ = w.Close() })
	ctx := timeout(t)
	slow, quick := w.Watch(ctx, "k", kv.WithCreatedNotify()), w.Watch(ctx, "k", kv.WithCreatedNotify())
	<-slow
	<-quick
	value := strings.Repeat("v", size)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most := heap(), int64(0)
	for i := range changes {
		if _, err := cl.Put(ctx, "k", value); err != nil {
			t.Fatal(err)
		}
		if resp := <-quick; len(resp.Events) != 1 {
			t.Fatalf("got %+v, want one event", resp)
		}
		if i%100 == 99 {
			most = max(most, heap()-before)
		}
	}
	// The buffer, a response in the channel, one in its goroutine and one in
	// flight, plus what connections keep.
	if limit := int64(10 << 20); most > limit {
		t.Errorf("the heap grew by up to %d bytes, want at most %d", most, limit)
	}
	t.Logf("the heap grew by up to %d KiB", most>>10)
	for rev := int64(2); rev < 2+changes; {
		resp := <-slow
		if resp.Err() != nil {
			t.Fatalf("at revision %d: %v", rev, resp.Err())
		}
		for _, e := range resp.Events {
			if e.Kv.ModRevision != rev {
				t.Fatalf("got revision %d, want %d", e.Kv.ModRevision, rev)
			}
			rev++
		}
	}
}

// TestWatchFarBehind has a consumer that takes its time begin far behind: what is sent to the
// client is hardly more than what there is, though it is many times the buffer.
func TestWatchFarBehind(t *testing.T) {
	const size = 512 << 10
	changes := int64(240) // 120 MiB
	if checksWire() {
		changes = 48 // as above
	}
	c := startCluster(t, cluster.Config{Size: 1})
	var received measure.Received
	cl := dial(t, client.Config{Endpoints: c.Endpoints(), DialOptions: []grpc.DialOption{grpc.WithStatsHandler(&received)}})
	ctx := timeout(t)
	var first int64
	value := strings.Repeat("v", size)
	for i := range changes {
		resp, err := cl.Put(ctx, "k", value)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = resp.Header.Revision
		}
	}
	neighbor := cl.Watch(ctx, "other", kv.WithCreatedNotify())
	<-neighbor
	rev := first
	for e, err := range cl.Events(ctx, "k", kv.WithRev(first)) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kv.ModRevision != rev {
			t.Fatalf("got revision %d, want %d", e.Kv.ModRevision, rev)
		}
		if rev++; rev == first+changes {
			break
		}
		time.Sleep(2 * time.Millisecond) // a consumer with something to do
		if rev%8 == 0 {
			if _, err := cl.Put(ctx, "other", "v"); err != nil {
				t.Fatal(err)
			}
			<-neighbor
		}
	}
	all := changes * size
	got := received.Bytes()
	t.Logf("the client was sent %d MiB for %d MiB", got>>20, all>>20)
	if got > 3*all {
		t.Errorf("the client was sent %d bytes for %d, want no more than some of it again", got, all)
	}
}

// TestWatchTooLarge sends a response above the connection's limit to one of
// several watches on the same stream.
func TestWatchTooLarge(t *testing.T) {
	const limit, others = 64 << 10, 50
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	small := dial(t, client.Config{Endpoints: c.Endpoints(), MaxCallSendMsgSize: limit, MaxCallRecvMsgSize: limit})
	ctx := timeout(t)
	var chans []watch.WatchChan
	for i := range others {
		chans = append(chans, small.Watch(ctx, fmt.Sprint("other/", i), kv.WithRev(2)))
	}
	large := small.Watch(ctx, "large", kv.WithRev(2))
	var revs []int64
	put := func(key, value string) {
		t.Helper()
		resp, err := cl.Put(ctx, key, value)
		if err != nil {
			t.Fatal(err)
		}
		revs = append(revs, resp.Header.Revision)
	}
	for i := range others {
		put(fmt.Sprint("other/", i), "before")
	}
	put("large", strings.Repeat("v", 2*limit))
	for i := range others {
		put(fmt.Sprint("other/", i), "after")
	}
	for resp := range large {
		var tooLarge *watch.TooLargeError
		if !errors.As(resp.Err(), &tooLarge) || tooLarge.Limit != limit {
			t.Errorf("got %+v, want the limit of %d in an error", resp, limit)
		}
	}
	for i, ch := range chans {
		var got []int64
		for len(got) < 2 {
			resp := <-ch
			if resp.Err() != nil {
				t.Fatalf("watch %d: %v", i, resp.Err())
			}
			for _, e := range resp.Events {
				got = append(got, e.Kv.ModRevision)
			}
		}
		if want := []int64{revs[i], revs[others+1+i]}; !slices.Equal(got, want) {
			t.Errorf("watch %d: got revisions %v, want %v", i, got, want)
		}
	}
}
