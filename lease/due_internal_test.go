package lease

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestDueOrder(t *testing.T) {
	var (
		d     due
		begin = time.Now()
		all   []*entry
	)
	at := func() time.Time { return begin.Add(time.Duration(rand.N(1000)) * time.Second) }
	check := func() {
		t.Helper()
		for i, a := range d {
			if a.e.index != i {
				t.Fatalf("the element at %d has the index %d", i, a.e.index)
			}
			if i > 0 && a.at.Before(d[(i-1)/children].at) {
				t.Fatalf("the element at %d is earlier than the one above it", i)
			}
		}
	}
	for range 5000 {
		switch n := rand.N(3); {
		case n == 0 || len(all) == 0:
			e := &entry{}
			all = append(all, e)
			d.push(e, at())
		case n == 1:
			d.move(all[rand.N(len(all))], at())
		default:
			i := rand.N(len(all))
			d.remove(all[i])
			all[i] = all[len(all)-1]
			all = all[:len(all)-1]
		}
		check()
	}
	for len(all) > 0 {
		d.remove(all[0])
		all = all[1:]
		check()
	}
	if len(d) != 0 {
		t.Errorf("%d elements are left", len(d))
	}
}

// A short lease is renewed when a third of its TTL has passed, so that most of it is left for
// other members and an election; a longer one when no more than three eighths have.
func TestPeriod(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		2 * time.Second:   2 * time.Second / 3,
		12 * time.Second:  4 * time.Second,
		16 * time.Second:  6 * time.Second,
		time.Minute:       22500 * time.Millisecond,
		math.MaxInt64 - 7: (math.MaxInt64 - 7) / 8 * 3,
	} {
		if got := period(ttl); got != want {
			t.Errorf("period(%v): got %v, want %v", ttl, got, want)
		}
	}
}
