package balancer_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bare is a ClientConn with the policy, on a fake cluster.
type bare struct {
	t        *testing.T
	cluster  *etcdtest.Cluster
	cc       *grpc.ClientConn
	table    *policy.Table
	resolver *manual.Resolver

	mu       sync.Mutex
	dials    map[string]int // connection attempts by address
	resolves int            // ResolveNow calls
}

// runBare calls test in a synctest bubble with a bare rig on n members.
func runBare(t *testing.T, n int, test func(r *bare)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &bare{t: t, cluster: etcdtest.Start(t, n), table: policy.NewTable(), dials: make(map[string]int)}
		r.resolver = manual.NewBuilderWithScheme("test")
		r.resolver.ResolveNowCallback = func(resolver.ResolveNowOptions) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.resolves++
		}
		r.resolver.InitialState(r.state(r.cluster.Addrs()...))
		dial := r.cluster.Dialer()
		cc, err := grpc.NewClient("test:///",
			grpc.WithResolvers(r.resolver),
			grpc.WithDefaultServiceConfig(policy.ServiceConfig),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				r.mu.Lock()
				r.dials[addr]++
				r.mu.Unlock()
				return dial(ctx, addr)
			}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cc.Close() })
		r.cc = cc
		cc.Connect()
		synctest.Wait()
		test(r)
	})
}

func (r *bare) state(addrs ...string) resolver.State {
	var s resolver.State
	for _, a := range addrs {
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a}}})
	}
	return policy.Attach(s, policy.Options{
		Table: r.table, Logger: slog.New(slog.DiscardHandler),
		Pulse:     -1,                            // the tests say what is asked
		OneMember: len(r.cluster.Members()) == 1, // what such tests say of the member is not true of a second connection
	})
}

func (r *bare) dialed(addr string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dials[addr]
}

// roles returns the addresses that have each role.
func (r *bare) roles() (active, standby string, idle []string) {
	for _, s := range r.table.Snapshot() {
		switch s.Role {
		case balancer.Active:
			active = s.Address
		case balancer.Standby:
			standby = s.Address
		default:
			idle = append(idle, s.Address)
		}
	}
	return active, standby, idle
}

func (r *bare) wantRoles(active, standby string, idle ...string) {
	r.t.Helper()
	a, s, i := r.roles()
	if a != active || s != standby || !slices.Equal(i, idle) {
		r.t.Fatalf("active, standby, idle: got %q, %q, %q, want %q, %q, %q", a, s, i, active, standby, idle)
	}
}

