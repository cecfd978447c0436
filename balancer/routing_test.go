package balancer_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
)

func routed(r balancer.Routing) func(*client.Config) {
	return func(c *client.Config) { c.Routing = r }
}

// calls is how often each member was asked for the method.
func (r *rig) calls(method string) (n []int) {
	for _, m := range r.cluster.Members() {
		n = append(n, m.Calls(method))
	}
	return n
}

// Reads go to all members that serve, and to no other; writes to one.
func TestSpreadReads(t *testing.T) {
	run(t, 3, routed(balancer.Routing{SpreadReads: true}), func(r *rig) {
		t := r.t
		const reads = 300
		read := func() (n []int) {
			before := r.calls(pb.KV_Range_FullMethodName)
			for range reads {
				if _, err := r.get(r.timeout(time.Second)); err != nil {
					t.Fatal(err)
				}
			}
			for i, after := range r.calls(pb.KV_Range_FullMethodName) {
				n = append(n, after-before[i])
			}
			return n
		}
		for i, n := range read() {
			if n < reads/5 || n > reads/2 {
				t.Errorf("member %d: %d of %d reads, want about a third", i, n, reads)
			}
		}
		for range 10 {
			if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.calls(pb.KV_Put_FullMethodName); n[0] != 10 {
			t.Errorf("10 puts: got %v, want all on the first", n)
		}
		r.cluster.Member(1).SetNoLeader(true)
		read() // finds out
		n := read()
		if n[1] > 5 || n[0] < reads/3 || n[2] < reads/3 {
			t.Errorf("without the second member's leader: got %v, want the reads on the others", n)
		}
		r.cluster.Member(1).SetNoLeader(false)
		time.Sleep(11 * time.Second) // the longest penalty; the bubble's clock
		read()
		if n := read(); n[1] < reads/5 {
			t.Errorf("after its return: got %v, want a third on the second", n)
		}
	})
}

// Writes follow the leader at once, reads and streams do not.
func TestWritesToLeader(t *testing.T) {
	run(t, 3, routed(balancer.Routing{WritesToLeader: true}), func(r *rig) {
		t := r.t
		put := func(want int) {
			t.Helper()
			before := r.calls(pb.KV_Put_FullMethodName)
			if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
				t.Fatal(err)
			}
			if after := r.calls(pb.KV_Put_FullMethodName); after[want] != before[want]+1 {
				t.Errorf("a put: members had %v puts before and %v after, want one more on member %d", before, after, want)
			}
		}
		for i := range 3 {
			r.cluster.Elect(r.cluster.Member(2 - i))
			if err := r.put(r.timeout(time.Second), "k", "v"); err != nil { // whose answer tells the new term
				t.Fatal(err)
			}
			synctest.Wait()
			put(2 - i)
			var leaders []string
			for _, e := range r.Endpoints() {
				if e.Leader {
					leaders = append(leaders, e.Address)
				}
			}
			if len(leaders) != 1 || leaders[0] != r.cluster.Member(2-i).Addr() {
				t.Errorf("leaders: got %v, want %v", leaders, r.cluster.Member(2-i).Addr())
			}
		}
		r.cluster.Elect(r.cluster.Member(1))
		r.warm()
		synctest.Wait()
		put(1)
		if n := r.calls(pb.KV_Range_FullMethodName); n[0] < 10 {
			t.Errorf("reads: got %v, want them on the active member", n)
		}
		r.cluster.Member(1).Kill()
		synctest.Wait()
		put(0) // known not to be the leader, but who is?
	})
}

// Prefer may ask the client, or take its time: nobody waits for it with a lock held.
func TestPreferMayCallTheClient(t *testing.T) {
	var c atomic.Pointer[client.Client]
	var block chan struct{} // made in the bubble
	prefer := func(balancer.Endpoint) int {
		if c := c.Load(); c != nil {
			_ = c.Endpoints()
			<-block
		}
		return 0
	}
	run(t, 3, routed(balancer.Routing{Prefer: prefer}), func(r *rig) {
		r.warm()
		block = make(chan struct{})
		c.Store(r.Client)
		if err := r.SetEndpoints(m1, m2); err != nil {
			r.t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // the bubble's clock
		r.cluster.Member(0).Kill()
		if _, err := r.get(r.timeout(time.Second)); err != nil {
			r.t.Errorf("get while Prefer takes its time: %v", err)
		}
		close(block)
	})
}

// The preferred member serves whenever it can.
func TestPrefer(t *testing.T) {
	rank := map[string]int{m1: 2, m2: 1, m3: 0}
	run(t, 3, routed(balancer.Routing{Prefer: func(e balancer.Endpoint) int { return rank[e.Address] }}), func(r *rig) {
		t := r.t
		if got := r.active(); got != m3 {
			t.Errorf("active: got %q, want %q", got, m3)
		}
		r.cluster.Member(2).Kill()
		synctest.Wait()
		if got := r.active(); got != m2 {
			t.Errorf("active: got %q, want %q", got, m2)
		}
		r.cluster.Member(2).Start()
		time.Sleep(6 * time.Second) // the longest pause between tries is 5 s
		if got := r.active(); got != m3 {
			t.Errorf("after its return: active is %q, want %q", got, m3)
		}
	})
}

// What a client does is counted.
func TestCounters(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Hang()
		if _, err := r.get(r.timeout(time.Second)); err != nil {
			t.Fatal(err)
		}
		put := make(chan error, 1)
		go func() { put <- r.put(r.timeout(time.Minute), "k", "v") }()
		if err := <-put; !client.IsAmbiguous(err) {
			t.Errorf("a put on the silent member: got %v, want an error that is ambiguous", err)
		}
		time.Sleep(2 * time.Second)
		r.cluster.Member(0).Resume()
		c := r.Counters()
		if c.Calls != 12 || c.Attempts != 13 || c.Hedges != 1 || c.Failovers != 1 || c.Resolutions == 0 {
			t.Errorf("got %+v, want 12 calls, 13 attempts, 1 hedge, 1 failover, and resolutions", c)
		}
	})
}
