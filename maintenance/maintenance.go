package maintenance

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/redact"
)

// The responses are the protocol's messages under clientv3's names.
type (
	// DefragmentResponse has only a header.
	DefragmentResponse pb.DefragmentResponse
	// AlarmResponse has Alarms: the alarms that are raised, or that were
	// disarmed.
	AlarmResponse pb.AlarmResponse
	// AlarmMember is an alarm (NOSPACE or CORRUPT) and the ID of the member that
	// raised it.
	AlarmMember pb.AlarmMember
	// StatusResponse is a member's view of itself and of raft: Version, DbSize
	// and DbSizeInUse in bytes, Leader (0 if there is none), RaftIndex, RaftTerm,
	// IsLearner, and Errors, which lists alarms and a missing leader.
	StatusResponse pb.StatusResponse
	// HashKVResponse has Hash, CompactRevision and, from etcd 3.6 on,
	// HashRevision, the revision up to which the hash was computed. The hashes of
	// two members can be compared only if both revisions are the same.
	HashKVResponse pb.HashKVResponse
	// HashResponse has the Hash of a member's whole database.
	HashResponse pb.HashResponse
	// MoveLeaderResponse has only a header.
	MoveLeaderResponse pb.MoveLeaderResponse
	// DowngradeResponse has Version, the cluster's current version.
	DowngradeResponse pb.DowngradeResponse

	// DowngradeAction says what Downgrade does.
	DowngradeAction pb.DowngradeRequest_DowngradeAction
)

// The actions of Downgrade.
const (
	// DowngradeValidate only checks whether a downgrade to the version is
	// possible.
	DowngradeValidate = DowngradeAction(pb.DowngradeRequest_VALIDATE)
	// DowngradeEnable lets members of the older version join.
	DowngradeEnable = DowngradeAction(pb.DowngradeRequest_ENABLE)
	// DowngradeCancel cancels a downgrade that is in progress.
	DowngradeCancel = DowngradeAction(pb.DowngradeRequest_CANCEL)
)

// Maintenance is etcd's maintenance service with clientv3's methods. It is safe
// for concurrent use. Service implements it, and has more methods.
//
// A call that takes an endpoint goes to the member at that endpoint. If the
// endpoint is empty, it goes to whichever member the connection leads to.
type Maintenance interface {
	// AlarmList lists the alarms that are raised in the cluster.
	AlarmList(ctx context.Context) (*AlarmResponse, error)

	// AlarmDisarm disarms the alarm m or, for the zero AlarmMember, all alarms
	// one after another. Remove the cause first, or the alarm is raised again. It
	// is no error if the alarm is not raised; Alarms is empty then.
	AlarmDisarm(ctx context.Context, m *AlarmMember) (*AlarmResponse, error)

	// Defragment returns the unused space in the member's database file to the
	// file system. The member answers no other request meanwhile, so defragment
	// one member at a time. It takes long; give ctx a generous deadline.
	Defragment(ctx context.Context, endpoint string) (*DefragmentResponse, error)

	// Status returns what the member knows about itself and about raft. It works
	// in every state that the member may be in.
	Status(ctx context.Context, endpoint string) (*StatusResponse, error)

	// HashKV hashes the member's keys and their history, up to revision rev; 0
	// means the latest revision. It returns rpctypes.ErrCompacted if rev was
	// compacted, and rpctypes.ErrFutureRev if the member has not reached it.
	HashKV(ctx context.Context, endpoint string, rev int64) (*HashKVResponse, error)

	// SnapshotWithVersion starts a snapshot and returns when its first part has
	// arrived. See SnapshotReader for how reading works. The end of ctx also ends
	// the reading. The caller must close the Snapshot.
	SnapshotWithVersion(ctx context.Context) (*SnapshotResponse, error)

	// Snapshot is SnapshotWithVersion without the header and the version.
	//
	// Deprecated: use SnapshotWithVersion, Service.OpenSnapshot or Service.Save.
	// clientv3 deprecates it, too.
	Snapshot(ctx context.Context) (io.ReadCloser, error)

	// MoveLeader makes the member with the ID transfereeID the leader. Only the
	// current leader can do it; other members return rpctypes.ErrNotLeader, so
	// choose the leader with Service.At. If the target is not a voting member,
	// the error is rpctypes.ErrBadLeaderTransferee. If the transfer takes longer
	// than an election timeout, it is rpctypes.ErrTimeoutDueToLeaderFail or
	// ErrTimeout.
	MoveLeader(ctx context.Context, transfereeID uint64) (*MoveLeaderResponse, error)

	// Downgrade prepares the cluster for members of an older minor version, such
	// as "3.6". It needs etcd 3.5 or later.
	Downgrade(ctx context.Context, action DowngradeAction, version string) (*DowngradeResponse, error)
}

