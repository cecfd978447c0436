package watch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// WithResponses events come as the server has put them together: fragments are one
// response again, also for a consumer whose buffer they do not fit in.
func TestResponsesAsSent(t *testing.T) {
	for _, fragments := range []bool{false, true} {
		t.Run(fmt.Sprintf("fragments %v", fragments), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, store := single(t, watch.WithResponses(), watch.WithBuffer(4, 1<<20))
				c.SetWatchFragment(3)
				c.SetWatchBatch(10)
				for i := range 25 {
					put(t, store, fmt.Sprint("k", i), "v")
				}
				opts := []kv.OpOption{kv.WithPrefix(), kv.WithRev(1)}
				if fragments {
					opts = append(opts, kv.WithFragment())
				}
				events := w.Watch(t.Context(), "k", opts...)
				synctest.Wait()
				for _, want := range []int{10, 10, 5} {
					if resp := <-events; len(resp.Events) != want || resp.Err() != nil {
						t.Errorf("%d events, %v; want %d", len(resp.Events), resp.Err(), want)
					}
				}
				put(t, store, "k", "last")
				if resp := <-events; len(resp.Events) != 1 || string(resp.Events[0].Kv.Value) != "last" {
					t.Errorf("%v, %v; want the last event", resp.Events, resp.Err())
				}
			})
		})
	}
}

// Fragments that are more than can be kept are delivered before their response is whole.
func TestResponseOfTooManyFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		w, c, store := single(t, watch.WithResponses(), watch.WithBuffer(1, 1))
		c.SetWatchFragment(1)
		for i := range n {
			put(t, store, fmt.Sprint("k", i), strings.Repeat("v", 1<<20))
		}
		events := w.Watch(t.Context(), "k", kv.WithPrefix(), kv.WithRev(1), kv.WithFragment())
		responses := 0
		for got := 0; got < n; responses++ {
			resp := <-events
			if resp.Err() != nil {
				t.Fatalf("after %d events: %v", got, resp.Err())
			}
			for _, e := range resp.Events {
				if want := fmt.Sprint("k", got); string(e.Kv.Key) != want {
					t.Fatalf("got key %s, want %s", e.Kv.Key, want)
				}
				got++
			}
		}
		if responses < 2 || responses > 4 {
			t.Errorf("%d responses of %d MiB in all, want some that keep 16 MiB", responses, n)
		}
	})
}

// failing opens no streams.
type failing struct {
	grpc.ClientConnInterface
	err error
}

func (f failing) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, f.err
}

// What WithFinal says is final ends the watch, and is its cause.
func TestFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		final := errors.New("nobody is there")
		w := service(t, failing{err: final}, watch.WithFinal(func(err error) bool { return errors.Is(err, final) }))
		resp, ok := <-w.Watch(t.Context(), "k")
		if !ok || !resp.Canceled || !errors.Is(resp.Err(), final) {
			t.Errorf("%+v, %v; want %v", resp, resp.Err(), final)
		}
	})
}
