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

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

const recvLimit = 20_000

var tooBig = strings.Repeat("x", 2*recvLimit)

// gauge counts the Watch streams that are open at a member.
type gauge struct {
	mu        sync.Mutex
	open, top int
}

func (g *gauge) install(m *etcdtest.Member) {
	m.InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
		if method != watching {
			return next(ss)
		}
		g.mu.Lock()
		g.open++
		g.top = max(g.top, g.open)
		g.mu.Unlock()
		defer func() {
			g.mu.Lock()
			g.open--
			g.mu.Unlock()
		}()
		return next(ss)
	})
}

func (g *gauge) read() (open, top int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open, g.top
}

// wantTooLarge checks the end of a watch that had to continue at rev.
func wantTooLarge(t *testing.T, err error, rev int64) {
	t.Helper()
	wantIs(t, "cause", err, watch.ErrTooLarge)
	var large *watch.TooLargeError
	if !errors.As(err, &large) || large.Revision != rev || large.Limit != recvLimit || large.Size <= 2*recvLimit {
		t.Errorf("got %+v, want revision %d, the limit of %d and the size", large, rev, recvLimit)
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got code %v, want gRPC's error within", status.Code(err))
	}
	for _, want := range []string{fmt.Sprint(recvLimit), "MaxCallRecvMsgSize", "WithFragment"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %s: %v", want, err)
		}
	}
}

// A response above the limit ends the watch that it is for. The others of its
// stream, a slow one too, miss nothing and see nothing twice.
func TestTooLarge(t *testing.T) {
	const n = 100
	for name, dialed := range map[string]func(*testing.T, *etcdtest.Cluster) watch.Watcher{
		"call option": func(t *testing.T, c *etcdtest.Cluster) watch.Watcher {
			t.Helper()
			return service(t, c.Conn(t), watch.WithBuffer(4, 1<<20), watch.WithCallOptions(grpc.MaxCallRecvMsgSize(recvLimit)))
		},
		"getcd": func(t *testing.T, c *etcdtest.Cluster) watch.Watcher {
			t.Helper()
			cl := dial(t, c, func(cfg *client.Config) { cfg.MaxCallSendMsgSize, cfg.MaxCallRecvMsgSize = recvLimit, recvLimit })
			return service(t, cl.Conn(), watch.WithBuffer(4, 1<<20))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 1)
				var streams gauge
				streams.install(c.Member(0))
				store := kv.New(c.Conn(t))
				w := dialed(t, c)
				chans := make([]watch.WatchChan, n)
				for i := range chans {
					chans[i] = w.Watch(t.Context(), fmt.Sprint("key/", i))
				}
				slow := w.Watch(t.Context(), "slow")
				big := w.Watch(t.Context(), "big", kv.WithCreatedNotify())
				created(t, big)
				small := put(t, store, "big", "small")
				for range 20 {
					put(t, store, "slow", "v")
				}
				synctest.Wait() // the slow one is off its stream now

				want := make([][]string, n)
				write := func() {
					for i := 0; i < n; i += 7 {
						rev := put(t, store, fmt.Sprint("key/", i), "v")
						kind := "modify"
						if want[i] == nil {
							kind = "create"
						}
						want[i] = append(want[i], fmt.Sprintf("%d %s key/%d=v", rev, kind, i))
					}
				}
				write()
				put(t, store, "big", tooBig)
				write()
				collect(t, big, 1)
				wantTooLarge(t, ending(t, big), small+1)
				write()
				time.Sleep(time.Minute) // the others share a stream again
				synctest.Wait()
				if open, _ := streams.read(); open != 1 {
					t.Errorf("got %d streams afterwards, want 1", open)
				}
				write()
				for i, ch := range chans {
					if diff := cmp.Diff(want[i], collect(t, ch, len(want[i]))); diff != "" {
						t.Errorf("watch %d, want - and got +:\n%s", i, diff)
					}
				}
				synctest.Wait()
				for i, ch := range chans {
					select {
					case resp := <-ch:
						t.Errorf("watch %d: got %+v, want no more", i, resp)
					default:
					}
				}
				for i, e := range collect(t, slow, 20) {
					if want := fmt.Sprintf("%d ", small+1+int64(i)); !strings.HasPrefix(e, want) {
						t.Errorf("slow: got %s, want revision %s", e, want)
					}
				}
			})
		})
	}
}

// Many watches of the same large change all end, with a bounded number of
// streams at a time, and those among them go on.
func TestTooLargeForMany(t *testing.T) {
	const n = 400
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		var streams gauge
		streams.install(c.Member(0))
		store := kv.New(c.Conn(t))
		w := service(t, c.Conn(t), watch.WithCallOptions(grpc.MaxCallRecvMsgSize(recvLimit)))
		var large, others []watch.WatchChan
		for i := range n {
			if i%4 == 0 {
				others = append(others, w.Watch(t.Context(), "other"))
			} else {
				large = append(large, w.Watch(t.Context(), "big"))
			}
		}
		synctest.Wait()
		put(t, store, "other", "v")
		rev := put(t, store, "big", tooBig)
		for _, ch := range large {
			wantTooLarge(t, ending(t, ch), rev-1)
		}
		put(t, store, "other", "v")
		for _, ch := range others {
			if got, want := collect(t, ch, 2), []string{"2 create other=v", "4 modify other=v"}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		// At the top the 64 that are apart, and what the server has yet to notice.
		if open, top := streams.read(); open != 1 || top > 2*64+8 {
			t.Errorf("got up to %d streams, and %d at the end; want at most %d, and 1", top, open, 2*64+8)
		}
	})
}

// History that came in one message, because the server sent it before it had
// announced the watch, is asked for again before the watch is given up.
func TestTooLargeOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		store := kv.New(c.Conn(t))
		for range 20 {
			put(t, store, "k", strings.Repeat("x", recvLimit/10))
		}
		w := service(t, c.Conn(t), watch.WithCallOptions(grpc.MaxCallRecvMsgSize(recvLimit)))
		n := 0
		c.Member(0).InterceptStream(func(ss grpc.ServerStream, _ string, next func(grpc.ServerStream) error) error {
			if n++; n == 3 {
				c.SetWatchFragment(2)
			}
			return next(ss)
		})
		ch := w.Watch(t.Context(), "k", kv.WithRev(2))
		for i, e := range collect(t, ch, 20) {
			if want := fmt.Sprintf("%d ", 2+i); !strings.HasPrefix(e, want) {
				t.Errorf("got %.20s, want revision %s", e, want)
			}
		}
		if n != 3 {
			t.Errorf("got %d streams, want 3", n)
		}
	})
}

// Follow reads a snapshot that does not fit in smaller pages, and gives up only
// when a single pair is too large.
func TestFollowTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		store := kv.New(c.Conn(t))
		for i := range 50 {
			put(t, store, fmt.Sprintf("k/%02d", i), strings.Repeat("x", recvLimit/4))
		}
		w := service(t, c.Conn(t), watch.WithCallOptions(grpc.MaxCallRecvMsgSize(recvLimit)))
		for u, err := range w.Follow(t.Context(), "k/", kv.WithPrefix()) {
			if err != nil || len(u.Snapshot.KVs) != 50 {
				t.Errorf("got %v, %v, want a snapshot of 50 keys", u, err)
			}
			break
		}
		put(t, store, "k/99", tooBig)
		for u, err := range w.Follow(t.Context(), "k/", kv.WithPrefix()) {
			wantIs(t, "a snapshot with a pair that is too large", err, watch.ErrTooLarge)
			if u.Snapshot != nil {
				t.Errorf("got %v, want no snapshot", u)
			}
		}
	})
}
