package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/resolver"
)

// gatewayServer answers as the JSON gateway does, with what is asked of it.
type gatewayServer struct {
	*httptest.Server

	answer   atomic.Value // of string, with the HTTP status before it, or "hang" or "abort"
	requests atomic.Int32
}

const served = `200 {"header":{"cluster_id":"1","member_id":"7","revision":"3"}}`

func newGatewayServer(t *testing.T) *gatewayServer {
	t.Helper()
	s := &gatewayServer{}
	s.answer.Store(served)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request json.RawMessage
		_ = json.NewDecoder(r.Body).Decode(&request)
		s.requests.Add(1)
		answer := s.answer.Load().(string)
		switch answer {
		case "hang":
			<-r.Context().Done()
			return
		case "abort":
			panic(http.ErrAbortHandler)
		}
		if r.URL.Path == "/v3/auth/authenticate" {
			answer = `200 {"header":{},"token":"tok.1"}`
		} else if answer == "token" {
			if answer = served; r.Header.Get("Authorization") != "tok.1" {
				answer = `401 {"code":16,"message":"etcdserver: invalid auth token"}`
			}
		}
		status := map[string]int{"200": 200, "401": 401, "429": 429, "502": 502, "503": 503}[answer[:3]]
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer[4:]))
	}))
	t.Cleanup(s.Close)
	return s
}

func overGateways(t *testing.T, cfg client.Config, servers ...*gatewayServer) *client.Client {
	t.Helper()
	for _, s := range servers {
		cfg.Endpoints = append(cfg.Endpoints, "gateway+"+s.URL)
	}
	cfg.Resolver = resolver.Options{KeepOrder: true}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func limited(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// The rules of the gRPC path hold: reads go elsewhere, writes only when it is certain that
// they were not proposed.
func TestGatewayFailover(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		elsewhere    bool // a write is
	}{
		{"no leader", `503 {"code":14,"message":"etcdserver: no leader"}`, true},
		{"too many requests", `429 {"code":8,"message":"etcdserver: too many requests"}`, true},
		{"timed out", `503 {"code":14,"message":"etcdserver: request timed out"}`, false},
		{"the gateway's member is gone", `503 {"code":14,"message":"error reading from server: EOF"}`, false},
		{"a proxy's 502", "502 <html>", false},
		{"a broken connection", "abort", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad, good := newGatewayServer(t), newGatewayServer(t)
			bad.answer.Store(tc.answer)
			c := overGateways(t, client.Config{}, bad, good)
			_, err := c.Put(limited(t, 20*time.Second), "k", "v")
			if tc.elsewhere && err != nil {
				t.Errorf("Put: %v, want the other endpoint to serve it", err)
			}
			if !tc.elsewhere && (!client.IsAmbiguous(err) || good.requests.Load() != 0 || !strings.Contains(err.Error(), bad.URL)) {
				t.Errorf("Put: %v after %d requests to the other endpoint, want an ambiguous error and none", err, good.requests.Load())
			}
			if n := bad.requests.Load(); n != 1 && tc.name != "too many requests" {
				t.Errorf("the write was sent %d times", n)
			}
			if tc.name != "too many requests" { // which is no reason to leave
				// From now on the other one is asked first.
				before := bad.requests.Load()
				if _, err := c.Put(limited(t, 20*time.Second), "k", "v"); err != nil || bad.requests.Load() != before {
					t.Errorf("another Put: %v, after %d more requests to the bad endpoint", err, bad.requests.Load()-before)
				}
			}
			if _, err := overGateways(t, client.Config{}, bad, good).Get(limited(t, 20*time.Second), "k"); err != nil {
				t.Errorf("Get: %v", err)
			}
		})
	}
}

// What can't be connected to has not got a write.
func TestGatewayRefusesConnections(t *testing.T) {
	gone, good := newGatewayServer(t), newGatewayServer(t)
	gone.Close()
	c := overGateways(t, client.Config{}, gone, good)
	if _, err := c.Put(limited(t, 20*time.Second), "k", "v"); err != nil {
		t.Error(err)
	}
	var states []string
	for _, s := range c.Endpoints() {
		states = append(states, s.Address+" "+s.Role.String()+" "+s.State.String())
	}
	if got, want := strings.Join(states, ", "), "gateway+"+good.URL+" active READY, gateway+"+gone.URL+" idle TRANSIENT_FAILURE"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if id := c.Endpoints()[0].MemberID; id != 7 {
		t.Errorf("the member is %d, want 7", id)
	}
	only := overGateways(t, client.Config{}, gone)
	_, err := only.Put(limited(t, time.Second), "k", "v") // in which a busy machine has been refused
	if client.IsAmbiguous(err) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want a certain error with the deadline and the cause", err)
	}
	if err := only.WaitReady(limited(t, 50*time.Millisecond)); err == nil || !strings.HasPrefix(err.Error(), "etcd WaitReady: ") || !strings.Contains(err.Error(), gone.URL) {
		t.Errorf("WaitReady: %v", err)
	}
}

