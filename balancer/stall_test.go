package balancer_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/connectivity"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/policy"
)

// warm lets the client learn how quick its member is.
func (r *rig) warm() {
	r.t.Helper()
	for range 10 {
		if _, err := r.get(r.timeout(time.Second)); err != nil {
			r.t.Fatal(err)
		}
	}
	time.Sleep(time.Millisecond) // what comes then is later; the bubble's clock stands still otherwise
}

// A member that keeps its connections and answers nothing is left: reads move on at
// once. A write that was under way has the patience that is its own, and is in doubt
// then.
func TestSilentMember(t *testing.T) {
	for name, silence := range map[string]func(*etcdtest.Member){
		"stopped":         (*etcdtest.Member).Freeze,
		"answers nothing": (*etcdtest.Member).Hang,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				r.warm()
				silence(r.cluster.Member(0))
				r.wantPatience(policy.DefaultPatience)
				if got := r.active(); got != m2 {
					t.Errorf("active: got %q, want %q", got, m2)
				}
				if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
					t.Errorf("a put afterwards: %v", err)
				}
				r.cluster.Member(0).Thaw()
				r.cluster.Member(0).Resume()
			})
		})
	}
}

// wantPatience sends a read and a write to a member that will answer neither, of a
// client with this patience.
func (r *rig) wantPatience(patience time.Duration) {
	t := r.t
	t.Helper()
	start := time.Now()
	put := make(chan error, 1)
	go func() { put <- r.put(r.timeout(time.Minute), "k", "v") }()
	if _, err := r.get(r.timeout(time.Minute)); err != nil {
		t.Errorf("get: %v", err)
	}
	if d := time.Since(start); d > 600*time.Millisecond {
		t.Errorf("the get took %v, want at most a suspicion and a probe", d)
	}
	if err := <-put; !client.IsAmbiguous(err) {
		t.Errorf("put: got %v, want an error that is ambiguous", err)
	}
	if d := time.Since(start) - patience; d < 0 || d > 300*time.Millisecond {
		t.Errorf("the put took its patience and %v, want 0 to 0.3 s", d)
	}
}

// A member that is there but can't reach its leader, while another can, is
// demoted, and what waits on it is released.
func TestMemberWithoutItsLeader(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		// It has not noticed yet: it takes requests, and they wait.
		r.cluster.Member(0).Intercept(onlyHealth)
		r.wantPatience(policy.DefaultPatience)
		if got := r.active(); got != m2 {
			t.Errorf("active: got %q, want %q", got, m2)
		}
	})
}

// When the member in use and the one beside it fall silent together, the third
// takes over before it is certain what is wrong with them.
func TestTwoSilentMembers(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Hang()
		r.cluster.Member(1).Hang()
		start := time.Now()
		if _, err := r.get(r.timeout(time.Minute)); err != nil {
			t.Errorf("get: %v", err)
		}
		// A member that hangs may yet answer that a probe's deadline has passed. Then it
		// is there and does not serve, and has the time of a drain more.
		if d := time.Since(start); d > 1300*time.Millisecond {
			t.Errorf("took %v, want a suspicion, a probe, and what it takes to be certain then", d)
		}
		if got := r.active(); got != m3 {
			t.Errorf("active: got %q, want %q", got, m3)
		}
		r.cluster.Member(0).Resume()
		r.cluster.Member(1).Resume()
	})
}

// A slow request on a member that serves is left alone, and so is everything
// while no member serves.
func TestSlownessIsNoStall(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Intercept(times(1, pb.KV_Put_FullMethodName,
			func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
				time.Sleep(2 * time.Second) // the bubble's clock
				return next()
			}))
		if err := r.put(r.timeout(time.Minute), "k", "v"); err != nil {
			t.Errorf("a put that took 2 s: %v", err)
		}
		if got := r.active(); got != m1 {
			t.Errorf("active: got %q, want %q", got, m1)
		}
	})
}

// When all members are silent together it is this machine that is busy, or the
// network: for a moment nothing is severed for that.
func TestSharedSilenceIsNoStall(t *testing.T) {
	for _, n := range []int{1, 3} {
		run(t, n, nil, func(r *rig) {
			t := r.t
			r.warm()
			for _, m := range r.cluster.Members() {
				m.Hang()
			}
			put := make(chan error, 1)
			go func() { put <- r.put(r.timeout(time.Minute), "k", "v") }()
			time.Sleep(1500 * time.Millisecond) // the bubble's clock
			for _, m := range r.cluster.Members() {
				m.Resume()
			}
			if err := <-put; err != nil {
				t.Errorf("%d members: a put through a silence of 1.5 s: %v", n, err)
			}
		})
	}
}

