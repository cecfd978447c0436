package resolver_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/resolver"
)

// addrs returns the addresses that gRPC was told last.
func addrs(cc *clientConn) []string {
	var out []string
	for _, e := range cc.last().Endpoints {
		out = append(out, e.Addresses[0].Addr)
	}
	slices.Sort(out)
	return out
}

func TestSetEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := resolver.New([]string{"http://10.0.0.1:2379"}, resolver.Config{})
		if err != nil {
			t.Fatal(err)
		}
		set := func(endpoints ...string) {
			t.Helper()
			if err := r.SetEndpoints(endpoints); err != nil {
				t.Fatal(err)
			}
		}
		cc := newClientConn()
		want := func(want ...string) {
			t.Helper()
			time.Sleep(time.Second)
			if got := addrs(cc); !slices.Equal(got, want) {
				t.Errorf("the addresses are %q, want %q", got, want)
			}
		}
		set("10.0.0.9:2379") // before Build: the last list counts
		set("10.0.0.1:2379")
		w := build(t, r, cc)
		want("10.0.0.1:2379")
		set("10.0.0.2:2379", "10.0.0.1:2379", "10.0.0.2:2379")
		want("10.0.0.1:2379", "10.0.0.2:2379")
		set("http://10.0.0.3:2379")
		want("10.0.0.3:2379")

		if err := r.SetEndpoints(nil); err == nil {
			t.Error("an empty list is no error")
		}
		var bad *resolver.EndpointError
		if err := r.SetEndpoints([]string{"10.0.0.4:2379", "nonsense://x"}); !errors.As(err, &bad) {
			t.Errorf("an unknown scheme: %v, want an *EndpointError", err)
		}
		if err := r.SetEndpoints([]string{"https://10.0.0.4:2379"}); !errors.Is(err, resolver.ErrMixedTLS) {
			t.Errorf("TLS for a plain client: %v, want %v", err, resolver.ErrMixedTLS)
		}
		want("10.0.0.3:2379")
		states, _ := cc.counts()
		set("10.0.0.3:2379")
		want("10.0.0.3:2379")
		if after, _ := cc.counts(); after != states {
			t.Errorf("%d more states for the same addresses, want none", after-states)
		}

		w.Close()
		set("10.0.0.5:2379")
		w = build(t, r, cc)
		want("10.0.0.5:2379")
		w.Close()
	})
}

// The former addresses stay until others are known, and the outcome of a
// resolution for a former endpoint is ignored.
func TestSetEndpointsKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &fakeSource{resolve: func(context.Context) (resolver.Result, error) {
			time.Sleep(5 * time.Second)
			return found(0, "slow"), nil
		}}
		o := resolver.Config{}
		r := newResolver(t, o, slow)
		cc := newClientConn()
		w := build(t, r, cc)
		defer w.Close()
		time.Sleep(time.Second)
		if err := r.SetEndpoints([]string{"10.0.0.1:2379"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if got := addrs(cc); !slices.Equal(got, []string{"10.0.0.1:2379"}) {
			t.Errorf("the addresses are %q, want those of the new list alone", got)
		}
	})
}

// What DNS has said about TLS gives way to endpoints that say it themselves. DNS alone does not
// turn TLS off, even if it is asked for another name.
func TestSetEndpointsAfterDNSDecidedOnTLS(t *testing.T) {
	secured := func(host string) *fakeSource {
		return &fakeSource{result: resolver.Result{Addresses: []resolver.Address{overTLS(tcp(host, 1))}}}
	}
	plain := func(host string) *fakeSource {
		return &fakeSource{result: resolver.Result{Addresses: []resolver.Address{tcp(host, 1)}}}
	}
	for name, c := range map[string]struct {
		sources []resolver.Source // New is given the first
		then    []string
		want    string
		wrong   int // endpoints in Errors
	}{
		"plain after TLS":                  {[]resolver.Source{secured("a")}, []string{"10.0.0.1:2379"}, "[10.0.0.1:2379]", 0},
		"TLS after plain":                  {[]resolver.Source{plain("a")}, []string{"https://10.0.0.1:2379"}, "[10.0.0.1:2379]", 0},
		"plain beside TLS by DNS":          {[]resolver.Source{secured("a")}, []string{"fake:source0", "10.0.0.1:2379"}, "[10.0.0.1:2379]", 1},
		"TLS beside plain by DNS":          {[]resolver.Source{plain("a")}, []string{"fake:source0", "https://10.0.0.1:2379"}, "[10.0.0.1:2379]", 1},
		"another name, plain by DNS alone": {[]resolver.Source{secured("a"), plain("b")}, []string{"fake:source1"}, "[a:1]", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newResolver(t, resolver.Config{}, c.sources...)
				if err := r.SetEndpoints([]string{"fake:source0"}); err != nil {
					t.Fatal(err)
				}
				cc := newClientConn()
				w := build(t, r, cc)
				defer w.Close()
				time.Sleep(time.Second)
				if got := cc.dials(); got != "[a:1]" {
					t.Fatalf("before: the addresses are %v, want a", got)
				}
				if err := r.SetEndpoints(c.then); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if got, errs := cc.dials(), r.Errors(); got != c.want || len(errs) != c.wrong {
					t.Errorf("the addresses are %v and the errors %v, want %v and %d", got, errs, c.want, c.wrong)
				}
			})
		})
	}
}
