package policy

import (
	"context"
	"time"
)

// Servers count pings. One that comes too often is a strike, and with the third the
// server ends the connection with all that is under way on it (GOAWAY with
// ENHANCE_YOUR_CALM and "too_many_pings", gRFC A8; grpc's internal/transport
// http2_server.go, handlePing). etcd allows a ping every 5 s, while a gRPC server that was
// not told otherwise, such as kine's, some proxies' and those of etcd's own tests, wants
// 5 min between them. Of requests no server says so, and what it sends in answer takes
// its strikes away.
//
// So a connection that carries nothing is asked something, often enough that a ping never
// becomes due on one that answers: grpc pings after Options.Pings without a byte. What
// leaves the question unanswered is pinged as ever.

// calm asks c whether it is there when it has carried nothing for half the time after
// which grpc would ping it, and before three quarters of it have passed, until it is
// gone.
func (c *conn) calm(pings time.Duration) {
	every := pings / 4
	tick := time.NewTicker(every)
	defer tick.Stop()
	for received, quiet := c.raw.received.Load(), 0; ; {
		select {
		case <-c.gone.Done():
			return
		case <-tick.C:
		}
		if now := c.raw.received.Load(); now != received {
			received, quiet = now, 0
			continue
		}
		if quiet++; quiet < 2 {
			continue
		}
		quiet = 0
		ctx, cancel := context.WithTimeout(c.gone, every)
		_ = c.checkHealth(ctx) // any answer will do
		cancel()
	}
}
