package bench

import (
	"context"
	"maps"
	"path"
	"sync"

	"google.golang.org/grpc/stats"

	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// tally counts what one client sends, at its transport: with what the client sends
// by itself, to hedge, to retry or to probe. It is a stats.Handler.
type tally struct {
	mu       sync.Mutex
	requests map[string]int // requests and streams begun, by method
	messages map[string]int // messages sent, by method
}

func newTally() *tally {
	return &tally{requests: make(map[string]int), messages: make(map[string]int)}
}

// methodKey is the context's key of a method's name.
type methodKey struct{}

// TagRPC implements stats.Handler.
func (*tally) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, methodKey{}, path.Base(info.FullMethodName))
}

// HandleRPC implements stats.Handler. A balancer's own requests are not begun as
// those of the client are, but their headers are seen here all the same.
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

// reset forgets what was counted.
func (t *tally) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.requests)
	clear(t.messages)
}

// cost is what was counted since reset, for so many calls.
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

// made is how many single calls one client made.
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
