package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/resolver"
)

// Ping succeeds while the cluster serves, and its error names each endpoint.
func TestPing(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		if err := r.Ping(r.timeout(time.Second)); err != nil {
			t.Errorf("a cluster that serves: %v", err)
		}
		r.cluster.Member(0).Hang()
		if err := r.Ping(r.timeout(time.Second)); err != nil {
			t.Errorf("one member hangs: %v", err)
		}
		r.cluster.Member(0).Resume()
		for _, m := range r.cluster.Members() {
			m.SetNoLeader(true)
		}
		err := r.Ping(r.timeout(time.Second))
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Op != "Ping" || !strings.HasPrefix(err.Error(), "etcd Ping: ") || len(e.Attempts) != 3 {
			t.Errorf("without a leader: got %v, want an error of Ping that names three endpoints", err)
		}
		for _, m := range r.cluster.Members() {
			m.SetNoLeader(false)
		}
		if err := r.Ping(r.timeout(time.Second)); err != nil {
			t.Errorf("with a leader again: %v", err)
		}
		_ = r.Close()
		if err := r.Ping(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("a closed client: got %v, want ErrClosed", err)
		}
	})
}

// The client connects twice to a single address. That is no reason to say twice what is wrong.
func TestErrorsNameASingleAddressOnce(t *testing.T) {
	c, err := client.New(client.Config{Endpoints: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	awaitFailure(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := c.Ping(ctx); err == nil || strings.Count(err.Error(), "connection refused") != 1 {
		t.Errorf("got %v, want the address once", err)
	}
}

// A user without permissions is served; one who can't log in is not.
func TestPingWithAUser(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		r.cluster.EnableAuth(map[string]string{"root": "r", "guest": "g"})
		n := &notes{}
		as := func(user, password string) *client.Client {
			c, err := client.New(client.Config{
				Endpoints: r.cluster.Addrs(), DialOptions: r.cluster.DialOptions(),
				Username: user, Password: password, Observers: []client.Observer{n},
			})
			if err != nil {
				r.t.Fatal(err)
			}
			return c
		}
		admin := as("root", "r")
		defer admin.Close()
		if _, err := admin.UserRevokeRole(r.timeout(time.Second), "guest", "root"); err != nil {
			r.t.Fatal(err)
		}
		for password, ok := range map[string]bool{"g": true, "wrong": false} {
			c := as("guest", password)
			if _, err := c.Get(r.timeout(time.Second), "k"); ok && !errors.Is(err, rpctypes.ErrPermissionDenied) {
				r.t.Errorf("get: %v, want permission denied", err)
			}
			n.take()
			if err := c.Ping(r.timeout(time.Second)); (err == nil) != ok {
				r.t.Errorf("with password %q: got %v", password, err)
			}
			if told := n.take(); ok && told[len(told)-1] != "Range ends: OK after 1 attempts" {
				r.t.Errorf("an observer was told of a good ping as %q", told)
			}
			_ = c.Close()
		}
	})
}

type readiness struct {
	Ready     bool
	Error     string
	Endpoints []struct{ Address, Role, State, Error string }
}

// probe asks a client's handler.
func probe(t *testing.T, c *client.Client, timeout time.Duration) (code int, body readiness) {
	t.Helper()
	w := httptest.NewRecorder()
	c.ReadyHandler(timeout).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ready", http.NoBody))
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("the content type is %q", got)
	}
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		t.Fatal(err)
	}
	return w.Code, body
}

// A readiness probe learns whether the cluster serves, and if not, why not.
func TestReadyHandler(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		code, body := probe(t, r.Client, 0)
		if code != http.StatusOK || !body.Ready || body.Error != "" || len(body.Endpoints) != 3 || body.Endpoints[0].Role != "active" {
			t.Errorf("ready: got %d %+v", code, body)
		}
		for _, e := range body.Endpoints {
			if e.Error != "" {
				t.Errorf("ready: %+v", e)
			}
		}
		for _, m := range r.cluster.Members() {
			m.SetNoLeader(true)
		}
		if code, body = probe(t, r.Client, 0); code != http.StatusServiceUnavailable || !strings.Contains(body.Endpoints[0].Error, "no leader") {
			t.Errorf("without a leader: got %d %+v", code, body)
		}
		for _, m := range r.cluster.Members() {
			m.SetNoLeader(false)
			m.Kill()
		}
		time.Sleep(5 * time.Second)
		start := time.Now()
		code, body = probe(t, r.Client, 300*time.Millisecond)
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("without members: it took %v", took)
		}
		if code != http.StatusServiceUnavailable || body.Ready || !strings.HasPrefix(body.Error, "etcd Ping") || len(body.Endpoints) != 3 {
			t.Errorf("without members: got %d %+v", code, body)
		}
		for _, e := range body.Endpoints {
			if !strings.Contains(e.Error, "refused") {
				t.Errorf("without members: %+v, want the reason", e)
			}
		}
		r.cluster.Member(1).Start()
		time.Sleep(2 * time.Second)
		if code, body = probe(t, r.Client, 0); code != http.StatusOK {
			t.Errorf("with a member that serves in a cluster of its own: got %d %+v", code, body)
		}
		_ = r.Close()
		if code, body = probe(t, r.Client, 0); code != http.StatusServiceUnavailable || !strings.Contains(body.Error, "closed") {
			t.Errorf("a closed client: got %d %+v", code, body)
		}
	})
}

// A name that can't be resolved is named too.
func TestReadyHandlerNamesWhatCantBeResolved(t *testing.T) {
	c, err := client.New(client.Config{
		Endpoints: []string{"dns+srv://127.0.0.1:1/example.com"},
		Resolver:  resolver.Options{Timeout: 100 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	code, body := probe(t, c, time.Second)
	if code != http.StatusServiceUnavailable || len(body.Endpoints) != 1 || body.Endpoints[0].Address != "dns+srv://127.0.0.1:1/example.com" || body.Endpoints[0].Error == "" {
		t.Errorf("got %d %+v, want the name and what is wrong with it", code, body)
	}
}
