package watch_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// between stands in front of a member's Watch streams, as a proxy does.
type between struct {
	grpc.ServerStream
	// take may change a request, and says whether the member gets it.
	take func(*pb.WatchRequest) bool
	// give sends what it likes of a response.
	give func(resp *pb.WatchResponse, send func(*pb.WatchResponse))

	mu     sync.Mutex
	asked  []*pb.WatchCreateRequest // not answered yet
	failed error                    // of the last send
}

func (b *between) RecvMsg(msg any) error {
	for {
		if err := b.ServerStream.RecvMsg(msg); err != nil {
			return err
		}
		r := msg.(*pb.WatchRequest)
		if b.take != nil && !b.take(r) {
			r.RequestUnion = nil
			continue
		}
		if c := r.GetCreateRequest(); c != nil {
			b.mu.Lock()
			b.asked = append(b.asked, c)
			b.mu.Unlock()
		}
		return nil
	}
}

func (b *between) SendMsg(msg any) error {
	if b.give == nil {
		return b.ServerStream.SendMsg(msg)
	}
	b.give(msg.(*pb.WatchResponse), func(resp *pb.WatchResponse) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.failed = b.ServerStream.SendMsg(resp)
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// answers returns the creation that an announcement of the member's answers.
func (b *between) answers() *pb.WatchCreateRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.asked[0]
	b.asked = b.asked[1:]
	return c
}

// stand puts what newBetween makes in front of each stream at m.
func stand(m *etcdtest.Member, newBetween func(*between)) {
	m.InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
		if method == watching {
			b := &between{ServerStream: ss}
			newBetween(b)
			ss = b
		}
		return next(ss)
	})
}

// withoutID leaves the choice of the watch's ID to the member.
func withoutID(r *pb.WatchRequest) bool {
	if c := r.GetCreateRequest(); c != nil {
		c.WatchId = 0
	}
	return true
}

// late gives announcements of watches that are called slow some time later, as
// etcd's gRPC proxy does with those that join no other.
func (b *between) late(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
	if resp.Created && strings.HasPrefix(string(b.answers().Key), "slow") {
		time.AfterFunc(10*time.Millisecond, func() { send(resp) })
		return
	}
	send(resp)
}

// each gives every watch its event, and checks that it is its own.
func each(t *testing.T, store kv.KV, keys []string, chans []watch.WatchChan) {
	t.Helper()
	for _, key := range keys {
		put(t, store, key, "v")
	}
	for i, ch := range chans {
		resp := receive(t, ch)
		if len(resp.Events) != 1 || string(resp.Events[0].Kv.Key) != keys[i] {
			t.Fatalf("the watch of %s: got %v (%v), want its event", keys[i], texts(resp.Events), resp.Err())
		}
	}
}

func mixedKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint("quick", i)
		if i%4 == 3 {
			keys[i] = fmt.Sprint("slow", i)
		}
	}
	return keys
}

// Servers that answer creations in another order than they were asked: with IDs
// of their own, and with those that were asked for.
func TestAnswersOutOfOrder(t *testing.T) {
	for name, take := range map[string]func(*pb.WatchRequest) bool{"own IDs": withoutID, "asked IDs": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, store := single(t)
				stand(c.Member(0), func(b *between) { b.take, b.give = take, b.late })
				keys := mixedKeys(200)
				chans := make([]watch.WatchChan, len(keys))
				for i, key := range keys {
					chans[i] = w.Watch(t.Context(), key)
				}
				time.Sleep(time.Minute) // with heartbeats, whose creations are late as well
				each(t, store, keys, chans)
			})
		})
	}
}

// Creations overtake one another on etcd, which takes the IDs that it is asked
// for; on others one is under way.
func TestCreationsUnderWay(t *testing.T) {
	for _, tc := range []struct {
		name string
		take func(*pb.WatchRequest) bool
		most int
	}{{"etcd", nil, 98}, {"own IDs", withoutID, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, _ := single(t)
				var mu sync.Mutex
				now, most := 0, 0
				var answers []*pb.WatchResponse
				stand(c.Member(0), func(b *between) {
					b.take = func(r *pb.WatchRequest) bool {
						if r.GetCreateRequest() != nil {
							mu.Lock()
							now++
							most = max(most, now)
							mu.Unlock()
						}
						return tc.take == nil || tc.take(r)
					}
					b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
						if !resp.Created {
							send(resp)
							return
						}
						mu.Lock()
						defer mu.Unlock()
						if answers = append(answers, resp); len(answers) > 1 {
							return
						}
						time.AfterFunc(time.Millisecond, func() {
							mu.Lock()
							defer mu.Unlock()
							for _, resp := range answers {
								now--
								send(resp)
							}
							answers = nil
						})
					}
				})
				for i := range 100 {
					w.Watch(t.Context(), fmt.Sprint(i))
				}
				time.Sleep(time.Second)
				mu.Lock()
				defer mu.Unlock()
				if now != 0 || most != tc.most {
					t.Errorf("got %d creations under way, and %d at the end; want %d, and 0", most, now, tc.most)
				}
			})
		})
	}
}

