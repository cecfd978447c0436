package clientv3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/etcdtest"
)

// A watch of the empty key is one of the first key, or begins with it.
func TestWatchEmptyKey(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		watches := map[string]struct {
			events clientv3.WatchChan
			want   []string
		}{
			"one":    {r.Watch(r.t.Context(), ""), []string{"\x00"}},
			"to m":   {r.Watch(r.t.Context(), "", clientv3.WithRange("m")), []string{"\x00", "a"}},
			"all":    {r.Watch(r.t.Context(), "", clientv3.WithRange("\x00")), []string{"\x00", "a", "z"}},
			"prefix": {r.Watch(r.t.Context(), "", clientv3.WithPrefix()), []string{"\x00", "a", "z"}},
			"from":   {r.Watch(r.t.Context(), "", clientv3.WithFromKey()), []string{"\x00", "a", "z"}},
		}
		for _, key := range []string{"\x00", "a", "z"} {
			if _, err := r.Put(r.t.Context(), key, "v"); err != nil {
				r.t.Fatal(err)
			}
		}
		synctest.Wait()
		for name, w := range watches {
			var got []string
			for len(w.events) > 0 {
				resp := <-w.events
				if err := resp.Err(); err != nil {
					r.t.Errorf("%s: %v", name, err)
				}
				for _, e := range resp.Events {
					got = append(got, string(e.Kv.Key))
				}
				synctest.Wait()
			}
			if !slices.Equal(got, w.want) {
				r.t.Errorf("%s: got events of %q, want %q", name, got, w.want)
			}
		}
	})
}

// Events come in the server's responses. If fragments were requested, they are
// reassembled. If not, a response that is too large for the client ends the
// watch.
func TestWatchResponses(t *testing.T) {
	const n, size = 10, 4096
	for _, tc := range []struct {
		fragments, limited bool
	}{{false, false}, {false, true}, {true, false}, {true, true}} {
		t.Run(fmt.Sprintf("fragments %v, limited %v", tc.fragments, tc.limited), func(t *testing.T) {
			limit := func(cfg *clientv3.Config) {
				if tc.limited {
					cfg.MaxCallRecvMsgSize = 2 * size
				}
			}
			run(t, 1, limit, func(r *rig) {
				r.cluster.SetWatchFragment(1)
				for i := range n {
					if _, err := r.Put(r.t.Context(), fmt.Sprint("k", i), strings.Repeat("v", size)); err != nil {
						r.t.Fatal(err)
					}
				}
				opts := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithRev(1)}
				if tc.fragments {
					opts = append(opts, clientv3.WithFragment())
				}
				resp := <-r.Watch(r.t.Context(), "k", opts...)
				if tc.limited && !tc.fragments {
					if len(resp.Events) != 0 || status.Code(resp.Err()) != codes.ResourceExhausted {
						r.t.Errorf("%d events, %v; want code ResourceExhausted", len(resp.Events), resp.Err())
					}
				} else if len(resp.Events) != n || resp.Err() != nil {
					r.t.Errorf("%d events, %v; want one response with all %d", len(resp.Events), resp.Err(), n)
				}
			})
		})
	}
}

// A slow consumer loses nothing, and one response stays one response.
func TestWatchSlowly(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		const revisions, keys = 30, 90
		events := r.Watch(r.t.Context(), "k", clientv3.WithPrefix())
		for range revisions {
			var ops []clientv3.Op
			for i := range keys {
				ops = append(ops, clientv3.OpPut(fmt.Sprint("k", i), "v"))
			}
			if _, err := r.Txn(r.t.Context()).Then(ops...).Commit(); err != nil {
				r.t.Fatal(err)
			}
			synctest.Wait()
		}
		for got := 0; got < revisions*keys; {
			resp := <-events
			if len(resp.Events)%keys != 0 {
				r.t.Fatalf("%d events in a response, of %d at each revision", len(resp.Events), keys)
			}
			got += len(resp.Events)
		}
	})
}

// The error of a refused watch has the server's text.
func TestWatchRefusal(t *testing.T) {
	for text, known := range map[string]error{
		rpctypes.ErrGRPCPermissionDenied.Error(): rpctypes.ErrPermissionDenied, // etcd's own reasons have "rpc error: …"
		rpctypes.ErrPermissionDenied.Error():     rpctypes.ErrPermissionDenied, // a proxy's do not
		"mvcc: watcher range is empty":           nil,
	} {
		run(t, 1, nil, func(r *rig) {
			t := r.t
			r.cluster.Member(0).Tap(pb.Watch_Watch_FullMethodName, etcdtest.Tap{Sending: func(_ context.Context, resp any) error {
				if created := resp.(*pb.WatchResponse); created.GetCreated() {
					created.Canceled, created.WatchId, created.CancelReason = true, clientv3.InvalidWatchID, text
				}
				return nil
			}})
			resp := <-r.Watch(t.Context(), "k")
			if err := resp.Err(); err == nil || err.Error() != text || !resp.Canceled {
				t.Errorf("%q: %v, canceled %v", text, err, resp.Canceled)
			} else if known != nil && !errors.Is(err, known) {
				t.Errorf("%q: errors.Is does not find %v", text, known)
			}
		})
	}
}

