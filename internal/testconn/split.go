package testconn

import (
	"context"

	"google.golang.org/grpc"
)

// SplitStreams is a connection that sends the streams of one method over another
// one, such as watches to a member that falls silent while all others answer.
type SplitStreams struct {
	grpc.ClientConnInterface

	Streams grpc.ClientConnInterface // for Method alone
	Method  string                   // such as pb.Watch_Watch_FullMethodName
}

// NewStream implements grpc.ClientConnInterface.
func (s *SplitStreams) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if method == s.Method {
		return s.Streams.NewStream(ctx, desc, method, opts...)
	}
	return s.ClientConnInterface.NewStream(ctx, desc, method, opts...)
}
