package watch_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// cutter breaks one stream at the n-th message, counted over all members.
type cutter struct {
	n    int
	kind string
	seen int
}

var cuts = []string{"before sending", "after sending", "after receiving", "killed before", "killed after"}

var errCut = status.Error(codes.Unavailable, "cut")

func (c *cutter) due() bool {
	c.seen++
	return c.seen == c.n
}

// install makes it act at m. The watch's messages pass one at a time, since each
// watch here has one stream.
func (c *cutter) install(m *etcdtest.Member) {
	m.InterceptStream(func(ss grpc.ServerStream, _ string, next func(grpc.ServerStream) error) error {
		return next(&cutStream{tapped: tapped{ServerStream: ss, received: func(*pb.WatchRequest) error {
			if c.kind == "after receiving" && c.due() {
				return errCut
			}
			return nil
		}}, c: c, m: m})
	})
}

type cutStream struct {
	tapped
	c *cutter
	m *etcdtest.Member
}

func (s *cutStream) SendMsg(msg any) error {
	if s.c.kind == "after receiving" || !s.c.due() {
		return s.ServerStream.SendMsg(msg)
	}
	after := s.c.kind == "after sending" || s.c.kind == "killed after"
	if after {
		if err := s.ServerStream.SendMsg(msg); err != nil {
			return err
		}
	}
	if s.c.kind == "killed before" || s.c.kind == "killed after" {
		s.m.Kill()
		s.m.Start()
	}
	return errCut
}

// The stream breaks at each message in turn, in each way, in the middle of
// fragments too, while history is replayed and while changes come; nothing is
// lost, nothing comes twice, and no revision is torn.
func TestResumeAtEveryPoint(t *testing.T) {
	for _, kind := range cuts {
		t.Run(kind, func(t *testing.T) {
			for n := 1; ; n++ {
				c := &cutter{n: n, kind: kind}
				synctest.Test(t, func(t *testing.T) { resumeOnce(t, c) })
				if t.Failed() {
					t.Fatalf("cut at message %d", n)
				}
				if c.seen < n {
					if n < 4 {
						t.Errorf("got %d messages, want more to cut", c.seen)
					}
					return
				}
			}
		})
	}
}

func resumeOnce(t *testing.T, cut *cutter) {
	t.Helper()
	c := etcdtest.Start(t, 3)
	c.SetWatchFragment(2)
	c.SetWatchBatch(2)
	for _, m := range c.Members() {
		cut.install(m)
	}
	writer := kv.New(c.Member(2).Conn(t))
	if cut.kind == "killed before" || cut.kind == "killed after" {
		writer = kv.New(c.Member(2).Conn(t, grpc.WithDefaultCallOptions(grpc.WaitForReady(true))))
	}
	var want []string
	write := func(keys ...string) {
		rev := putMany(t, writer, "v", keys...)
		for _, key := range keys {
			want = append(want, fmt.Sprintf("%d %s", rev, key))
		}
	}
	write("a", "b", "c", "d", "e")
	write("a")
	write("a", "b", "c")
	write("b", "c")
	w := service(t, newRotating(t, c))
	ch := w.Watch(t.Context(), "", kv.WithPrefix(), kv.WithRev(2))
	synctest.Wait()
	write("a", "b", "c", "d")
	synctest.Wait()
	write("d")
	var got []string
	for len(got) < len(want) {
		resp := receive(t, ch)
		if resp.Err() != nil {
			t.Fatalf("the watch ended: %v", resp.Err())
		}
		if last := resp.Events[len(resp.Events)-1].Kv.ModRevision; last < 7 {
			// Whole revisions: the next response begins with another one.
			if n := len(got) + len(resp.Events); n < len(want) && want[n][:1] == fmt.Sprint(last) {
				t.Errorf("revision %d is torn: %v", last, texts(resp.Events))
			}
		}
		for _, e := range resp.Events {
			got = append(got, fmt.Sprintf("%d %s", e.Kv.ModRevision, e.Kv.Key))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events, want - and got +:\n%s", diff)
	}
	time.Sleep(time.Minute) // heartbeats, and whatever might come twice
	select {
	case resp := <-ch:
		t.Errorf("got %+v, want no more", resp)
	default:
	}
}

// A watch from now that has had no event is resumed after the revision of its
// creation: a change while it is away is not lost.
func TestResumeWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		writer := kv.New(c.Member(1).Conn(t))
		put(t, writer, "k", "old")
		w := service(t, c.Conn(t))
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		c.Member(0).Kill()
		put(t, writer, "k", "new")
		synctest.Wait()
		c.Member(0).Start()
		if diff := cmp.Diff([]string{"3 modify k=new"}, collect(t, ch, 1)); diff != "" {
			t.Errorf("events, want - and got +:\n%s", diff)
		}
	})
}

