package balancer

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
	// Severed are the connections that were left because their member was silent.
	Severed uint64
	// HandedOver are the connections that were left, though nothing was wrong with them,
	// with writes under way, or calls that wait; they live on until those have ended.
	HandedOver uint64
	// GivenUp are the calls that were given up though they had been sent and can't be
	// sent again, because an answer was not to be expected any more: their errors are
	// ambiguous.
	GivenUp uint64
}
