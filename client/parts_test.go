package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

// keys puts n keys, whose names it returns.
func (r *rig) keys(n int) []string {
	r.t.Helper()
	var names []string
	for len(names) < n {
		var ops []kv.Op
		for range min(100, n-len(names)) {
			names = append(names, fmt.Sprintf("k%06d", len(names)))
			ops = append(ops, kv.OpPut(names[len(names)-1], strings.Repeat("v", 100)))
		}
		if _, err := r.Txn(r.t.Context()).Then(ops...).Commit(); err != nil {
			r.t.Fatal(err)
		}
	}
	return names
}

// ofManyKeys taps the streams that read a range of many keys, at a revision. Another one comes
// before them, to see whether the keys are few.
func ofManyKeys(sending func(ctx context.Context) error) etcdtest.Tap {
	var many sync.Map // the streams' contexts
	return etcdtest.Tap{Received: func(ctx context.Context, request any) error {
		if request.(*pb.RangeRequest).Revision != 0 {
			many.Store(ctx, true)
		}
		return nil
	}, Sending: func(ctx context.Context, _ any) error {
		if _, ok := many.Load(ctx); !ok {
			return nil
		}
		return sending(ctx)
	}}
}

// after makes a tap that lets n messages pass on streams of many keys, and calls do instead of
// each of the next.
func after(n int, do func(ctx context.Context) error) etcdtest.Tap {
	var sent atomic.Int64
	return ofManyKeys(func(ctx context.Context) error {
		if sent.Add(1) <= int64(n) {
			return nil
		}
		return do(ctx)
	})
}

// When a stream of a range breaks, for whatever reason, the rest comes from another member,
// or from another stream: each key once, in order, as of one revision.
func TestPartsGoOnElsewhere(t *testing.T) {
	const n = 12_000 // more than a page
	for name, tt := range map[string]struct {
		fault   func(m *etcdtest.Member) func(context.Context) error
		streams int
		within  time.Duration
	}{
		"killed": {func(m *etcdtest.Member) func(context.Context) error {
			return func(context.Context) error { m.Kill(); return nil }
		}, 2, time.Second},
		"frozen": {func(m *etcdtest.Member) func(context.Context) error {
			return func(context.Context) error { m.Freeze(); return nil }
		}, 2, 3 * time.Second},
		"hung": {func(m *etcdtest.Member) func(context.Context) error {
			return func(context.Context) error { m.Hang(); return nil }
		}, 2, 3 * time.Second},
		"refused": {func(*etcdtest.Member) func(context.Context) error {
			return func(context.Context) error { return status.Error(codes.Unavailable, "by a proxy") }
		}, 3, time.Second},
		"a stream that is slow and stays": {func(*etcdtest.Member) func(context.Context) error {
			return func(context.Context) error { time.Sleep(10 * time.Millisecond); return nil }
		}, 1, time.Minute},
		"outdated": {func(*etcdtest.Member) func(context.Context) error {
			return func(context.Context) error { return rpctypes.ErrGRPCAuthOldRevision }
		}, 3, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				want := r.keys(n)
				first := r.cluster.Member(0)
				first.Tap(pb.KV_RangeStream_FullMethodName, after(20, tt.fault(first)))
				defer first.Thaw()
				defer first.Resume()
				began := time.Now()
				var got []string
				for pair, err := range r.Scan(t.Context(), "k", kv.WithPrefix()) {
					if err != nil {
						t.Fatalf("after %d keys: %v", len(got), err)
					}
					got = append(got, string(pair.Key))
					if len(got)%1000 == 0 {
						if err := r.put(t.Context(), fmt.Sprintf("k%06d+", n-1), "later"); err != nil && !client.IsAmbiguous(err) {
							t.Fatal(err)
						}
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("got %d keys, want the %d that there were, each once and in order", len(got), len(want))
				}
				streams := 0
				for _, m := range r.cluster.Members() {
					streams += m.Calls(pb.KV_RangeStream_FullMethodName)
				}
				if want := 1 + tt.streams; streams != want {
					t.Errorf("%d streams, want %d: one that finds many keys, and then %d", streams, want, tt.streams)
				}
				if took := time.Since(began); took > tt.within {
					t.Errorf("it took %v, want at most %v", took, tt.within)
				}
			})
		})
	}
}