// get sends a linearizable read and returns the endpoint that it was sent to.
func (r *bare) get(avoid ...string) (string, error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
	defer cancel()
	a := &attempt.Attempt{Avoid: avoid, Measure: true}
	ctx = metadata.AppendToOutgoingContext(attempt.NewContext(ctx, a), rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	_, err := pb.NewKVClient(r.cc).Range(ctx, &pb.RangeRequest{Key: []byte("k")})
	return a.Endpoint(), err
}

func (r *bare) wantGet(endpoint string, avoid ...string) {
	r.t.Helper()
	got, err := r.get(avoid...)
	if err != nil || got != endpoint {
		r.t.Fatalf("get: served by %q with error %v, want %q and none", got, err, endpoint)
	}
}

const (
	m1 = "member-1:2379"
	m2 = "member-2:2379"
	m3 = "member-3:2379"
)

func TestKeepsOneActiveAndOneStandby(t *testing.T) {
	runBare(t, 3, func(r *bare) {
		r.wantRoles(m1, m2, m3)
		r.wantGet(m1)
		r.wantGet(m2, m1)
		r.wantGet(m1, m2)
		r.wantGet(m1, m1, m2) // a wish, not a ban
	})
}

func TestStandbyTakesOverWithoutDialing(t *testing.T) {
	runBare(t, 3, func(r *bare) {
		t := r.t
		before := time.Now()
		r.cluster.Member(0).Kill()
		synctest.Wait() // until the loss is noticed
		r.wantGet(m2)
		if d := time.Since(before); d > 0 {
			t.Errorf("the take-over took %v, want no time", d)
		}
		time.Sleep(time.Second) // the bubble's clock: within it another standby is connected
		synctest.Wait()
		r.wantRoles(m2, m3, m1)
		if n := r.dialed(m2); n != 1 {
			t.Errorf("the standby was dialed %d times, want once", n)
		}
	})
}

// Who lost a connection replaces it at some time within a second, since all clients of the
// member have lost theirs, but at once when no member serves any more.
func TestLostConnectionsAreReplacedOneByOne(t *testing.T) {
	var when []time.Duration
	for range 20 {
		runBare(t, 3, func(r *bare) {
			before := time.Now()
			r.cluster.Member(0).Kill()
			for r.dialed(m3) == 0 && time.Since(before) <= time.Second {
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
			}
			when = append(when, time.Since(before))
		})
		runBare(t, 3, func(r *bare) {
			r.cluster.Member(0).Kill()
			synctest.Wait()
			before := time.Now()
			r.cluster.Member(1).Kill()
			synctest.Wait()
			r.wantGet(m3)
			if d := time.Since(before); d > 0 {
				t.Errorf("the last member served after %v, want at once", d)
			}
		})
	}
	slices.Sort(when)
	if last := when[len(when)-1]; last > time.Second+10*time.Millisecond {
		t.Errorf("a connection was replaced after %v, want within a second", last)
	}
	if when[0] > when[len(when)-1]/2 {
		t.Errorf("connections were replaced between %v and %v after the loss, want all over the second", when[0], when[len(when)-1])
	}
}

func TestAllLost(t *testing.T) {
	runBare(t, 3, func(r *bare) {
		t := r.t
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		synctest.Wait()
		r.mu.Lock()
		clear(r.dials)
		r.resolves = 0
		r.mu.Unlock()
		const outage = 20 * time.Second
		time.Sleep(outage) // the bubble's clock
		if s := r.cc.GetState(); s != connectivity.TransientFailure {
			t.Errorf("state in the outage: got %v, want %v", s, connectivity.TransientFailure)
		}
		for _, a := range []string{m1, m2, m3} {
			// Pauses of 0.5 to 1 s between rounds.
			if n := r.dialed(a); n < 15 || n > 45 {
				t.Errorf("%s was dialed %d times in %v, want about once a second", a, n, outage)
			}
		}
		r.mu.Lock()
		if r.resolves < 15 {
			t.Errorf("the resolver was asked %d times in %v, want after each round", r.resolves, outage)
		}
		r.mu.Unlock()
		for _, s := range r.table.Snapshot() {
			if s.LastError == nil {
				t.Errorf("%s has no last error", s.Address)
			}
		}
		back := time.Now()
		r.cluster.Member(2).Start()
		r.wantGet(m3)
		if d := time.Since(back); d > 1100*time.Millisecond {
			t.Errorf("recovery took %v after the first member's return, want at most a pause of 1 s", d)
		}
	})
}

func TestDeadMemberAtStart(t *testing.T) {
	runBare(t, 3, func(r *bare) {
		t := r.t
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		synctest.Wait()
		r.cluster.Member(1).Freeze() // accepts, says nothing
		r.cluster.Member(1).Start()
		r.cluster.Member(2).Start()
		start := time.Now()
		r.wantGet(m3)
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("a member that hangs held up the others for %v", d)
		}
	})
}

func TestDemotion(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*etcdtest.Member, bool)
		want error
	}{
		"no leader": {(*etcdtest.Member).SetNoLeader, rpctypes.ErrNoLeader},
		"learner":   {(*etcdtest.Member).SetLearner, rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)},
	} {
		t.Run(name, func(t *testing.T) {
			runBare(t, 3, func(r *bare) {
				t := r.t
				c.set(r.cluster.Member(0), true)
				if _, err := r.get(); !errors.Is(rpctypes.Error(err), c.want) {
					t.Fatalf("got %v, want %v", err, c.want)
				}
				r.wantGet(m2)
				synctest.Wait()
				if a, _, _ := r.roles(); a != m2 {
					t.Errorf("active: got %q, want %q", a, m2)
				}
				c.set(r.cluster.Member(0), false)
				r.cluster.Member(1).Kill()
				r.cluster.Member(2).Kill()
				synctest.Wait() // until the losses are noticed
				r.wantGet(m1)
			})
		})
	}
}