// A watch from now begins after the revision that its creation names, with or
// without a break: the server may have let an earlier change in.
func TestBeginsAfterCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		tap(c.Member(0), nil, func(r *pb.WatchResponse) error {
			if r.Created {
				r.Header.Revision++ // as if a change had come between the two
			}
			return nil
		})
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		if rev := created(t, ch); rev != 2 {
			t.Fatalf("created at revision %d, want 2", rev)
		}
		put(t, store, "k", "2")
		put(t, store, "k", "3")
		if got := collect(t, ch, 1); got[0] != "3 modify k=3" {
			t.Errorf("got %v, want revision 3 first", got)
		}
	})
}

// Progress moves a quiet watch past what is compacted afterwards, by the
// client's own heartbeat as well as by the server's notification.
func TestProgressOutrunsCompaction(t *testing.T) {
	for name, opts := range map[string][]kv.OpOption{"heartbeat": nil, "notification": {kv.WithProgressNotify()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 2)
				c.SetProgressInterval(time.Second)
				writer := kv.New(c.Member(1).Conn(t))
				w := service(t, c.Conn(t))
				ch := w.Watch(t.Context(), "quiet", append(opts, kv.WithCreatedNotify())...)
				created(t, ch)
				put(t, writer, "loud", "v")
				rev := put(t, writer, "loud", "v")
				if opts == nil {
					time.Sleep(6 * time.Second)
				} else if resp := receive(t, ch); !resp.IsProgressNotify() || resp.Header.Revision != rev {
					t.Fatalf("got %+v, want progress at revision %d", resp, rev)
				}
				synctest.Wait()
				c.Member(0).Kill()
				put(t, writer, "loud", "v")
				compact(t, writer, rev+1) // the first revision that the watch has not seen
				put(t, writer, "quiet", "v")
				c.Member(0).Start()
				for {
					resp := receive(t, ch)
					if resp.Err() != nil {
						t.Fatalf("the watch ended: %v", resp.Err())
					}
					if len(resp.Events) > 0 {
						return
					}
				}
			})
		})
	}
}

// What a watch misses while history is still being replayed is not behind the
// header's revision.
func TestResumeInHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		c.SetWatchBatch(1)
		writer := kv.New(c.Member(1).Conn(t))
		for range 9 {
			put(t, writer, "k", "v")
		}
		sent := 0
		tap(c.Member(0), nil, func(r *pb.WatchResponse) error {
			if len(r.Events) > 0 {
				if sent++; sent > 3 {
					return errCut
				}
			}
			return nil
		})
		w := service(t, newRotating(t, c))
		var got []int64
		for e, err := range w.Events(t.Context(), "k", kv.WithRev(2)) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, e.Kv.ModRevision); len(got) == 9 {
				break
			}
		}
		if want := []int64{2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(got, want) {
			t.Errorf("got revisions %v, want %v", got, want)
		}
	})
}

