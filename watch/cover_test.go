package watch_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// Watches of parts of a range take their events from the watch of the whole, and go on
// without it.
func TestShareWider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		sent := watchTraffic(c.Member(0))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		whole := many(ctx, t, w, 1, "p/", kv.WithPrefix())
		one := many(t.Context(), t, w, 2, "p/b")
		group := many(t.Context(), t, w, 2, "p/b/", kv.WithPrefix())
		part := many(t.Context(), t, w, 1, "p/b", kv.WithRange("p/c"))
		sent.want(t, "made", 1, 0)
		everywhere := slices.Concat(whole, one, group, part)
		silent := func() {
			t.Helper()
			for _, ch := range everywhere {
				nothing(t, ch)
			}
		}
		all(t, slices.Concat(whole, one, part), put(t, store, "p/b", "v"))
		silent()
		all(t, slices.Concat(whole, group, part), put(t, store, "p/b/1", "v"))
		silent()
		all(t, whole, put(t, store, "p/c", "v"))
		silent()
		put(t, store, "q", "v")
		silent()
		sent.want(t, "after four changes", 1, 3)
		rev := putMany(t, store, "v", "p/a", "p/b", "p/b/1", "p/c")
		if resp := receive(t, whole[0]); len(resp.Events) != 4 {
			t.Errorf("got %v, want four events", texts(resp.Events))
		}
		if resp := receive(t, part[0]); len(resp.Events) != 2 {
			t.Errorf("got %v, want two events", texts(resp.Events))
		}
		all(t, slices.Concat(one, group), rev)

		cancel() // the whole
		synctest.Wait()
		all(t, slices.Concat(one, part), put(t, store, "p/b", "v"))
		all(t, slices.Concat(group, part), put(t, store, "p/b/1", "v"))
		sent.events = 0
		put(t, store, "p/c", "v")
		all(t, slices.Concat(one, part), put(t, store, "p/b", "v"))
		all(t, slices.Concat(group, part), put(t, store, "p/b/1", "v"))
		if sent.events > 4 { // of "p/b" and "p/b/1", for each range at most
			t.Errorf("the server has sent %d events, want none of the whole's", sent.events)
		}
	})
}

// A group has so many narrower ranges at most; other watches have their own.
func TestShareWiderIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		sent := watchTraffic(c.Member(0))
		whole := many(t.Context(), t, w, 1, "k", kv.WithPrefix())
		var keys []watch.WatchChan
		for i := range 100 {
			keys = append(keys, many(t.Context(), t, w, 1, fmt.Sprint("k", i))...)
		}
		sent.want(t, "made", 1+100-64, 0)
		for i := range keys {
			all(t, append(whole, keys[i]), put(t, store, fmt.Sprint("k", i), "v"))
		}
		sent.want(t, "in the end", 1+100-64, 100+100-64)
	})
}

// What a watch of the whole may not do is no reason to end that of a part; nor is what it
// has not been sent.
func TestShareWiderIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		var denied atomic.Bool
		stand(c.Member(0), func(b *between) {
			b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
				if resp.Created {
					if asked := b.answers(); denied.Load() && len(asked.RangeEnd) > 0 {
						resp.Canceled, resp.WatchId, resp.CancelReason = true, -1, rpctypes.ErrPermissionDenied.Error()
					}
				}
				send(resp)
				if len(resp.Events) > 0 && string(resp.Events[0].Kv.Key) == "k/end" {
					b.failed = errCut // the stream ends
				}
			}
		})
		whole := many(t.Context(), t, w, 2, "k/", kv.WithPrefix())
		part := many(t.Context(), t, w, 2, "k/1")
		all(t, append(whole, part...), put(t, store, "k/1", "v"))
		denied.Store(true)
		all(t, whole, put(t, store, "k/end", "v"))
		for _, ch := range whole {
			wantIs(t, "whole", ending(t, ch), rpctypes.ErrPermissionDenied)
		}
		all(t, part, put(t, store, "k/1", "v"))
	})
}

// A watch that asks the server to notify it of progress is not one of a wider range, which
// is not notified while it has events.
func TestShareWiderTellsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, _ := single(t)
		sent := watchTraffic(c.Member(0))
		many(t.Context(), t, w, 1, "p/", kv.WithPrefix(), kv.WithProgressNotify())
		many(t.Context(), t, w, 1, "p/b", kv.WithProgressNotify())
		sent.want(t, "made", 2, 0)
	})
}