func TestAllDemoted(t *testing.T) {
	runBare(t, 3, func(r *bare) {
		t := r.t
		for _, m := range r.cluster.Members() {
			m.SetNoLeader(true)
		}
		// The active one refuses the call, and the standby what the policy asks it then. From then on a
		// call waits for a leader.
		if _, err := r.get(); !errors.Is(rpctypes.Error(err), rpctypes.ErrNoLeader) {
			t.Fatalf("got %v, want %v", err, rpctypes.ErrNoLeader)
		}
		synctest.Wait()
		if err := r.read(&attempt.Attempt{AnyMember: true}, true); err != nil {
			t.Errorf("a serializable read, which needs no leader: %v", err)
		}
		start := time.Now()
		done := make(chan error)
		go func() { done <- r.read(&attempt.Attempt{}, false) }()
		select {
		case err := <-done:
			t.Fatalf("a read without a leader: got %v, want it to wait", err)
		case <-time.After(2 * time.Second):
		}
		for _, m := range r.cluster.Members() {
			if n := r.dialed(m.Addr()); n > 9 {
				t.Errorf("%s was dialed %d times in 2 s", m.Addr(), n)
			}
			m.SetNoLeader(false)
		}
		if err := <-done; err != nil {
			t.Errorf("after the election: %v", err)
		}
		if d := time.Since(start); d > 2300*time.Millisecond {
			t.Errorf("after %v, want at most 0.3 s after the election", d)
		}
	})
}

func TestNewAddresses(t *testing.T) {
	runBare(t, 3, func(r *bare) {
		t := r.t
		r.resolver.UpdateState(r.state(m2, m1)) // another order is no reason to move
		synctest.Wait()
		r.wantRoles(m1, m2)
		r.wantGet(m1)
		r.cluster.Member(2).Freeze()
		r.resolver.UpdateState(r.state(m3))
		synctest.Wait()
		r.wantGet(m1) // until another is connected
		r.cluster.Member(2).Thaw()
		time.Sleep(time.Second) // the bubble's clock
		r.wantRoles(m3, m3)     // a single address may be that of many members
		r.wantGet(m3)
		if r.dialed(m1) != 1 || r.dialed(m2) != 1 {
			t.Errorf("dialed %s %d times and %s %d times, want once each", m1, r.dialed(m1), m2, r.dialed(m2))
		}
		r.resolver.UpdateState(r.state())
		synctest.Wait()
		r.wantGet(m3) // an empty list empties nothing
	})
}

func TestLatencyAndMemberID(t *testing.T) {
	runBare(t, 2, func(r *bare) {
		t := r.t
		const delay = 30 * time.Millisecond
		m := r.cluster.Member(0)
		m.Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
			time.Sleep(delay) // the bubble's clock
			return next()
		})
		r.wantGet(m1)
		s := r.table.Snapshot()[0]
		if s.Latency != delay {
			t.Errorf("latency: got %v, want %v", s.Latency, delay)
		}
		a := &attempt.Attempt{}
		if _, err := pb.NewKVClient(r.cc).Range(attempt.NewContext(t.Context(), a), &pb.RangeRequest{Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
		a.Observe(42, 2)
		if got := r.table.Snapshot()[0].MemberID; got != 42 {
			t.Errorf("member ID: got %d, want 42", got)
		}
		if got := r.table.Snapshot()[0].Latency; got != delay {
			t.Errorf("a call that is not to be measured changed the latency to %v", got)
		}
	})
}

func TestChanged(t *testing.T) {
	runBare(t, 2, func(r *bare) {
		t := r.t
		changed := r.table.Changed()
		r.wantGet(m1)
		select {
		case <-changed:
			t.Error("a request that changed nothing was announced")
		default:
		}
		r.cluster.Member(0).Kill()
		synctest.Wait()
		select {
		case <-changed:
		default:
			t.Error("a lost connection was not announced")
		}
	})
}

