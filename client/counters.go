package client

import (
	"sync/atomic"

	"github.com/getcd/getcd/balancer"
)

// Counters count what a client has done since it was made. They only grow, so
// that a monitoring system can take rates of them; the examples show how to give
// them to expvar, Prometheus and OpenTelemetry.
type Counters struct {
	// Calls are the requests and streams that were asked of the client.
	Calls uint64
	// Attempts are the requests and streams that it made of them: more than
	// Calls when some were sent again, or hedged.
	Attempts uint64
	// Hedges are the reads that were sent to a second member because the first
	// was late. They are among the attempts.
	Hedges uint64
	// Logins are the tokens that were asked for. They are calls, too.
	Logins uint64
	// Resolutions are how often one of the configured endpoints was resolved.
	Resolutions uint64

	// Counters are those of the connections: failovers, severed and so on.
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
