package clock_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/internal/clock"
)

func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose time is virtual, and stands still here
		wall, before, slept := time.Now(), clock.Now(), clock.Slept()
		if got := before.Sub(wall); got != slept {
			t.Errorf("Now is %v later than time.Now, want %v", got, slept)
		}
		time.Sleep(time.Hour)
		if got := clock.Now().Sub(before); got != time.Hour {
			t.Errorf("an hour of virtual time is %v", got)
		}
		deadline := clock.Now().Add(time.Minute)
		clock.Suspend(50 * time.Second)
		if got := clock.Until(deadline); got != 10*time.Second {
			t.Errorf("Until is %v after a suspension of 50s, want 10s", got)
		}
		if got := time.Until(clock.Timer(deadline)); got != 10*time.Second {
			t.Errorf("time.Until of Timer is %v, want 10s", got)
		}
		if got := clock.Slept() - slept; got != 50*time.Second {
			t.Errorf("Slept has grown by %v, want 50s", got)
		}
	})
}

// The system's clocks agree with Go's while nothing is suspended.
func TestClockOfTheSystem(t *testing.T) {
	const step = 50 * time.Millisecond
	begin, slept := time.Now(), clock.Slept()
	for time.Since(begin) < step {
		runtime.Gosched()
	}
	if got := clock.Slept() - slept; got != 0 {
		t.Errorf("the machine was suspended for %v in a test", got)
	}
}
