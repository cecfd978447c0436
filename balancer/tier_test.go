package balancer_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/resolver"
)

// tiers is a source of members with these priorities.
type tiers []uint16

func (priorities tiers) Resolve(context.Context) (resolver.Result, error) {
	var r resolver.Result
	for i, p := range priorities {
		host, _, _ := strings.Cut([]string{m1, m2, m3, m4}[i], ":")
		r.Addresses = append(r.Addresses, resolver.Address{
			Network: resolver.NetworkTCP, Host: host, Port: 2379, Priority: p,
		})
	}
	return r, nil
}

const m4 = "member-4:2379"

// from makes a client get its addresses from s.
func from(t *testing.T, s resolver.Source) func(*client.Config) {
	t.Helper()
	registry := resolver.NewRegistry()
	if err := registry.Register("test", func(*url.URL, resolver.SourceOptions) (resolver.Source, error) { return s, nil }); err != nil {
		t.Fatal(err)
	}
	return func(c *client.Config) {
		c.Endpoints, c.Resolver.Registry = []string{"test:///"}, registry
	}
}

// active is the active endpoint's address. The table has it a moment after calls may go on.
func (r *rig) active() string {
	synctest.Wait()
	return r.activeNow()
}

// activeNow is active for what runs beside the test's own goroutine, which may wait, too.
func (r *rig) activeNow() string {
	for _, s := range r.Endpoints() {
		if s.Role == balancer.Active {
			return s.Address
		}
	}
	return ""
}

// A client leaves a better tier when it must, and goes back when it can.
func TestTiers(t *testing.T) {
	run(t, 3, from(t, tiers{0, 10, 20}), func(r *rig) {
		t, active := r.t, r.active
		if got := active(); got != m1 {
			t.Fatalf("active: got %q, want %q", got, m1)
		}
		r.cluster.Member(0).Kill()
		synctest.Wait()
		if got := active(); got != m2 {
			t.Errorf("after the first tier was lost: active is %q, want %q", got, m2)
		}
		time.Sleep(time.Minute) // the bubble's clock
		r.cluster.Member(0).Start()
		time.Sleep(6 * time.Second) // the longest pause between tries is 5 s
		synctest.Wait()
		if got := active(); got != m1 {
			t.Errorf("after the first tier came back: active is %q, want %q", got, m1)
		}
	})
}

// While a better tier is away, it is dialed and nobody else.
func TestOnlyTheBetterTierIsDialed(t *testing.T) {
	var dials sync.Map // address to *atomic.Int32
	count := func(addr string) *atomic.Int32 {
		n, _ := dials.LoadOrStore(addr, new(atomic.Int32))
		return n.(*atomic.Int32)
	}
	runDialing(t, 4, from(t, tiers{0, 10, 10, 20}), func(addr string) { count(addr).Add(1) }, func(r *rig) {
		t := r.t
		r.cluster.Member(0).Kill()
		time.Sleep(time.Second) // until another standby is connected
		synctest.Wait()
		for _, n := range []string{m1, m2, m3, m4} {
			count(n).Store(0)
		}
		time.Sleep(time.Minute) // the bubble's clock
		if got := r.active(); got != m2 {
			t.Errorf("active: got %q, want %q", got, m2)
		}
		if n := count(m1).Load(); n < 10 {
			t.Errorf("%s was dialed %d times in a minute, want about every 5 s", m1, n)
		}
		for _, addr := range []string{m2, m3, m4} {
			if n := count(addr).Load(); n > 0 {
				t.Errorf("%s was dialed %d times in a minute, want never", addr, n)
			}
		}
	})
}

// aliases is a source of one address that has another name at each resolution.
type aliases struct{ n atomic.Int32 }

func (a *aliases) Resolve(context.Context) (resolver.Result, error) {
	host, _, _ := strings.Cut(m1, ":")
	return resolver.Result{
		TTL: 5 * time.Second,
		Addresses: []resolver.Address{{
			Network: resolver.NetworkTCP, Host: host, Port: 2379, Target: fmt.Sprintf("alias-%d.example.com", a.n.Add(1)),
		}},
	}, nil
}

// Under which name DNS gives an address is no reason to connect anew.
func TestAliasesAreOneAddress(t *testing.T) {
	var dials atomic.Int32
	runDialing(t, 1, from(t, new(aliases)), func(string) { dials.Add(1) }, func(r *rig) {
		time.Sleep(time.Second) // the bubble's clock; a single address is connected to twice
		before := dials.Load()
		time.Sleep(time.Minute)
		if n := dials.Load() - before; n != 0 || before > 4 {
			r.t.Errorf("dialed %d times in a second and %d times in the next minute, want a few and none", before, n)
		}
	})
}

// targets is a source of members with these SRV records.
type targets []struct {
	target           string
	priority, weight uint16
}

func (records targets) Resolve(context.Context) (resolver.Result, error) {
	var r resolver.Result
	for i, s := range records {
		host, _, _ := strings.Cut([]string{m1, m2, m3, m4}[i], ":")
		r.Addresses = append(r.Addresses, resolver.Address{
			Network: resolver.NetworkTCP, Host: host, Port: 2379, Target: s.target, Priority: s.priority, Weight: s.weight,
		})
	}
	return r, nil
}
