package client

import (
	"sync/atomic"

	"github.com/getcd/getcd/balancer"
)

// Counters count what a client has done since it was made. They only grow, so a monitoring
// system can compute rates. The example shows how to export them to expvar; there are modules for
// Prometheus and OpenTelemetry (observability/prometheus, observability/otel).
type Counters struct {
	// Calls are the requests and streams that the client was asked for.
	Calls uint64
	// Attempts are the requests and streams that it sent for them: more than Calls if
	// some were sent again or hedged.
	Attempts uint64
	// Hedges are the reads, and the small writes that were declared repeatable, that were
	// sent to a second member because the first was slow. They are included in Attempts.
	// Each 100 such calls earn one hedge, and up to 500 hedges can be saved up. The hedges of
	// calls whose member was given up come on top.
	Hedges uint64
	// Logins are the tokens that were requested. They are included in Calls.
	Logins uint64
	// Resolutions counts how often a configured endpoint was resolved.
	Resolutions uint64

	// Counters has the connections' counters: Failovers, Severed and so on.
	balancer.Counters
}

type counters struct{ calls, attempts, hedges, logins atomic.Uint64 }

// Counters is as Client.Counters.
func (c *Conn) Counters() Counters {
	return Counters{
		Calls: c.counters.calls.Load(), Attempts: c.counters.attempts.Load(), Hedges: c.counters.hedges.Load(),
		Logins: c.counters.logins.Load(), Resolutions: c.resolver.Resolutions(), Counters: c.table.Counters(),
	}
}
