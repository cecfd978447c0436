package balancer

// Counters count what a client's connections have done since the client was made. They only
// grow.
type Counters struct {
	// Dials are the connections that were attempted.
	Dials uint64
	// Failovers are the changes of the active endpoint to another one.
	Failovers uint64
	// Probes counts how often an endpoint was probed because it was late to answer. A
	// probe is up to four small requests.
	Probes uint64
	// Doubts counts how often new requests left an endpoint because it answered a probe
	// later than another one.
	Doubts uint64
	// Demotions counts how often an endpoint was found unable to serve.
	Demotions uint64
	// Severed are the connections that were left because their member was silent.
	Severed uint64
	// HandedOver are the connections that were left, though nothing was wrong with them,
	// while writes or long calls were in flight. They stay open until those have ended.
	HandedOver uint64
	// GivenUp are the calls that the client gave up after they had been sent, because an
	// answer was no longer expected, and that must not be sent again. Their errors are
	// ambiguous.
	GivenUp uint64
}