// The last part has what Get's answer has, although another member has read it.
func TestPartsGoOnWithGetsAnswer(t *testing.T) {
	for _, limit := range []int64{0, 250, 1000} {
		run(t, 3, nil, func(r *rig) {
			t := r.t
			r.keys(700)
			want, err := r.Get(t.Context(), "k", kv.WithPrefix(), kv.WithLimit(limit))
			if err != nil {
				t.Fatal(err)
			}
			first := r.cluster.Member(0)
			first.Tap(pb.KV_RangeStream_FullMethodName, after(5, func(context.Context) error { first.Kill(); return nil }))
			var n int
			var last *kv.GetResponse
			for part, err := range r.Parts(t.Context(), "k", kv.WithPrefix(), kv.WithLimit(limit)) {
				if err != nil {
					t.Fatal(err)
				}
				n += len(part.Kvs)
				last = part
			}
			if n != len(want.Kvs) || last.Count != want.Count || last.More != want.More || last.Header.GetRevision() != want.Header.GetRevision() {
				t.Errorf("limit %d: %d keys, count %d, more %v, revision %d; want %d, %d, %v, %d", limit,
					n, last.Count, last.More, last.Header.GetRevision(), len(want.Kvs), want.Count, want.More, want.Header.GetRevision())
			}
		})
	}
}

// If the rest of a range can't be read any more, the error says so, after the parts that could.
func TestPartsEnd(t *testing.T) {
	const n = 2000
	for name, tt := range map[string]struct {
		fault func(r *rig, cancel func())
		want  error
	}{
		"compacted": {func(r *rig, _ func()) {
			if err := r.put(r.t.Context(), "other", ""); err != nil {
				r.t.Fatal(err)
			}
			if _, err := r.Compact(r.t.Context(), r.cluster.Revision()); err != nil {
				r.t.Fatal(err)
			}
		}, rpctypes.ErrCompacted},
		"canceled":          {func(_ *rig, cancel func()) { cancel() }, context.Canceled},
		"the client closed": {func(r *rig, _ func()) { _ = r.Close() }, client.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 1, nil, func(r *rig) {
				t := r.t
				want := r.keys(n)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				m := r.cluster.Member(0)
				m.Tap(pb.KV_RangeStream_FullMethodName, after(20, func(context.Context) error {
					m.InterceptStream(nil)
					tt.fault(r, cancel)
					return status.Error(codes.Unavailable, "broken")
				}))
				var got []string
				var last error
				for pair, err := range r.Scan(ctx, "k", kv.WithPrefix()) {
					if last != nil {
						t.Fatalf("after the error %v: %v, %v", last, pair, err)
					}
					if last = err; err != nil {
						if pair != nil {
							t.Errorf("with the error: %v", pair)
						}
						continue
					}
					got = append(got, string(pair.Key))
				}
				if !errors.Is(last, tt.want) {
					t.Errorf("it ended with %v, want %v", last, tt.want)
				}
				// What has come when ctx ends, or the client, may not be delivered.
				if len(got) == 0 && name == "compacted" || len(got) >= n || !slices.Equal(got, want[:len(got)]) {
					t.Errorf("got %d keys before, want the first ones", len(got))
				}
			})
		})
	}
}

// Leaving the loop ends the stream, and so does its end.
func TestPartsLeaveNothing(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		r.keys(2000)
		open := 0
		ended := make(chan error, 10)
		r.cluster.Member(0).Tap(pb.KV_RangeStream_FullMethodName, ofManyKeys(func(ctx context.Context) error {
			if open++; open == 1 {
				context.AfterFunc(ctx, func() { ended <- ctx.Err() })
			}
			return nil
		}))
		n := 0
		for _, err := range r.Scan(t.Context(), "k", kv.WithPrefix()) {
			if n++; err != nil {
				t.Fatal(err)
			}
			if n == 300 {
				break
			}
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the stream ended with %v, want context.Canceled", err)
		}
	})
}

// With reads spread over the members, streams are too.
func TestPartsAreSpread(t *testing.T) {
	run(t, 3, func(c *client.Config) { c.Routing = balancer.Routing{SpreadReads: true} }, func(r *rig) {
		t := r.t
		r.keys(200)
		if err := r.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // all are connected
		for range 60 {
			for _, err := range r.Parts(t.Context(), "k", kv.WithPrefix()) {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, m := range r.cluster.Members() {
			if m.Calls(pb.KV_RangeStream_FullMethodName) == 0 {
				t.Errorf("%s has streamed nothing", m.Name())
			}
		}
	})
}