// A read that is late is sent to a second endpoint, and the first is left.
func TestGatewayStalls(t *testing.T) {
	stalled, good := newGatewayServer(t), newGatewayServer(t)
	stalled.answer.Store("hang")
	told := &notes{}
	c := overGateways(t, client.Config{Observers: []client.Observer{told}}, stalled, good)
	for range 3 {
		if _, err := c.Get(limited(t, 20*time.Second), "k"); err != nil {
			t.Fatal(err)
		}
	}
	firsts := make(map[string]int) // the first copies of the reads
	for _, line := range told.take() {
		for _, s := range []*gatewayServer{stalled, good} {
			if strings.HasPrefix(line, "Range/1 at gateway+"+s.URL+": ") {
				firsts[s.URL]++
			}
		}
	}
	if n, m := firsts[stalled.URL], firsts[good.URL]; n != 1 || m != 2 {
		t.Errorf("%d reads began at the endpoint that stalls, and %d at the other; want 1 and 2", n, m)
	}
	// On a busy machine the other one may be late, too, so that a read has a copy at the one that stalls.
	if n, m := stalled.requests.Load(), good.requests.Load(); c.Counters().Hedges == 1 && (n != 1 || m != 3) {
		t.Errorf("%d requests went to the endpoint that stalls, and %d to the other; want 1 and 3", n, m)
	}
	// A write is given up when its patience is over, since another endpoint serves.
	c = overGateways(t, client.Config{WritePatience: 100 * time.Millisecond}, stalled, good)
	if _, err := c.Put(limited(t, 20*time.Second), "k", "v"); !client.IsAmbiguous(err) || !strings.Contains(err.Error(), "has been silent for") {
		t.Errorf("Put: %v, want it given up", err)
	}
	if _, err := c.Put(limited(t, 20*time.Second), "k", "v"); err != nil {
		t.Errorf("the next Put: %v", err)
	}
	// Not while nobody does.
	good.answer.Store("hang")
	c = overGateways(t, client.Config{WritePatience: 50 * time.Millisecond}, stalled, good)
	if _, err := c.Put(limited(t, time.Second), "k", "v"); !client.IsAmbiguous(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put: %v, want an ambiguous error with the deadline", err)
	}
	good.answer.Store(served)
	c = overGateways(t, client.Config{}, stalled, good)
	if _, err := c.Put(limited(t, time.Second), "k", "v"); !client.IsAmbiguous(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put: %v, want an ambiguous error with the deadline", err)
	}
	if _, err := c.Put(limited(t, 20*time.Second), "k", "v"); err != nil {
		t.Errorf("the next Put: %v", err)
	}
}