// SnapshotResponse is a snapshot that has started.
type SnapshotResponse struct {
	// Header is the header of the first message. Servers up to 3.7 send none.
	Header *pb.ResponseHeader
	// Snapshot is a *SnapshotReader.
	Snapshot io.ReadCloser
	// Version is the version of the member's storage format, such as "3.7.0". It
	// says which etcd can restore the snapshot. It is empty from servers before
	// 3.6, and from a new member that has not stored its version yet, which takes
	// some seconds.
	Version string
}

// Service is etcd's maintenance service. It is safe for concurrent use, starts
// no goroutine and has nothing to close. Make it with New.
type Service struct {
	config
	cc       grpc.ClientConnInterface
	endpoint string // set by At
	misused  error  // an error of New's caller
}

var _ Maintenance = (*Service)(nil)

// New returns the maintenance service on cc.
func New(cc grpc.ClientConnInterface, opts ...Option) *Service {
	s := &Service{cc: misuse.Conn("maintenance", cc), misused: misuse.Options("maintenance: New", opts)}
	for _, o := range opts {
		if o != nil { // a nil option is reported by every call
			o(&s.config)
		}
	}
	s.opts = slices.Clip(s.opts) // so that an append copies it
	return s
}

// At returns a Service whose calls go to the member at endpoint, unless a call
// names another endpoint itself. At("") undoes it.
func (s *Service) At(endpoint string) *Service {
	at := *s
	at.endpoint = endpoint
	return &at
}

// member connects to endpoint, or to At's endpoint, or to any member if both are
// empty. The caller must call done when the call is over.
func (s *Service) member(ctx context.Context, call, endpoint string) (rpc pb.MaintenanceClient, done func(), err error) {
	if err := cmp.Or(s.misused, misuse.Context(ctx, "maintenance: "+call)); err != nil {
		return nil, nil, err
	}
	if endpoint == "" {
		endpoint = s.endpoint
	}
	if endpoint == "" {
		return pb.NewMaintenanceClient(s.cc), func() {}, nil
	}
	if s.dial == nil {
		return nil, nil, fmt.Errorf("%s at %q: %w", call, redact.Endpoint(endpoint), ErrNoEndpointDialer)
	}
	cc, closeConn, err := s.dial(ctx, endpoint)
	if err != nil {
		return nil, nil, fmt.Errorf("maintenance: %s: connecting to %q: %w", call, redact.Endpoint(endpoint), err)
	}
	done = func() {
		if closeConn != nil {
			_ = closeConn()
		}
	}
	return pb.NewMaintenanceClient(misuse.Conn("maintenance", cc)), done, nil
}

// AlarmList implements Maintenance.
func (s *Service) AlarmList(ctx context.Context) (*AlarmResponse, error) {
	rpc, done, err := s.member(ctx, "AlarmList", "")
	if err != nil {
		return nil, err
	}
	defer done()
	return alarm(ctx, rpc, &pb.AlarmRequest{Action: pb.AlarmRequest_GET}, s.opts)
}

// AlarmDisarm implements Maintenance.
func (s *Service) AlarmDisarm(ctx context.Context, m *AlarmMember) (*AlarmResponse, error) {
	if m == nil {
		return nil, fmt.Errorf("maintenance: AlarmDisarm: the alarm is nil; give the zero AlarmMember to disarm all")
	}
	rpc, done, err := s.member(ctx, "AlarmDisarm", "")
	if err != nil {
		return nil, err
	}
	defer done()
	if m.MemberID != 0 || m.Alarm != pb.AlarmType_NONE {
		return disarm(ctx, rpc, m.MemberID, m.Alarm, s.opts)
	}
	list, err := alarm(ctx, rpc, &pb.AlarmRequest{Action: pb.AlarmRequest_GET}, s.opts)
	if err != nil {
		return nil, err
	}
	all := &AlarmResponse{Header: list.Header}
	for _, a := range list.Alarms {
		one, err := disarm(ctx, rpc, a.MemberID, a.Alarm, s.opts)
		if err != nil {
			return nil, fmt.Errorf("maintenance: %d of %d alarms are disarmed; %v of member %x: %w", len(all.Alarms), len(list.Alarms), a.Alarm, a.MemberID, err)
		}
		all.Header = one.Header
		all.Alarms = append(all.Alarms, one.Alarms...)
	}
	return all, nil
}

