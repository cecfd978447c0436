package queue_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
)

// lookout is a Lookout over a fake member, and what it has told.
type lookout struct {
	*queue.Lookout
	t      *testing.T
	member *etcdtest.Member
	store  kv.KV

	mu               sync.Mutex
	gone, handedBack []string
	gaps             int
}

func lookingOut(t *testing.T, test func(l *lookout)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		l := &lookout{t: t, member: c.Member(0), store: kv.New(c.Member(1).Conn(t))}
		l.Lookout = queue.NewLookout(c.Member(0).Conn(t), time.Second, func() { l.mu.Lock(); l.gaps++; l.mu.Unlock() })
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { l.Run(ctx) })
		test(l)
		cancel()
		wg.Wait()
	})
}

// place puts a key and watches it.
func (l *lookout) place(t *testing.T, key string) *queue.Place {
	t.Helper()
	resp, err := l.store.Put(t.Context(), key, "")
	if err != nil {
		t.Fatal(err)
	}
	p := &queue.Place{KV: l.store, Key: key, Rev: resp.Header.Revision}
	l.Watch(p, func() { l.told(&l.gone, key) }, func() { l.told(&l.handedBack, key) })
	return p
}

func (l *lookout) told(list *[]string, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*list = append(*list, key)
}

func (l *lookout) remove(t *testing.T, key string) {
	t.Helper()
	if _, err := l.store.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func (l *lookout) want(t *testing.T, gone, handedBack []string, gaps int) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.gone)
	slices.Sort(l.handedBack)
	if !slices.Equal(l.gone, gone) || !slices.Equal(l.handedBack, handedBack) || l.gaps != gaps {
		t.Errorf("gone %q, handed back %q, %d gaps; want %q, %q and %d", l.gone, l.handedBack, l.gaps, gone, handedBack, gaps)
	}
}

func TestLookout(t *testing.T) {
	lookingOut(t, func(l *lookout) {
		t := l.t
		short := l.place(t, "q/short")
		l.Forget(short)
		l.place(t, "q/early")
		l.remove(t, "q/early") // before it is watched
		for i := range 100 {
			l.place(t, fmt.Sprint("q/", i))
		}
		if got := l.member.Calls(pb.Watch_Watch_FullMethodName); got != 0 {
			t.Errorf("%d streams before a key was there for a second, want none", got)
		}
		time.Sleep(2 * time.Second)
		l.want(t, []string{"q/early"}, nil, 0)
		forgotten := l.place(t, "q/forgotten")
		time.Sleep(2 * time.Second)
		l.Forget(forgotten)
		l.remove(t, "q/forgotten")
		l.remove(t, "q/7")
		l.remove(t, "q/7") // twice
		l.want(t, []string{"q/7", "q/early"}, nil, 0)

		// Another key of the same name, whose deletion is told by the watch of the first.
		again := l.place(t, "q/8")
		l.remove(t, "q/8")
		time.Sleep(2 * time.Second)
		l.want(t, []string{"q/7", "q/8", "q/early"}, nil, 0)
		l.Forget(again)
		if got := l.member.Calls(pb.Watch_Watch_FullMethodName); got != 1 {
			t.Errorf("%d streams, want 1", got)
		}
	})
}

// After a stream was lost everything is watched on the next, and whoever has keys is asked to look at them.
func TestLookoutGap(t *testing.T) {
	lookingOut(t, func(l *lookout) {
		t := l.t
		l.place(t, "q/1")
		l.place(t, "q/2")
		time.Sleep(2 * time.Second)
		l.member.Kill()
		l.remove(t, "q/1")
		l.member.Start()
		time.Sleep(5 * time.Second)
		l.want(t, nil, nil, 1)
		l.remove(t, "q/2")
		l.want(t, []string{"q/2"}, nil, 1)
	})
}

// A key whose watch is refused, or ends, is handed back, and the others are watched.
func TestLookoutHandsBack(t *testing.T) {
	lookingOut(t, func(l *lookout) {
		t := l.t
		l.member.Tap(pb.Watch_Watch_FullMethodName, etcdtest.Tap{Sending: func(_ context.Context, response any) error {
			if resp := response.(*pb.WatchResponse); resp.Created && resp.WatchId == 2 {
				resp.WatchId, resp.Canceled, resp.CancelReason = -1, true, "etcdserver: permission denied"
			}
			return nil
		}})
		l.place(t, "q/compacted")
		if _, err := l.store.Put(t.Context(), "other", ""); err != nil {
			t.Fatal(err)
		}
		now, err := l.store.Put(t.Context(), "other", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.store.Compact(t.Context(), now.Header.Revision); err != nil {
			t.Fatal(err)
		}
		l.place(t, "q/refused")
		l.place(t, "q/3")
		time.Sleep(2 * time.Second)
		l.want(t, nil, []string{"q/compacted", "q/refused"}, 0)
		l.remove(t, "q/3")
		l.remove(t, "q/refused")
		l.want(t, []string{"q/3"}, []string{"q/compacted", "q/refused"}, 0)
	})
}

// A server that does not answer as etcd does is asked no more.
func TestLookoutOfNoEtcd(t *testing.T) {
	lookingOut(t, func(l *lookout) {
		t := l.t
		l.member.Tap(pb.Watch_Watch_FullMethodName, etcdtest.Tap{Received: func(_ context.Context, request any) error {
			if create := request.(*pb.WatchRequest).GetCreateRequest(); create != nil {
				create.WatchId = 0
			}
			return nil
		}})
		l.place(t, "q/1")
		l.place(t, "q/2")
		time.Sleep(2 * time.Second)
		l.want(t, nil, []string{"q/1", "q/2"}, 0)
		l.place(t, "q/3")
		l.want(t, nil, []string{"q/1", "q/2", "q/3"}, 0)
		time.Sleep(time.Hour)
		if got := l.member.Calls(pb.Watch_Watch_FullMethodName); got != 1 {
			t.Errorf("%d streams, want 1", got)
		}
	})
}

// Missing finds the lost places among many, also on a server that takes few operations.
func TestMissing(t *testing.T) {
	for _, most := range []int{128, 10, 1} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			lookingOut(t, func(l *lookout) {
				t := l.t
				var places []*queue.Place
				for i := range 250 {
					places = append(places, l.place(t, fmt.Sprintf("q/%03d", i)))
				}
				l.remove(t, "q/000")
				l.remove(t, "q/123")
				l.remove(t, "q/124")
				if _, err := l.store.Put(t.Context(), "q/124", "another"); err != nil {
					t.Fatal(err)
				}
				requests := 0
				l.member.Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
					txn := req.(*pb.TxnRequest)
					requests++
					switch {
					case len(txn.Compare) > most:
						return nil, status.Error(codes.InvalidArgument, "etcdserver: too many operations in txn request")
					case slices.ContainsFunc(txn.Compare, func(c *pb.Compare) bool { return string(c.Key) == "q/200" }):
						return nil, status.Error(codes.PermissionDenied, "etcdserver: permission denied")
					}
					return next()
				})
				missing, err := queue.Missing(t.Context(), l.asked(t), places)
				var got []string
				for _, p := range missing {
					got = append(got, p.Key)
				}
				if want := []string{"q/000", "q/123", "q/124"}; err != nil || !slices.Equal(got, want) {
					t.Errorf("missing are %q, %v, want %q", got, err, want)
				}
				if most == 128 && requests > 60 {
					t.Errorf("%d requests", requests)
				}
			})
		})
	}
}

// asked is the store over the member that a test intercepts.
func (l *lookout) asked(t *testing.T) kv.KV {
	t.Helper()
	return kv.New(l.member.Conn(t))
}