// A refusal has no ID, and belongs to whom the order says.
func TestRefusedAmongOthers(t *testing.T) {
	for name, take := range map[string]func(*pb.WatchRequest) bool{"etcd": nil, "own IDs": withoutID} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, store := single(t)
				stand(c.Member(0), func(b *between) {
					b.take = take
					b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
						var key string
						if resp.Created {
							key = string(b.answers().Key)
						}
						if strings.HasPrefix(key, "slow") {
							resp.WatchId, resp.Canceled = -1, true
							resp.CancelReason = rpctypes.ErrGRPCPermissionDenied.Error()
						}
						if key == "slow first" {
							// All others have asked by then: a stream that has no watch left ends.
							time.AfterFunc(10*time.Millisecond, func() { send(resp) })
							return
						}
						send(resp)
					}
				})
				keys := append([]string{"slow first"}, mixedKeys(40)...)
				var allowed []string
				var chans, refused []watch.WatchChan
				for _, key := range keys {
					ch := w.Watch(t.Context(), key)
					if strings.HasPrefix(key, "slow") {
						refused = append(refused, ch)
						continue
					}
					allowed, chans = append(allowed, key), append(chans, ch)
				}
				for _, ch := range refused {
					wantIs(t, "refused", ending(t, ch), rpctypes.ErrPermissionDenied)
				}
				each(t, store, allowed, chans)
				if got := streams(c); got != 1 {
					t.Errorf("got %d streams, want 1", got)
				}
			})
		})
	}
}

// kine has no answer to a creation that asks for an ID, and says nothing in its
// header: it is not asked for any. Another one that says more is asked once.
func TestNoAnswerToAskedID(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers bool
		most    time.Duration
	}{{"kine", false, 0}, {"with headers", true, 4 * time.Second}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c, store := single(t)
				stand(c.Member(0), func(b *between) {
					b.take = func(r *pb.WatchRequest) bool {
						return r.GetCreateRequest().GetWatchId() == 0 && r.GetProgressRequest() == nil
					}
					b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
						if resp.Created && !tc.headers {
							resp.Header = &pb.ResponseHeader{}
						}
						send(resp)
					}
				})
				keys := mixedKeys(20)
				chans := make([]watch.WatchChan, len(keys))
				start := time.Now()
				for i, key := range keys {
					chans[i] = w.Watch(t.Context(), key, kv.WithCreatedNotify())
				}
				for _, ch := range chans {
					created(t, ch)
				}
				if took := time.Since(start); took > tc.most {
					t.Errorf("the watches took %v to be made, want %v at most", took, tc.most)
				}
				time.Sleep(time.Minute)
				each(t, store, keys, chans)
			})
		})
	}
}

// A watch from now whose creation tells no revision begins at one that is known,
// so that it misses nothing when its stream is lost before the first event.
func TestNowUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		w := service(t, newRotating(t, c))
		for _, m := range c.Members() {
			stand(m, func(b *between) {
				b.take = withoutID
				b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
					if resp.Created {
						resp.Header = &pb.ResponseHeader{}
					}
					send(resp)
				}
			})
		}
		store := kv.New(c.Member(1).Conn(t))
		put(t, store, "k", "before")
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		receive(t, ch)
		c.Member(0).Kill()
		rev := put(t, store, "k", "v") // before the watch is made again
		if got, want := collect(t, ch, 1)[0], fmt.Sprintf("%d modify k=v", rev); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// A header without the cluster's ID proves nothing: the revision that etcd's gRPC
// proxy makes up is not held against a member that has not reached it.
func TestHeaderWithoutCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		w := service(t, newRotating(t, c))
		stand(c.Member(1), func(b *between) {
			b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
				if resp.Created {
					resp.Header = &pb.ResponseHeader{Revision: b.answers().StartRevision}
				}
				send(resp)
			}
		})
		store := kv.New(c.Member(0).Conn(t, grpc.WithDefaultCallOptions(grpc.WaitForReady(true))))
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		put(t, store, "k", "1")
		collect(t, ch, 1)
		for i := range 2 {
			c.Member(i).Kill() // its streams end, and the other one has the next
			time.Sleep(time.Second)
			c.Member(i).Start()
			time.Sleep(time.Second)
		}
		put(t, store, "k", "2")
		if got := collect(t, ch, 1)[0]; !strings.HasSuffix(got, "k=2") {
			t.Errorf("got %s, want the second event", got)
		}
	})
}

