package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/client"
)

// A call that names an endpoint goes to that one, whoever is active, and fails when
// it is not there.
func TestCallsToOneEndpoint(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		for i, m := range r.cluster.Members() {
			before := m.Calls(pb.Maintenance_Status_FullMethodName) // who it is, for the client itself
			resp, err := r.Status(r.timeout(time.Second), m.Addr())
			if err != nil || resp.Header.MemberId != m.ID() {
				t.Errorf("status of %s: got member %x and error %v, want %x", m.Addr(), resp.Header.GetMemberId(), err, m.ID())
			}
			if n := m.Calls(pb.Maintenance_Status_FullMethodName) - before; n != 1 {
				t.Errorf("member %d was asked %d times, want once", i, n)
			}
		}
		r.cluster.Member(2).Kill()
		if _, err := r.Status(r.timeout(time.Second), m3); err == nil {
			t.Error("status of a dead member: got no error")
		}
		var nonsense error
		if _, nonsense = r.Status(r.timeout(time.Second), "http://"); nonsense == nil || errors.Is(nonsense, r.t.Context().Err()) {
			t.Errorf("status of nothing: got %v, want what is wrong with the endpoint", nonsense)
		}
	})
}

// A client that is closed ends the calls that name an endpoint too, and takes no more.
func TestCallsToOneEndpointEndWithTheClient(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.cluster.Member(1).Intercept(hangAllBut(healthCheck))
		under := make(chan error, 1)
		go func() {
			_, err := r.Status(r.timeout(time.Minute), m2)
			under <- err
		}()
		time.Sleep(time.Second) // virtual: until it is sent
		begun := time.Now()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := <-under; !errors.Is(err, client.ErrClosed) {
			t.Errorf("a call under way: got %v, want %v", err, client.ErrClosed)
		}
		if d := time.Since(begun); d > time.Second {
			t.Errorf("it ended after %v, want at once", d)
		}
		if _, err := r.Status(r.timeout(time.Second), m2); !errors.Is(err, client.ErrClosed) {
			t.Errorf("a call afterwards: got %v, want %v", err, client.ErrClosed)
		}
	})
}

// Endpoints are named as Client.Endpoints shows them, also a socket with TLS and a relative path.
func TestCallToASocketWithTLS(t *testing.T) {
	c, err := client.New(client.Config{Endpoints: []string{"unixs:no-such.sock"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for changed := c.EndpointsChanged(); len(c.Endpoints()) == 0; changed = c.EndpointsChanged() {
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("no endpoints")
		}
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Status(ctx, c.Endpoints()[0].Address); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want an attempt to connect", err)
	}
}
