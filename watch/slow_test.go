package watch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// A consumer that does not read holds up nobody else, keeps a bounded number of
// events, and misses nothing when it reads on.
func TestSlowConsumer(t *testing.T) {
	const buffer, changes = 8, 500
	for _, form := range []string{"channel", "iterator"} {
		t.Run(form, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, store := single(t, watch.WithBuffer(buffer, 1<<20))
				fast := w.Watch(t.Context(), "k")
				resume := make(chan struct{})
				slow := make(chan int64)
				go func() {
					defer close(slow)
					n := 0
					one := func(e *watch.Event) bool {
						if n == 0 {
							<-resume
						}
						n++
						slow <- e.Kv.ModRevision
						return n < changes
					}
					if form == "iterator" {
						for e, err := range w.Events(t.Context(), "k") {
							if err != nil || !one(e) {
								return
							}
						}
						return
					}
					for resp := range w.Watch(t.Context(), "k") {
						for _, e := range resp.Events {
							if !one(e) {
								return
							}
						}
					}
				}()
				synctest.Wait()
				for i := range changes {
					rev := put(t, store, "k", "v")
					if got := collect(t, fast, 1); !strings.HasPrefix(got[0], fmt.Sprint(rev)) {
						t.Fatalf("fast: got %v, want revision %d", got, rev)
					}
					synctest.Wait()
					events, _, off := watch.Buffered(w)
					if events > buffer {
						t.Fatalf("%d events are buffered, want at most %d", events, buffer)
					}
					if i > 2*buffer && off != 1 {
						t.Fatalf("%d watches are off their stream, want the slow one", off)
					}
				}
				close(resume)
				next := int64(2)
				for rev := range slow {
					if rev != next {
						t.Fatalf("slow: got revision %d, want %d", rev, next)
					}
					next++
				}
				if next != changes+2 {
					t.Errorf("slow: got revisions up to %d, want %d", next-1, changes+1)
				}
				if got := streams(c); got != 2 {
					t.Errorf("got %d streams, want the shared one, and the slow watch's own", got)
				}
			})
		})
	}
}

// The buffer is bounded in bytes too; a revision that is larger than all of it
// still passes, whole.
func TestBufferBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t, watch.WithBuffer(1000, 100))
		c.SetWatchBatch(1) // a response for each revision
		ch := w.Watch(t.Context(), "", kv.WithPrefix())
		synctest.Wait()
		big := strings.Repeat("x", 60)
		for range 10 {
			putMany(t, store, big, "a", "b", "c")
		}
		synctest.Wait()
		if events, bytes, off := watch.Buffered(w); events > 6 || bytes > 183 || off != 1 {
			t.Errorf("got %d events and %d bytes buffered, %d off; want one revision and one that has no room, and the watch off", events, bytes, off)
		}
		for rev := int64(2); rev <= 11; rev++ {
			resp := receive(t, ch)
			if len(resp.Events) != 3 || resp.Events[0].Kv.ModRevision != rev || resp.Events[2].Kv.ModRevision != rev {
				t.Fatalf("got %v, want the whole of revision %d", texts(resp.Events), rev)
			}
		}
	})
}

// A consumer that is far behind is sent each event once, though a server sends up to a thousand
// revisions at a time, and each revision has many events.
func TestSlowConsumerOfManyEvents(t *testing.T) {
	const txns, each = 120, 100
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		for range txns {
			var puts []kv.Op
			for i := range each {
				puts = append(puts, kv.OpPut(fmt.Sprint("k", i), "v"))
			}
			if _, err := store.Txn(t.Context()).Then(puts...).Commit(); err != nil {
				t.Fatal(err)
			}
		}
		sent := watchTraffic(c.Member(0))
		ch := w.Watch(t.Context(), "k", kv.WithPrefix(), kv.WithRev(2))
		for n := 0; n < txns*each; {
			synctest.Wait() // the server sends all that it will
			n += len(receive(t, ch).Events)
		}
		sent.want(t, "all were received", 1, txns*each)
	})
}

