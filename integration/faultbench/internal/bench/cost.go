package bench

import (
	"context"
	"maps"
	"path"
	"sync"

	"google.golang.org/grpc/stats"

	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// tally counts what one client sends, at its transport. That includes what the
// client sends by itself: hedges, retries and probes. It is a stats.Handler.
type tally struct {
	mu       sync.Mutex
	requests map[string]int // requests and streams started, by method
	messages map[string]int // messages sent, by method
}

func newTally() *tally {
	return &tally{requests: make(map[string]int), messages: make(map[string]int)}
}

// methodKey is the context key for the name of a method.
type methodKey struct{}

// TagRPC implements stats.Handler.
func (*tally) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, methodKey{}, path.Base(info.FullMethodName))
}

// HandleRPC implements stats.Handler. A balancer's own requests do not begin like
// the client's, but their headers are seen here.
func (t *tally) HandleRPC(ctx context.Context, event stats.RPCStats) {
	switch e := event.(type) {
	case *stats.OutHeader:
		t.mu.Lock()
		t.requests[path.Base(e.FullMethod)]++
		t.mu.Unlock()
	case *stats.OutPayload:
		method, _ := ctx.Value(methodKey{}).(string)
		t.mu.Lock()
		t.messages[method]++
		t.mu.Unlock()
	}
}

// TagConn implements stats.Handler.
func (*tally) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*tally) HandleConn(context.Context, stats.ConnStats) {}

// reset clears the counts.
func (t *tally) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.requests)
	clear(t.messages)
}

// cost returns what was counted since reset, for a number of calls.
func (t *tally) cost(client string, calls int) report.Cost {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := report.Cost{Client: client, Calls: calls, Requests: maps.Clone(t.requests)}
	for method, n := range t.messages {
		if n != t.requests[method] {
			if c.Messages == nil {
				c.Messages = make(map[string]int)
			}
			c.Messages[method] = n
		}
	}
	return c
}

// made returns how many single calls one client made.
func (l *loads) made(client string) int {
	n := 0
	for _, one := range l.all {
		if one.of.name != client || one.kind.follow != nil {
			continue
		}
		for _, w := range one.workers {
			n += len(w.samples)
		}
	}
	return n
}
