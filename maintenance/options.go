package maintenance

import (
	"context"

	"google.golang.org/grpc"
)

// EndpointDialer connects to the member at an endpoint. The connection is used
// for one call. Afterwards the returned function, unless it is nil, is called
// once to close the connection; its error is ignored.
type EndpointDialer func(ctx context.Context, endpoint string) (grpc.ClientConnInterface, func() error, error)

// Option is an option of New.
type Option func(*config)

type config struct {
	dial EndpointDialer
	opts []grpc.CallOption
}

// WithEndpointDialer sets how a call reaches the single member whose endpoint it
// names. The dialer defines the form of an endpoint.
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

// WithProgress sets a function that is called once before the first part of a
// snapshot, and after each part is read. A part is usually 32 KiB. The reader's
// goroutine calls f and waits for it.
func WithProgress(f func(Progress)) SnapshotOption {
	return func(c *snapshotConfig) { c.report = f }
}
