package watch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// twoWays is a stream of a server that sends creations and cancellations one
// way, and events and progress another, as etcd does in all versions: either may
// be held up. An early server answers progress requests the first way, at once.
type twoWays struct {
	grpc.ServerStream
	early func() *pb.ResponseHeader // nil for a server that is not
	holds func(control bool) bool

	mu        chan struct{} // a mutex to wait for which does not stop a bubble's time
	control   []*pb.WatchResponse
	data      []*pb.WatchResponse
	announced map[int64]bool
	pending   map[int64][]*pb.WatchResponse // of watches that were not announced
	over      bool
}

func newTwoWays(ss grpc.ServerStream, early func() *pb.ResponseHeader, holds func(control bool) bool) *twoWays {
	return &twoWays{
		ServerStream: ss, early: early, holds: holds, mu: make(chan struct{}, 1),
		announced: make(map[int64]bool), pending: make(map[int64][]*pb.WatchResponse),
	}
}

func (s *twoWays) lock() { s.mu <- struct{}{} }

func (s *twoWays) unlock() { <-s.mu }

var errBroken = errors.New("the stream is over")

func (s *twoWays) RecvMsg(msg any) error {
	for {
		if err := s.ServerStream.RecvMsg(msg); err != nil {
			return err
		}
		req, ok := msg.(*pb.WatchRequest)
		if !ok || req.GetProgressRequest() == nil || s.early == nil {
			return nil
		}
		answer := &pb.WatchResponse{Header: s.early(), WatchId: -1}
		s.lock()
		err := s.sendLocked(answer, true)
		s.unlock()
		if err != nil {
			return err
		}
	}
}

func (s *twoWays) SendMsg(msg any) error {
	resp, ok := msg.(*pb.WatchResponse)
	if !ok {
		return s.ServerStream.SendMsg(msg)
	}
	s.lock()
	defer s.unlock()
	return s.sendLocked(resp, resp.Created || resp.Canceled && resp.CompactRevision == 0)
}

func (s *twoWays) sendLocked(resp *pb.WatchResponse, control bool) error {
	if s.over {
		return errBroken
	}
	way := &s.data
	if control {
		way = &s.control
	}
	if len(*way) > 0 || s.holds(control) {
		*way = append(*way, resp)
		return nil
	}
	return s.passLocked(resp, control)
}

func (s *twoWays) passLocked(resp *pb.WatchResponse, control bool) error {
	id := resp.WatchId
	if !control && id >= 0 && !s.announced[id] {
		s.pending[id] = append(s.pending[id], resp)
		return nil
	}
	err := s.ServerStream.SendMsg(resp)
	if control && id >= 0 {
		s.announced[id] = !resp.Canceled
		for _, r := range s.pending[id] {
			if err == nil {
				err = s.ServerStream.SendMsg(r)
			}
		}
		delete(s.pending, id)
	}
	return err
}

// release lets what was held go, in each way in its order.
func (s *twoWays) release(control bool) {
	s.lock()
	defer s.unlock()
	way := &s.data
	if control {
		way = &s.control
	}
	for _, resp := range *way {
		if s.over || s.passLocked(resp, control) != nil {
			s.over = true
			break
		}
	}
	*way = nil
}

// end makes the handler return with its next message.
func (s *twoWays) end() {
	s.lock()
	defer s.unlock()
	s.over = true
}

// inTwoWays puts every stream that opens at m in two ways, and collects them.
func inTwoWays(m *etcdtest.Member, early func() *pb.ResponseHeader, holds func(control bool) bool) *[]*twoWays {
	streams := new([]*twoWays)
	m.InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
		if method != watching {
			return next(ss)
		}
		s := newTwoWays(ss, early, holds)
		*streams = append(*streams, s)
		defer s.end()
		return next(s)
	})
	return streams
}

// headers reads the cluster's present header.
func headers(t *testing.T, store kv.KV) func() *pb.ResponseHeader {
	t.Helper()
	return func() *pb.ResponseHeader {
		resp, err := store.Get(t.Context(), "any")
		if err != nil {
			t.Errorf("get: %v", err)
			return nil
		}
		return resp.Header
	}
}

func nothing(t *testing.T, ch watch.WatchChan) {
	t.Helper()
	synctest.Wait()
	select {
	case resp := <-ch:
		t.Errorf("got %+v, want nothing", resp)
	default:
	}
}

