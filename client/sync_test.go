package client_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/client"
)

func (r *rig) addresses() (out []string) {
	for _, s := range r.Endpoints() {
		out = append(out, s.Address)
	}
	slices.Sort(out)
	return out
}

// A client that knows one member learns of the others, and follows their changes.
func TestAutoSync(t *testing.T) {
	var all []string
	one := func(c *client.Config) {
		all = slices.Clone(c.Endpoints)
		c.Endpoints, c.AutoSyncInterval = c.Endpoints[:1], 10*time.Second
	}
	run(t, 3, one, func(r *rig) {
		t := r.t
		time.Sleep(time.Second)
		if got := r.addresses(); !slices.Equal(got, all) {
			t.Fatalf("after 1 s: got %q, want %q", got, all)
		}
		r.cluster.Member(2).SetLearner(true)
		time.Sleep(11 * time.Second)
		if got := r.addresses(); !slices.Equal(got, all[:2]) {
			t.Errorf("with a learner: got %q, want %q", got, all[:2])
		}
		r.cluster.Member(0).Kill()
		if _, err := r.get(r.timeout(time.Second)); err != nil {
			t.Errorf("without the configured member: %v", err)
		}
	})
}

// Members that advertise URLs that nobody can reach don't strand the client.
func TestAutoSyncWithURLsThatCantBeReached(t *testing.T) {
	elsewhere := func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
		resp, err := next()
		if list, ok := resp.(*pb.MemberListResponse); ok {
			for _, m := range list.Members {
				m.ClientURLs = []string{"http://elsewhere:2379"}
			}
		}
		return resp, err
	}
	run(t, 2, func(c *client.Config) { c.AutoSyncInterval = 10 * time.Second }, func(r *rig) {
		for _, m := range r.cluster.Members() {
			m.Intercept(elsewhere)
		}
		time.Sleep(11 * time.Second)
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			r.t.Errorf("on the connection that there was: %v", err)
		}
		r.cluster.Member(0).Kill()
		if _, err := r.get(r.timeout(30 * time.Second)); err != nil {
			r.t.Errorf("after that is lost, and an interval: %v", err)
		}
	})
}

// Members that were away for a while are found again, even if the configured one is gone.
func TestAutoSyncAfterAnOutage(t *testing.T) {
	run(t, 3, func(c *client.Config) { c.Endpoints, c.AutoSyncInterval = c.Endpoints[:1], 10*time.Second }, func(r *rig) {
		time.Sleep(time.Second)
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		time.Sleep(time.Minute)
		r.cluster.Member(1).Start()
		r.cluster.Member(2).Start()
		if _, err := r.get(r.timeout(time.Minute)); err != nil {
			r.t.Errorf("when the others are back: %v", err)
		}
	})
}

// A SetEndpoints during a Sync wins.
func TestSetEndpointsDuringASync(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		want := r.cluster.Addrs()[1:]
		r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.Cluster_MemberList_FullMethodName {
				if err := r.SetEndpoints(want...); err != nil {
					t.Error(err)
				}
			}
			return next()
		})
		if err := r.Sync(r.timeout(time.Second)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if got := slices.Compact(r.addresses()); !slices.Equal(got, want) { // one address has two rows
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Sync does it once. With an error nothing changes.
func TestSync(t *testing.T) {
	run(t, 2, func(c *client.Config) { c.Endpoints = c.Endpoints[:1] }, func(r *rig) {
		t := r.t
		if err := r.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := r.addresses(); !slices.Equal(got, r.cluster.Addrs()) {
			t.Errorf("got %q, want %q", got, r.cluster.Addrs())
		}
		r.cluster.Member(0).SetLearner(true)
		r.cluster.Member(1).SetLearner(true)
		if err := r.Sync(r.timeout(time.Second)); err == nil {
			t.Error("with learners alone: got no error")
		}
		if got := r.addresses(); len(got) != 2 {
			t.Errorf("after an error: got %q, want both as before", got)
		}
		_ = r.Close()
		if err := r.Sync(t.Context()); err == nil {
			t.Error("on a closed client: got no error")
		}
	})
}

// A Sync whose member list can't be used changes nothing: the client goes on with the endpoints
// that it knew, also when it has to go back to those of the last Sync that succeeded.
func TestSyncThatFailsKeepsTheFormerMembers(t *testing.T) {
	var unusable atomic.Bool
	run(t, 3, func(c *client.Config) { c.Endpoints, c.AutoSyncInterval = c.Endpoints[:1], 10*time.Second }, func(r *rig) {
		t := r.t
		for _, m := range r.cluster.Members() {
			m.Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
				resp, err := next()
				if list, ok := resp.(*pb.MemberListResponse); ok && unusable.Load() {
					list.Members[2].ClientURLs = []string{"http://bad-:2379"}
				}
				return resp, err
			})
		}
		time.Sleep(12 * time.Second) // the bubble's clock
		want := r.cluster.Addrs()
		if got := r.addresses(); !slices.Equal(got, want) {
			t.Fatalf("after an interval: got %q, want %q", got, want)
		}
		unusable.Store(true)
		if err := r.Sync(r.timeout(time.Second)); err == nil {
			t.Error("with a list that can't be used: got no error")
		}
		if got := r.addresses(); !slices.Equal(got, want) {
			t.Errorf("after an error: got %q, want %q as before", got, want)
		}
		time.Sleep(40 * time.Second)
		r.cluster.Member(0).Kill()
		if _, err := r.get(r.timeout(30 * time.Second)); err != nil {
			t.Errorf("without the configured member: %v", err)
		}
	})
}
