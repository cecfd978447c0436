package gateway

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/etcdrpc"
)

// Every method that has a path can be called over it, streams of requests too, which
// need code of their own (NewStream). The paths are TestRoutes'.
func TestEveryMethodCanBeCalled(t *testing.T) {
	c, err := New([]string{"http://127.0.0.1:1"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, m := range etcdrpc.Methods() {
		if _, err := c.route(m.Name); err != nil {
			if m.Name != pb.KV_RangeStream_FullMethodName {
				t.Error(err)
			}
			continue
		}
		if !m.Streams() {
			continue
		}
		if _, err := c.NewStream(t.Context(), m.Stream(), m.Name); status.Code(err) == codes.Unimplemented {
			t.Errorf("%s: got %v, want a stream: it has a path, so carry it, or refuse it here with a reason", m.Name, err)
		}
	}
}
