package watch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// breakages are what a broken server makes of a response with the events of k;
// reason is part of the error.
var breakages = []struct {
	name, reason string
	give         func(resp *pb.WatchResponse, send func(*pb.WatchResponse))
}{
	{"no key-value", "without a key", func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
		resp.Events[0].Kv = nil
		send(resp)
	}},
	{"no key", "without a key", func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
		resp.Events[0].Kv.Key = nil
		send(resp)
	}},
	{"no key-value in a fragment", "without a key", func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
		resp.Events[0].Kv, resp.Fragment = nil, true
		send(resp)
	}},
	{"no revision", "of revision 0", func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
		resp.Events[0].Kv.ModRevision = 0
		send(resp)
	}},
	{"another key", `not watched: "other"`, func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
		resp.Events[0].Kv.Key = []byte("other")
		send(resp)
	}},
	{"revisions that descend", "after one of", func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
		later := proto.CloneOf(resp.Events[0])
		later.Kv.ModRevision += 10
		resp.Events = []*mvccpb.Event{later, resp.Events[0]}
		send(resp)
	}},
	{"revisions that descend in fragments", "after one of", func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
		later := proto.CloneOf(resp)
		later.Fragment = true
		later.Events[0].Kv.ModRevision += 10
		send(later)
		send(resp)
	}},
	{"a watch that was not announced", "watch 4711", func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
		resp.WatchId = 4711
		send(resp)
	}},
	{"events of no watch", "of no watch", func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
		resp.WatchId = -1
		send(resp)
	}},
	{"an announcement that nobody asked for", "which nobody asked for", func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
		send(&pb.WatchResponse{Header: resp.Header, WatchId: 4711, Created: true})
	}},
}

// breakEvents breaks the responses with events at m, on that many streams.
func breakEvents(m *etcdtest.Member, streams int, give func(*pb.WatchResponse, func(*pb.WatchResponse))) {
	stand(m, func(b *between) {
		b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
			if len(resp.Events) == 0 || streams == 0 {
				send(resp)
				return
			}
			streams--
			resp = proto.CloneOf(resp) // its events are the store's
			give(resp, send)
		}
	})
}

// A server that breaks the protocol once loses the stream, and nothing else.
func TestBrokenOnce(t *testing.T) {
	for _, tc := range breakages {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, store := single(t)
				breakEvents(c.Member(0), 1, tc.give)
				ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
				created(t, ch)
				rev := put(t, store, "k", "v")
				if got, want := collect(t, ch, 1)[0], fmt.Sprintf("%d create k=v", rev); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if got := streams(c); got != 2 {
					t.Errorf("got %d streams, want 2", got)
				}
			})
		})
	}
}

// One that goes on with it ends the watch, by name.
func TestBrokenForGood(t *testing.T) {
	for _, tc := range breakages {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, store := single(t)
				breakEvents(c.Member(0), -1, tc.give)
				ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
				created(t, ch)
				put(t, store, "k", "v")
				start := time.Now()
				err := ending(t, ch)
				wantIs(t, "broken", err, watch.ErrProtocol)
				if broken, ok := errors.AsType[*watch.ProtocolError](err); !ok || !strings.Contains(broken.Reason, tc.reason) {
					t.Errorf("got %v, want a ProtocolError with %q", err, tc.reason)
				}
				if took := time.Since(start); took > time.Second {
					t.Errorf("it took %v, want 1s at most", took)
				}
			})
		})
	}
}

// A watch for which a server breaks the protocol ends alone.
func TestBrokenAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		stand(c.Member(0), func(b *between) {
			b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
				if len(resp.Events) > 0 && string(resp.Events[0].Kv.Key) == "bad" {
					resp = proto.CloneOf(resp)
					resp.Events[0].Kv = nil
				}
				send(resp)
			}
		})
		good := w.Watch(t.Context(), "good", kv.WithCreatedNotify())
		created(t, good)
		bad := w.Watch(t.Context(), "bad", kv.WithCreatedNotify())
		created(t, bad)
		put(t, store, "bad", "v")
		wantIs(t, "bad", ending(t, bad), watch.ErrProtocol)
		rev := put(t, store, "good", "v")
		if got, want := collect(t, good, 1)[0], fmt.Sprintf("%d create good=v", rev); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// An event that comes after its revision was complete may have been missing: the
// watch says so.
func TestLateEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		var kept *pb.WatchResponse
		stand(c.Member(0), func(b *between) {
			b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
				if len(resp.Events) > 0 && kept == nil {
					kept = resp
					return
				}
				send(resp)
				if len(resp.Events) > 0 {
					send(kept)
				}
			}
		})
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		put(t, store, "k", "first")
		synctest.Wait()
		put(t, store, "k", "second")
		collect(t, ch, 1)
		wantIs(t, "late", ending(t, ch), watch.ErrProtocol)
	})
}

