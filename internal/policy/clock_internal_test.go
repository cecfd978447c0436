package policy

import (
	"testing"
	"time"
)

// Several may notice the same lateness: what overlaps counts once. A call has waited for
// what is left, counted from when it began.
func TestLatenessCountsOnce(t *testing.T) {
	c := &clock{epoch: time.Now()}
	at := func(ms int) time.Time { return c.epoch.Add(time.Duration(ms) * time.Millisecond) }
	for i, s := range []struct {
		late, now, want int // ms; want: all in all
	}{
		{100, 1000, 100},
		{100, 1000, 100}, // the same, noticed by somebody else
		{30, 980, 100},   // within it
		{150, 1050, 150}, // 900 to 1050, of which 50 are new
		{40, 1200, 190},  // apart
		{500, 1300, 290}, // 800 to 1300: since the last booking, 100
		{0, 1400, 290},
	} {
		c.book(time.Duration(s.late)*time.Millisecond, at(s.now))
		if got := time.Duration(c.late.Load()); got != time.Duration(s.want)*time.Millisecond {
			t.Errorf("booking %d: late by %v in all, want %d ms", i, got, s.want)
		}
	}
	begun, late := c.at(at(1500)), c.late.Load()
	c.book(200*time.Millisecond, at(1800))
	if got := c.waited(begun, late, at(2000)); got != 300*time.Millisecond {
		t.Errorf("waited %v, want 0.5 s less the 0.2 s by which the process was late", got)
	}
	if got := c.waited(begun, c.late.Load(), at(2000)); got != 500*time.Millisecond {
		t.Errorf("waited %v, want 0.5 s: it was late before the call began", got)
	}
}
