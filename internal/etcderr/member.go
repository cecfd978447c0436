package etcderr

import (
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// CantServe reports whether err is the answer of a member that can't serve now,
// whatever the request: etcd gives these before it looks at the request. They
// are told by their texts, since some reach the client with another code.
func CantServe(err error) bool {
	switch status.Convert(err).Message() {
	case noLeader, learner, notCapable:
		return true
	}
	return NotEtcd(err)
}

// NotEtcd reports whether err is the answer of something that is no etcd: a gRPC
// server without etcd's services, or an HTTP/2 server that knows nothing of gRPC
// and answers 404 (Not Found), which gRPC makes Unimplemented. Then the request
// was not looked at. A service that is not etcd's own says nothing of the member.
func NotEtcd(err error) bool {
	s := status.Convert(err)
	return s.Code() == codes.Unimplemented &&
		(strings.HasPrefix(s.Message(), "unknown service etcdserverpb.") ||
			strings.HasPrefix(s.Message(), "unexpected HTTP status code received from server: "))
}

// LacksService reports whether err says that a gRPC server lacks one of etcd's services other
// than KV. A stand-in for etcd may be without: kine has no Auth.
func LacksService(err error) bool {
	s := status.Convert(err)
	service, ok := strings.CutPrefix(s.Message(), "unknown service etcdserverpb.")
	return ok && s.Code() == codes.Unimplemented && service != "KV"
}

var (
	noLeader   = rpctypes.ErrorDesc(rpctypes.ErrGRPCNoLeader)
	learner    = rpctypes.ErrorDesc(rpctypes.ErrGRPCNotSupportedForLearner)
	notCapable = rpctypes.ErrorDesc(rpctypes.ErrGRPCNotCapable)
)
