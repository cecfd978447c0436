package balancer

import "sync/atomic"

// Counters count what a policy has done since it began. They only grow.
type Counters struct {
	// Dials are the connections that were attempted.
	Dials uint64
	// Failovers are the changes of the active endpoint to another one.
	Failovers uint64
	// Probes are how often an endpoint was looked after because it was late to
	// answer. Each is up to four small requests.
	Probes uint64
	// Doubts are how often new requests left an endpoint because it did not answer
	// a probe as quickly as another.
	Doubts uint64
	// Demotions are how often an endpoint was found not to be able to serve.
	Demotions uint64
	// Severed are the connections that were broken because their member was
	// silent.
	Severed uint64
	// Retired are the connections that were given up because what waited on them
	// was lost.
	Retired uint64
}

type counters struct {
	dials, failovers, probes, doubts, demotions, severed, retired atomic.Uint64
}

// Counters returns the counters as they are now.
func (t *Table) Counters() Counters {
	c := &t.counters
	return Counters{
		Dials: c.dials.Load(), Failovers: c.failovers.Load(), Probes: c.probes.Load(), Doubts: c.doubts.Load(),
		Demotions: c.demotions.Load(), Severed: c.severed.Load(), Retired: c.retired.Load(),
	}
}
