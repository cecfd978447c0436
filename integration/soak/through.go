package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/frontproxy"
	"github.com/getcd/getcd/integration/grpcproxy"
)

// grpcProxy is the name of etcd's gRPC proxy in ways.
const grpcProxy = "grpc-proxy"

// The proxy lives for 5 to 15 s, and is gone for 0 to 2 s.
const (
	proxyLife = 5 * time.Second
	proxyAway = 2 * time.Second
)

// ways returns what clients can go through: etcd's gRPC proxy, or HAProxy or
// nginx.
func ways() []string {
	all := []string{grpcProxy}
	for _, k := range frontproxy.Kinds() {
		all = append(all, string(k))
	}
	return all
}

// passage is what clients go through, and how many times it was gone. The zero
// value means direct connections.
type passage struct {
	proxy *grpcproxy.Proxy
	front *frontproxy.Proxy
	kills int
}

// startPassage starts what the options name.
func startPassage(ctx context.Context, c *cluster.Cluster, o options) (*passage, error) {
	switch o.through {
	case "":
		return &passage{}, nil
	case grpcProxy:
		p, err := grpcproxy.Start(ctx, grpcproxy.Config{Endpoints: c.Endpoints()})
		return &passage{proxy: p}, err
	default:
		p, err := frontproxy.Start(ctx, frontproxy.Config{Kind: frontproxy.Kind(o.through), Targets: c.Endpoints()})
		return &passage{front: p}, err
	}
}

// endpoints returns the clients' endpoints.
func (p *passage) endpoints(c *cluster.Cluster) []string {
	switch {
	case p.proxy != nil:
		return []string{p.proxy.Endpoint()}
	case p.front != nil:
		return []string{p.front.Address()}
	default:
		return c.Endpoints()
	}
}

// disturb kills and restarts etcd's proxy from time to time, until faulty ends.
// Then the proxy serves. Other proxies keep running; their members fail.
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

// wait waits for d, and reports whether ctx has not ended.
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
	switch {
	case p.proxy != nil:
		return p.proxy.Stop()
	case p.front != nil:
		return p.front.Stop()
	default:
		return nil
	}
}

func (p *passage) summary(through string) string {
	switch {
	case p.proxy != nil:
		return fmt.Sprintf("clients went through %s, which was killed %d times\n", through, p.kills)
	case p.front != nil:
		return fmt.Sprintf("clients went through %s\n", through)
	default:
		return ""
	}
}
