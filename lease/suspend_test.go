package lease_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/internal/clock"
	"github.com/getcd/getcd/lease"
)

// The cluster counts on while this machine is suspended, and Go's clock does not.
func TestKeeperOfASuspendedMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := service(t, 1)
		k := mustKeep(t, l, mustGrant(t, l, 10))
		time.Sleep(time.Minute)
		left := time.Until(k.Deadline())
		clock.Suspend(2 * time.Second)
		if got := left - time.Until(k.Deadline()); got != 2*time.Second || k.Err() != nil {
			t.Errorf("after 2s the deadline is nearer by %v, and the error %v; want 2s and none", got, k.Err())
		}
		time.Sleep(time.Minute)
		if err := k.Err(); err != nil {
			t.Errorf("a minute after a short suspension: %v", err)
		}

		clock.Suspend(time.Hour)
		wantIs(t, "Err when it goes on", k.Err(), lease.ErrExpired)
		if !isDone(k) {
			t.Error("Done is open after Err")
		}

		k = mustKeep(t, l, mustGrant(t, l, 10))
		clock.Suspend(time.Hour)
		begin := time.Now()
		<-k.Done() // nobody asks
		if got := time.Since(begin); got > clock.Nap {
			t.Errorf("Done closed %v after the machine went on, want %v at most", got, clock.Nap)
		}
		wantIs(t, "Err", k.Err(), lease.ErrExpired)
	})
}
