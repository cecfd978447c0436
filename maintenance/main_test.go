package maintenance_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/internal/memconn"
	"github.com/getcd/getcd/maintenance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// member is a maintenance service that gives the answers that the test has set,
// and keeps the requests.
type member struct {
	pb.UnimplementedMaintenanceServer

	alarms   func(*pb.AlarmRequest) (*pb.AlarmResponse, error)
	snapshot func(pb.Maintenance_SnapshotServer) error

	mu       sync.Mutex
	requests []proto.Message
}

func (m *member) keep(req proto.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = append(m.requests, req)
}

func (m *member) seen() []proto.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}

func (m *member) Alarm(_ context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	m.keep(r)
	if m.alarms == nil {
		return &pb.AlarmResponse{}, nil
	}
	return m.alarms(r)
}

func (m *member) Defragment(_ context.Context, r *pb.DefragmentRequest) (*pb.DefragmentResponse, error) {
	m.keep(r)
	return &pb.DefragmentResponse{}, nil
}

func (m *member) HashKV(_ context.Context, r *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	m.keep(r)
	return &pb.HashKVResponse{Hash: 7, HashRevision: r.Revision}, nil
}

func (m *member) Hash(_ context.Context, r *pb.HashRequest) (*pb.HashResponse, error) {
	m.keep(r)
	return &pb.HashResponse{Hash: 8}, nil
}

func (m *member) MoveLeader(_ context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	m.keep(r)
	return &pb.MoveLeaderResponse{}, nil
}

func (m *member) Downgrade(_ context.Context, r *pb.DowngradeRequest) (*pb.DowngradeResponse, error) {
	m.keep(r)
	return &pb.DowngradeResponse{Version: "3.7.0"}, nil
}

func (m *member) Snapshot(_ *pb.SnapshotRequest, stream pb.Maintenance_SnapshotServer) error {
	return m.snapshot(stream)
}

// serve runs srv and returns a connection to it.
func serve(t *testing.T, srv pb.MaintenanceServer) *grpc.ClientConn {
	t.Helper()
	lis := memconn.Listen()
	s := grpc.NewServer(grpc.WaitForHandlers(true))
	pb.RegisterMaintenanceServer(s, srv)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(lis) })
	cc, err := grpc.NewClient("passthrough:///member",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cc.Close()
		s.Stop()
		wg.Wait()
	})
	return cc
}

func service(t *testing.T, m *member) *maintenance.Service {
	t.Helper()
	return maintenance.New(serve(t, m))
}
