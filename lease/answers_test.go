package lease_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/testconn"
	"github.com/getcd/getcd/lease"
)

// A lease is revoked by somebody else, and granted again with a shorter TTL. From the next renewal
// on, that TTL counts.
func TestTTLShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 2)
		renewals := record(c.Member(0), nil)
		id := mustGrant(t, l, 60)
		k := mustKeep(t, l, id)
		answers, err := l.KeepAlive(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		<-answers
		before := len(renewals())
		other := c.Member(1).Conn(t)
		rpc := pb.NewLeaseClient(other)
		if _, err := rpc.LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: int64(id)}); err != nil {
			t.Fatal(err)
		}
		const ttl = 25 * time.Second // more than until the next renewal
		if _, err := rpc.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: int64(id), TTL: int64(ttl / time.Second)}); err != nil {
			t.Fatal(err)
		}
		if resp := <-answers; resp.TTL != int64(ttl/time.Second) || k.TTL() != ttl {
			t.Errorf("got %+v, and a TTL of %v, want %v", resp, k.TTL(), ttl)
		}
		all := renewals()
		if n := len(all) - before; n != 1 {
			t.Errorf("the new TTL was learned from %d renewals, want 1", n)
		}
		if got, want := k.Deadline().Sub(all[len(all)-1].at), ttl-lease.Margin(ttl); got != want {
			t.Errorf("deadline is %v after the sending, want %v", got, want)
		}
		c.Member(0).Hang()
		<-k.Done()
		if !exists(t, other, id) {
			t.Error("the lease is gone although Done has only now closed")
		}
		wantIs(t, "Err", k.Err(), lease.ErrExpired)
	})
}

// With a TTL so short nothing is proven any more when the answer comes.
func TestTTLShrinksTooFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		const delay = 2500 * time.Millisecond
		var shrunk atomic.Bool
		c.Member(0).Tap(keepAlive, etcdtest.Tap{Sending: func(ctx context.Context, resp any) error {
			if !shrunk.Load() {
				return nil
			}
			resp.(*pb.LeaseKeepAliveResponse).TTL = 2
			return wait(ctx, delay)
		}})
		k := mustKeep(t, l, mustGrant(t, l, 60))
		begin := time.Now()
		shrunk.Store(true)
		<-k.Done()
		wantIs(t, "Err", k.Err(), lease.ErrExpired)
		if got, most := time.Since(begin), 22500*time.Millisecond+delay; got > most {
			t.Errorf("Done after %v, want at the next renewal's answer, %v at most", got, most)
		}
	})
}

// A first answer that comes too late to prove anything is no reason to give the lease up.
func TestFirstAnswerTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		delays := []time.Duration{2 * time.Second, time.Hour, 900 * time.Millisecond} // of what is sent after 0, 0.5 and 1.5 s
		var answers atomic.Int64
		c.Member(0).Tap(keepAlive, etcdtest.Tap{Sending: func(ctx context.Context, resp any) error {
			resp.(*pb.LeaseKeepAliveResponse).TTL = 2
			if n := int(answers.Add(1)); n <= len(delays) {
				return wait(ctx, delays[n-1])
			}
			return wait(ctx, time.Hour) // to the next renewal, which is due when the third answer comes
		}})
		id := mustGrant(t, l, 60)
		begin := time.Now()
		k := mustKeep(t, l, id)
		if err := k.Err(); err != nil {
			t.Errorf("Keep has returned a keeper that has ended: %v", err)
		}
		if got, want := k.Deadline().Sub(begin), 1500*time.Millisecond+1800*time.Millisecond; got != want {
			t.Errorf("deadline is %v after the first sending, want %v", got, want)
		}
	})
}

// An answer that comes after that of a later renewal changes nothing.
func TestEarlierAnswerComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl = 20 * time.Second
		c := etcdtest.Start(t, 3)
		l := newService(t, testconn.Rotate(t, c.Members()...))
		record(c.Member(0), func(n int) time.Duration { return time.Duration(n-1) * 3 * time.Second })
		second := record(c.Member(1), func(int) time.Duration { return 1500 * time.Millisecond })
		third := record(c.Member(2), func(int) time.Duration { return time.Hour })
		k := mustKeep(t, l, mustGrant(t, l, int64(ttl/time.Second)))
		for len(third()) == 0 {
			time.Sleep(time.Millisecond)
		}
		// The first member is silent for 1 s and the second one, which answers, for 1.3 s; then the
		// third one is asked. The answers come 0.2 s and 0.7 s after that.
		want := second()[0].at.Add(ttl - lease.Margin(ttl))
		for _, after := range []time.Duration{300 * time.Millisecond, 600 * time.Millisecond} {
			time.Sleep(after)
			if got := k.Deadline(); !got.Equal(want) {
				t.Errorf("deadline is %v off that of the second member's renewal", got.Sub(want))
			}
		}
	})
}
