package watch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, store := single(t)
		ch := w.Watch(t.Context(), "a", kv.WithPrefix(), kv.WithCreatedNotify(), kv.WithPrevKV())
		if rev := created(t, ch); rev != 1 {
			t.Errorf("created at revision %d, want 1", rev)
		}
		put(t, store, "a1", "x")
		put(t, store, "b", "x")
		put(t, store, "a1", "y")
		if _, err := store.Delete(t.Context(), "a1"); err != nil {
			t.Fatal(err)
		}
		putMany(t, store, "z", "a2", "a3")
		want := []string{"2 create a1=x", "4 modify a1=y", "5 delete a1=", "6 create a2=z", "6 create a3=z"}
		if diff := cmp.Diff(want, collect(t, ch, len(want))); diff != "" {
			t.Errorf("events, want - and got +:\n%s", diff)
		}
		put(t, store, "a2", "q")
		resp := receive(t, ch)
		if string(resp.Events[0].PrevKv.GetValue()) != "z" || resp.Header.GetRevision() != 7 {
			t.Errorf("got %v, want the previous value z and revision 7", resp)
		}
	})
}

func TestStartRevisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		c.SetWatchBatch(2)
		for range 4 {
			put(t, store, "k", "v") // 2 to 5
		}
		past := w.Watch(t.Context(), "k", kv.WithRev(3))
		future := w.Watch(t.Context(), "k", kv.WithRev(7))
		now := w.Watch(t.Context(), "k")
		synctest.Wait()
		for range 3 {
			put(t, store, "k", "v") // 6 to 8
		}
		for name, tt := range map[string]struct {
			ch    watch.WatchChan
			first int64
		}{"past": {past, 3}, "future": {future, 7}, "now": {now, 6}} {
			for rev := tt.first; rev <= 8; {
				for _, e := range receive(t, tt.ch).Events {
					if e.Kv.ModRevision != rev {
						t.Fatalf("%s: got revision %d, want %d", name, e.Kv.ModRevision, rev)
					}
					rev++
				}
			}
		}
		if got := streams(c); got != 1 {
			t.Errorf("got %d streams, want 1", got)
		}
	})
}

// Each option sets its field of the request. Fragments are always asked for.
func TestRequests(t *testing.T) {
	k, end := []byte("k"), []byte("l")
	tests := map[string]struct {
		opts []kv.OpOption
		want *pb.WatchCreateRequest
	}{
		"key":           {nil, &pb.WatchCreateRequest{Key: k}},
		"prefix":        {[]kv.OpOption{kv.WithPrefix()}, &pb.WatchCreateRequest{Key: k, RangeEnd: end}},
		"range":         {[]kv.OpOption{kv.WithRange("l")}, &pb.WatchCreateRequest{Key: k, RangeEnd: end}},
		"from key":      {[]kv.OpOption{kv.WithFromKey()}, &pb.WatchCreateRequest{Key: k, RangeEnd: []byte{0}}},
		"revision":      {[]kv.OpOption{kv.WithRev(3)}, &pb.WatchCreateRequest{Key: k, StartRevision: 3}},
		"previous":      {[]kv.OpOption{kv.WithPrevKV()}, &pb.WatchCreateRequest{Key: k, PrevKv: true}},
		"progress":      {[]kv.OpOption{kv.WithProgressNotify()}, &pb.WatchCreateRequest{Key: k, ProgressNotify: true}},
		"created":       {[]kv.OpOption{kv.WithCreatedNotify()}, &pb.WatchCreateRequest{Key: k}},
		"fragment":      {[]kv.OpOption{kv.WithFragment()}, &pb.WatchCreateRequest{Key: k}},
		"filter put":    {[]kv.OpOption{kv.WithFilterPut()}, &pb.WatchCreateRequest{Key: k, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}}},
		"filter delete": {[]kv.OpOption{kv.WithFilterDelete()}, &pb.WatchCreateRequest{Key: k, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, _ := single(t)
				var got *pb.WatchCreateRequest
				tap(c.Member(0), func(r *pb.WatchRequest) error {
					if r := r.GetCreateRequest(); r != nil && got == nil {
						got = r
					}
					return nil
				}, nil)
				w.Watch(t.Context(), "k", tt.opts...)
				synctest.Wait()
				tt.want.Fragment = true
				if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
					t.Errorf("request, want - and got +:\n%s", diff)
				}
			})
		})
	}
}

