package balancer_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/lock"
)

// A client that does nothing but wait finds a silent member by asking it, once a second
// at most unless Config.HeartbeatInterval says otherwise, and not only when the watch's own
// heartbeat is due. So it finds one that has lost its peers, and tells no events for that.
func TestNothingButAWatch(t *testing.T) {
	for name, silence := range map[string]func(*etcdtest.Member, *atomic.Bool){
		"stopped":                     func(m *etcdtest.Member, _ *atomic.Bool) { m.Freeze() },
		"cut off and not aware of it": func(m *etcdtest.Member, mute *atomic.Bool) { mute.Store(true); m.Intercept(onlyHealth) },
	} {
		for _, c := range []struct {
			interval    time.Duration
			least, most int // requests a minute
			within      time.Duration
		}{
			{0, 55, 61, 1500 * time.Millisecond},
			{200 * time.Millisecond, 270, 305, 700 * time.Millisecond},
			{-1, 0, 0, time.Minute}, // it is the watch's heartbeat that tells
		} {
			t.Run(fmt.Sprint(name, " ", c.interval), func(t *testing.T) {
				run(t, 3, func(cfg *client.Config) { cfg.HeartbeatInterval = c.interval }, func(r *rig) {
					t, first := r.t, r.cluster.Member(0)
					var mute atomic.Bool
					first.InterceptStream(func(s grpc.ServerStream, _ string, next func(grpc.ServerStream) error) error {
						return next(mutable{s, &mute})
					})
					events := r.Watch(r.timeout(10*time.Minute), "k")
					other := r.another()
					time.Sleep(10 * time.Second) // the bubble's clock
					before := first.Calls(pb.KV_Range_FullMethodName)
					time.Sleep(time.Minute)
					if n := first.Calls(pb.KV_Range_FullMethodName) - before; n < c.least || n > c.most {
						t.Errorf("the member was asked %d times in a minute, want %d to %d", n, c.least, c.most)
					}
					silence(first, &mute)
					start := time.Now()
					if _, err := other.Put(r.timeout(time.Minute), "k", "v"); err != nil {
						t.Fatal(err)
					}
					resp := <-events
					if d := time.Since(start); resp.Err() != nil || len(resp.Events) != 1 || d > c.within {
						t.Errorf("got %v after %v, want the event within %v", resp, d, c.within)
					}
					first.Thaw()
				})
			})
		}
	}
}

// mutable is a stream of watches whose messages can be held back: those of this fake would
// tell a revision that a member without its peers does not know.
type mutable struct {
	grpc.ServerStream
	mute *atomic.Bool
}

func (m mutable) SendMsg(msg any) error {
	if _, ok := msg.(*pb.WatchResponse); ok && m.mute.Load() {
		return nil
	}
	return m.ServerStream.SendMsg(msg)
}

// A waiter gets the lock soon after it is free, whatever has become of its member.
func TestNothingButAWaitingLock(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		other := r.another()
		theirs, err := lock.New(other.Conn(), "l")
		if err != nil {
			t.Fatal(err)
		}
		if err := theirs.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		ours, err := lock.New(r.Conn(), "l")
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() { got <- ours.Lock(r.timeout(10 * time.Minute)) }()
		time.Sleep(30 * time.Second) // the bubble's clock
		r.cluster.Member(0).Freeze()
		synctest.Wait()
		start := time.Now()
		if err := theirs.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Errorf("Lock: %v", err)
		}
		if d := time.Since(start); d > 1500*time.Millisecond {
			t.Errorf("the lock was had %v after it was free, want at most 1.5 s", d)
		}
		r.cluster.Member(0).Thaw()
		if err := ours.Unlock(r.timeout(time.Minute)); err != nil {
			t.Errorf("Unlock: %v", err)
		}
	})
}

// another is a client that uses the last member.
func (r *rig) another() *client.Client {
	r.t.Helper()
	return newClient(r.t, r.cluster, r.cluster.Member(2))
}

func newClient(t *testing.T, cluster *etcdtest.Cluster, m *etcdtest.Member) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Endpoints: []string{m.Addr()}, DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
