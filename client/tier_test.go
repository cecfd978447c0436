package client_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/resolver"
)

// tiers is a source of the three members, each less preferred than the one
// before.
type tiers struct{}

func (tiers) Resolve(context.Context) (resolver.Result, error) {
	var r resolver.Result
	for i, addr := range []string{m1, m2, m3} {
		host, _, _ := strings.Cut(addr, ":")
		r.Addresses = append(r.Addresses, resolver.Address{
			Network: resolver.NetworkTCP, Host: host, Port: 2379, Priority: uint16(10 * i),
		})
	}
	return r, nil
}

// A client leaves a better tier when it must, and goes back when it can.
func TestTiers(t *testing.T) {
	registry := resolver.NewRegistry()
	if err := registry.Register("tiers", func(*url.URL, resolver.SourceOptions) (resolver.Source, error) { return tiers{}, nil }); err != nil {
		t.Fatal(err)
	}
	withTiers := func(c *client.Config) {
		c.Endpoints, c.Resolver.Registry = []string{"tiers:///"}, registry
	}
	run(t, 3, withTiers, func(r *rig) {
		t := r.t
		active := func() string {
			for _, s := range r.Endpoints() {
				if s.Role == balancer.Active {
					return s.Address
				}
			}
			return ""
		}
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