// The error about a lost leader comes after all responses that were not received
// yet.
func TestWatchRefusalIsLast(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		events := r.Watch(clientv3.WithRequireLeader(t.Context()), "k")
		for range 3 {
			if _, err := r.Put(t.Context(), "k", "v"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		r.cluster.Member(0).SetNoLeader(true)
		time.Sleep(time.Minute)
		for range 3 {
			if resp, ok := <-events; !ok || len(resp.Events) != 1 || resp.Err() != nil {
				t.Errorf("%+v, %v; want an event", resp, resp.Err())
			}
		}
		if resp, ok := <-events; !ok || resp.Err() != rpctypes.ErrNoLeader { //nolint:errorlint // as callers do
			t.Errorf("%+v, %v; want %v", resp, resp.Err(), rpctypes.ErrNoLeader)
		}
		if resp, ok := <-events; ok {
			t.Errorf("%+v after the last response", resp)
		}
	})
}

// The same holds for the error of a connection that was closed.
func TestWatchOnAClosedConnection(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		events := r.Watch(t.Context(), "k")
		for range 3 {
			if _, err := r.Put(t.Context(), "k", "v"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if err := r.ActiveConnection().Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 3 {
			if resp, ok := <-events; !ok || len(resp.Events) != 1 {
				t.Errorf("%+v, %v; want an event", resp, resp.Err())
			}
		}
		if resp, ok := <-events; !ok || status.Code(resp.Err()) != codes.Canceled {
			t.Errorf("%+v, %v; want the error of a closed connection", resp, resp.Err())
		}
	})
}

// A watch that requires no leader is served by a member without one if there is
// no other, and continues when there is a leader again.
func TestWatchWithoutLeader(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		streams := make([]seen, 3)
		for i, m := range r.cluster.Members() {
			streams[i].install(m)
		}
		if _, err := r.Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		r.each(func(m *etcdtest.Member) { m.SetNoLeader(true) })
		begin := time.Now()
		events := r.Watch(t.Context(), "k", clientv3.WithRev(1))
		resp, ok := <-events
		if took := time.Since(begin); !ok || len(resp.Events) != 1 || took > 5*time.Second {
			t.Errorf("%+v, %v after %v; want the event of the past", resp, resp.Err(), took)
		}
		strict := <-r.Watch(clientv3.WithRequireLeader(t.Context()), "k", clientv3.WithRev(1))
		if strict.Err() != rpctypes.ErrNoLeader { //nolint:errorlint // as callers do
			t.Errorf("what requires a leader: %+v, %v; want %v", strict, strict.Err(), rpctypes.ErrNoLeader)
		}
		used := -1
		for i := range streams {
			if _, open := streams[i].read(); open > 0 {
				used = i
			}
		}
		for i, m := range r.cluster.Members() {
			if i != used {
				m.SetNoLeader(false) // at once the stream leaves the other one
			}
		}
		time.Sleep(10 * time.Second)
		if _, open := streams[used].read(); open != 0 {
			t.Errorf("%d streams at the one that has no leader, when others have, want none", open)
		}
		if _, err := r.Put(t.Context(), "k", "w"); err != nil {
			t.Fatal(err)
		}
		if resp, ok := <-events; !ok || len(resp.Events) != 1 || string(resp.Events[0].Kv.Value) != "w" {
			t.Errorf("%+v, %v; want the next event", resp, resp.Err())
		}
	})
}

// seen records the metadata of the watch streams at a member, and how many there
// are.
type seen struct {
	mu   sync.Mutex
	mds  []metadata.MD
	open int
}

func (s *seen) install(m *etcdtest.Member) {
	m.InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
		if method != pb.Watch_Watch_FullMethodName {
			return next(ss)
		}
		md, _ := metadata.FromIncomingContext(ss.Context())
		s.mu.Lock()
		s.mds, s.open = append(s.mds, md), s.open+1
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.open--
		}()
		return next(ss)
	})
}

func (s *seen) read() (mds []metadata.MD, open int) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mds), s.open
}

// The metadata of a watch's context reaches the server through a stream that only
// watches with the same metadata share, and that ends with the last of them.
func TestWatchMetadata(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		var streams seen
		streams.install(r.cluster.Member(0))
		of := func(tenant string) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			return metadata.AppendToOutgoingContext(ctx, "tenant", tenant), cancel
		}
		a, endA := of("a")
		again, endAgain := of("a")
		b, endB := of("b")
		defer endB()
		r.Watch(t.Context(), "k")
		for _, ctx := range []context.Context{a, again, b} {
			r.Watch(ctx, "k")
		}
		mds, open := streams.read()
		if open != 3 {
			t.Fatalf("%d streams, want one for each metadata, 3", open)
		}
		for i, want := range [][]string{nil, {"a"}, {"b"}} {
			if got := mds[i].Get("tenant"); !slices.Equal(got, want) {
				t.Errorf("the metadata is %q, want %q", got, want)
			}
			if got := mds[i].Get(rpctypes.MetadataClientAPIVersionKey); len(got) != 1 {
				t.Errorf("the client's version is %q, want one", got)
			}
		}
		endA()
		if _, open := streams.read(); open != 3 {
			t.Errorf("%d streams when one of two watches has ended, want 3", open)
		}
		if err := r.RequestProgress(again); err != nil {
			t.Errorf("RequestProgress: %v", err)
		}
		endAgain()
		if _, open := streams.read(); open != 2 {
			t.Errorf("%d streams when both have ended, want 2", open)
		}
		if err := r.RequestProgress(t.Context()); err != nil {
			t.Errorf("RequestProgress: %v", err)
		}
		if err := r.Watcher.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := r.RequestProgress(t.Context()); err == nil || err.Error() != "no stream found for context" {
			t.Errorf("RequestProgress after Close: %v, want clientv3's error", err)
		}
		if resp, ok := <-r.Watch(b, "k"); ok {
			t.Errorf("Watch after Close: %+v", resp)
		}
	})
}

