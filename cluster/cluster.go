package cluster

import (
	"context"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/kv"
)

// The responses are the protocol's messages under clientv3's names. All but
// MemberListResponse have Members, the membership after the change.
type (
	// Member has ID, Name, PeerURLs, ClientURLs and IsLearner.
	Member pb.Member
	// MemberListResponse has Members.
	MemberListResponse pb.MemberListResponse
	// MemberAddResponse also has Member, the member that was added.
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
	// MemberList lists the members. It is linearizable: it sees every change that
	// was acknowledged before the call. Its only option is kv.WithSerializable.
	// With it, the member that answers reports what it knows, which needs no
	// leader but may be out of date. Servers before 3.5 always answer that way.
	MemberList(ctx context.Context, opts ...kv.OpOption) (*MemberListResponse, error)

	// MemberAdd adds a voting member. The other members reach it at peerAddrs,
	// which are URLs such as "http://10.0.0.4:2380". If another member has one of
	// these URLs, the error is rpctypes.ErrPeerURLExist, or
	// rpctypes.ErrMemberExist if that member was added less than a second ago.
	MemberAdd(ctx context.Context, peerAddrs []string) (*MemberAddResponse, error)

	// MemberAddAsLearner adds a learner: a member that replicates the data but
	// does not vote. Unless the servers are configured for more, there can be
	// only one learner; another is refused with rpctypes.ErrTooManyLearners.
	MemberAddAsLearner(ctx context.Context, peerAddrs []string) (*MemberAddResponse, error)

	// MemberRemove removes a member permanently; its ID is never used again. It
	// returns rpctypes.ErrMemberNotFound if there is no such member.
	MemberRemove(ctx context.Context, id uint64) (*MemberRemoveResponse, error)

	// MemberUpdate replaces a member's peer URLs.
	MemberUpdate(ctx context.Context, id uint64, peerAddrs []string) (*MemberUpdateResponse, error)

	// MemberPromote makes a learner a voting member. It returns
	// rpctypes.ErrMemberLearnerNotReady if the learner has not caught up with the
	// leader, and rpctypes.ErrMemberNotLearner if the member already votes.
	MemberPromote(ctx context.Context, id uint64) (*MemberPromoteResponse, error)
}

type service struct {
	rpc  pb.ClusterClient
	opts []grpc.CallOption
}

// New returns the cluster service on cc. Each call uses opts. It starts no
// goroutine and has nothing to close.
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

// listOptions checks each option by itself: only WithSerializable has a meaning
// here.
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
	// The server does not check the URLs of an update, so raft would spread a bad
	// one to every member. Of one with white space around it the members die
	// (rafthttp's prober).
	if err := checkPeerURLs("MemberUpdate", peerAddrs); err != nil {
		return nil, err
	}
	req := &pb.MemberUpdateRequest{ID: id}
	for _, addr := range peerAddrs {
		req.PeerURLs = append(req.PeerURLs, strings.TrimSpace(addr))
	}
	resp, err := s.rpc.MemberUpdate(ctx, req, s.opts...)
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
