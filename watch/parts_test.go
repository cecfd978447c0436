package watch_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// TestFollowParts reads a snapshot of 2,500 keys in several parts of one revision, and the change
// that was made meanwhile after them.
func TestFollowParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := etcdtest.Start(t, 1).Conn(t)
		store := kv.New(conn)
		for i := range 2500 {
			if _, err := store.Put(t.Context(), fmt.Sprintf("k%04d", i), "v"); err != nil {
				t.Fatal(err)
			}
		}
		w := watch.New(conn, watch.WithParts())
		defer func() { _ = w.Close() }()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		keys, parts, rev, more := 0, 0, int64(0), true
		for u, err := range w.Follow(ctx, "k", kv.WithPrefix()) {
			if err != nil {
				t.Fatal(err)
			}
			if u.Snapshot == nil {
				if len(u.Events) != 1 || u.Revision != rev+1 {
					t.Fatalf("after the snapshot of revision %d: %d events up to revision %d", rev, len(u.Events), u.Revision)
				}
				break
			}
			if parts == 0 {
				rev = u.Revision
				if _, err := store.Put(ctx, "k9999", "later"); err != nil {
					t.Fatal(err)
				}
			}
			if !more || u.Snapshot.Part != parts || u.Revision != rev {
				t.Fatalf("part %d of revision %d, want part %d of revision %d, as the one before has said: %v", u.Snapshot.Part, u.Revision, parts, rev, more)
			}
			more = u.Snapshot.More
			parts++
			keys += len(u.Snapshot.KVs)
		}
		if more || parts < 3 || keys != 2500 {
			t.Fatalf("%d keys in %d parts, another to come: %v; want 2500 in 3 at least", keys, parts, more)
		}
	})
}

// TestFollowPartsLeft leaves the loop in the midst of a snapshot.
func TestFollowPartsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := etcdtest.Start(t, 1).Conn(t)
		store := kv.New(conn)
		for i := range 1500 {
			if _, err := store.Put(t.Context(), fmt.Sprintf("k%04d", i), "v"); err != nil {
				t.Fatal(err)
			}
		}
		w := watch.New(conn, watch.WithParts())
		defer func() { _ = w.Close() }()
		for u, err := range w.Follow(t.Context(), "k", kv.WithPrefix()) {
			if err != nil || !u.Snapshot.More {
				t.Fatalf("the first part: %v", err)
			}
			break
		}
	})
}