// A member without a leader ends the stream; the watch goes on elsewhere.
func TestNoLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 3)
		cl := dial(t, c)
		w := service(t, cl.Conn())
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		for i, m := range c.Members() {
			if m.Calls(watching) == 0 {
				continue
			}
			m.SetNoLeader(true)
			start := time.Now()
			put(t, kv.New(c.Member((i+1)%3).Conn(t)), "k", "v")
			collect(t, ch, 1)
			if d := time.Since(start); d > 100*time.Millisecond {
				t.Errorf("resumed after %v, want at once", d)
			}
			return
		}
		t.Error("no member has the watch")
	})
}

// A silent member is found by the heartbeat, and avoided.
func TestStalledStream(t *testing.T) {
	for _, opening := range []bool{false, true} {
		t.Run(fmt.Sprintf("while opening %v", opening), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 3)
				var calm time.Duration
				w := service(t, newRotating(t, c), watch.WithHeartbeat(time.Second, 500*time.Millisecond))
				start := time.Now()
				if opening {
					c.Member(0).Hang()
				}
				ch := w.Watch(t.Context(), "k", kv.WithRev(2))
				synctest.Wait()
				if !opening {
					calm = time.Second
					c.Member(0).Hang()
				}
				put(t, kv.New(c.Member(1).Conn(t)), "k", "v")
				collect(t, ch, 1)
				if d := time.Since(start); d > calm+600*time.Millisecond {
					t.Errorf("resumed after %v, want it within the patience", d)
				}
			})
		})
	}
}

// A client that does nothing but watch leaves a member that is frozen, and not
// for the same member again.
func TestFrozenMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 3)
		w := service(t, dial(t, c).Conn())
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		i := slices.IndexFunc(c.Members(), func(m *etcdtest.Member) bool { return m.Calls(watching) > 0 })
		time.Sleep(time.Second)
		c.Member(i).Freeze()
		defer c.Member(i).Thaw()
		start := time.Now()
		put(t, kv.New(c.Member((i+1)%3).Conn(t)), "k", "v")
		collect(t, ch, 1)
		// 5 s of silence until the heartbeat, and what the policy takes to doubt
		// a member that does not answer.
		if d := time.Since(start); d > 6500*time.Millisecond {
			t.Errorf("resumed after %v, want 6.5s at most", d)
		}
		if got := c.Member(i).Calls(watching); got != 1 {
			t.Errorf("the frozen member got %d streams, want 1", got)
		}
	})
}

// A watch of a revision to come keeps the server from answering progress
// requests; that is no stall.
func TestHeartbeatWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		ch := w.Watch(t.Context(), "k", kv.WithRev(3))
		time.Sleep(time.Hour)
		put(t, store, "k", "v")
		put(t, store, "k", "v")
		if got := collect(t, ch, 1); got[0] != "3 modify k=v" {
			t.Errorf("got %v, want revision 3", got)
		}
		if got := streams(c); got != 1 {
			t.Errorf("got %d streams, want 1", got)
		}
		if got := c.Member(0).Messages(watching); got < 2*700+40 || got > 2*730+70 {
			t.Errorf("got %d messages in an hour, want two every 5 s, and a third every minute", got)
		}
	})
}

func TestRequestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		a := w.Watch(t.Context(), "a", kv.WithCreatedNotify())
		b := w.Watch(t.Context(), "b", kv.WithCreatedNotify())
		created(t, a)
		created(t, b)
		rev := put(t, store, "other", "v")
		time.Sleep(time.Minute) // heartbeats, whose answers nobody has asked for
		if err := w.RequestProgress(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, ch := range []watch.WatchChan{a, b} {
			if resp := receive(t, ch); !resp.IsProgressNotify() || resp.Header.Revision != rev {
				t.Errorf("got %+v, want progress at revision %d", resp, rev)
			}
		}
		// One that is asked for while there is no stream waits for it.
		c.Member(0).Kill()
		synctest.Wait()
		if err := w.RequestProgress(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Member(0).Start()
		// The server says nothing of watches that wait for their first revision.
		time.Sleep(time.Minute)
		nothing(t, a)
		rev = put(t, store, "other", "v")
		if resp := receive(t, a); !resp.IsProgressNotify() || resp.Header.Revision != rev {
			t.Errorf("got %+v, want progress at revision %d", resp, rev)
		}
	})
}

