package kv_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newKV returns the service on a fake cluster of one member.
func newKV(t *testing.T) (kv.KV, *etcdtest.Cluster) {
	t.Helper()
	c := etcdtest.Start(t, 1)
	return kv.New(c.Conn(t)), c
}

// recorder is a connection that answers every call with an empty message and
// keeps the last request.
type recorder struct {
	grpc.ClientConnInterface
	calls  int
	method string
	req    proto.Message
}

func (r *recorder) Invoke(_ context.Context, method string, req, _ any, _ ...grpc.CallOption) error {
	r.calls++
	r.method, r.req = method, req.(proto.Message)
	return nil
}
