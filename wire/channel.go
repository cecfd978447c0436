package wire

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	callpath "github.com/getcd/getcd/internal/attempt"
)

// DialOptions returns the options that let t trace a grpc.ClientConn. Use them
// instead of grpc.WithTransportCredentials(creds). They are for one ClientConn,
// and must come after all other options that set credentials. For a client of
// package client, set its Config.Trace instead.
func (t *Tracer) DialOptions(creds credentials.TransportCredentials) []grpc.DialOption {
	ch := &channel{tracer: t, calls: make(map[uint64]*call)}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(tapping{creds, ch}),
		grpc.WithStatsHandler(ch),
	}
}

// channel is the tracer's state for one grpc.ClientConn, which reports its
// attempts.
type channel struct {
	tracer *Tracer

	// The tracer's mutex guards the fields below.
	conns  []*conn
	open   []*attempt       // whose stream is not known yet
	calls  map[uint64]*call // by Attempt.Call
	recent []uint64         // the keys of calls, oldest first
}

// maxCalls is the number of calls for which a further attempt is recognized.
const maxCalls = 1024

// tapping are transport credentials whose connections are traced, above TLS if
// there is any. gRPC passes them each new connection, even a plain one.
type tapping struct {
	credentials.TransportCredentials

	channel *channel
}

func (c tapping) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		c.channel.tracer.refused(raw.RemoteAddr(), authority, err)
		return conn, info, err
	}
	secure := info != nil && info.AuthType() != "insecure"
	return c.channel.tracer.tap(c.channel, conn, authority, secure), info, nil
}

func (c tapping) Clone() credentials.TransportCredentials {
	return tapping{c.TransportCredentials.Clone(), c.channel}
}

type attemptKey struct{ *channel }

// TagRPC implements stats.Handler. gRPC calls it for each RPC before it sends
// anything.
func (ch *channel) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	a := &attempt{method: info.FullMethodName}
	a.begun = time.Now()
	var key uint64
	if b := callpath.FromContext(ctx); b != nil {
		key, a.own = b.Call, b.Call == 0
	}
	ch.tracer.mu.Lock()
	defer ch.tracer.mu.Unlock()
	if ch.tracer.err != nil {
		return ctx // the trace has ended: no stream will be found for it
	}
	a.omitted = ch.tracer.omitted
	a.call = ch.callLocked(key)
	a.call.tried++
	a.n = a.call.tried
	if len(a.call.attempts) < maxAttempts {
		a.call.attempts = append(a.call.attempts, a)
	}
	ch.open = append(ch.open, a)
	return context.WithValue(ctx, attemptKey{ch}, a)
}

// callLocked returns the call with that key, or a new one. Key 0 always gives a
// new one.
func (ch *channel) callLocked(key uint64) *call {
	if c := ch.calls[key]; c != nil {
		return c
	}
	ch.tracer.calls++
	c := &call{n: ch.tracer.calls}
	if key == 0 {
		return c
	}
	if len(ch.recent) == maxCalls {
		delete(ch.calls, ch.recent[0])
		ch.recent = ch.recent[1:]
	}
	ch.calls[key] = c
	ch.recent = append(ch.recent, key)
	return c
}

// HandleRPC implements stats.Handler.
func (ch *channel) HandleRPC(ctx context.Context, event stats.RPCStats) {
	a, ok := ctx.Value(attemptKey{ch}).(*attempt)
	if !ok {
		return
	}
	if sent, ok := event.(*stats.OutPayload); ok {
		ch.asked(a, sent)
		return
	}
	ch.tracer.mu.Lock()
	defer ch.tracer.mu.Unlock()
	switch e := event.(type) {
	case *stats.OutHeader:
		if l, ok := e.LocalAddr.(localAddr); ok {
			a.conn, a.member = l.conn, l.conn.member
		}
	case *stats.End:
		var cause error
		if b := callpath.FromContext(ctx); b != nil {
			cause = b.GivenUp()
		}
		a.endLocked(e.EndTime, e.Error, cause)
	default:
		return
	}
	ch.tellLocked(a)
}

// asked records a's first message.
func (ch *channel) asked(a *attempt, sent *stats.OutPayload) {
	ch.tracer.mu.Lock()
	first := !a.asked
	ch.tracer.mu.Unlock()
	if !first { // an attempt's messages come one after another
		return
	}
	var sum digest
	if m, ok := sent.Payload.(proto.Message); ok {
		b, _ := proto.Marshal(m) // gRPC has just done the same, so this cannot fail
		sum.write(b)
	}
	ch.tracer.mu.Lock()
	defer ch.tracer.mu.Unlock()
	a.asked, a.sum, a.packed = true, sum, sent.CompressedLength != sent.Length
	ch.tellLocked(a)
}

// TagConn implements stats.Handler.
func (ch *channel) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (ch *channel) HandleConn(context.Context, stats.ConnStats) {}