// A consumer that is behind by far more than its buffer takes is sent large events once, too:
// when its buffer is full, the stream that its watch has for itself is not read. A watch that
// shares the stream when the buffer is full for the first time is not held up.
func TestFarBehindWithLargeValues(t *testing.T) {
	const values, size, buffer, fragment = 200, 64 << 10, 512 << 10, 24 // 1.5 MB, as etcd does
	for name, most := range map[string]int{
		"shared": 2 * values,          // the shared stream is sent all that there is
		"single": values + 4*fragment, // what was on its way when the buffer was full
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, store := single(t, watch.WithBuffer(1000, buffer))
				sent := watchTraffic(c.Member(0))
				c.SetWatchFragment(fragment)
				for range values {
					put(t, store, "k", strings.Repeat("v", size)) // 2 to 201
				}
				others := 0
				other := func() {}
				if name == "shared" {
					shared := w.Watch(t.Context(), "other", kv.WithCreatedNotify())
					created(t, shared)
					other = func() {
						others++
						rev := put(t, store, "other", "v")
						if got := receive(t, shared).Events[0].Kv.ModRevision; got != rev {
							t.Fatalf("the other watch got revision %d, want %d", got, rev)
						}
					}
				}
				ch := w.Watch(t.Context(), "k", kv.WithRev(2))
				for next := int64(2); next < 2+values; {
					synctest.Wait() // the server sends all that it will
					resp := receive(t, ch)
					if resp.Err() != nil {
						t.Fatal(resp.Err())
					}
					for _, e := range resp.Events {
						if e.Kv.ModRevision != next {
							t.Fatalf("got revision %d, want %d", e.Kv.ModRevision, next)
						}
						next++
					}
					other()
				}
				calm(t)
				put(t, store, "k", "v")
				receive(t, ch)
				synctest.Wait()
				if got := sent.events - others - 1; got > most {
					t.Errorf("the server has sent %d events for %d, want at most %d", got, values, most)
				}
			})
		})
	}
}

// A stream is not left unread for long: a consumer that has stopped costs the server nothing.
func TestStoppedConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t, watch.WithBuffer(4, 1<<20))
		sent := watchTraffic(c.Member(0))
		for range 50 {
			put(t, store, "k", "v") // 2 to 51
		}
		ch := w.Watch(t.Context(), "k", kv.WithRev(2))
		next := int64(2)
		some := func(until int64) {
			t.Helper()
			for next <= until {
				synctest.Wait()
				for _, e := range receive(t, ch).Events {
					if e.Kv.ModRevision != next {
						t.Fatalf("got revision %d, want %d", e.Kv.ModRevision, next)
					}
					next++
				}
			}
		}
		for round := range int64(3) {
			some(12 + 10*round)
			synctest.Wait()
			if live := sent.watches(); live != 1 {
				t.Fatalf("the server has %d watches of a consumer that has stopped just now, want 1", live)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if live := sent.watches(); live != 0 {
				t.Fatalf("the server has %d watches of a consumer that has stopped for a minute, want none", live)
			}
		}
		some(51)
		calm(t)
		rev := put(t, store, "k", "v")
		some(rev)
	})
}

// However many consumers read on at the same moment, no more than 16 of their watches get streams
// of their own.
func TestStreamsOfManySlowConsumers(t *testing.T) {
	const consumers, changes = 100, 20
	synctest.Test(t, func(t *testing.T) {
		busy := make(chan struct{}) // the goroutine that serves all watches is, until it is closed
		w, c, store := single(t, watch.WithBuffer(4, 1<<20), watch.WithCauses(func(err error) error {
			<-busy
			return err
		}))
		channels := make([]watch.WatchChan, consumers)
		for i := range channels {
			channels[i] = w.Watch(t.Context(), fmt.Sprint("k", i))
		}
		ctx, cancel := context.WithCancel(t.Context())
		_ = w.Watch(ctx, "other")
		synctest.Wait()
		for range changes {
			for i := range channels {
				put(t, store, fmt.Sprint("k", i), "v")
			}
		}
		synctest.Wait()
		cancel()
		var all sync.WaitGroup
		for _, ch := range channels {
			all.Go(func() {
				for n := 0; n < changes; {
					n += len((<-ch).Events)
				}
			})
		}
		synctest.Wait() // all have read what was buffered
		close(busy)
		all.Wait()
		if got := streams(c); got != 17 {
			t.Errorf("got %d streams, want the shared one and 16 others", got)
		}
	})
}

