package lease_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/testconn"
	"github.com/getcd/getcd/lease"
)

// The worst that happens to a lease of 5 s: its leader stops just before a renewal.
func TestSurvivesElection(t *testing.T) {
	for _, election := range []time.Duration{
		1100 * time.Millisecond,
		1600 * time.Millisecond, // the longest at etcd's defaults, unless votes are split
		2500 * time.Millisecond,
	} {
		t.Run(election.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 3)
				l := newService(t, testconn.Rotate(t, c.Members()...))
				var stopped time.Time
				// Followers pass renewals on to the leader. Those that came before
				// the election's end wait for the old one.
				for _, m := range c.Members()[1:] {
					m.Tap(keepAlive, etcdtest.Tap{Received: func(ctx context.Context, _ any) error {
						if time.Since(stopped) < election {
							<-ctx.Done()
						}
						return ctx.Err()
					}})
				}
				renewals := record(c.Member(0), nil)
				k := mustKeep(t, l, mustGrant(t, l, 5))
				time.Sleep(time.Minute)
				for last := len(renewals()); len(renewals()) == last; {
					time.Sleep(time.Millisecond)
				}
				// The next one comes nine tenths of a third of the TTL later, or
				// after the whole third.
				time.Sleep(1490 * time.Millisecond)
				stopped = time.Now()
				c.Member(0).Freeze()
				time.Sleep(time.Minute)
				if err := k.Err(); err != nil {
					t.Errorf("Err after an election of %v: %v", election, err)
				}
			})
		})
	}
}

// Members that are there but know of no leader refuse at once. They are asked
// again soon, and less and less often.
func TestRefusedRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 3)
		l := newService(t, failover(t, c))
		k := mustKeep(t, l, mustGrant(t, l, 5))
		streams := func() (n int) {
			for _, m := range c.Members() {
				n += m.Calls(keepAlive)
			}
			return n
		}
		for range 10 {
			time.Sleep(20 * time.Second)
			before := streams()
			for _, m := range c.Members() {
				m.SetNoLeader(true)
			}
			time.Sleep(2500 * time.Millisecond)
			for _, m := range c.Members() {
				m.SetNoLeader(false)
			}
			time.Sleep(400 * time.Millisecond) // the longest pause, and the connection's own
			if err := k.Err(); err != nil {
				t.Fatalf("Err after 2.5 s without a leader: %v", err)
			}
			if left := time.Until(k.Deadline()); left < 4*time.Second {
				t.Errorf("0.4 s after the election the lease is proven for %v, want at least 4s", left)
			}
			if got := streams() - before; got > 25 {
				t.Errorf("%d streams were tried in 2.5 s, want at most 25", got)
			}
		}
	})
}

// One stream's renewals are answered one after the other. Who waits in a long
// queue is served, however long it takes.
func TestQueueIsNotSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		l := newService(t, testconn.Rotate(t, c.Members()...))
		const leases, each = 400, 10 * time.Millisecond
		ids := make([]lease.ID, leases)
		for i := range ids {
			ids[i] = mustGrant(t, l, 20)
		}
		for _, m := range c.Members() {
			record(m, func(int) time.Duration { return each })
		}
		for _, id := range ids {
			if _, err := l.KeepAlive(t.Context(), id); err != nil {
				t.Fatalf("KeepAlive: %v", err)
			}
		}
		time.Sleep(leases * each)
		if k := mustKeep(t, l, ids[leases-1]); k.Err() != nil {
			t.Errorf("Err of the last of the queue: %v", k.Err())
		}
		if got := c.Member(1).Calls(keepAlive); got != 0 {
			t.Errorf("another member was asked by %d streams, want none: the first one answered all the time", got)
		}
	})
}

// A member that is always slow is given the time that it takes.
func TestLearnsLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		l := newService(t, testconn.Rotate(t, c.Members()...))
		for _, m := range c.Members() {
			record(m, func(int) time.Duration { return 700 * time.Millisecond })
		}
		k := mustKeep(t, l, mustGrant(t, l, 5))
		time.Sleep(time.Minute)
		streams := func() int { return c.Member(0).Calls(keepAlive) + c.Member(1).Calls(keepAlive) }
		before := streams()
		time.Sleep(10 * time.Minute)
		if err := k.Err(); err != nil {
			t.Errorf("Err with answers that take 0.7 s: %v", err)
		}
		if got := streams() - before; got > 0 {
			t.Errorf("%d more streams in ten minutes, want none", got)
		}
	})
}