func TestSent(t *testing.T) {
	runBare(t, 1, func(r *bare) {
		t := r.t
		r.cluster.Member(0).Kill()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a := &attempt.Attempt{}
		kv := pb.NewKVClient(r.cc)
		if _, err := kv.Put(attempt.NewContext(ctx, a), &pb.PutRequest{Key: []byte("k")}); err == nil || a.Sent() {
			t.Errorf("to no member: error %v, sent %v, want an error and false", err, a.Sent())
		}
		r.cluster.Member(0).Start()
		if _, err := kv.Put(attempt.NewContext(t.Context(), a), &pb.PutRequest{Key: []byte("k")}); err != nil || !a.Sent() {
			t.Errorf("to a member: error %v, sent %v, want none and true", err, a.Sent())
		}
	})
}

// A connection attempt that hangs holds up nobody but its own member.
func TestHungAttemptDoesNotHoldUpTheOthers(t *testing.T) {
	runBare(t, 2, func(r *bare) {
		t := r.t
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		synctest.Wait()
		r.cluster.Member(0).Freeze() // accepts, says nothing
		r.cluster.Member(0).Start()
		time.Sleep(3 * time.Second) // the bubble's clock
		r.cluster.Member(1).Start()
		start := time.Now()
		r.wantGet(m2)
		if d := time.Since(start); d > 1100*time.Millisecond {
			t.Errorf("the member that came back was found after %v, want at most a pause of 1 s", d)
		}
		r.cluster.Member(0).Thaw()
	})
}

// The same holds while the active member can't serve.
func TestHungAttemptBesideADemotedMember(t *testing.T) {
	runBare(t, 3, func(r *bare) {
		t := r.t
		r.cluster.Member(1).Kill()
		r.cluster.Member(2).Kill()
		time.Sleep(time.Minute) // until the pauses are at their longest
		r.cluster.Member(1).Freeze()
		r.cluster.Member(1).Start()
		time.Sleep(10 * time.Second) // until it is dialed
		r.cluster.Member(2).Start()
		r.cluster.Member(0).SetNoLeader(true)
		start := time.Now()
		for {
			e, err := r.get()
			if err == nil {
				if e != m3 {
					t.Errorf("served by %q, want %q", e, m3)
				}
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if d := time.Since(start); d > 1100*time.Millisecond {
			t.Errorf("the member that came back was found after %v, want at most a pause of 1 s", d)
		}
		r.cluster.Member(1).Thaw()
	})
}

// demoted reports whether the first member is. The policy gives gRPC its new picker, which lets
// requests go on, a moment before it fills the table.
func (r *bare) demoted() bool {
	synctest.Wait()
	return r.table.Snapshot()[0].Demoted != nil
}

func (r *bare) read(a *attempt.Attempt, serializable bool) error {
	_, err := pb.NewKVClient(r.cc).Range(attempt.NewContext(r.t.Context(), a), &pb.RangeRequest{Key: []byte("k"), Serializable: serializable})
	return err
}

// What any member serves is no proof that this one serves again.
func TestSerializableReadsEndNoDemotion(t *testing.T) {
	runBare(t, 1, func(r *bare) {
		t := r.t
		r.cluster.Member(0).SetLearner(true)
		if err := r.read(&attempt.Attempt{}, false); err == nil || !r.demoted() {
			t.Fatalf("a learner: got error %v, demoted %v, want both", err, r.demoted())
		}
		if err := r.read(&attempt.Attempt{AnyMember: true}, true); err != nil || !r.demoted() {
			t.Errorf("a serializable read: got error %v, demoted %v, want no error, and demoted still", err, r.demoted())
		}
		r.cluster.Member(0).SetLearner(false)
		if err := r.read(&attempt.Attempt{}, false); err != nil || r.demoted() {
			t.Errorf("a linearizable read: got error %v, demoted %v, want neither", err, r.demoted())
		}
	})
}

// Answers to requests that are older than a verdict do not change it.
func TestOldAnswersAreNoNews(t *testing.T) {
	runBare(t, 1, func(r *bare) {
		t := r.t
		// begin starts a read that is answered with answer in 100 ms; other is what
		// reads that begin meanwhile are answered.
		begin := func(answer, other error) <-chan error {
			done, begun := make(chan error, 1), make(chan struct{}, 1)
			begun <- struct{}{}
			r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
				if method != pb.KV_Range_FullMethodName {
					return next()
				}
				err := other
				select {
				case <-begun:
					err = answer
					time.Sleep(100 * time.Millisecond) // the bubble's clock
				default:
				}
				if err != nil {
					return nil, err
				}
				return next()
			})
			go func() { done <- r.read(&attempt.Attempt{}, false) }()
			synctest.Wait()
			time.Sleep(time.Millisecond)
			return done
		}
		done := begin(nil, rpctypes.ErrGRPCNoLeader)
		if err := r.read(&attempt.Attempt{}, false); err == nil || !r.demoted() {
			t.Fatalf("got error %v, demoted %v, want both", err, r.demoted())
		}
		if err := <-done; err != nil || !r.demoted() {
			t.Errorf("an old success: got error %v, demoted %v, want no error, and demoted still", err, r.demoted())
		}
		r.cluster.Member(0).Intercept(nil)
		time.Sleep(time.Second) // until it has proved that it serves
		if r.demoted() {
			t.Fatal("still demoted after a second of service")
		}
		done = begin(rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCNoLeader)
		if err := r.read(&attempt.Attempt{}, false); err == nil || !r.demoted() {
			t.Fatalf("got error %v, demoted %v, want both", err, r.demoted())
		}
		r.cluster.Member(0).Intercept(nil)
		if err := r.read(&attempt.Attempt{}, false); err != nil || r.demoted() {
			t.Fatalf("after the election: got error %v, demoted %v, want neither", err, r.demoted())
		}
		if err := <-done; err == nil || r.demoted() {
			t.Errorf("an old refusal: got error %v, demoted %v, want an error, and in use still", err, r.demoted())
		}
	})
}

