package policy

import (
	"sync/atomic"

	"github.com/getcd/getcd/balancer"
)

type counters struct {
	dials, failovers, probes, doubts, demotions, severed, handedOver, givenUp atomic.Uint64
}

// Counters returns the counters as they are now.
func (t *Table) Counters() balancer.Counters {
	c := &t.counters
	return balancer.Counters{
		Dials: c.dials.Load(), Failovers: c.failovers.Load(), Probes: c.probes.Load(), Doubts: c.doubts.Load(),
		Demotions: c.demotions.Load(), Severed: c.severed.Load(), HandedOver: c.handedOver.Load(), GivenUp: c.givenUp.Load(),
	}
}
