package balancer_test

import (
	"context"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
)

// What a client asks of its cluster when that has the least time for it.

// A cluster that is overrun answers everything late. A client whose calls all wait for too long
// asks again and again whether its members are there, but not all the time.
func TestOverrunMembersAreProbedRarely(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		for _, m := range r.cluster.Members() {
			m.Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
				time.Sleep(1500 * time.Millisecond) // the bubble's clock
				return next()
			})
		}
		asked := func() (n int) {
			for _, m := range r.cluster.Members() {
				n += m.Calls(healthCheck)
			}
			return n
		}
		before, begun := asked(), time.Now()
		for time.Since(begun) < time.Minute {
			if _, err := r.get(r.timeout(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		// Forty reads. Without rests there are 132 questions, with them 56.
		if n := asked() - before; n == 0 || n > 80 {
			t.Errorf("the members were asked %d times in a minute whether they are there, want 1 to 80", n)
		}
	})
}

// One call that takes long says little. The member that serves a read in the meantime is asked
// nothing else, and no other member is.
func TestAServingMemberIsAskedOneQuestion(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Intercept(once(pb.KV_Put_FullMethodName, func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
			time.Sleep(300 * time.Millisecond) // the bubble's clock
			return next()
		}))
		count := func(method string) (n int) {
			for _, m := range r.cluster.Members() {
				n += m.Calls(method)
			}
			return n
		}
		reads, checks, probes := count(pb.KV_Range_FullMethodName), count(healthCheck), r.Counters().Probes
		if err := r.put(r.timeout(time.Minute), "k", "late"); err != nil {
			t.Fatal(err)
		}
		if n := r.Counters().Probes - probes; n == 0 {
			t.Fatal("nothing was probed")
		}
		asked := uint64(count(pb.KV_Range_FullMethodName) - reads) //nolint:gosec // a count
		if probes = r.Counters().Probes - probes; asked != probes || count(healthCheck) != checks {
			t.Errorf("%d probes read %d times, and asked %d times who is there; want one read each", probes, asked, count(healthCheck)-checks)
		}
	})
}

// Since etcd 3.7 a member tells users alone its status. A client that has learned so does not ask
// for it each time that it connects, and knows all the same who the member is.
func TestRefusedStatusIsNotAskedForAgain(t *testing.T) {
	users := map[string]string{"root": "secret"}
	run(t, 3, func(cfg *client.Config) { cfg.Username, cfg.Password = "root", "secret" }, func(r *rig) {
		t := r.t
		ctx := r.timeout(time.Hour)
		reconnect := func() {
			t.Helper()
			for _, m := range r.cluster.Members() {
				m.Kill()
			}
			for _, m := range r.cluster.Members() {
				m.Start()
			}
			if _, err := r.get(ctx); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second) // the bubble's clock: the standby is connected
		}
		asked := func() (n int) {
			for _, m := range r.cluster.Members() {
				n += m.Calls(pb.Maintenance_Status_FullMethodName)
			}
			return n
		}
		known := func() {
			t.Helper()
			for _, e := range r.Endpoints() {
				if e.Role == balancer.Active && e.MemberID == 0 {
					t.Errorf("%s is connected, and its member is unknown", e.Address)
				}
			}
		}
		r.cluster.EnableAuth(users)
		reconnect()
		before := asked()
		for range 5 {
			reconnect()
			known()
		}
		if n := asked() - before; n > 0 {
			t.Errorf("the status was asked for %d times, though only users get it", n)
		}
		r.cluster.DisableAuth()
		reconnect() // the first member that tells everybody
		reconnect()
		known()
		if asked() == before {
			t.Error("the status is not asked for, though everybody gets it again")
		}
	})
}

// When all clients come at once, members answer late who they are. A client waits for that a little
// before it connects to another one, but not if it is refused, as by a proxy whose member is away.
func TestALateIntroductionIsWaitedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		late, least, most time.Duration // until the answer, and until the next member is dialed
		err               error
	}{
		"late":    {late: 600 * time.Millisecond, least: 600 * time.Millisecond, most: 700 * time.Millisecond},
		"refused": {late: 100 * time.Millisecond, most: 300 * time.Millisecond, err: status.Error(codes.Unavailable, "no upstream")},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			dialed := make(map[string]time.Time)
			dialing := func(addr string) {
				mu.Lock()
				defer mu.Unlock()
				if _, ok := dialed[addr]; !ok {
					dialed[addr] = time.Now()
				}
			}
			runDialing(t, 3, nil, dialing, func(r *rig) {
				for _, m := range r.cluster.Members() {
					m.Kill()
				}
				time.Sleep(time.Minute)
				r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
					if method != pb.Maintenance_Status_FullMethodName {
						return next()
					}
					if time.Sleep(tt.late); tt.err != nil {
						return nil, tt.err
					}
					return next()
				})
				for _, m := range r.cluster.Members() {
					m.Start()
				}
				mu.Lock()
				clear(dialed)
				mu.Unlock()
				time.Sleep(5 * time.Second)
				mu.Lock()
				defer mu.Unlock()
				first, second := dialed[r.cluster.Addrs()[0]], dialed[r.cluster.Addrs()[1]]
				if waited := second.Sub(first); waited < tt.least || waited > tt.most {
					r.t.Errorf("the second member was dialed after %v, want %v to %v", waited, tt.least, tt.most)
				}
				if at, ok := dialed[r.cluster.Addrs()[2]]; ok {
					r.t.Errorf("the third member was dialed after %v, though two serve", at.Sub(first))
				}
			})
		})
	}
}