// A program's own stub has clientv3's metadata, and its stream stays with its
// member, since the program does not expect to reopen it.
func TestWatchOnAStub(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		seenBy := make([]seen, 3)
		for i, m := range r.cluster.Members() {
			seenBy[i].install(m)
		}
		ws, err := pb.NewWatchClient(r.ActiveConnection()).Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		create := &pb.WatchCreateRequest{Key: []byte("k")}
		if err := ws.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			t.Fatal(err)
		}
		if _, err := ws.Recv(); err != nil {
			t.Fatal(err)
		}
		for i := range seenBy {
			mds, open := seenBy[i].read()
			if open == 0 {
				continue
			}
			if got := mds[0].Get(rpctypes.MetadataRequireLeaderKey); len(got) != 0 {
				t.Errorf("the server was told that a leader is required: %q", got)
			}
			r.cluster.Member(i).SetNoLeader(true)
		}
		time.Sleep(10 * time.Second)
		if _, err := r.Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if resp, err := ws.Recv(); err != nil || len(resp.Events) != 1 {
			t.Errorf("Recv: %v, %v; want the event", resp, err)
		}
	})
}

// A program may write into its events, though other watches of the same keys have
// received them too.
func TestWatchEventsAreOwn(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		const n = 5
		var chans [n]clientv3.WatchChan
		for i := range chans {
			chans[i] = r.Watch(r.t.Context(), "p/", clientv3.WithPrefix(), clientv3.WithPrevKV())
		}
		for _, val := range []string{"old", "new"} {
			if _, err := r.Put(r.t.Context(), "p/k", val); err != nil {
				r.t.Fatal(err)
			}
		}
		for i, ch := range chans {
			resp := <-ch
			for len(resp.Events) > 0 && resp.Events[len(resp.Events)-1].Kv.Version < 2 { // one response may have both
				resp = <-ch
			}
			e := resp.Events[len(resp.Events)-1]
			if string(e.Kv.Key) != "p/k" || string(e.Kv.Value) != "new" || string(e.PrevKv.Value) != "old" || resp.Header.Revision != e.Kv.ModRevision {
				r.t.Errorf("watch %d: got %+v", i, resp)
			}
			e.Kv.Key = bytes.TrimPrefix(e.Kv.Key, []byte("p/")) // as clientv3's package namespace does
			e.Kv.Value[0], e.PrevKv.Value[0] = 'X', 'X'
			e.Kv.ModRevision, resp.Header.Revision = 0, 0
			resp.Events[len(resp.Events)-1] = nil
		}
	})
}

// hooked counts what waits for the end of a context.
type hooked struct {
	context.Context //nolint:containedctx // it is one

	done  chan struct{} // its own, or package context would find the context inside
	waits *atomic.Int64
}

func newHooked(ctx context.Context) hooked {
	h := hooked{ctx, make(chan struct{}), new(atomic.Int64)}
	context.AfterFunc(ctx, func() { close(h.done) })
	return h
}

func (h hooked) Done() <-chan struct{} { return h.done }

// AfterFunc implements what package context asks of a context for context.AfterFunc.
func (h hooked) AfterFunc(f func()) (stop func() bool) {
	h.waits.Add(1)
	end := context.AfterFunc(h.Context, f)
	return func() bool {
		h.waits.Add(-1)
		return end()
	}
}

// Watches with metadata that end before their context leave nothing behind in it.
func TestEndedWatchesLeaveTheirContext(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		ctx := newHooked(clientv3.WithRequireLeader(t.Context()))
		var rev int64
		for range 3 {
			put, err := r.Put(ctx, "k", "v")
			if err != nil {
				t.Fatal(err)
			}
			rev = put.Header.Revision
		}
		if _, err := r.Compact(ctx, rev); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			for resp := range r.Watch(ctx, "k", clientv3.WithRev(1)) {
				if resp.CompactRevision != rev {
					t.Fatalf("got %+v, want a compaction at %d", resp, rev)
				}
			}
		}
		synctest.Wait()
		if n := ctx.waits.Load(); n > 3 {
			t.Errorf("%d wait for the end of the context after 100 watches, none of which is left", n)
		}
	})
}