func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, store := single(t)
		puts := w.Watch(t.Context(), "k", kv.WithRev(1), kv.WithFilterDelete())
		deletes := w.Watch(t.Context(), "k", kv.WithRev(1), kv.WithFilterPut())
		put(t, store, "k", "v")
		if _, err := store.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		put(t, store, "k", "v")
		if diff := cmp.Diff([]string{"2 create k=v", "4 create k=v"}, collect(t, puts, 2)); diff != "" {
			t.Errorf("puts, want - and got +:\n%s", diff)
		}
		if diff := cmp.Diff([]string{"3 delete k="}, collect(t, deletes, 1)); diff != "" {
			t.Errorf("deletes, want - and got +:\n%s", diff)
		}
	})
}

func TestMisuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, _ := single(t)
		for name, ch := range map[string]watch.WatchChan{
			"limit":    w.Watch(t.Context(), "k", kv.WithLimit(1)),
			"no key":   w.Watch(t.Context(), ""),
			"no range": w.Watch(t.Context(), "k", kv.WithRange("k")),
			"nil":      w.Watch(t.Context(), "k", nil),
		} {
			var usage *kv.UsageError
			if err := ending(t, ch); !errors.As(err, &usage) || usage.Op != "Watch" {
				t.Errorf("%s: got %v, want a UsageError", name, err)
			}
		}
		for _, opt := range []kv.OpOption{kv.WithRev(1), kv.WithCreatedNotify(), kv.WithSerializable()} {
			for _, err := range w.Follow(t.Context(), "k", opt) {
				if _, ok := errors.AsType[*kv.UsageError](err); !ok {
					t.Errorf("Follow: got %v, want a UsageError", err)
				}
			}
		}
		for name, opt := range map[string]watch.Option{
			"buffer": watch.WithBuffer(0, 1), "bytes": watch.WithBuffer(1, 0), "heartbeat": watch.WithHeartbeat(0, 1),
		} {
			bad := watch.New(c.Conn(t), opt)
			if err := bad.RequestProgress(t.Context()); err == nil {
				t.Errorf("%s: got no error", name)
			}
			if err := ending(t, bad.Watch(t.Context(), "k")); err == nil {
				t.Errorf("%s: got no error", name)
			}
		}
		if got := streams(c); got != 0 {
			t.Errorf("got %d streams, want none", got)
		}
	})
}

func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		var canceled []int64
		tap(c.Member(0), func(r *pb.WatchRequest) error {
			if r.GetCancelRequest() != nil {
				canceled = append(canceled, r.GetCancelRequest().WatchId)
			}
			return nil
		}, nil)
		stays := w.Watch(t.Context(), "k")
		synctest.Wait()
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		ch := w.Watch(ctx, "k")
		full := w.Watch(ctx, "k")
		synctest.Wait()
		for range 3 {
			put(t, store, "k", "v")
			synctest.Wait() // a response for each
		}
		collect(t, ch, 3)
		synctest.Wait()
		cancel(cause)
		err := ending(t, ch)
		wantIs(t, "channel", err, context.Canceled)
		wantIs(t, "channel", err, cause)
		synctest.Wait()
		if diff := cmp.Diff(2, len(canceled)); diff != "" {
			t.Errorf("canceled on the server: got %v, want two", canceled)
		}
		if resp := receive(t, full); len(resp.Events) != 1 {
			t.Errorf("full channel: got %+v, want what was in it", resp)
		}
		closed(t, full)
		collect(t, stays, 3)

		done, cancelDone := context.WithCancel(t.Context())
		cancelDone()
		wantIs(t, "ended before", ending(t, w.Watch(done, "k")), context.Canceled)
		wantIs(t, "progress", w.RequestProgress(done), context.Canceled)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		conn := c.Conn(t)
		store := kv.New(conn)
		w := watch.New(conn)
		idle := w.Watch(t.Context(), "k")
		full := w.Watch(t.Context(), "f", kv.WithRev(1))
		for range 3 {
			put(t, store, "f", "v")
		}
		iterated := make(chan error)
		go func() {
			for _, err := range w.Events(t.Context(), "k") {
				iterated <- err
			}
		}()
		synctest.Wait()
		for range 2 {
			if err := w.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		wantIs(t, "idle", ending(t, idle), watch.ErrClosed)
		wantIs(t, "iterator", <-iterated, watch.ErrClosed)
		receive(t, full)
		closed(t, full)
		wantIs(t, "afterwards", ending(t, w.Watch(t.Context(), "k")), watch.ErrClosed)
		wantIs(t, "progress", w.RequestProgress(t.Context()), watch.ErrClosed)
		for _, err := range w.Follow(t.Context(), "k") {
			if err != nil {
				wantIs(t, "follow", err, watch.ErrClosed)
			}
		}
	})
}

