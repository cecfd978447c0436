package election_test

import (
	"testing"
	"time"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/internal/clock"
)

// A leader whose machine was suspended has lost its lease unnoticed: it knows at the first
// look.
func TestLeaderOnASuspendedMachine(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		e := r.leader(r.alone(0), "a", options()...)
		clock.Suspend(time.Hour)
		wantIs(t, "Err when it goes on", e.Err(), election.ErrLost)
		wantIs(t, "Proclaim", e.Proclaim(t.Context(), "b"), election.ErrLost)
		if !isDone(e.Done()) {
			t.Error("Done is open after Err")
		}

		e = r.leader(r.alone(0), "a", options()...)
		clock.Suspend(time.Hour)
		begin := time.Now()
		select {
		case <-e.Done(): // nobody asks
		case <-time.After(time.Minute): // the bubble's clock
		}
		if got := time.Since(begin); got > clock.Nap {
			t.Errorf("Done closed %v after the machine went on, want %v at most", got, clock.Nap)
		}
		wantIs(t, "Err", e.Err(), election.ErrLost)
	})
}
