package lock_test

import (
	"context"

	"google.golang.org/grpc"
)

// splitStreams sends the streams of one method to another connection.
type splitStreams struct {
	grpc.ClientConnInterface
	streams grpc.ClientConnInterface
	method  string
}

func (s *splitStreams) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if method == s.method {
		return s.streams.NewStream(ctx, desc, method, opts...)
	}
	return s.ClientConnInterface.NewStream(ctx, desc, method, opts...)
}