// Tokens are got and renewed as over gRPC.
func TestGatewayTokens(t *testing.T) {
	s := newGatewayServer(t)
	s.answer.Store("token")
	c := overGateways(t, client.Config{Username: "me", Password: "secret"}, s)
	if err := c.WaitReady(limited(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(limited(t, 20*time.Second), "k", "v"); err != nil || c.Counters().Logins != 1 {
		t.Errorf("got %v after %d logins, want 1", err, c.Counters().Logins)
	}
	_, err := overGateways(t, client.Config{Token: "old"}, s).Put(limited(t, 20*time.Second), "k", "v")
	if !errors.Is(err, rpctypes.ErrInvalidAuthToken) || client.IsAmbiguous(err) {
		t.Errorf("got %v, want the refusal of the token", err)
	}
}

// SetEndpoints moves on; Close ends what is under way.
func TestGatewayLife(t *testing.T) {
	a, b := newGatewayServer(t), newGatewayServer(t)
	c := overGateways(t, client.Config{}, a)
	changed := c.EndpointsChanged()
	if err := c.SetEndpoints("gateway+"+b.URL, b.URL); err == nil {
		t.Error("mixed endpoints: got no error")
	}
	if err := c.SetEndpoints("gateway+" + b.URL); err != nil {
		t.Fatal(err)
	}
	<-changed
	if _, err := c.Get(limited(t, 20*time.Second), "k"); err != nil || a.requests.Load() != 0 {
		t.Errorf("got %v, and %d requests at the old endpoint", err, a.requests.Load())
	}
	// The URL is as a member list has it. On a busy machine the endpoint is also asked whether it serves.
	if r, err := c.Status(limited(t, 20*time.Second), a.URL); err != nil || a.requests.Load() == 0 {
		t.Errorf("Status: %v, %v, after %d requests", r, err, a.requests.Load())
	}
	b.answer.Store("hang")
	got := make(chan error, 1)
	go func() {
		_, err := pb.NewKVClient(c.Conn()).Put(context.Background(), &pb.PutRequest{Key: []byte("k")})
		got <- err
	}()
	for b.requests.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	_ = c.Close()
	if err := <-got; !errors.Is(err, client.ErrClosed) {
		t.Errorf("got %v, want %v", err, client.ErrClosed)
	}
}

// What has no meaning over HTTP is an error of New.
func TestGatewayConfig(t *testing.T) {
	for _, tc := range []struct {
		cfg  client.Config
		want string
	}{
		{client.Config{Endpoints: []string{"gateway+http://a", "b:2379"}}, `and "b:2379", which is spoken to over gRPC`},
		{client.Config{Endpoints: []string{"gateway+http://a", "http://root:secret@b:2379"}}, `and "http://xxxxx@b:2379", which is`},
		{client.Config{Endpoints: []string{"dns+srv:///a", "gateway+http://b"}}, `and "dns+srv:///a", which is`},
		{client.Config{Endpoints: []string{"gateway+http://a"}, DialOptions: []grpc.DialOption{grpc.WithUserAgent("x")}}, "Config.DialOptions has no meaning"},
		{client.Config{Endpoints: []string{"gateway+http://a"}, Routing: balancer.Routing{SpreadReads: true}}, "Config.Routing has no meaning"},
		{client.Config{Endpoints: []string{"gateway+http://a"}, ClusterID: 1}, "Config.ClusterID has no meaning"},
		{client.Config{Endpoints: []string{"gateway+http://a"}, HeartbeatInterval: 1}, "Config.HeartbeatInterval has no meaning"},
		{client.Config{Endpoints: []string{"gateway+http://a"}, Token: "t", Headers: map[string]string{"Authorization": "Basic x"}}, `the header "Authorization" can't be set here: a gateway takes the user's token in it`},
		{client.Config{Endpoints: []string{"gateway+http://a:x"}}, "gateway: an endpoint is no URI"},
	} {
		c, err := client.New(tc.cfg)
		if err == nil {
			_ = c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want an error with %q", tc.cfg.Endpoints, err, tc.want)
		}
	}
}

// A stray comma leaves an empty endpoint, which is skipped.
func TestGatewayEmptyElements(t *testing.T) {
	s := newGatewayServer(t)
	c, err := client.New(client.Config{Endpoints: []string{"", "gateway+" + s.URL, ""}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Get(limited(t, 20*time.Second), "k"); err != nil {
		t.Error(err)
	}
	if err := c.SetEndpoints("gateway+"+s.URL, ""); err != nil {
		t.Error(err)
	}
	if n := len(c.Endpoints()); n != 1 {
		t.Errorf("there are %d endpoints, want 1", n)
	}
}

// The environment's proxy is that of the endpoint's scheme. Config.NoProxy means none.
func TestGatewayProxy(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		for _, direct := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, NoProxy %t", scheme, direct), func(t *testing.T) {
				p := startProxy(t, nil, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
				environment(t, map[string]string{strings.ToUpper(scheme) + "_PROXY": "http://" + p.addr})
				c, err := client.New(client.Config{Endpoints: []string{"gateway+" + scheme + "://unreachable.invalid:1"}, NoProxy: direct, FailFast: true})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := c.Get(limited(t, 20*time.Second), "k"); err == nil {
					t.Error("got an answer")
				}
				if n := len(p.asked()); n == 0 != direct {
					t.Errorf("the proxy was asked %d times", n)
				}
			})
		}
	}
}
