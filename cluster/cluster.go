package cluster

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/kv"
)

// The responses are the protocol's messages under clientv3's names. All but the
// list's have Members, the membership after the change.
type (
	// Member has ID, Name, PeerURLs, ClientURLs and IsLearner.
	Member pb.Member
	// MemberListResponse has Members.
	MemberListResponse pb.MemberListResponse
	// MemberAddResponse has Member, the one that was added, besides.
	MemberAddResponse pb.MemberAddResponse
	// MemberRemoveResponse is the answer to MemberRemove.
	MemberRemoveResponse pb.MemberRemoveResponse
	// MemberUpdateResponse is the answer to MemberUpdate.
	MemberUpdateResponse pb.MemberUpdateResponse
	// MemberPromoteResponse is the answer to MemberPromote.
	MemberPromoteResponse pb.MemberPromoteResponse
)

// Cluster is etcd's cluster service. It is safe for concurrent use.
type Cluster interface {
	// MemberList lists the members. It is linearizable: every change that was
	// acknowledged before is in it. kv.WithSerializable, the only option that it
	// takes, asks for what the member that answers knows, which may be old, and
	// needs no leader. Servers before 3.5 always answer so.
	MemberList(ctx context.Context, opts ...kv.OpOption) (*MemberListResponse, error)

	// MemberAdd adds a voting member, which the others will look for at
	// peerAddrs: URLs such as "http://10.0.0.4:2380". Those of another member
	// are rpctypes.ErrPeerURLExist, or, within a second of that one's addition,
	// rpctypes.ErrMemberExist.
	MemberAdd(ctx context.Context, peerAddrs []string) (*MemberAddResponse, error)

	// MemberAddAsLearner adds a member that follows without a vote. There may be
	// one unless the servers are configured for more, or it is
	// rpctypes.ErrTooManyLearners.
	MemberAddAsLearner(ctx context.Context, peerAddrs []string) (*MemberAddResponse, error)

	// MemberRemove removes a member for good: its ID never comes back. One that
	// there is not is rpctypes.ErrMemberNotFound.
	MemberRemove(ctx context.Context, id uint64) (*MemberRemoveResponse, error)

	// MemberUpdate replaces a member's peer URLs.
	MemberUpdate(ctx context.Context, id uint64, peerAddrs []string) (*MemberUpdateResponse, error)

	// MemberPromote gives a learner its vote. One that has not caught up with
	// the leader is rpctypes.ErrMemberLearnerNotReady, a member that has its
	// vote rpctypes.ErrMemberNotLearner.
	MemberPromote(ctx context.Context, id uint64) (*MemberPromoteResponse, error)
}

type service struct {
	rpc  pb.ClusterClient
	opts []grpc.CallOption
}

// New returns the cluster service over cc, with opts for each call. It starts
// nothing, and has nothing to close.
func New(cc grpc.ClientConnInterface, opts ...grpc.CallOption) Cluster {
	return &service{rpc: pb.NewClusterClient(misuse.Conn("cluster", cc)), opts: opts}
}

func (s *service) MemberList(ctx context.Context, opts ...kv.OpOption) (*MemberListResponse, error) {
	serializable, err := listOptions(opts)
	if err != nil {
		return nil, err
	}
	resp, err := s.rpc.MemberList(ctx, &pb.MemberListRequest{Linearizable: !serializable}, s.opts...)
	if err != nil {
		return nil, err
	}
	return (*MemberListResponse)(resp), nil
}

// listOptions looks at each option for itself: what is not WithSerializable has
// no meaning here.
func listOptions(opts []kv.OpOption) (serializable bool, err error) {
	for i, opt := range opts {
		op := kv.OpGet("members", opt)
		if err := op.Err(); err != nil {
			return false, fmt.Errorf("cluster: MemberList: option %d: %w", i+1, err)
		}
		if !op.IsSerializable() {
			return false, fmt.Errorf("cluster: MemberList: option %d has no meaning here; it takes kv.WithSerializable alone", i+1)
		}
		serializable = true
	}
	return serializable, nil
}

func (s *service) MemberAdd(ctx context.Context, peerAddrs []string) (*MemberAddResponse, error) {
	return s.add(ctx, "MemberAdd", &pb.MemberAddRequest{PeerURLs: peerAddrs})
}

func (s *service) MemberAddAsLearner(ctx context.Context, peerAddrs []string) (*MemberAddResponse, error) {
	return s.add(ctx, "MemberAddAsLearner", &pb.MemberAddRequest{PeerURLs: peerAddrs, IsLearner: true})
}

func (s *service) add(ctx context.Context, call string, req *pb.MemberAddRequest) (*MemberAddResponse, error) {
	if err := checkPeerURLs(call, req.PeerURLs); err != nil {
		return nil, err
	}
	resp, err := s.rpc.MemberAdd(ctx, req, s.opts...)
	if err != nil {
		return nil, err
	}
	return (*MemberAddResponse)(resp), nil
}

func (s *service) MemberRemove(ctx context.Context, id uint64) (*MemberRemoveResponse, error) {
	resp, err := s.rpc.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: id}, s.opts...)
	if err != nil {
		return nil, err
	}
	return (*MemberRemoveResponse)(resp), nil
}

func (s *service) MemberUpdate(ctx context.Context, id uint64, peerAddrs []string) (*MemberUpdateResponse, error) {
	// The server does not look at them here: what is wrong would reach every
	// member through raft.
	if err := checkPeerURLs("MemberUpdate", peerAddrs); err != nil {
		return nil, err
	}
	resp, err := s.rpc.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: id, PeerURLs: peerAddrs}, s.opts...)
	if err != nil {
		return nil, err
	}
	return (*MemberUpdateResponse)(resp), nil
}

func (s *service) MemberPromote(ctx context.Context, id uint64) (*MemberPromoteResponse, error) {
	resp, err := s.rpc.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: id}, s.opts...)
	if err != nil {
		return nil, err
	}
	return (*MemberPromoteResponse)(resp), nil
}
