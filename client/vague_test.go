package client_test

import (
	"context"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// vague are errors that say that a request has failed, and not what is wrong with the member.
var vague = map[string]error{
	"a proxy's 503":     status.Error(codes.Unavailable, "unexpected HTTP status code received from server: 503 (Service Unavailable)"),
	"Envoy":             status.Error(codes.Unavailable, "no healthy upstream"),
	"request timed out": rpctypes.ErrGRPCTimeout,
	"server stopped":    rpctypes.ErrGRPCStopped,
}

// A member that answers every request at once, with an error that says nothing of the member, is
// left after a few failures. No request waits on it, so nothing but the failures can show what is wrong.
func TestActiveMemberAnswersVaguely(t *testing.T) {
	for name, answer := range vague {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				r.warm()
				r.cluster.Member(0).Intercept(refuse(answer))
				failed := 0
				for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
					if err := r.put(r.timeout(5*time.Second), "k", "v"); err != nil {
						failed++
					}
				}
				if failed > 5 {
					t.Errorf("%d of 300 puts failed, want a few", failed)
				}
				if got := r.active(); got != m2 {
					t.Errorf("active: got %q, want %q", got, m2)
				}
				r.cluster.Member(0).Intercept(nil)
			})
		})
	}
}

// When both connected members fail all requests, although they answer health checks, the client
// connects to a third one. The probes find that nobody serves, but they have asked only these two.
func TestBothConnectedMembersFail(t *testing.T) {
	hooks := map[string]etcdtest.UnaryHook{"reads and writes wait": hangLinearizable}
	for name, answer := range vague {
		hooks[name] = func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == healthCheck {
				return next()
			}
			return nil, answer
		}
	}
	for name, hook := range hooks {
		t.Run(name, func(t *testing.T) {
			run(t, 5, nil, func(r *rig) {
				t := r.t
				r.warm()
				for _, m := range r.cluster.Members()[:2] {
					m.Intercept(hook)
				}
				start := time.Now()
				if _, err := r.get(r.timeout(time.Minute)); err != nil {
					t.Errorf("get: %v", err)
				}
				if d := time.Since(start); d > 5*time.Second {
					t.Errorf("the get took %v, want what it takes to be sure of both, at most 5 s", d)
				}
				start = time.Now()
				if err := r.put(r.timeout(time.Minute), "k", "v"); err != nil || time.Since(start) > time.Second {
					t.Errorf("a put afterwards: error %v after %v, want success at once", err, time.Since(start))
				}
				for _, m := range r.cluster.Members()[:2] {
					m.Intercept(nil)
				}
			})
		})
	}
}

// Servers of etcd 3.4 refuse what an outdated token comes with, in words that have no code of their
// own. The refusal is certain, and no sign that something is wrong with the member.
func TestOutdatedTokenIsNoFaultOfTheMember(t *testing.T) {
	run(t, 2, func(c *client.Config) { c.Token = "ab.cd.ef" }, func(r *rig) {
		t := r.t
		r.warm()
		for _, m := range r.cluster.Members() {
			m.Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
				if md, _ := metadata.FromIncomingContext(ctx); method == healthCheck || len(md.Get(rpctypes.TokenFieldNameGRPC)) == 0 {
					return next()
				}
				return nil, status.Error(codes.Unknown, "auth: revision in header is old")
			})
		}
		before := r.Counters()
		for range 20 {
			start := time.Now()
			err := r.put(r.timeout(time.Minute), "k", "v")
			if took := time.Since(start); err == nil || client.IsAmbiguous(err) || took > time.Second {
				t.Fatalf("got %v after %v, want a certain refusal at once", err, took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if now := r.Counters(); now.Probes != before.Probes || now.Demotions != before.Demotions {
			t.Errorf("%d probes and %d demotions, want none", now.Probes-before.Probes, now.Demotions-before.Demotions)
		}
	})
}