func disarm(ctx context.Context, rpc pb.MaintenanceClient, member uint64, kind pb.AlarmType, opts []grpc.CallOption) (*AlarmResponse, error) {
	return alarm(ctx, rpc, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: member, Alarm: kind}, opts)
}

func alarm(ctx context.Context, rpc pb.MaintenanceClient, req *pb.AlarmRequest, opts []grpc.CallOption) (*AlarmResponse, error) {
	resp, err := rpc.Alarm(ctx, req, opts...)
	if err != nil {
		return nil, err
	}
	return (*AlarmResponse)(resp), nil
}

// unary makes a call of one request and one answer to a member, as named by endpoint.
func unary[Req, Resp any](ctx context.Context, s *Service, call, endpoint string,
	rpc func(pb.MaintenanceClient, context.Context, *Req, ...grpc.CallOption) (*Resp, error), req *Req,
) (*Resp, error) {
	member, done, err := s.member(ctx, call, endpoint)
	if err != nil {
		return nil, err
	}
	defer done()
	return rpc(member, ctx, req, s.opts...)
}

// Defragment implements Maintenance.
func (s *Service) Defragment(ctx context.Context, endpoint string) (*DefragmentResponse, error) {
	resp, err := unary(ctx, s, "Defragment", endpoint, pb.MaintenanceClient.Defragment, &pb.DefragmentRequest{})
	return (*DefragmentResponse)(resp), err
}

// Status implements Maintenance.
func (s *Service) Status(ctx context.Context, endpoint string) (*StatusResponse, error) {
	resp, err := unary(ctx, s, "Status", endpoint, pb.MaintenanceClient.Status, &pb.StatusRequest{})
	return (*StatusResponse)(resp), err
}

// HashKV implements Maintenance.
func (s *Service) HashKV(ctx context.Context, endpoint string, rev int64) (*HashKVResponse, error) {
	if rev < 0 {
		return nil, fmt.Errorf("maintenance: HashKV: the revision is %d; none is negative, and 0 means the latest", rev)
	}
	resp, err := unary(ctx, s, "HashKV", endpoint, pb.MaintenanceClient.HashKV, &pb.HashKVRequest{Revision: rev})
	return (*HashKVResponse)(resp), err
}

// Hash hashes the member's whole database, including data that is not replicated.
// Two members that have the same keys may still have different hashes. It is
// meant for testing; use HashKV to compare members. clientv3 does not have it.
func (s *Service) Hash(ctx context.Context, endpoint string) (*HashResponse, error) {
	resp, err := unary(ctx, s, "Hash", endpoint, pb.MaintenanceClient.Hash, &pb.HashRequest{})
	return (*HashResponse)(resp), err
}

// MoveLeader implements Maintenance.
func (s *Service) MoveLeader(ctx context.Context, transfereeID uint64) (*MoveLeaderResponse, error) {
	resp, err := unary(ctx, s, "MoveLeader", "", pb.MaintenanceClient.MoveLeader, &pb.MoveLeaderRequest{TargetID: transfereeID})
	return (*MoveLeaderResponse)(resp), err
}

// Downgrade implements Maintenance.
func (s *Service) Downgrade(ctx context.Context, action DowngradeAction, version string) (*DowngradeResponse, error) {
	if _, ok := pb.DowngradeRequest_DowngradeAction_name[int32(action)]; !ok {
		return nil, fmt.Errorf("maintenance: Downgrade: there is no action %d; use DowngradeValidate, DowngradeEnable or DowngradeCancel", action)
	}
	resp, err := unary(ctx, s, "Downgrade", "", pb.MaintenanceClient.Downgrade, &pb.DowngradeRequest{Action: pb.DowngradeRequest_DowngradeAction(action), Version: version})
	return (*DowngradeResponse)(resp), since("3.5", "Downgrade", err)
}
