package client_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/middleware/namespace"
	"github.com/getcd/getcd/watch"
)

// Watches of all services on the client's connection count, and their lag is that of the
// one that is furthest behind.
func TestStatsOfWatches(t *testing.T) {
	run(t, 1, func(cfg *client.Config) {
		cfg.Middleware = []client.Middleware{namespace.Of("app/")}
	}, func(r *rig) {
		t := r.t
		want := func(what string, want client.WatchStats) {
			t.Helper()
			if got := r.Stats().Watches; got != want {
				t.Errorf("%s: got %+v, want %+v", what, got, want)
			}
		}
		want("no watch", client.WatchStats{})
		slow := r.Watch(t.Context(), "k")
		own := watch.New(r.Conn(), watch.WithBuffer(2, 1<<20))
		defer own.Close()
		small := own.Watch(t.Context(), "k")
		time.Sleep(time.Minute)
		synctest.Wait()
		want("quiet watches", client.WatchStats{Open: 2})

		for i := range 2 {
			if _, err := r.Put(t.Context(), "k", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		want("nobody reads", client.WatchStats{Open: 2, Lag: time.Second})
		for i := range 6 {
			if _, err := r.Put(t.Context(), "k", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		got := r.Stats().Watches
		if got.Paused != 1 || got.Lag != 2*time.Second || got.Buffered < 6 {
			t.Errorf("a small buffer is full: got %+v, want 1 paused, a lag of 2 s", got)
		}
		drain(slow, 8)
		drain(small, 8)
		synctest.Wait()
		want("all was read", client.WatchStats{Open: 2})

		r.cluster.Member(0).Kill()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		want("no member", client.WatchStats{Open: 2, Resuming: 2, Lag: 3 * time.Second})
		r.cluster.Member(0).Start()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		want("the member is back", client.WatchStats{Open: 2})
		_ = own.Close()
		want("one has ended", client.WatchStats{Open: 1})
		_ = r.Close()
		want("closed", client.WatchStats{})
	})
}

// drain takes events until there were n.
func drain(from watch.WatchChan, n int) {
	for n > 0 {
		resp := <-from
		n -= len(resp.Events)
	}
}

// Leases of all services count, by the one whose deadline is nearest.
func TestStatsOfLeases(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		keep := func(ttl int64) *lease.Keeper {
			g, err := r.Grant(t.Context(), ttl)
			if err != nil {
				t.Fatal(err)
			}
			k, err := r.Keep(t.Context(), g.ID)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		if got := r.Stats().Leases; got != (client.LeaseStats{}) {
			t.Errorf("no lease: got %+v", got)
		}
		long, short := keep(60), keep(10)
		m, err := lock.New(r.Conn(), "lock", lock.WithTTL(30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			time.Sleep(time.Second)
			got := r.Stats().Leases
			if got.Kept != 3 || got.Proven != 3 || got.Lost != 0 || got.RemainingPart < 0.5 || got.Remaining < 5500*time.Millisecond || got.Remaining > 9*time.Second {
				t.Fatalf("renewals work: got %+v", got)
			}
			if d := min(time.Until(short.Deadline()), time.Until(long.Deadline())); got.Remaining != d {
				t.Fatalf("got %v, want the keeper's %v", got.Remaining, d)
			}
		}
		if err := m.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.cluster.Member(0).Freeze()
		time.Sleep(5 * time.Second)
		if got := r.Stats().Leases; got.RemainingPart > 0.5 || got.Kept != 2 {
			t.Errorf("no answers for 5 s: got %+v, want the part to fall", got)
		}
		<-short.Done()
		if got := r.Stats().Leases; got.Kept != 1 || got.Lost != 1 || got.Remaining < 10*time.Second {
			t.Errorf("one was lost: got %+v", got)
		}
		_ = r.Close()
		if got := r.Stats().Leases; got != (client.LeaseStats{Lost: 1}) {
			t.Errorf("closed: got %+v", got)
		}
	})
}
