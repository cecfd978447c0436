package clientv3

import (
	"context"
	"errors"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/etcdrpc"
)

// recorder is a connection that records which method was called last, and fails.
type recorder struct{ method string }

var errRecorded = errors.New("recorded")

func (r *recorder) Invoke(_ context.Context, method string, _, _ any, _ ...grpc.CallOption) error {
	r.method = method
	return errRecorded
}

func (r *recorder) NewStream(_ context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	r.method = method
	return nil, errRecorded
}

// A service on a generated stub calls the stub for every method that the stub
// has. So a method of a later etcd does not become Unimplemented by accident.
func TestStubsForwardEveryMethod(t *testing.T) {
	var r recorder
	stubs := map[string]stub{
		"KV": {kv: pb.NewKVClient(&r)}, "Lease": {lease: pb.NewLeaseClient(&r)}, "Watch": {watch: pb.NewWatchClient(&r)},
		"Auth": {auth: pb.NewAuthClient(&r)}, "Cluster": {cluster: pb.NewClusterClient(&r)},
		"Maintenance": {maintenance: pb.NewMaintenanceClient(&r)},
		// clientv3 has no constructors that take a stub of these services.
		"Lock": {}, "Election": {},
	}
	for _, m := range etcdrpc.Methods() {
		s, ok := stubs[m.Service()]
		if !ok {
			t.Errorf("%s: its service is not known here", m.Name)
		}
		if !ok || s == (stub{}) {
			continue
		}
		r.method = ""
		var err error
		if m.Streams() {
			var opened grpc.ClientStream
			if opened, err = s.NewStream(t.Context(), m.Stream(), m.Name); err == nil {
				err = opened.SendMsg(m.Request()) // which opens streams with a single request
			}
		} else {
			err = s.Invoke(t.Context(), m.Name, m.Request(), m.Response())
		}
		if !errors.Is(err, errRecorded) || r.method != m.Name {
			t.Errorf("%s: got %v and a call of %q, want that the stub is called: add it to stub.go", m.Name, err, r.method)
		}
	}
}
