package lease_test

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/lease"
)

func TestManyLeasesShareFewStreams(t *testing.T) {
	const (
		leases     = manyLeases
		maxStreams = 8 // one for each thousand, and no more than these
	)
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		renewals := record(c.Member(0), nil)
		ids := make([]lease.ID, leases)
		for i := range ids {
			ids[i] = mustGrant(t, l, 60)
		}
		before := goroutines()
		keepers := make([]*lease.Keeper, leases)
		var wg sync.WaitGroup
		for i := range 100 { // a hundred at a time ask, each for its share
			wg.Go(func() {
				for j := i; j < leases; j += 100 {
					k, err := l.Keep(t.Context(), ids[j])
					if err != nil {
						t.Errorf("Keep: %v", err)
						return
					}
					keepers[j] = k
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		// Per stream: sender and receiver here, gRPC's watcher of its context,
		// and the fake server's handler with its receiver.
		if got, most := goroutines()-before, 1+maxStreams*6; got > most {
			t.Errorf("%d goroutines for %d keepers, want at most %d", got, leases, most)
		}
		if got := c.Member(0).Calls(keepAlive); got > maxStreams {
			t.Errorf("%d streams, want at most %d", got, maxStreams)
		}

		begin := time.Now()
		time.Sleep(time.Minute)
		for _, k := range keepers {
			if err := k.Err(); err != nil {
				t.Fatalf("a keeper ended: %v", err)
			}
		}
		// All first renewals came in one moment; those that follow are spread.
		perSecond := make(map[int]int)
		for _, r := range renewals() {
			if at := r.at.Sub(begin); at >= time.Second {
				perSecond[int(at/time.Second)]++
			}
		}
		for s, n := range perSecond {
			// Every lease once in twenty seconds at most, the first round in ten.
			if n > leases/7 {
				t.Errorf("%d renewals in second %d, want at most %d", n, s, leases/7)
			}
		}
		for _, k := range keepers {
			_ = k.Close()
		}
		synctest.Wait()
		// The connection's own may come and go; one stream alone has more.
		if got := goroutines() - before; got > 2 {
			t.Errorf("%d goroutines are left after the last keeper", got)
		}
	})
}

// On a failover connection a keeper does not only open another stream: it
// opens it elsewhere.
func TestAvoidsTheSilentMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 3)
		l := newService(t, failover(t, c))
		k := mustKeep(t, l, mustGrant(t, l, 9))
		for round := range 3 {
			time.Sleep(time.Minute)
			active := mostRenewals(c, func() { time.Sleep(10 * time.Second) })
			active.Hang()
			time.Sleep(time.Minute)
			if err := k.Err(); err != nil {
				t.Fatalf("round %d: Err after %s fell silent: %v", round, active.Name(), err)
			}
			active.Resume()
		}
	})
}

// mostRenewals is the member that gets the renewals while f runs.
func mostRenewals(c *etcdtest.Cluster, f func()) *etcdtest.Member {
	before := make(map[*etcdtest.Member]int)
	for _, m := range c.Members() {
		before[m] = m.Messages(keepAlive)
	}
	f()
	best := c.Member(0)
	for _, m := range c.Members() {
		if m.Messages(keepAlive)-before[m] > best.Messages(keepAlive)-before[best] {
			best = m
		}
	}
	return best
}

func failover(t *testing.T, c *etcdtest.Cluster) grpc.ClientConnInterface {
	t.Helper()
	cl, err := client.New(client.Config{
		Endpoints:   c.Addrs(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())},
	})
	if err != nil {
		t.Fatalf("client.New: %v", err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	return cl.Conn()
}

// goroutines counts them exactly. runtime.NumGoroutine does not: on a busy
// machine it may include some dozens that have ended, while the scheduler moves
// them from one list of free ones to another.
func goroutines() int {
	stacks := make([]byte, 8<<20)
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("\ngoroutine ")) + 1
}
