package lock_test

import (
	"testing"
	"time"

	"github.com/getcd/getcd/internal/clock"
	"github.com/getcd/getcd/lock"
)

func TestHolderOnASuspendedMachine(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		for name, lockIt := range locks(r) {
			h := lockIt(r.alone(0))
			clock.Suspend(time.Hour)
			wantIs(t, name+": Err when it goes on", h.Err(), lock.ErrLost)
			wantIs(t, name+": Unlock", h.Unlock(t.Context()), lock.ErrLost)

			h = lockIt(r.alone(0))
			clock.Suspend(time.Hour)
			begin := time.Now()
			<-h.Done() // nobody asks
			if got := time.Since(begin); got > clock.Nap {
				t.Errorf("%s: Done closed %v after the machine went on, want %v at most", name, got, clock.Nap)
			}
			wantIs(t, name+": Unlock", h.Unlock(t.Context()), lock.ErrLost)
		}
	})
}
