package watch_test

import (
	"context"
	"testing"
	"testing/synctest"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// With WithWait a change that follows Watch is never before it.
func TestWaitForCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		// The watch service's requests take longer than a write does.
		slow := make(chan struct{})
		tap(c.Member(0), func(r *pb.WatchRequest) error {
			if r.GetCreateRequest() != nil {
				<-slow
			}
			return nil
		}, nil)
		w, store := service(t, c.Conn(t), watch.WithWait()), kv.New(c.Conn(t))
		var ch watch.WatchChan
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			ch = w.Watch(t.Context(), "k")
		}()
		synctest.Wait()
		select {
		case <-returned:
			t.Error("Watch returned before the server had the watch")
		default:
		}
		close(slow)
		<-returned
		put(t, store, "k", "v")
		collect(t, ch, 1)
	})
}

// A watch that is not made in time does not hold its caller.
func TestWaitEnds(t *testing.T) {
	tests := map[string]func(cancel context.CancelFunc, w watch.Watcher){
		"context": func(cancel context.CancelFunc, _ watch.Watcher) { cancel() },
		"Close":   func(_ context.CancelFunc, w watch.Watcher) { _ = w.Close() },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 1)
				c.Member(0).Hang()
				defer c.Member(0).Resume()
				w := service(t, c.Conn(t), watch.WithWait())
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				result := make(chan watch.WatchChan)
				go func() { result <- w.Watch(ctx, "k") }()
				synctest.Wait()
				select {
				case <-result:
					t.Fatal("Watch returned although nobody has made the watch")
				default:
				}
				end(cancel, w)
				if err := ending(t, <-result); err == nil {
					t.Error("the watch has no cause for its end")
				}
			})
		})
	}
}
