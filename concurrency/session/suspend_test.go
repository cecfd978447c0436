package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/internal/clock"
	"github.com/getcd/getcd/lease"
)

// A session whose machine was suspended ends at the first look, and within a nap if nobody
// looks.
func TestSessionOnASuspendedMachine(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		s := r.session()
		clock.Suspend(time.Hour)
		wantIs(t, "Err when it goes on", s.Err(), session.ErrLost, lease.ErrExpired)
		if !isDone(s) {
			t.Error("Done is open after Err")
		}

		s = r.session()
		clock.Suspend(time.Hour)
		begin := time.Now()
		select {
		case <-s.Context().Done(): // nobody asks
		case <-time.After(time.Minute): // the bubble's clock
		}
		if got := time.Since(begin); got > clock.Nap {
			t.Errorf("the context ended %v after the machine went on, want %v at most", got, clock.Nap)
		}
		wantIs(t, "Context", context.Cause(s.Context()), session.ErrLost)
	})
}
