package main

import (
	"context"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/stats"
)

// wire counts what a client's connections carry. It is the same handler for both clients,
// so neither can hide a message.
type wire struct {
	sent    atomic.Int64 // requests: those of unary calls, and the messages of streams
	streams atomic.Int64 // that are open
	events  atomic.Int64 // of watches, as the server has sent them
	begun   atomic.Int64 // streams, since the beginning
}

// streaming is the key of whether a call is a stream.
type streaming struct{}

func (w *wire) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, streaming{}, new(bool))
}

func (w *wire) HandleRPC(ctx context.Context, s stats.RPCStats) {
	stream, _ := ctx.Value(streaming{}).(*bool)
	switch s := s.(type) {
	case *stats.Begin:
		if s.IsClientStream || s.IsServerStream {
			*stream = true
			w.streams.Add(1)
			w.begun.Add(1)
		}
	case *stats.End:
		if *stream {
			w.streams.Add(-1)
		}
	case *stats.OutPayload:
		w.sent.Add(1)
	case *stats.InPayload:
		if resp, ok := s.Payload.(*pb.WatchResponse); ok {
			w.events.Add(int64(len(resp.Events)))
		}
	}
}

func (w *wire) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (w *wire) HandleConn(context.Context, stats.ConnStats)                       {}
