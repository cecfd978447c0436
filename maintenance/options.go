package maintenance

import (
	"context"

	"google.golang.org/grpc"
)

// EndpointDialer connects to the one member at an endpoint. The connection is
// used for one call, after which the function that comes with it, unless nil, is
// called once to close it; its error is of no consequence, and is dropped.
type EndpointDialer func(ctx context.Context, endpoint string) (grpc.ClientConnInterface, func() error, error)

// Option is an option of New.
type Option func(*config)

type config struct {
	dial EndpointDialer
	opts []grpc.CallOption
}

// WithEndpointDialer says how to reach the single member that a call names by its
// endpoint. What an endpoint looks like is the dialer's business.
func WithEndpointDialer(dial EndpointDialer) Option {
	return func(c *config) { c.dial = dial }
}

// WithCallOptions adds gRPC call options to every RPC.
func WithCallOptions(opts ...grpc.CallOption) Option {
	return func(c *config) { c.opts = append(c.opts, opts...) }
}

// SnapshotOption is an option of OpenSnapshot, Save and SaveFile.
type SnapshotOption func(*snapshotConfig)

type snapshotConfig struct{ report func(Progress) }

// WithProgress has f called after each part of a snapshot, of 32 KiB usually,
// that was read, and once before the first. It is called on the reader's
// goroutine, which waits for it.
func WithProgress(f func(Progress)) SnapshotOption {
	return func(c *snapshotConfig) { c.report = f }
}