// repeatEvent sends the first event that m has sent once more, after the second one.
func repeatEvent(m *etcdtest.Member) {
	var kept *pb.WatchResponse
	stand(m, func(b *between) {
		b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
			send(resp)
			switch {
			case len(resp.Events) == 0:
			case kept == nil:
				kept = resp
			default:
				send(kept)
			}
		}
	})
}

// Some members of etcd send events again that they have sent before. A new snapshot makes up for
// that. One with events without keys does not: it would go on.
func TestFollowBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		repeatEvent(c.Member(0))
		next := follower(t, w, "k")
		next()
		for _, value := range []string{"first", "second"} {
			put(t, store, "k", value)
			if u := next(); len(u.Events) != 1 || string(u.Events[0].Kv.Value) != value {
				t.Fatalf("got %+v, want the event of %s", u, value)
			}
		}
		u := next()
		if u.Snapshot == nil || len(u.Snapshot.KVs) != 1 || string(u.Snapshot.KVs[0].Value) != "second" {
			t.Fatalf("got %+v, want a snapshot", u)
		}
		wantIs(t, "its cause", u.Snapshot.Cause, watch.ErrProtocol)

		breakEvents(c.Member(0), -1, breakages[0].give)
		snapshots, last := 0, error(nil)
		for u, err := range service(t, c.Conn(t)).Follow(t.Context(), "k") {
			if last = err; u.Snapshot == nil {
				continue
			}
			if snapshots++; snapshots > 1 {
				break
			}
			put(t, store, "k", "third")
		}
		wantIs(t, "with broken events", last, watch.ErrProtocol)
		if snapshots != 1 {
			t.Errorf("got %d snapshots, want the first alone", snapshots)
		}
	})
}

// Fragments of one revision that do not end: memory is bounded.
func TestEndlessFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, bound = 1 << 20, 16 << 20
		w, c, store := single(t, watch.WithBuffer(10, 1000))
		sent := 0
		breakEvents(c.Member(0), -1, func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
			resp.Events[0].Kv.Value = make([]byte, size)
			resp.Fragment = true
			for range 3 * bound / size {
				sent++
				send(resp)
			}
		})
		other := w.Watch(t.Context(), "other", kv.WithCreatedNotify())
		created(t, other)
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		put(t, store, "k", "v")
		err := ending(t, ch)
		wantIs(t, "endless", err, watch.ErrTooLarge)
		if large, ok := errors.AsType[*watch.TooLargeError](err); !ok || large.Limit != bound || large.Size > bound+2*size || !strings.Contains(err.Error(), "WithBuffer") {
			t.Errorf("got %v, want a TooLargeError at %d bytes", err, bound)
		}
		synctest.Wait()
		if sent != 3*bound/size {
			t.Errorf("got %d fragments sent, want the stream to live", sent)
		}
	})
}

// scripted is a connection whose server says what is in a script, and hears
// nothing.
type scripted struct {
	script []*pb.WatchResponse

	mu   sync.Mutex
	next int
}

func (s *scripted) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return status.Error(codes.PermissionDenied, "scripted")
}

func (s *scripted) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return &scriptedStream{s: s, ctx: ctx, asked: make(chan int64, 1000)}, nil
}

type scriptedStream struct {
	grpc.ClientStream
	s     *scripted
	ctx   context.Context //nolint:containedctx // a ClientStream has one
	asked chan int64
}

func (st *scriptedStream) SendMsg(msg any) error {
	if c := msg.(*pb.WatchRequest).GetCreateRequest(); c != nil {
		st.asked <- c.WatchId
	}
	return nil
}

func (st *scriptedStream) RecvMsg(msg any) error {
	st.s.mu.Lock()
	if st.s.next == len(st.s.script) {
		st.s.mu.Unlock()
		<-st.ctx.Done()
		return status.FromContextError(st.ctx.Err()).Err()
	}
	resp := proto.CloneOf(st.s.script[st.s.next])
	st.s.next++
	st.s.mu.Unlock()
	if resp.CancelReason == "end" {
		return io.EOF
	}
	if resp.Created {
		select { // most of them are to answer something
		case id := <-st.asked:
			if id != 0 && resp.WatchId == 0 {
				resp.WatchId = id
			}
		case <-time.After(time.Second):
		}
	}
	proto.Merge(msg.(proto.Message), resp)
	return nil
}

