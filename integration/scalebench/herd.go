package main

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// herd records what its clients do to each member of a cluster, and when, since the fault.
// It sees both clients in the same way: as gRPC's dialer, and what leaves on the connections.
type herd struct {
	dial func(ctx context.Context, address string) (net.Conn, error)

	mu     sync.Mutex
	begin  time.Time // guarded by mu; zero before the fault
	counts map[moment]int
}

// moment is a part of time on a member.
type moment struct {
	kind   kind
	member string
	tick   int64 // of a tenth of a second
}

// kind is something that a member has to bear.
type kind string

const (
	dials       kind = "dials"       // attempts to connect, also to a member that is away
	connections kind = "connections" // that were made, HTTP/2's settings included
	logins      kind = "logins"
	health      kind = "health checks and watches"
	streams     kind = "watch and lease streams"
	requests    kind = "requests" // calls and streams of all kinds, those above too
)

var kinds = []kind{dials, connections, logins, health, streams, requests}

const (
	ticksPerSecond = 10
	perSecond      = ", most on a member in a second"
)

// mark forgets what was before the fault.
func (h *herd) mark() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin, h.counts = time.Now(), make(map[moment]int)
}

func (h *herd) add(k kind, member string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.begin.IsZero() {
		h.counts[moment{k, member, int64(time.Since(h.begin) * ticksPerSecond / time.Second)}]++
	}
}

// peak returns the most that one member has got within so many tenths of a second, and how
// many there were on all members in all.
func (h *herd) peak(k kind, within int64) (most, all int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for m, n := range h.counts {
		if m.kind != k {
			continue
		}
		all += n
		sum := 0
		for i := range within {
			sum += h.counts[moment{k, m.member, m.tick + i}]
		}
		most = max(most, sum) // the busiest span begins with one in which there is something
	}
	return most, all
}

// report adds the peaks.
func (h *herd) report(w *work) {
	for _, k := range kinds {
		second, all := h.peak(k, ticksPerSecond)
		w.add(string(k)+perSecond, float64(second), "").main()
		w.add(string(k)+", all", float64(all), "")
	}
	tenth, _ := h.peak(connections, 1)
	w.add("connections, most on a member in the busiest 0.1 s", float64(tenth), "")
}

// options are for each client of the herd.
func (h *herd) options() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithStatsHandler(h), grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		h.add(dials, address)
		c, err := h.dial(ctx, address)
		if err != nil {
			return nil, err
		}
		return newTap(c, func(method string) { h.request(method, address) }), nil
	})}
}

// request counts a request that has left.
func (h *herd) request(method, member string) {
	h.add(requests, member)
	switch {
	case method == pb.Auth_Authenticate_FullMethodName:
		h.add(logins, member)
	case method == pb.Watch_Watch_FullMethodName, method == pb.Lease_LeaseKeepAlive_FullMethodName:
		h.add(streams, member)
	case strings.HasPrefix(method, "/grpc.health.v1.Health/"):
		h.add(health, member)
	}
}

func (h *herd) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }
func (h *herd) HandleRPC(context.Context, stats.RPCStats)                       {}

type connKey struct{}

func (h *herd) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	return context.WithValue(ctx, connKey{}, info.RemoteAddr.String())
}

func (h *herd) HandleConn(ctx context.Context, s stats.ConnStats) {
	if _, ok := s.(*stats.ConnBegin); ok {
		member, _ := ctx.Value(connKey{}).(string)
		h.add(connections, member)
	}
}