// What is compacted while a consumer is behind is lost to it, with an error that
// says what; not before it has had what was buffered.
func TestCompactedWhileSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, store := single(t, watch.WithBuffer(4, 1<<20))
		ch := w.Watch(t.Context(), "k")
		synctest.Wait()
		for range 20 {
			put(t, store, "k", "v") // 2 to 21
			synctest.Wait()         // each in a response of its own: a batch would be taken whole
		}
		compact(t, store, 20)
		next := int64(2)
		for {
			resp := receive(t, ch)
			if err := resp.Err(); err != nil {
				var compacted *watch.CompactedError
				if !errors.As(err, &compacted) || compacted.Revision != next || compacted.CompactRevision != 20 || resp.CompactRevision != 20 {
					t.Errorf("got %v (%+v), want revision %d compacted at 20", err, resp, next)
				}
				wantIs(t, "cause", err, rpctypes.ErrCompacted)
				break
			}
			for _, e := range resp.Events {
				if e.Kv.ModRevision != next {
					t.Errorf("got revision %d, want %d", e.Kv.ModRevision, next)
				}
				next++
			}
		}
		closed(t, ch)
		if next < 5 || next > 10 {
			t.Errorf("got events up to revision %d, want what fits the buffer", next-1)
		}
	})
}

// A last response waits for a slow consumer; the context still ends the watch.
func TestSlowToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, store := single(t)
		for range 3 {
			put(t, store, "k", "v")
		}
		compact(t, store, 4)
		ch := w.Watch(t.Context(), "k", kv.WithRev(2))
		time.Sleep(time.Minute)
		wantIs(t, "late", ending(t, ch), rpctypes.ErrCompacted)
	})
}

// Ten thousand watches share eight streams, and none of them has a goroutine.
func TestManyWatchers(t *testing.T) {
	const n = 10_000
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		store := kv.New(c.Member(1).Conn(t))
		w := service(t, newRotating(t, c))
		before := goroutines()
		chans := make([]watch.WatchChan, n)
		for i := range chans {
			chans[i] = w.Watch(t.Context(), fmt.Sprint("key/", i))
		}
		synctest.Wait()
		if got := streams(c); got != 8 {
			t.Errorf("got %d streams, want 8", got)
		}
		// The machine; per stream, sender and receiver here, grpc's watcher of its
		// context, and the fake's handler with its receiver and grpc's watcher; and
		// grpc's own for two connections, at both ends.
		if got, most := goroutines()-before, 1+8*6+2*10; got > most {
			t.Errorf("got %d goroutines for %d watches, want at most %d", got, n, most)
		}
		check := func() {
			t.Helper()
			for i := 0; i < n; i += 997 {
				rev := put(t, store, fmt.Sprint("key/", i), "v")
				if got := receive(t, chans[i]); len(got.Events) != 1 || got.Events[0].Kv.ModRevision != rev {
					t.Fatalf("watch %d: got %+v, want revision %d", i, got, rev)
				}
			}
		}
		check()
		c.Member(0).Kill()
		check()
		synctest.Wait()
		if got := c.Member(1).Messages(watching); got < n {
			t.Errorf("the other member got %d requests, want all %d watches", got, n)
		}
	})
}

// goroutines counts them exactly, where runtime.NumGoroutine may include some
// that have ended.
func goroutines() int {
	stacks := make([]byte, 8<<20)
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("\ngoroutine ")) + 1
}

// Watches that come and go do not leave anything on the server.
func TestComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		live := make(map[int64]bool)
		tap(c.Member(0), func(r *pb.WatchRequest) error {
			if r.GetCancelRequest() != nil {
				delete(live, r.GetCancelRequest().WatchId)
			}
			return nil
		}, func(r *pb.WatchResponse) error {
			if r.Created && !r.Canceled {
				live[r.WatchId] = true
			}
			return nil
		})
		keep := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, keep)
		for range 100 {
			for _, err := range w.Responses(t.Context(), "k", kv.WithCreatedNotify()) {
				if err != nil {
					t.Error(err)
				}
				break
			}
			go func() {
				for _, err := range w.Events(t.Context(), "k", kv.WithRev(1000)) {
					if err != nil {
						t.Error(err)
					}
					break
				}
			}()
		}
		time.Sleep(time.Hour)
		for range 1000 {
			put(t, store, "k", "v")
		}
		collect(t, keep, 1000)
		synctest.Wait()
		if len(live) != 1 {
			t.Errorf("the server has %d watches, want 1", len(live))
		}
	})
}
