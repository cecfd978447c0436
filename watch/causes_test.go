package watch_test

import (
	"context"
	"errors"
	"testing"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// WithCauses has the last word on the last response of a channel, and none on
// iterators.
func TestCauses(t *testing.T) {
	mine := errors.New("mine")
	var cause error // of the last end; read after the channel has closed
	answer := mine
	w, _, store := single(t, watch.WithCauses(func(err error) error { cause = err; return answer }))
	put(t, store, "k", "1")
	rev := put(t, store, "k", "2")
	compact(t, store, rev)

	begin := func(ctx context.Context) watch.WatchChan { return w.Watch(ctx, "k", kv.WithRev(rev-1)) }
	r, ok := <-begin(t.Context())
	if !ok || r.Err() != mine || r.CompactRevision != rev || !r.Canceled { //nolint:errorlint // it is to be the same
		t.Errorf("the last response is %+v with %v, want compaction %d and the given error", r, r.Err(), rev)
	}
	if _, ok := errors.AsType[*watch.CompactedError](cause); !ok {
		t.Errorf("the cause is a %T, want a *CompactedError", cause)
	}
	answer = nil
	if r, ok := <-begin(t.Context()); ok {
		t.Errorf("there is a last response, %+v, though there should be none", r)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if r, ok := <-begin(ended); ok {
		t.Errorf("of an ended context there is a last response, %+v", r)
	}
	for _, err := range w.Responses(t.Context(), "k", kv.WithRev(rev-1)) {
		if _, ok := errors.AsType[*watch.CompactedError](err); !ok {
			t.Errorf("the iterator ends with %v, want a *CompactedError", err)
		}
	}
}
