package etcdtest

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// serverVersion is the etcd that the package imitates. A constant of its own,
// because importing the API's takes one more module.
const serverVersion = "3.7.3"

type clusterServer struct {
	pb.UnimplementedClusterServer
	m *Member
}

func (cs *clusterServer) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if r.Linearizable {
		if err := cs.m.awaitLeader(ctx); err != nil {
			return nil, err
		}
	}
	// Revision is unset: the call does not touch the key-value store.
	resp := &pb.MemberListResponse{Header: cs.m.header(0)}
	for _, m := range cs.m.c.members {
		m.mu.Lock()
		resp.Members = append(resp.Members, &pb.Member{
			ID:         m.id,
			Name:       m.name,
			PeerURLs:   []string{"http://" + m.name + ":2380"},
			ClientURLs: []string{"http://" + m.addr},
			IsLearner:  m.learner,
		})
		m.mu.Unlock()
	}
	return resp, nil
}

type maintenanceServer struct {
	pb.UnimplementedMaintenanceServer
	m *Member
}

func (ms *maintenanceServer) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	rev := ms.m.c.store.revision()
	resp := &pb.StatusResponse{
		Header:           ms.m.header(rev),
		Version:          serverVersion,
		StorageVersion:   "3.7.0",
		Leader:           ms.m.c.Leader().ID(),
		RaftIndex:        uint64(rev),
		RaftAppliedIndex: uint64(rev),
		DbSize:           1 << 14,
		DbSizeInUse:      1 << 14,
	}
	resp.RaftTerm = resp.Header.RaftTerm
	ms.m.mu.Lock()
	defer ms.m.mu.Unlock()
	resp.IsLearner = ms.m.learner
	if ms.m.noLeader != nil {
		resp.Leader = 0
		resp.Errors = append(resp.Errors, rpctypes.ErrNoLeader.Error())
	}
	return resp, nil
}