// What a server says it has canceled is canceled by the client as well: at
// etcd's gRPC proxy the watch is there until then, and the next one would join it.
func TestCanceledIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		announced, cancels := make(chan int64, 1), make(chan int64, 1)
		tap(c.Member(0), func(r *pb.WatchRequest) error {
			if r.GetCancelRequest() != nil {
				cancels <- r.GetCancelRequest().WatchId
			}
			return nil
		}, func(r *pb.WatchResponse) error {
			if r.Created {
				announced <- r.WatchId
			}
			return nil
		})
		for range 3 {
			put(t, store, "k", "v")
		}
		compact(t, store, 4)
		// The other one keeps the stream.
		keep := w.Watch(t.Context(), "other", kv.WithCreatedNotify())
		created(t, keep)
		<-announced
		wantIs(t, "compacted", ending(t, w.Watch(t.Context(), "k", kv.WithRev(2))), rpctypes.ErrCompacted)
		synctest.Wait()
		select {
		case id := <-cancels:
			if want := <-announced; id != want {
				t.Errorf("got watch %d canceled, want %d", id, want)
			}
		default:
			t.Error("got no cancellation of the watch that the server has canceled")
		}
	})
}

// A server that never answers progress requests is not asked for ever, and its
// streams stay where they are.
func TestProgressUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		var mu sync.Mutex
		requests := 0
		stand(c.Member(0), func(b *between) {
			b.take = func(r *pb.WatchRequest) bool {
				if r.GetProgressRequest() == nil {
					return withoutID(r)
				}
				mu.Lock()
				requests++
				mu.Unlock()
				return false
			}
		})
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		time.Sleep(time.Hour)
		for range 100 {
			if err := w.RequestProgress(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("RequestProgress: got %v, want ErrUnsupported", err)
			}
			time.Sleep(time.Second)
		}
		mu.Lock()
		if requests > 4 {
			t.Errorf("got %d progress requests, want 4 at most", requests)
		}
		mu.Unlock()
		put(t, store, "k", "v")
		collect(t, ch, 1)
		if got := streams(c); got != 1 {
			t.Errorf("got %d streams, want 1", got)
		}
	})
}

// etcd's gRPC proxy tells all that share a watch of its compaction, those too that
// were beyond: they go on where they stand, when the others have left.
func TestStrayCompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		var again []time.Duration
		start := time.Now()
		stand(c.Member(0), func(b *between) {
			b.take = func(r *pb.WatchRequest) bool {
				if cr := r.GetCreateRequest(); cr != nil && cr.StartRevision > 0 {
					again = append(again, time.Since(start))
				}
				return withoutID(r)
			}
			b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
				send(resp)
				if resp.Created && b.answers().StartRevision > 0 && len(again) < 4 {
					send(&pb.WatchResponse{Header: resp.Header, WatchId: resp.WatchId, CompactRevision: 2, Canceled: true})
				}
			}
		})
		for range 3 {
			put(t, store, "k", "v")
		}
		ch := w.Watch(t.Context(), "k", kv.WithRev(5), kv.WithCreatedNotify())
		created(t, ch)
		time.Sleep(time.Minute)
		rev := put(t, store, "k", "v")
		if got, want := collect(t, ch, 1)[0], fmt.Sprintf("%d modify k=v", rev); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for i, d := range again {
			if least := time.Duration(i) * 250 * time.Millisecond; d < least || len(again) != 4 {
				t.Errorf("got creations after %v, want four, each 250ms or more after the one before", again)
			}
		}
	})
}

// etcd shares no watches, so nothing has to settle after a compaction, even on a stream whose
// first watch is canceled for it.
func TestNextWatchAfterACompaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, store := single(t)
		var rev int64
		for range 3 {
			rev = put(t, store, "k", "v")
		}
		if _, err := store.Compact(t.Context(), rev); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for range 3 {
			resp := receive(t, w.Watch(t.Context(), "k", kv.WithRev(1)))
			if resp.CompactRevision != rev {
				t.Fatalf("got %+v, want a compaction at %d", resp, rev)
			}
		}
		if took := time.Since(start); took >= 250*time.Millisecond {
			t.Errorf("three watches ended after %v, want at once", took)
		}
	})
}

// A watch that is canceled for a compaction that is not its own, in the middle of a revision,
// forgets the fragments that it has: the revision comes again, and is delivered once.
func TestStrayCompactionBetweenFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		broken := false
		stand(c.Member(0), func(b *between) {
			b.give = func(resp *pb.WatchResponse, send func(*pb.WatchResponse)) {
				if len(resp.Events) == 0 || broken {
					send(resp)
					return
				}
				broken = true
				fragment := proto.CloneOf(resp)
				fragment.Fragment = true
				send(fragment)
				send(&pb.WatchResponse{Header: resp.Header, WatchId: resp.WatchId, CompactRevision: 1, Canceled: true})
			}
		})
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		first := put(t, store, "k", "1")
		time.Sleep(time.Second)
		second := put(t, store, "k", "2")
		got := collect(t, ch, 2)
		want := []string{fmt.Sprintf("%d create k=1", first), fmt.Sprintf("%d modify k=2", second)}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