// Tokens that are invalid when a watch is created are replaced, by another
// stream; a token that stays invalid ends the watch.
func TestTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 3)
		c.EnableAuth(map[string]string{"root": "pw"})
		cl := dial(t, c, func(cfg *client.Config) { cfg.Username, cfg.Password = "root", "pw" })
		w := service(t, cl.Conn())
		first := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, first)
		c.ExpireTokens()
		second := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, second)
		put(t, cl, "k", "v")
		collect(t, first, 1)
		collect(t, second, 1)

		fixed := service(t, dial(t, c, func(cfg *client.Config) { cfg.Token = "no such token" }).Conn())
		wantIs(t, "a token that stays invalid", ending(t, fixed.Watch(t.Context(), "k")), rpctypes.ErrInvalidAuthToken)
	})
}

// A connection that is closed ends the watches.
func TestConnectionClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		for name, dialed := range map[string]func() (grpc.ClientConnInterface, func() error){
			"grpc":  func() (grpc.ClientConnInterface, func() error) { conn := c.Conn(t); return conn, conn.Close },
			"getcd": func() (grpc.ClientConnInterface, func() error) { cl := dial(t, c); return cl.Conn(), cl.Close },
		} {
			conn, stop := dialed()
			w := service(t, conn)
			ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
			created(t, ch)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if err := ending(t, ch); status.Code(err) != codes.Canceled {
				t.Errorf("%s: got %v, want the connection's error", name, err)
			}
		}
	})
}

// While nothing serves, attempts are paced.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		c.Member(0).InterceptStream(func(grpc.ServerStream, string, func(grpc.ServerStream) error) error { return errCut })
		w := service(t, c.Conn(t))
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		time.Sleep(time.Minute)
		if got := streams(c); got < 60 || got > 140 {
			t.Errorf("got %d streams in a minute without success, want one or two a second", got)
		}
		c.Member(0).InterceptStream(nil)
		start := time.Now()
		created(t, ch)
		if d := time.Since(start); d > time.Second {
			t.Errorf("resumed %v after recovery, want at most 1s", d)
		}
		c.Member(0).Kill() // and the waits are short again
		c.Member(0).Start()
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		start = time.Now()
		put(t, kv.New(c.Member(0).Conn(t)), "k", "v")
		collect(t, ch, 1)
		if d := time.Since(start); d > 0 {
			t.Errorf("resumed %v after a break that was 100ms ago", d)
		}
	})
}

// A watch that sees nothing resumes near the present, though others keep its stream busy: what
// it would resume after otherwise may be compacted.
func TestQuietWatchOnABusyStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, store := single(t)
		quiet := w.Watch(t.Context(), "quiet", kv.WithCreatedNotify())
		busy := w.Watch(t.Context(), "busy", kv.WithCreatedNotify())
		created(t, quiet)
		created(t, busy)
		go func() {
			for range busy {
			}
		}()
		var revs []int64
		for range 6000 { // ten minutes
			revs = append(revs, put(t, store, "busy", "v"))
			time.Sleep(100 * time.Millisecond)
		}
		if _, err := store.Compact(t.Context(), revs[len(revs)-600]); err != nil { // what is older than a minute
			t.Fatal(err)
		}
		c.Member(0).Kill()
		c.Member(0).Start()
		time.Sleep(10 * time.Second)
		rev := put(t, store, "quiet", "v")
		if got, want := collect(t, quiet, 1)[0], fmt.Sprintf("%d create quiet=v", rev); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
