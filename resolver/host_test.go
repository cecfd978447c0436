package resolver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	grpcresolver "google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/resolver"
)

// hosts stands in for the system's lookup.
type hosts struct {
	mu    sync.Mutex
	names map[string]string // guarded by mu: addresses, or an error if it starts with '!'
	asked int               // guarded by mu
}

func (h *hosts) set(answer string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.names["etcd.test"] = answer
}

func (h *hosts) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	h.mu.Lock()
	h.asked++
	answer, ok := h.names[host]
	h.mu.Unlock()
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if answer == "!silent" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if why, ok := strings.CutPrefix(answer, "!"); ok {
		return nil, &net.DNSError{Err: why, Name: host, IsTemporary: true}
	}
	var out []netip.Addr
	for s := range strings.FieldsSeq(answer) {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

func TestHostNames(t *testing.T) {
	for _, tt := range []struct {
		name, endpoint, answer string
		want                   string // the addresses to dial
		failure                string // from Errors
	}{
		{"several", "etcd.test:1", "10.0.0.2 10.0.0.1", "[10.0.0.2:1 10.0.0.1:1]", ""},
		{"several, over TLS", "https://etcd.test:1", "10.0.0.2 10.0.0.1", "[10.0.0.2:1 10.0.0.1:1]", ""},
		{"the system's order of families", "etcd.test", "10.0.0.1 2001:db8::1 10.0.0.2", "[10.0.0.1:2379 [2001:db8::1]:2379 10.0.0.2:2379]", ""},
		{"one is left to the dialer", "etcd.test:1", "10.0.0.1", "[etcd.test:1]", ""},
		{"one, twice", "etcd.test:1", "10.0.0.1 ::ffff:10.0.0.1", "[etcd.test:1]", ""},
		{"the local host is one", "etcd.test:1", "::1 127.0.0.1", "[etcd.test:1]", ""},
		{"two local hosts", "etcd.test:1", "127.0.0.1 127.0.0.2", "[127.0.0.1:1 127.0.0.2:1]", ""},
		{"what can't be dialed", "etcd.test:1", "0.0.0.0 10.0.0.1", "[etcd.test:1]", ""},
		{"unknown", "other.test:1", "", "[other.test:1]", "no such name"},
		{"empty", "etcd.test:1", "", "[etcd.test:1]", "no records"},
		{"failing", "etcd.test:1", "!read udp 10.0.0.1:4711->10.0.0.2:53: refused", "[etcd.test:1]", "the system's resolver: read udp 10.0.0.2:53: refused"},
		{"silent", "etcd.test:1", "!silent", "[etcd.test:1]", "no answer within 10s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hosts{names: map[string]string{"etcd.test": tt.answer}}
				r, err := resolver.New([]string{tt.endpoint}, resolver.Config{Options: resolver.Options{KeepOrder: true}}.WithLookup(h.lookup))
				if err != nil {
					t.Fatal(err)
				}
				cc := newClientConn()
				w := build(t, r, cc)
				defer w.Close()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if got := cc.dials(); got != tt.want {
					t.Errorf("addresses %v, want %v", got, tt.want)
				}
				for _, a := range cc.addresses() {
					name, _, _ := strings.Cut(strings.TrimPrefix(tt.endpoint, "https://"), ":")
					if a.ServerName != name || a.Authority() != fmt.Sprintf("%s:%d", name, a.Port) || a.TLS != strings.HasPrefix(tt.endpoint, "https") {
						t.Errorf("%+v with the authority %q, want the name to stay %q", a, a.Authority(), name)
					}
				}
				if err := errors.Join(r.Errors()...); tt.failure == "" && err != nil || tt.failure != "" && !contains(err, tt.failure) {
					t.Errorf("failure %v, want %q", err, tt.failure)
				}
			})
		})
	}
}

// The family that the system prefers comes first, whatever the random order
// within it.
func TestHostFamiliesKeepTheirOrder(t *testing.T) {
	firsts := map[string]int{}
	for range 40 {
		synctest.Test(t, func(t *testing.T) {
			h := &hosts{names: map[string]string{"etcd.test": "10.0.0.1 10.0.0.2 2001:db8::1 2001:db8::2"}}
			r, err := resolver.New([]string{"etcd.test:1"}, resolver.Config{}.WithLookup(h.lookup))
			if err != nil {
				t.Fatal(err)
			}
			cc := newClientConn()
			w := build(t, r, cc)
			defer w.Close()
			time.Sleep(time.Second)
			for i, a := range cc.addresses() {
				if six := strings.Contains(a.Host, ":"); six != (i > 1) {
					t.Fatalf("order %v, want IPv4 first, as the system said", cc.dials())
				}
			}
			firsts[cc.addresses()[0].Host]++
		})
	}
	if len(firsts) != 2 {
		t.Errorf("the first of 40 clients: %v, want both addresses of the first family", firsts)
	}
}

func TestHostIsLookedUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{names: map[string]string{"etcd.test": "10.0.0.1 10.0.0.2"}}
		var logged bytes.Buffer
		o := resolver.Config{Options: resolver.Options{KeepOrder: true}, Logger: slog.New(slog.NewTextHandler(&logged, nil))}.WithLookup(h.lookup)
		r, err := resolver.New([]string{"etcd.test:1"}, o)
		if err != nil {
			t.Fatal(err)
		}
		cc := newClientConn()
		w := build(t, r, cc)
		defer w.Close()
		expect := func(after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := cc.dials(); got != want {
				t.Fatalf("addresses %v, want %v", got, want)
			}
		}
		expect(time.Second, "[10.0.0.1:1 10.0.0.2:1]")
		h.set("10.0.0.2 10.0.0.1") // rotated
		expect(time.Minute, "[10.0.0.1:1 10.0.0.2:1]")
		if n, _ := cc.counts(); n != 1 {
			t.Errorf("%d reports, want 1: a rotated answer is the same", n)
		}
		h.set("10.0.0.2 10.0.0.3") // on the regular interval
		expect(31*time.Second, "[10.0.0.2:1 10.0.0.3:1]")
		h.set("10.0.0.4 10.0.0.5") // after a connection failed
		w.ResolveNow(grpcresolver.ResolveNowOptions{})
		expect(1100*time.Millisecond, "[10.0.0.4:1 10.0.0.5:1]")
		for _, failure := range []string{"!server misbehaving", "", "!silent"} {
			h.set(failure)
			expect(5*time.Minute, "[10.0.0.4:1 10.0.0.5:1]")
			if len(r.Errors()) != 1 {
				t.Errorf("after %q: errors %v, want one", failure, r.Errors())
			}
		}
		h.set("10.0.0.6")
		expect(20*time.Second, "[etcd.test:1]")
		if n := strings.Count(logged.String(), "does not resolve"); n != 3 {
			t.Errorf("%d records of a failure, want 3, one for each kind:\n%s", n, logged.String())
		}
	})
}

// Two names with the same address are kept apart, since a server there may
// distinguish them.
func TestHostNamesOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{names: map[string]string{"a.test": "10.0.0.1 10.0.0.2", "b.test": "10.0.0.1 10.0.0.2"}}
		o := resolver.Config{Options: resolver.Options{KeepOrder: true}}.WithLookup(h.lookup)
		r, err := resolver.New([]string{"a.test:1", "b.test:1", "a.test:1"}, o)
		if err != nil {
			t.Fatal(err)
		}
		cc := newClientConn()
		w := build(t, r, cc)
		defer w.Close()
		time.Sleep(time.Second)
		var got []string
		for _, a := range cc.addresses() {
			got = append(got, a.String()+" "+a.Authority())
		}
		want := "[10.0.0.1:1 a.test:1 10.0.0.2:1 a.test:1 10.0.0.1:1 b.test:1 10.0.0.2:1 b.test:1]"
		if fmt.Sprint(got) != want {
			t.Errorf("addresses %v, want %v", got, want)
		}
	})
}

// A dialer of the user may know names that the system does not know.
func TestHostIsLeftToTheUsersDialer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{names: map[string]string{"etcd.test": "10.0.0.1 10.0.0.2"}}
		r, err := resolver.New([]string{"etcd.test:1"}, resolver.Config{}.WithLookup(h.lookup))
		if err != nil {
			t.Fatal(err)
		}
		cc := newClientConn()
		dialer := func(context.Context, string) (net.Conn, error) { return nil, errors.ErrUnsupported }
		w, err := r.Build(grpcresolver.Target{}, cc, grpcresolver.BuildOptions{Dialer: dialer})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		time.Sleep(time.Minute)
		if got := cc.dials(); got != "[etcd.test:1]" || h.asked != 0 {
			t.Errorf("addresses %v, %d lookups, want the name and none", got, h.asked)
		}
	})
}
