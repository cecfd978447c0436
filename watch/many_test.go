package watch_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// Ten thousand watches are made in little more than the round trips of some batches, on a
// few streams, where the server answers in order: not one after the other.
func TestManyWatchesAreMadeSoon(t *testing.T) {
	const n = 10_000
	synctest.Test(t, func(t *testing.T) {
		w, c, _ := single(t)
		stand(c.Member(0), func(b *between) {
			var mu sync.Mutex
			var answers []*pb.WatchResponse
			b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) { // a millisecond late, in their order
				mu.Lock()
				defer mu.Unlock()
				if answers = append(answers, resp); len(answers) > 1 {
					return
				}
				time.AfterFunc(time.Millisecond, func() { // the bubble's clock
					mu.Lock()
					defer mu.Unlock()
					for _, resp := range answers {
						send(resp)
					}
					answers = nil
				})
			}
		})
		start := time.Now()
		var chans []watch.WatchChan
		for i := range n {
			chans = append(chans, w.Watch(t.Context(), fmt.Sprint(i), kv.WithCreatedNotify()))
		}
		for i, ch := range chans {
			if resp := receive(t, ch); !resp.Created {
				t.Fatalf("watch %d: got %+v, want it created", i, resp)
			}
		}
		if d := time.Since(start); d > 500*time.Millisecond {
			t.Errorf("%d watches were made in %v, want less than 0.5 s: one after the other takes 1.25 s", n, d)
		}
		if got := streams(c); got > 8 {
			t.Errorf("got %d streams, want 8 at most", got)
		}
	})
}
