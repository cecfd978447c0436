package namespace_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// describe tells an event with the keys that it names.
func describe(e *watch.Event) string {
	s := fmt.Sprintf("%v %s=%s", e.Type, e.Kv.Key, e.Kv.Value)
	if e.PrevKv != nil {
		s += fmt.Sprintf(" was %s=%s", e.PrevKv.Key, e.PrevKv.Value)
	}
	return s
}

func history(r rig) (kv.KV, watch.Watcher) {
	t := r.t
	t.Helper()
	outer, store := kv.New(r.conn), r.store("p/")
	put(t, outer, "p.", "x", "p0", "x", "p/", "x")
	put(t, store, "a", "1", "a", "2")
	if _, err := store.Delete(t.Context(), "a"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	put(t, store, "b", "3")
	put(t, outer, "q", "x")
	return store, r.watcher("p/")
}

var wantHistory = []string{"PUT a=1", "PUT a=2 was a=1", "DELETE a= was a=2", "PUT b=3"}

func TestWatch(t *testing.T) {
	run(t, func(r rig) {
		t := r.t
		_, w := history(r)
		defer w.Close()
		opts := []kv.OpOption{kv.WithPrefix(), kv.WithRev(1), kv.WithPrevKV()}

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var got []string
		for resp := range w.Watch(ctx, "", opts...) {
			for _, e := range resp.Events {
				got = append(got, describe(e))
			}
			if len(got) >= len(wantHistory) {
				cancel()
			}
		}
		if !slices.Equal(got, wantHistory) {
			t.Errorf("Watch: %q, want %q", got, wantHistory)
		}

		got = nil
		for e, err := range w.Events(t.Context(), "", opts...) {
			if err != nil {
				t.Fatalf("Events: %v", err)
			}
			if got = append(got, describe(e)); len(got) == len(wantHistory) {
				break
			}
		}
		if !slices.Equal(got, wantHistory) {
			t.Errorf("Events: %q, want %q", got, wantHistory)
		}

		got = nil
		for resp, err := range w.Responses(t.Context(), "a", kv.WithRev(1), kv.WithPrevKV(), kv.WithFilterDelete()) {
			if err != nil {
				t.Fatalf("Responses: %v", err)
			}
			for _, e := range resp.Events {
				got = append(got, describe(e))
			}
			if len(got) == 2 {
				break
			}
		}
		if !slices.Equal(got, wantHistory[:2]) {
			t.Errorf("Responses: %q, want %q", got, wantHistory[:2])
		}
	})
}

func TestFollow(t *testing.T) {
	run(t, func(r rig) {
		t := r.t
		store, w := history(r)
		defer w.Close()
		for u, err := range w.Follow(t.Context(), "", kv.WithFromKey()) {
			switch {
			case err != nil:
				t.Fatalf("Follow: %v", err)
			case u.Snapshot != nil:
				if got := keys(u.Snapshot.KVs); !slices.Equal(got, []string{"b"}) {
					t.Errorf("the snapshot has %q, want b", got)
				}
				put(t, store, "c", "4")
				continue
			case len(u.Events) != 1 || describe(u.Events[0]) != "PUT c=4":
				t.Errorf("the update has %v, want PUT c=4", u.Events)
			}
			break
		}
	})
}

func TestWatchMisuse(t *testing.T) {
	run(t, func(r rig) {
		t := r.t
		w := r.watcher("p/")
		defer w.Close()
		resp := <-w.Watch(t.Context(), "")
		if _, ok := errors.AsType[*kv.UsageError](resp.Err()); !ok || !resp.Canceled {
			t.Errorf("Watch without a key: %v, want a *kv.UsageError", resp.Err())
		}
		resp = <-w.Watch(t.Context(), "a", kv.WithLimit(1))
		if _, ok := errors.AsType[*kv.UsageError](resp.Err()); !ok {
			t.Errorf("Watch with a Get's option: %v, want a *kv.UsageError", resp.Err())
		}
	})
}

// Channels that nobody receives from hold up neither Close nor the end of a context.
func TestClose(t *testing.T) {
	run(t, func(r rig) {
		t := r.t
		store, w := history(r)
		ctx, cancel := context.WithCancel(t.Context())
		abandoned := w.Watch(ctx, "", kv.WithPrefix(), kv.WithRev(1))
		open := w.Watch(t.Context(), "", kv.WithPrefix(), kv.WithRev(1))
		put(t, store, "c", "4", "d", "5", "e", "6")
		synctest.Wait()
		cancel()
		synctest.Wait()
		for range abandoned { // is closed, if not at once
		}
		for range 2 {
			if err := w.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		for range open {
		}
		resp := <-w.Watch(t.Context(), "a")
		if !errors.Is(resp.Err(), watch.ErrClosed) {
			t.Errorf("Watch after Close: %v, want ErrClosed", resp.Err())
		}
	})
}

func TestRequestProgress(t *testing.T) {
	run(t, func(r rig) {
		t := r.t
		w := r.watcher("p/")
		defer w.Close()
		ch := w.Watch(t.Context(), "a", kv.WithCreatedNotify())
		if resp := <-ch; !resp.Created {
			t.Errorf("first response: %v, want that it was created", resp)
		}
		if err := w.RequestProgress(t.Context()); err != nil {
			t.Fatalf("RequestProgress: %v", err)
		}
		if resp := <-ch; !resp.IsProgressNotify() {
			t.Errorf("second response: %v, want progress", resp)
		}
	})
}

// Watches that share their events below are each given the keys inside the namespace.
func TestWatchesThatShare(t *testing.T) {
	run(t, func(r rig) {
		t := r.t
		store, w := r.store("q/"), r.watcher("q/")
		defer w.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		chans := make([]watch.WatchChan, 3)
		for i := range chans {
			chans[i] = w.Watch(ctx, "", kv.WithPrefix(), kv.WithPrevKV(), kv.WithCreatedNotify())
			if resp := <-chans[i]; !resp.Created {
				t.Fatalf("got %+v, want it created", resp)
			}
		}
		put(t, store, "p/a", "1")
		synctest.Wait() // two events that come together are one response
		put(t, store, "p/a", "2")
		for i, ch := range chans {
			for _, want := range []string{"PUT p/a=1", "PUT p/a=2 was p/a=1"} {
				if resp := <-ch; len(resp.Events) != 1 || describe(resp.Events[0]) != want {
					t.Errorf("watch %d: got %v, want %s", i, resp.Events, want)
				}
			}
		}
	})
}
