package integration_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// TestWatchThroughKills kills one member after the other while a writer writes.
// Each of its writes is one revision, and the watches see every revision once
// and in order, a slow one too.
func TestWatchThroughKills(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	w := watch.New(cl.Conn(), watch.WithBuffer(64, 1<<20))
	t.Cleanup(func() { _ = w.Close() })

	writing, stop := context.WithCancel(timeout(t))
	var written atomic.Int64
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for pace(writing) {
			call, cancel := context.WithTimeout(writing, writeTimeout)
			// One that is in doubt is a revision, too, if it was applied.
			if _, err := cl.Txn(call).Then(kv.OpPut("w/a", "v"), kv.OpPut("w/b", "v"), kv.OpPut("w/c", "v")).Commit(); err == nil {
				written.Add(1)
			}
			cancel()
		}
	}()

	watching, end := context.WithCancel(timeout(t))
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
					time.Sleep(pause) // the consumer's work
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

// TestWatchHistory replays more than fits a message or a buffer, of revisions
// with several events, and then follows what is compacted meanwhile.
func TestWatchHistory(t *testing.T) {
	const revisions, keys = 300, 5
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	value := strings.Repeat("v", 4<<10) // 6 MiB in all, four times the server's limit of a message
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
	if err := w.RequestProgress(ctx); err != nil {
		t.Fatal(err)
	}
	for range 5 { // the first may be of before the put; the heartbeats bring more
		if r := <-ch; !r.IsProgressNotify() {
			t.Fatalf("got %+v, want progress", r)
		} else if r.Header.Revision == resp.Header.Revision {
			return
		}
	}
	t.Errorf("no progress up to revision %d", resp.Header.Revision)
}
