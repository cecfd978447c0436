package backoff_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/internal/backoff"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPause(t *testing.T) {
	const ms = time.Millisecond
	usual := backoff.Exponential{First: 10 * ms, Max: 75 * ms}
	huge := backoff.Exponential{First: time.Hour, Max: math.MaxInt64}
	for _, tc := range []struct {
		name string
		of   backoff.Exponential
		n    int
		want time.Duration // the longest; the shortest is half of it
	}{
		{"first", usual, 0, 10 * ms},
		{"doubled", usual, 1, 20 * ms},
		{"doubled twice", usual, 2, 40 * ms},
		{"at most", usual, 3, 75 * ms},
		{"at most, for long", usual, 1000, 75 * ms},
		{"negative", usual, -1, 10 * ms},
		{"first above the most", backoff.Exponential{First: time.Second, Max: 75 * ms}, 0, 75 * ms},
		{"out of the type", huge, 40, math.MaxInt64},
		{"shifted out of the type", huge, 62, math.MaxInt64},
		{"zero value", backoff.Exponential{}, 5, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			low, high := time.Duration(math.MaxInt64), time.Duration(0)
			for range 2000 {
				got := tc.of.Pause(tc.n)
				low, high = min(low, got), max(high, got)
			}
			if low < tc.want/2 || high > tc.want {
				t.Errorf("Pause(%d) was from %v to %v, want from %v to %v", tc.n, low, high, tc.want/2, tc.want)
			}
			if spread := high - low; spread < tc.want/4 {
				t.Errorf("Pause(%d) was from %v to %v: without jitter", tc.n, low, high)
			}
		})
	}
}

func TestJitterOfNothing(t *testing.T) {
	for _, d := range []time.Duration{0, -time.Second} {
		if got := backoff.Jitter(d); got != 0 {
			t.Errorf("Jitter(%v) = %v, want 0", d, got)
		}
	}
}

func TestSleep(t *testing.T) {
	for _, tc := range []struct {
		name   string
		d      time.Duration
		cancel time.Duration // when ctx ends; negative for never, 0 for before
		lived  bool
		took   time.Duration
	}{
		{"through", time.Minute, -1, true, time.Minute},
		{"cancelled before", time.Minute, 0, false, 0},
		{"cancelled meanwhile", time.Minute, time.Second, false, time.Second},
		{"cancelled after", time.Second, time.Minute, true, time.Second},
		{"nothing", 0, -1, true, 0},
		{"less than nothing", -time.Second, -1, true, 0},
		{"nothing, cancelled before", 0, 0, false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				switch {
				case tc.cancel == 0:
					cancel()
				case tc.cancel > 0:
					defer time.AfterFunc(tc.cancel, cancel).Stop()
				}
				begin := time.Now()
				if got := backoff.Sleep(ctx, tc.d); got != tc.lived {
					t.Errorf("Sleep = %v, want %v", got, tc.lived)
				}
				if got := time.Since(begin); got != tc.took {
					t.Errorf("Sleep took %v, want %v", got, tc.took)
				}
			})
		})
	}
}