// Servers before etcd 3.4.25 and 3.5.8 answer progress requests before they have
// sent the events that the answers speak of. No event is lost to that, whether
// the stream lives on or breaks, and nobody is told what is not true yet; what
// these servers tell by themselves is in order and is passed on.
func TestEarlyServer(t *testing.T) {
	for _, breaks := range []bool{false, true} {
		t.Run(fmt.Sprintf("breaks %v", breaks), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 1)
				c.SetProgressInterval(time.Minute)
				store := kv.New(c.Conn(t))
				holding := true
				streams := inTwoWays(c.Member(0), headers(t, store), func(control bool) bool { return holding && !control })
				w := service(t, c.Conn(t))
				plain := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
				notified := w.Watch(t.Context(), "k", kv.WithCreatedNotify(), kv.WithProgressNotify())
				created(t, plain)
				created(t, notified)
				rev := put(t, store, "k", "v")
				if err := w.RequestProgress(t.Context()); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "3.4.25") {
					t.Errorf("got error %v, want ErrUnsupported and the version that can", err)
				}
				time.Sleep(20 * time.Second) // heartbeats
				nothing(t, plain)
				nothing(t, notified)
				if breaks {
					(*streams)[0].end()
					holding = false
					put(t, store, "other", "v")
					put(t, store, "k", "v") // the stream ends with this one
				} else {
					holding = false
					(*streams)[0].release(false)
				}
				want := fmt.Sprintf("%d create k=v", rev)
				for _, ch := range []watch.WatchChan{plain, notified} {
					n := 1
					if breaks {
						n = 2
					}
					if got := collect(t, ch, n); got[0] != want {
						t.Errorf("got %v, want %s first", got, want)
					}
				}
				now := put(t, store, "other", "w")
				if resp := receive(t, notified); !resp.IsProgressNotify() || resp.Header.Revision != now {
					t.Errorf("got %+v, want progress up to %d", resp, now)
				}
				nothing(t, plain)
			})
		})
	}
}

// An answer to a request from before a watch was created says nothing of it,
// though it comes after its announcement: its history may be still to be sent.
func TestProgressFromBefore(t *testing.T) {
	for _, breaks := range []bool{false, true} {
		t.Run(fmt.Sprintf("breaks %v", breaks), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 1)
				store := kv.New(c.Conn(t))
				rev := put(t, store, "h", "v")
				holding := true
				streams := inTwoWays(c.Member(0), nil, func(control bool) bool { return holding && !control })
				w := service(t, c.Conn(t))
				first := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
				created(t, first)
				if err := w.RequestProgress(t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				second := w.Watch(t.Context(), "h", kv.WithCreatedNotify(), kv.WithRev(rev))
				created(t, second)
				synctest.Wait()
				st := (*streams)[0]
				st.lock()
				if len(st.data) != 2 || st.data[0].WatchId != -1 || len(st.data[1].Events) != 1 {
					t.Errorf("the server holds %v, want the answer and the history", st.data)
				}
				history := st.data[1:]
				st.data = st.data[:1]
				st.unlock()
				st.release(false)
				if resp := receive(t, first); !resp.IsProgressNotify() || resp.Header.Revision != rev {
					t.Errorf("first: got %+v, want progress up to %d", resp, rev)
				}
				nothing(t, second)
				holding = false
				if breaks {
					st.end()
					put(t, store, "k", "v")
					collect(t, first, 1)
				} else {
					st.lock()
					st.data = history
					st.unlock()
					st.release(false)
				}
				if got, want := collect(t, second, 1), fmt.Sprintf("%d create h=v", rev); got[0] != want {
					t.Errorf("second: got %v, want %s", got, want)
				}
				// From now on it is spoken of, on the same revision too.
				if err := w.RequestProgress(t.Context()); err != nil {
					t.Fatal(err)
				}
				if resp := receive(t, second); !resp.IsProgressNotify() || resp.Header.Revision < rev {
					t.Errorf("second: got %+v, want progress", resp)
				}
			})
		})
	}
}

// An answer may overtake the announcement of the watch that made the server
// answer. That does not make it an early one.
func TestProgressBeforeAnnouncement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		store := kv.New(c.Conn(t))
		holding := true
		streams := inTwoWays(c.Member(0), nil, func(control bool) bool { return holding && control })
		w := service(t, c.Conn(t))
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		if err := w.RequestProgress(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		holding = false
		(*streams)[0].release(true)
		created(t, ch)
		if resp := receive(t, ch); !resp.IsProgressNotify() || resp.Header.Revision != 1 {
			t.Errorf("got %+v, want progress up to 1", resp)
		}
		rev := put(t, store, "other", "v")
		if err := w.RequestProgress(t.Context()); err != nil {
			t.Fatal(err)
		}
		if resp := receive(t, ch); !resp.IsProgressNotify() || resp.Header.Revision != rev {
			t.Errorf("got %+v, want progress up to %d", resp, rev)
		}
	})
}

// Each call is answered once, and heartbeats are nobody's business.
func TestRequestProgressOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, store := single(t)
		rev := put(t, store, "k", "v")
		ch := w.Watch(t.Context(), "k", kv.WithRev(rev))
		collect(t, ch, 1)
		for range 3 {
			if err := w.RequestProgress(t.Context()); err != nil {
				t.Fatal(err)
			}
			if resp := receive(t, ch); !resp.IsProgressNotify() || resp.Header.Revision != rev {
				t.Errorf("got %+v, want progress up to %d", resp, rev)
			}
			time.Sleep(time.Minute)
			nothing(t, ch)
		}
		// A watch of the future, which shares nothing, keeps the server from
		// answering; when it is gone, the next heartbeat asks again.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		created(t, w.Watch(ctx, "other", kv.WithRev(rev+100), kv.WithCreatedNotify()))
		if err := w.RequestProgress(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		nothing(t, ch)
		cancel()
		if resp := receive(t, ch); !resp.IsProgressNotify() {
			t.Errorf("got %+v, want progress", resp)
		}
		time.Sleep(time.Minute)
		nothing(t, ch)
	})
}