func TestIterators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, store := single(t)
		for range 3 {
			put(t, store, "k", "v")
		}
		var got []string
		for e, err := range w.Events(t.Context(), "k", kv.WithRev(2)) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, text(e)); len(got) == 3 {
				break
			}
		}
		if diff := cmp.Diff([]string{"2 create k=v", "3 modify k=v", "4 modify k=v"}, got); diff != "" {
			t.Errorf("events, want - and got +:\n%s", diff)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		n := 0
		for resp, err := range w.Responses(ctx, "k", kv.WithCreatedNotify()) {
			last = err
			if n++; resp.Created {
				cancel()
			}
		}
		if n != 2 {
			t.Errorf("got %d pairs, want the creation and the cause", n)
		}
		wantIs(t, "responses", last, context.Canceled)
	})
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		reason string
		want   error
	}{
		"denied, with grpc's words": {rpctypes.ErrGRPCPermissionDenied.Error(), rpctypes.ErrPermissionDenied},
		"denied":                    {"etcdserver: permission denied", rpctypes.ErrPermissionDenied},
		"compacted":                 {rpctypes.ErrCompacted.Error(), rpctypes.ErrCompacted},
		"no such error":             {"mvcc: something", nil},
		"no reason":                 {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, store := single(t)
				answers := 0
				tap(c.Member(0), nil, func(r *pb.WatchResponse) error {
					if answers++; r.Created && answers == 2 {
						r.Canceled, r.WatchId, r.CancelReason = true, -1, tt.reason
					}
					return nil
				})
				healthy := w.Watch(t.Context(), "ok")
				synctest.Wait()
				err := ending(t, w.Watch(t.Context(), "k"))
				var canceled *watch.CanceledError
				switch {
				case tt.want != nil:
					wantIs(t, "cause", err, tt.want)
				case !errors.As(err, &canceled) || canceled.Reason != tt.reason:
					t.Errorf("got %v, want a CanceledError with the reason %q", err, tt.reason)
				}
				if strings.Contains(err.Error(), "below 0") {
					t.Errorf("got %q, want no compacted revision, of which the server has told none", err)
				}
				put(t, store, "ok", "v")
				collect(t, healthy, 1)
				if got := streams(c); got != 1 {
					t.Errorf("got %d streams, want the other watch to keep its one", got)
				}
			})
		})
	}
}

// Etcd's proxy refuses a watch with the error of its own request to a member. When its
// member serves again, so does the watch.
func TestRefusedForTheProxysOwnTrouble(t *testing.T) {
	for _, reason := range []string{
		"error reading from server: EOF", "rpc error: code = Unavailable desc = connection error", "context deadline exceeded",
		rpctypes.ErrNoLeader.Error(), rpctypes.ErrTimeout.Error(), rpctypes.ErrGRPCLeaderChanged.Error(),
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, store := single(t)
				refusals := 0
				tap(c.Member(0), nil, func(r *pb.WatchResponse) error {
					if r.Created && refusals < 20 {
						refusals++
						r.Canceled, r.WatchId, r.CancelReason = true, -1, reason
					}
					return nil
				})
				ch := w.Watch(t.Context(), "k", kv.WithRev(1))
				put(t, store, "k", "v")
				collect(t, ch, 1)
				if refusals != 20 {
					t.Errorf("got %d refusals, want 20", refusals)
				}
			})
		})
	}
}

// A stream that refuses a watch and breaks at the same moment (etcd issue 17611).
func TestRefusedAndBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		m := c.Member(0)
		refused := 0
		m.InterceptStream(func(ss grpc.ServerStream, _ string, _ func(grpc.ServerStream) error) error {
			var r pb.WatchRequest
			if err := ss.RecvMsg(&r); err != nil {
				return err
			}
			refused++
			_ = ss.SendMsg(&pb.WatchResponse{
				Header: &pb.ResponseHeader{}, WatchId: -1, Created: true, Canceled: true, CancelReason: rpctypes.ErrGRPCPermissionDenied.Error(),
			})
			return rpctypes.ErrGRPCNoLeader
		})
		w := service(t, newRotating(t, c))
		a, b := w.Watch(t.Context(), "a"), w.Watch(t.Context(), "b")
		wantIs(t, "first", ending(t, a), rpctypes.ErrPermissionDenied)
		time.Sleep(time.Minute)
		put(t, kv.New(c.Member(1).Conn(t)), "b", "v")
		collect(t, b, 1)
		if refused != 1 {
			t.Errorf("got %d refusals, want 1", refused)
		}
	})
}
