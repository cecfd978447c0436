package resolver_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
	grpcresolver "google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/resolver"
)

// patience limits how long a test waits for the network.
const patience = 10 * time.Second

// clientConn is the part of a grpc.ClientConn that a resolver sees.
type clientConn struct {
	grpcresolver.ClientConn // nil: other methods are not called

	refuse func(n int) error // may refuse the n-th state; nil accepts all

	mu      sync.Mutex
	states  []grpcresolver.State // guarded by mu
	errors  []error              // guarded by mu
	changed chan struct{}        // capacity 1
}

func newClientConn() *clientConn { return &clientConn{changed: make(chan struct{}, 1)} }

func (c *clientConn) UpdateState(s grpcresolver.State) error {
	c.mu.Lock()
	c.states = append(c.states, s)
	n := len(c.states)
	c.mu.Unlock()
	c.signal()
	if c.refuse != nil {
		return c.refuse(n)
	}
	return nil
}

func (c *clientConn) ReportError(err error) {
	c.mu.Lock()
	c.errors = append(c.errors, err)
	c.mu.Unlock()
	c.signal()
}

func (c *clientConn) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// counts returns how many states and errors were reported.
func (c *clientConn) counts() (states, errors int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.states), len(c.errors)
}

func (c *clientConn) last() grpcresolver.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.states) == 0 {
		return grpcresolver.State{}
	}
	return c.states[len(c.states)-1]
}

func (c *clientConn) lastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.errors) == 0 {
		return nil
	}
	return c.errors[len(c.errors)-1]
}

// addresses returns the addresses that were reported last.
func (c *clientConn) addresses() []resolver.Address {
	var out []resolver.Address
	for _, e := range c.last().Endpoints {
		for _, a := range e.Addresses {
			got, _ := resolver.FromGRPC(a)
			out = append(out, got)
		}
	}
	return out
}

// dials returns the addresses that were reported last, as strings.
func (c *clientConn) dials() string {
	out := []string{}
	for _, a := range c.addresses() {
		out = append(out, a.String())
	}
	return fmt.Sprint(out)
}

// until waits for cond, which it checks after every report.
func (c *clientConn) until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond) // cond may depend on more than reports
	defer tick.Stop()
	for !cond() {
		select {
		case <-c.changed:
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %s\naddresses %v, last error %v", patience, what, c.dials(), c.lastError())
		}
	}
}

func (c *clientConn) await(t *testing.T) []resolver.Address {
	t.Helper()
	c.until(t, "addresses", func() bool { n, _ := c.counts(); return n > 0 })
	return c.addresses()
}

func (c *clientConn) awaitError(t *testing.T) error {
	t.Helper()
	c.until(t, "an error", func() bool { _, n := c.counts(); return n > 0 })
	return c.lastError()
}

// fakeSource is a Source without a network. Set its fields before it is used, or
// under its mutex.
type fakeSource struct {
	resolve func(ctx context.Context) (resolver.Result, error) // nil: result and err

	mu     sync.Mutex
	result resolver.Result
	err    error
	calls  []time.Time
}

func (s *fakeSource) Resolve(ctx context.Context) (resolver.Result, error) {
	s.mu.Lock()
	s.calls = append(s.calls, time.Now())
	res, err := s.result, s.err
	s.mu.Unlock()
	if s.resolve != nil {
		return s.resolve(ctx)
	}
	return res, err
}

func (s *fakeSource) set(res resolver.Result, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result, s.err = res, err
}

// times returns when Resolve was called, as durations since start.
func (s *fakeSource) times(start time.Time) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]time.Duration, 0, len(s.calls))
	for _, c := range s.calls {
		out = append(out, c.Sub(start))
	}
	return out
}

// newResolver makes a Resolver with one endpoint for each source: fake:0, fake:1
// and so on.
func newResolver(t *testing.T, o resolver.Config, sources ...resolver.Source) *resolver.Resolver {
	t.Helper()
	o.Registry = resolver.NewRegistry()
	var endpoints []string
	for i := range sources {
		endpoints = append(endpoints, fmt.Sprintf("fake:source%d", i))
	}
	err := o.Registry.Register("fake", func(u *url.URL, _ resolver.SourceOptions) (resolver.Source, error) {
		var i int
		_, err := fmt.Sscanf(u.Opaque, "source%d", &i)
		return sources[i], err
	})
	if err != nil {
		t.Fatalf("Register: %v", err)
	}
	r, err := resolver.New(endpoints, o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return r
}

func build(t *testing.T, r *resolver.Resolver, cc *clientConn) grpcresolver.Resolver {
	t.Helper()
	w, err := r.Build(grpcresolver.Target{}, cc, grpcresolver.BuildOptions{})
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return w
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// noCodec sends empty messages.
type noCodec struct{}

func (noCodec) Name() string                         { return "none" }
func (noCodec) Marshal(any) (mem.BufferSlice, error) { return nil, nil }
func (noCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

func contains(err error, text string) bool {
	return err != nil && strings.Contains(err.Error(), text)
}