// However members and addresses come and go, none is dialed more than four
// times a second.
func TestDialsAreFewWhateverHappens(t *testing.T) {
	for name, step := range map[string]func(r *bare, i int){
		"all flap": func(r *bare, _ int) {
			for _, m := range r.cluster.Members() {
				m.Kill()
				m.Start()
			}
		},
		"one flaps": func(r *bare, i int) {
			r.cluster.Member(i % 3).Kill()
			synctest.Wait()
			r.cluster.Member(i % 3).Start()
		},
		"addresses reshuffled, all dead": func(r *bare, i int) {
			for _, m := range r.cluster.Members() {
				m.Kill()
			}
			r.resolver.UpdateState(r.state([][]string{{m1, m2, m3}, {m3, m1, m2}, {m2, m1}}[i%3]...))
		},
		"addresses reshuffled, half dead": func(r *bare, i int) {
			r.cluster.Member(0).Kill()
			r.resolver.UpdateState(r.state([][]string{{m1, m2}, {m2, m3, m1}, {m1, m3}}[i%3]...))
		},
		"refusing": func(r *bare, _ int) {
			r.cluster.Member(2).Kill()
			for _, m := range r.cluster.Members()[:2] {
				m.SetNoLeader(true)
			}
			_, _ = r.get()
		},
	} {
		t.Run(name, func(t *testing.T) {
			runBare(t, 3, func(r *bare) {
				const seconds = 20
				for i, start := 0, time.Now(); time.Since(start) < seconds*time.Second; i++ {
					step(r, i)
					time.Sleep(10 * time.Millisecond) // the bubble's clock
				}
				for _, a := range []string{m1, m2, m3} {
					if n := r.dialed(a); n > 4*seconds+2 {
						r.t.Errorf("%s was dialed %d times in %d s", a, n, seconds)
					}
				}
			})
		})
	}
}
