package etcdtest_test

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/etcdrpc"
)

// missing is what doc.go says that a member does not serve.
var missing = map[string]bool{
	pb.Cluster_MemberAdd_FullMethodName: true, pb.Cluster_MemberRemove_FullMethodName: true,
	pb.Cluster_MemberUpdate_FullMethodName: true, pb.Cluster_MemberPromote_FullMethodName: true,

	pb.Maintenance_Alarm_FullMethodName: true, pb.Maintenance_Defragment_FullMethodName: true,
	pb.Maintenance_Hash_FullMethodName: true, pb.Maintenance_HashKV_FullMethodName: true,
	pb.Maintenance_Snapshot_FullMethodName: true, pb.Maintenance_MoveLeader_FullMethodName: true,
	pb.Maintenance_Downgrade_FullMethodName: true,

	v3electionpb.Election_Campaign_FullMethodName: true, v3electionpb.Election_Proclaim_FullMethodName: true,
	v3electionpb.Election_Leader_FullMethodName: true, v3electionpb.Election_Observe_FullMethodName: true,
	v3electionpb.Election_Resign_FullMethodName: true,
}

// Every method of etcd's is served, or said not to be.
func TestEveryMethodIsServedOrListed(t *testing.T) {
	conn := etcdtest.Start(t, 1).Conn(t)
	for _, m := range etcdrpc.Methods() {
		err := first(t, conn, m)
		if got := status.Code(err) == codes.Unimplemented; got != missing[m.Name] {
			t.Errorf("%s: got %v; listed as not served: %t. Serve it, or list it here and in doc.go", m.Name, err, missing[m.Name])
		}
	}
}

// first returns the error of the first answer to an empty request.
func first(t *testing.T, conn *grpc.ClientConn, m etcdrpc.Method) error {
	t.Helper()
	req := m.Request()
	if r, ok := req.(*pb.WatchRequest); ok {
		r.RequestUnion = &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("k")}}
	}
	if !m.Streams() {
		return conn.Invoke(t.Context(), m.Name, req, m.Response())
	}
	s, err := conn.NewStream(t.Context(), m.Stream(), m.Name)
	if err != nil {
		return err
	}
	if err := s.SendMsg(req); err != nil {
		return err
	}
	return s.RecvMsg(m.Response())
}
