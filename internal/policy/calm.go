package policy

import (
	"context"
	"time"
)

// Servers count pings. A ping that comes too soon is a strike. At the third strike the
// server ends the connection and all calls on it (GOAWAY with ENHANCE_YOUR_CALM and
// "too_many_pings", gRFC A8; gRPC's internal/transport/http2_server.go, handlePing). etcd
// allows a ping every 5 s. A gRPC server with the default setting, such as kine's, some
// proxies' and those of etcd's own tests, wants 5 min between pings. No server limits
// requests in this way, and sending an answer clears the strikes.
//
// gRPC pings a connection after Options.Pings without a byte. So the policy sends a request
// on a connection that carries nothing, before a ping is due. Only a connection on which
// that request stays unanswered is pinged.

// calm sends a health check on c when c has carried nothing for half the time after which
// gRPC would ping it, and before three quarters of that time have passed. It returns when c
// is gone.
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
