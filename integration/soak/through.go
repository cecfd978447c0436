package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/grpcproxy"
)

// grpcProxy is the name of etcd's gRPC proxy among what clients can go through.
const grpcProxy = "grpc-proxy"

// The proxy lives for 5 to 15 s, and is away for 0 to 2 s.
const (
	proxyLife = 5 * time.Second
	proxyAway = 2 * time.Second
)

// passage is what clients go through, and how often it was away. Its zero value is
// the direct way.
type passage struct {
	proxy *grpcproxy.Proxy
	kills int
}

// startPassage starts what the options name.
func startPassage(ctx context.Context, c *cluster.Cluster, o options) (*passage, error) {
	if o.through == "" {
		return &passage{}, nil
	}
	p, err := grpcproxy.Start(ctx, grpcproxy.Config{Endpoints: c.Endpoints()})
	return &passage{proxy: p}, err
}

// endpoints are where clients go.
func (p *passage) endpoints(c *cluster.Cluster) []string {
	if p.proxy == nil {
		return c.Endpoints()
	}
	return []string{p.proxy.Endpoint()}
}

// disturb kills the proxy now and then and starts it again, until faulty ends.
// Then it serves.
func (p *passage) disturb(ctx, faulty context.Context, o options) error {
	if p.proxy == nil {
		return nil
	}
	r := rand.New(rand.NewPCG(o.seed, 17))
	for wait(faulty, proxyLife+upTo(r, 2*proxyLife)) {
		p.proxy.Kill()
		p.kills++
		o.log("the proxy is killed")
		wait(faulty, upTo(r, proxyAway))
		if err := p.proxy.Restart(ctx); err != nil {
			return err
		}
	}
	return nil
}

func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most)))
}

// wait waits, and reports whether ctx did not end meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *passage) stop() error {
	if p.proxy == nil {
		return nil
	}
	return p.proxy.Stop()
}

func (p *passage) summary() string {
	if p.proxy == nil {
		return ""
	}
	return fmt.Sprintf("clients went through %s, which was killed %d times\n", grpcProxy, p.kills)
}
