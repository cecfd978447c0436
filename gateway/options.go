package gateway

import (
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// callOptions are what is made of grpc's.
type callOptions struct {
	headers, trailers []*metadata.MD // to be filled
	maxSend, maxRecv  int
	wait              bool
}

// callOptions takes those options that mean the same over HTTP, or nothing at all in
// this package, and refuses the others.
func (c *Conn) callOptions(opts []grpc.CallOption) (callOptions, error) {
	o := callOptions{maxSend: c.opts.MaxCallSendMsgSize, maxRecv: c.opts.MaxCallRecvMsgSize}
	for i, opt := range opts {
		switch opt := opt.(type) {
		case grpc.HeaderCallOption:
			o.headers = append(o.headers, opt.HeaderAddr)
		case grpc.TrailerCallOption:
			o.trailers = append(o.trailers, opt.TrailerAddr)
		case grpc.FailFastCallOption:
			o.wait = !opt.FailFast
		case grpc.MaxSendMsgSizeCallOption:
			o.maxSend = opt.MaxSendMsgSize
		case grpc.MaxRecvMsgSizeCallOption:
			o.maxRecv = opt.MaxRecvMsgSize
		case grpc.EmptyCallOption, grpc.StaticMethodCallOption:
		case grpc.MaxRetryRPCBufferSizeCallOption: // nothing is sent again here
		case nil:
			return o, status.Errorf(codes.InvalidArgument, "gateway: call option %d of %d is nil", i+1, len(opts))
		default:
			return o, status.Errorf(codes.Unimplemented, "gateway: the call option %T has no meaning over the JSON gateway: leave it out", opt)
		}
	}
	return o, nil
}

// maxText is how long the JSON of a message of at most limit bytes may be: of small
// fields their names make several times as much, of large ones base64 a third more. The
// message itself is measured once it is there.
func maxText(limit int) int64 {
	n := min(int64(limit), math.MaxInt32) // no message is larger
	return min(16*n, 2*n+1<<30) + 64<<10
}