// scriptOf makes a script of any bytes.
func scriptOf(data []byte) []*pb.WatchResponse {
	var script []*pb.WatchResponse
	next := func() (b byte) {
		if len(data) > 0 {
			b, data = data[0], data[1:]
		}
		return b
	}
	for len(data) > 0 && len(script) < 64 {
		flags := next()
		resp := &pb.WatchResponse{WatchId: int64(int8(next())) % 4}
		resp.Created = flags&1 != 0
		resp.Canceled = flags&2 != 0
		resp.Fragment = flags&4 != 0
		if flags&8 != 0 {
			resp.Header = &pb.ResponseHeader{ClusterId: uint64(next() % 3), Revision: int64(int8(next())), RaftTerm: uint64(next() % 3)}
		}
		if flags&16 != 0 {
			resp.CompactRevision = int64(int8(next()))
		}
		if flags&32 != 0 && flags&64 != 0 {
			resp.CancelReason = "end"
		}
		if resp.Created {
			script = append(script, resp)
			continue
		}
		for range next() % 5 {
			how := next()
			e := &mvccpb.Event{Type: mvccpb.Event_EventType(how & 1)}
			if how&2 == 0 {
				e.Kv = &mvccpb.KeyValue{ModRevision: int64(how >> 4), CreateRevision: 1}
			}
			if e.Kv != nil && how&4 == 0 {
				e.Kv.Key = []byte{"kx"[how>>3&1]}
			}
			resp.Events = append(resp.Events, e)
		}
		script = append(script, resp)
	}
	return script
}

// FuzzServer has a server say anything: nothing panics, watches get events of
// their own key in ascending order alone, and everything ends with Close.
func FuzzServer(f *testing.F) {
	f.Add([]byte{9, 0, 1, 5, 1, 0, 0, 1, 0x60, 0, 0, 1, 0x72})
	f.Add([]byte{9, 0, 1, 5, 1, 4, 0, 2, 0x60, 0x60, 0, 0, 1, 0x50})
	f.Add([]byte{1, 0, 0, 255, 1, 2, 2, 0, 16, 0, 3, 0, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			w := watch.New(&scripted{script: scriptOf(data)}, watch.WithHeartbeat(time.Second, time.Second))
			for _, key := range []string{"k", "x"} {
				for _, rev := range []int64{0, 3} {
					go func() {
						last := int64(0)
						for e, err := range w.Events(t.Context(), key, kv.WithRev(rev)) {
							if err != nil {
								return
							}
							if string(e.Kv.Key) != key || e.Kv.ModRevision < last || e.Kv.ModRevision < rev {
								t.Errorf("the watch of %s from %d got %v after revision %d", key, rev, e, last)
							}
							last = e.Kv.ModRevision
						}
					}()
				}
			}
			go func() {
				for _, err := range w.Follow(t.Context(), "k") {
					if err == nil {
						t.Error("Follow: got an update, want an error, since nothing can be read")
					}
				}
			}()
			time.Sleep(time.Minute)
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		})
	})
}

// Misuse is an error that names what is wrong.
func TestNils(t *testing.T) {
	w, _, _ := single(t)
	var none context.Context
	wantUsage := func(what string, err error) {
		t.Helper()
		if usage, ok := errors.AsType[*kv.UsageError](err); !ok || !strings.Contains(err.Error(), "nil") {
			t.Errorf("%s: got %v (%+v), want a UsageError that says nil", what, err, usage)
		}
	}
	wantUsage("Watch without a context", ending(t, w.Watch(none, "k")))
	wantUsage("Watch with a nil option", ending(t, w.Watch(t.Context(), "k", nil)))
	for _, err := range w.Responses(none, "k") {
		wantUsage("Responses without a context", err)
	}
	for _, err := range w.Events(none, "k") {
		wantUsage("Events without a context", err)
	}
	for _, err := range w.Events(t.Context(), "k", nil) {
		wantUsage("Events with a nil option", err)
	}
	for _, err := range w.Follow(none, "k") {
		wantUsage("Follow without a context", err)
	}
	for _, err := range w.Follow(t.Context(), "k", nil) {
		wantUsage("Follow with a nil option", err)
	}
	wantUsage("RequestProgress without a context", w.RequestProgress(none))

	conn := etcdtest.Start(t, 1).Conn(t)
	for what, bad := range map[string]watch.Watcher{
		"a nil option":      service(t, conn, nil),
		"a nil call option": service(t, conn, watch.WithCallOptions(nil)),
		"no connection":     service(t, nil),
	} {
		if err := ending(t, bad.Watch(t.Context(), "k")); !strings.Contains(err.Error(), "nil") {
			t.Errorf("%s: got %v, want an error that says nil", what, err)
		}
	}
}
