package lease_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/lease"
)

// keepAll keeps new leases of the TTL, in seconds.
func keepAll(t *testing.T, l lease.Lease, n int, ttl int64) []*lease.Keeper {
	t.Helper()
	keepers := make([]*lease.Keeper, n)
	var wg sync.WaitGroup
	for i := range n {
		id := mustGrant(t, l, ttl)
		wg.Go(func() {
			k, err := l.Keep(t.Context(), id)
			if err != nil {
				t.Errorf("Keep: %v", err)
			}
			keepers[i] = k
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return keepers
}

// What is due within half a second goes together, and nothing later than it is due.
func TestRenewalsGoInRounds(t *testing.T) {
	const (
		leases = 1100 // on two streams
		ttl    = 15
		most   = ttl * time.Second / 8 * 3
	)
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		renewals := record(c.Member(0), nil)
		keepers := keepAll(t, l, leases, ttl)
		time.Sleep(time.Minute)
		begin := time.Now()
		time.Sleep(time.Minute)
		last := make(map[lease.ID]time.Time)
		rounds := make(map[time.Time]int)
		for _, r := range renewals() {
			if r.at.Before(begin) {
				continue
			}
			rounds[r.at]++
			if before, ok := last[r.id]; ok {
				// Up to a tenth is for the round, and a twentieth for chance.
				if gap := r.at.Sub(before); gap > most || gap < most*85/100 {
					t.Fatalf("a renewal %v after the one before, want %v to %v", gap, most*85/100, most)
				}
			}
			last[r.id] = r.at
		}
		if len(last) != leases {
			t.Errorf("%d leases were renewed in a minute, want all %d", len(last), leases)
		}
		if got := len(rounds); got > 120 {
			t.Errorf("renewals at %d moments of a minute, want at most 120", got)
		}
		for at, n := range rounds {
			if n > leases/4 {
				t.Errorf("%d renewals at %v, want at most a quarter of %d", n, at, leases)
			}
		}
		for _, k := range keepers {
			if err := k.Err(); err != nil {
				t.Fatalf("a keeper ended: %v", err)
			}
		}
	})
}

// A round takes nothing along that is due only long after it.
func TestRoundsLeaveTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		renewals := record(c.Member(0), nil)
		long := mustKeep(t, l, mustGrant(t, l, 60))
		keepAll(t, l, 10, 3)
		time.Sleep(10 * time.Minute)
		n := 0
		for _, r := range renewals() {
			if r.id == long.ID() {
				n++
			}
		}
		// Every 21.3 to 22.5 s, less half a second for rounds; the second one after 11.2 s at least.
		if n < 26 || n > 31 {
			t.Errorf("a lease of a minute was renewed %d times in ten, want 26 to 31", n)
		}
	})
}

// Leases on several streams that all end in one moment end as one does.
func TestManyLeasesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		keepers := keepAll(t, l, 1100, 5)
		time.Sleep(10 * time.Second)
		c.Member(0).Kill()
		for _, k := range keepers {
			<-k.Done()
			if left := time.Until(k.Deadline()); left > 0 {
				t.Fatalf("Done %v before the deadline", left)
			}
			wantIs(t, "Err", k.Err(), lease.ErrExpired)
		}
	})
}
