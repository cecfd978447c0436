package policy

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/backoff"
)

// rewatch is the pause before a health watch that the member has ended is opened again.
const rewatch = time.Second

// watchHealth follows the health that m reports, for as long as c lives (gRPC's health
// checking protocol). A member that reports NOT_SERVING is demoted until it reports SERVING.
// etcd reports NOT_SERVING while it defragments, if it is configured so.
//
// The stream also makes HTTP/2's pings on a standby's connection legitimate, since etcd
// refuses pings on connections without a stream.
func (p *policy) watchHealth(m *member, c *conn) {
	for {
		err := p.watchHealthOnce(m, c)
		if status.Code(err) == codes.Unimplemented {
			return // the member, or a proxy, does not know the service
		}
		if !backoff.Sleep(c.gone, rewatch) {
			return
		}
	}
}

func (p *policy) watchHealthOnce(m *member, c *conn) error {
	ctx, cancel := context.WithCancel(c.gone)
	defer cancel()
	cc, release := c.rpcs()
	defer release()
	stream, err := healthpb.NewHealthClient(cc).Watch(ctx, &healthpb.HealthCheckRequest{})
	for err == nil {
		var resp *healthpb.HealthCheckResponse
		if resp, err = stream.Recv(); err != nil {
			break
		}
		p.setHealth(m, c, resp.Status != healthpb.HealthCheckResponse_NOT_SERVING)
	}
	return err
}

// setHealth notes the health that m reports.
func (p *policy) setHealth(m *member, c *conn, serving bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || m.conn != c || c.notServing == !serving {
		return
	}
	c.notServing = !serving
	if serving {
		if m.demotion.cause == errNotServing { //nolint:errorlint // the very value
			p.restoreLocked(m)
		}
	} else {
		p.demoteLocked(m, errNotServing)
	}
	p.stepLocked()
}