func TestElectionIsNoStall(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		hold := make(chan struct{})
		for _, m := range r.cluster.Members() {
			m.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
				if method != healthCheck {
					<-hold // no member reaches a leader
				}
				return next()
			})
		}
		put := make(chan error, 1)
		go func() { put <- r.put(r.timeout(time.Minute), "k", "v") }()
		time.Sleep(2 * time.Second) // the bubble's clock
		if got := r.active(); got != m1 {
			t.Errorf("active: got %q, want %q", got, m1)
		}
		close(hold)
		if err := <-put; err != nil {
			t.Errorf("a put that the new leader served: %v", err)
		}
	})
}

// After an election, a write whose proposal went to the old leader is not waited
// for.
func TestWriteLostInAnElection(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Intercept(times(1, pb.KV_Put_FullMethodName,
			func(ctx context.Context, _ string, _ any, _ func() (any, error)) (any, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}))
		put := make(chan error, 1)
		start := time.Now()
		go func() { put <- r.put(r.timeout(time.Minute), "k", "v") }()
		synctest.Wait()
		time.Sleep(100 * time.Millisecond) // the bubble's clock
		r.cluster.Elect(r.cluster.Member(2))
		if err := <-put; !client.IsAmbiguous(err) {
			t.Errorf("put: got %v, want an error that is ambiguous", err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("it took %v, want at most a suspicion, a probe and the drain", d)
		}
	})
}

// The same, while the other connected member is the former leader, which answers nothing: its
// silence does not delay what the first member's answer tells.
func TestWriteLostBesideTheFormerLeader(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil { // tells the term
			t.Fatal(err)
		}
		r.cluster.Member(0).Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
			time.Sleep(15 * time.Millisecond) // a slow network, where a probe asks both members at once
			return next()
		})
		r.warm()
		elected := make(chan struct{})
		r.cluster.Member(0).Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
			switch method {
			case pb.KV_Put_FullMethodName:
				<-ctx.Done()
				return nil, ctx.Err()
			case pb.KV_Range_FullMethodName:
				<-elected
			}
			return next()
		})
		r.cluster.Member(1).Intercept(onlyHealth)
		put := make(chan error, 1)
		go func() { put <- r.put(r.timeout(time.Minute), "k", "v") }()
		time.Sleep(700 * time.Millisecond) // the bubble's clock
		start := time.Now()
		r.cluster.Elect(r.cluster.Member(2))
		close(elected)
		if err := <-put; !client.IsAmbiguous(err) {
			t.Errorf("put: got %v, want an error that is ambiguous", err)
		}
		if d := time.Since(start); d > 750*time.Millisecond {
			t.Errorf("%v after the election, want at most a probe, the drain and another probe", d)
		}
		r.cluster.Member(0).Intercept(nil)
		r.cluster.Member(1).Intercept(nil)
	})
}

// A severed member that comes back is used again.
func TestSeveredMemberReturns(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Freeze()
		if _, err := r.get(r.timeout(time.Minute)); err != nil {
			t.Fatal(err)
		}
		r.cluster.Member(0).Thaw()
		time.Sleep(15 * time.Second) // the bubble's clock
		for _, s := range r.Endpoints() {
			if s.State != connectivity.Ready {
				t.Errorf("%s is %v, want %v", s.Address, s.State, connectivity.Ready)
			}
		}
	})
}

// An idle client does nothing but ask, before a ping is due, for what spares the member
// the ping.
func TestIdleClientIsQuiet(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		time.Sleep(time.Minute) // the bubble's clock
		before := r.cluster.Member(0).Calls(healthCheck)
		r.warm()
		time.Sleep(time.Minute)
		if n := r.cluster.Member(0).Calls(healthCheck) - before; n < 6 || n > 12 {
			t.Errorf("%d questions in a minute, want one each 5 to 10 s", n)
		}
		if n := r.Counters().Probes; n != 0 {
			t.Errorf("%d probes of a member that answers at once", n)
		}
	})
}
