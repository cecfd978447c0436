package measure

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// Received is a stats.Handler that counts the bytes of the messages that a client
// receives.
type Received struct{ bytes atomic.Int64 }

// Bytes are those of all messages so far, as they came on the wire.
func (r *Received) Bytes() int64 { return r.bytes.Load() }

// HandleRPC implements stats.Handler.
func (r *Received) HandleRPC(_ context.Context, s stats.RPCStats) {
	if in, ok := s.(*stats.InPayload); ok {
		r.bytes.Add(int64(in.WireLength))
	}
}

// TagRPC implements stats.Handler.
func (*Received) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn implements stats.Handler.
func (*Received) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*Received) HandleConn(context.Context, stats.ConnStats) {}
