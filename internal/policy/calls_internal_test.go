package policy

import (
	"testing"
	"time"

	grpcbalancer "google.golang.org/grpc/balancer"

	"github.com/getcd/getcd/internal/attempt"
)

// This process was stopped for ten minutes. When it goes on, a request begins and an answer comes
// before the watchdog's timer has run. Neither has anything to do with the stop.
func TestRequestsAfterAStopHaveNotWaitedForIt(t *testing.T) {
	p, ok := builder{}.Build(nil, grpcbalancer.BuildOptions{}).(*policy)
	if !ok {
		t.Fatal("the builder makes another policy")
	}
	defer p.Close()
	now := time.Now()
	p.clock.epoch = now.Add(-time.Hour)
	c := &conn{policy: p, clock: &p.clock}
	before := p.newCall(&attempt.Attempt{}, &target{conn: c})
	before.at = p.clock.at(now.Add(-10*time.Minute - time.Second))
	p.watchdog.due.Store(p.clock.at(now.Add(-10 * time.Minute)))

	after := p.newCall(&attempt.Attempt{}, &target{conn: c})
	c.hear(now, false)
	p.watchdog.runs(time.Now())
	later := now.Add(3 * time.Second)
	for name, got := range map[string]time.Duration{
		"the request from before": p.clock.waited(before.at, before.late, later) - time.Second, // it waited that much before the stop
		"the request":             p.clock.waited(after.at, after.late, later),
		"the silence":             p.clock.waited(c.heard.Load(), c.heardLate.Load(), later),
	} {
		if got < 2*time.Second || got > 4*time.Second {
			t.Errorf("%s: %v after 3 s, want about as much", name, got)
		}
	}
}
