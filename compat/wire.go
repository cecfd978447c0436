package compat

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/attempt"
)

// wire carries the calls of an original client's connection over getcd's. It
// replaces clientv3's retries, which would repeat calls that getcd has given up.
type wire struct {
	below *grpc.ClientConn

	// These are set before the first call.
	original *grpc.ClientConn
	closing  context.Context //nolint:containedctx // it ends with the original client
}

var errDialed = status.Error(codes.FailedPrecondition, "compat: a client over getcd's connection dials no endpoint: use Dial of getcd's client")

func (w *wire) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, _ grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if cc != w.original {
		return errDialed
	}
	ctx, cancel := until(ctx, w.closing)
	defer cancel()
	if attempt.FromContext(ctx) == nil {
		// Otherwise a stub on ActiveConnection gets each member's answer, such as "leader changed":
		// what to do about it would be left to the retries that this replaces.
		ctx = attempt.NewContext(ctx, &attempt.Attempt{})
	}
	return w.mend(w.below.Invoke(ctx, method, req, reply, limits(opts)...))
}

func (w *wire) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, _ grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if cc != w.original {
		return nil, errDialed
	}
	ctx, cancel := until(ctx, w.closing)
	s, err := w.below.NewStream(ctx, desc, method, limits(opts)...)
	if err != nil {
		cancel()
		return nil, w.mend(err)
	}
	return stream{s, w, cancel}, nil
}

// until returns a context that ends with ctx, with closing, or when cancel is called.
func until(ctx, closing context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(closing, cancel)
	context.AfterFunc(ctx, func() { stop() })
	return ctx, cancel
}

// mend returns gRPC's error for a closed connection if the client has ended, and
// otherwise the call's own error.
func (w *wire) mend(err error) error {
	if status.Code(err) == codes.Canceled && w.closing.Err() != nil {
		return grpc.ErrClientConnClosing //nolint:staticcheck // SA1019: it is what grpc returns, and programs compare with it
	}
	return err
}

// limits removes the limits that equal defaultLimit.
func limits(opts []grpc.CallOption) []grpc.CallOption {
	out := make([]grpc.CallOption, 0, len(opts))
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.MaxSendMsgSizeCallOption:
			if o.MaxSendMsgSize == defaultLimit {
				continue
			}
		case grpc.MaxRecvMsgSizeCallOption:
			if o.MaxRecvMsgSize == defaultLimit {
				continue
			}
		}
		out = append(out, o)
	}
	return out
}

type stream struct {
	grpc.ClientStream

	wire   *wire
	cancel context.CancelFunc
}

func (s stream) SendMsg(m any) error { return s.wire.mend(s.ClientStream.SendMsg(m)) }

// RecvMsg releases the stream's resources when the stream has ended.
func (s stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil {
		s.cancel()
	}
	return s.wire.mend(err)
}
