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
)

// The responses are the protocol's messages under clientv3's names.
type (
	// DefragmentResponse has nothing to tell.
	DefragmentResponse pb.DefragmentResponse
	// AlarmResponse has Alarms: those that are raised, or that were disarmed.
	AlarmResponse pb.AlarmResponse
	// AlarmMember is an alarm (NOSPACE or CORRUPT) and the member that raised it.
	AlarmMember pb.AlarmMember
	// StatusResponse is a member's view of itself and of raft: Version, DbSize
	// and DbSizeInUse in bytes, Leader (0 for none), RaftIndex, RaftTerm,
	// IsLearner, and Errors, which has alarms and the lack of a leader.
	StatusResponse pb.StatusResponse
	// HashKVResponse has Hash, HashRevision, up to which it was computed (etcd
	// 3.6 and later), and CompactRevision: hashes of two members can be compared
	// only if both revisions agree.
	HashKVResponse pb.HashKVResponse
	// HashResponse has the Hash of a member's whole database.
	HashResponse pb.HashResponse
	// MoveLeaderResponse has nothing to tell.
	MoveLeaderResponse pb.MoveLeaderResponse
	// DowngradeResponse has Version, the cluster's present one.
	DowngradeResponse pb.DowngradeResponse

	// DowngradeAction is what Downgrade shall do.
	DowngradeAction pb.DowngradeRequest_DowngradeAction
)

// What Downgrade can do.
const (
	// DowngradeValidate only checks whether the version can be downgraded to.
	DowngradeValidate = DowngradeAction(pb.DowngradeRequest_VALIDATE)
	// DowngradeEnable lets members of the older version join.
	DowngradeEnable = DowngradeAction(pb.DowngradeRequest_ENABLE)
	// DowngradeCancel ends a downgrade that is under way.
	DowngradeCancel = DowngradeAction(pb.DowngradeRequest_CANCEL)
)

// Maintenance is etcd's maintenance service in clientv3's shape. It is safe for
// concurrent use. Service has it, and more.
//
// Where a call takes an endpoint, it is that of the one member which shall
// answer; empty, it is whichever the connection leads to.
type Maintenance interface {
	// AlarmList lists the alarms that are raised in the cluster.
	AlarmList(ctx context.Context) (*AlarmResponse, error)

	// AlarmDisarm ends an alarm: the one of m, or for the zero AlarmMember all of
	// them, one after the other. The cause has to be removed first, or it is
	// raised again. An alarm that is not raised is no error, and Alarms is empty.
	AlarmDisarm(ctx context.Context, m *AlarmMember) (*AlarmResponse, error)

	// Defragment gives the space that the member's database file does not need
	// any more back to its file system. The member answers nothing else
	// meanwhile: do one after the other. It takes long, so give it a ctx that
	// lasts.
	Defragment(ctx context.Context, endpoint string) (*DefragmentResponse, error)

	// Status tells what the member knows of itself and of raft, whatever state it
	// is in.
	Status(ctx context.Context, endpoint string) (*StatusResponse, error)

	// HashKV hashes the member's keys, with their history, up to revision rev;
	// 0 means its latest. A revision that was compacted is
	// rpctypes.ErrCompacted, one to come rpctypes.ErrFutureRev.
	HashKV(ctx context.Context, endpoint string, rev int64) (*HashKVResponse, error)

	// SnapshotWithVersion begins a snapshot and returns when its first part is
	// there. See SnapshotReader for what reading means. ctx ends the reading
	// too. The Snapshot must be closed.
	SnapshotWithVersion(ctx context.Context) (*SnapshotResponse, error)

	// Snapshot is SnapshotWithVersion without what else it tells.
	//
	// Deprecated: use SnapshotWithVersion, or Service.OpenSnapshot or
	// Service.Save. clientv3 deprecates it likewise.
	Snapshot(ctx context.Context) (io.ReadCloser, error)

	// MoveLeader makes the member with the ID transfereeID the leader. Only the
	// leader can do it; others return rpctypes.ErrNotLeader, so ask it with
	// Service.At. A target that is no voting member is
	// rpctypes.ErrBadLeaderTransferee, a transfer that takes longer than an
	// election timeout rpctypes.ErrTimeoutDueToLeaderFail or ErrTimeout.
	MoveLeader(ctx context.Context, transfereeID uint64) (*MoveLeaderResponse, error)

	// Downgrade prepares the cluster for members of an older minor version, such
	// as "3.6". It needs etcd 3.5 or later.
	Downgrade(ctx context.Context, action DowngradeAction, version string) (*DowngradeResponse, error)
}

// SnapshotResponse is a snapshot that has begun.
type SnapshotResponse struct {
	// Header is the first message's; servers up to 3.7 send none.
	Header *pb.ResponseHeader
	// Snapshot is a *SnapshotReader.
	Snapshot io.ReadCloser
	// Version is that of the member's storage, such as "3.7.0", which says what
	// etcd can restore the snapshot. Empty from servers before 3.6, and from a member
	// that has not written it down yet, some seconds after it was made.
	Version string
}

// Service is etcd's maintenance service. It is safe for concurrent use, starts
// no goroutine and has nothing to close. Make it with New.
type Service struct {
	config
	cc       grpc.ClientConnInterface
	endpoint string // of At
	misused  error  // by New's caller
}

var _ Maintenance = (*Service)(nil)

// New returns the maintenance service over cc.
func New(cc grpc.ClientConnInterface, opts ...Option) *Service {
	s := &Service{cc: misuse.Conn("maintenance", cc), misused: misuse.Options("maintenance: New", opts)}
	for _, o := range opts {
		if o != nil { // nil is the error of every call
			o(&s.config)
		}
	}
	s.opts = slices.Clip(s.opts) // who appends to it copies it first
	return s
}

// At returns a Service whose calls go to the member at endpoint, unless they
// name another one themselves. An empty endpoint undoes it.
func (s *Service) At(endpoint string) *Service {
	at := *s
	at.endpoint = endpoint
	return &at
}

// member connects to the endpoint, or At's, or to the one or other member. The
// caller calls done when the call is over.
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
		return nil, nil, fmt.Errorf("%s at %q: %w", call, endpoint, ErrNoEndpointDialer)
	}
	cc, closeConn, err := s.dial(ctx, endpoint)
	if err != nil {
		return nil, nil, fmt.Errorf("maintenance: %s: connecting to %q: %w", call, endpoint, err)
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

// Defragment implements Maintenance.
func (s *Service) Defragment(ctx context.Context, endpoint string) (*DefragmentResponse, error) {
	rpc, done, err := s.member(ctx, "Defragment", endpoint)
	if err != nil {
		return nil, err
	}
	defer done()
	resp, err := rpc.Defragment(ctx, &pb.DefragmentRequest{}, s.opts...)
	if err != nil {
		return nil, err
	}
	return (*DefragmentResponse)(resp), nil
}

// Status implements Maintenance.
func (s *Service) Status(ctx context.Context, endpoint string) (*StatusResponse, error) {
	rpc, done, err := s.member(ctx, "Status", endpoint)
	if err != nil {
		return nil, err
	}
	defer done()
	resp, err := rpc.Status(ctx, &pb.StatusRequest{}, s.opts...)
	if err != nil {
		return nil, err
	}
	return (*StatusResponse)(resp), nil
}

// HashKV implements Maintenance.
func (s *Service) HashKV(ctx context.Context, endpoint string, rev int64) (*HashKVResponse, error) {
	if rev < 0 {
		return nil, fmt.Errorf("maintenance: HashKV: the revision is %d; none is negative, and 0 means the latest", rev)
	}
	rpc, done, err := s.member(ctx, "HashKV", endpoint)
	if err != nil {
		return nil, err
	}
	defer done()
	resp, err := rpc.HashKV(ctx, &pb.HashKVRequest{Revision: rev}, s.opts...)
	if err != nil {
		return nil, err
	}
	return (*HashKVResponse)(resp), nil
}

// Hash hashes the member's whole database, what is not replicated included: two
// members that agree on every key may still differ. It is for testing; HashKV
// is what to compare members by. clientv3 leaves it out.
func (s *Service) Hash(ctx context.Context, endpoint string) (*HashResponse, error) {
	rpc, done, err := s.member(ctx, "Hash", endpoint)
	if err != nil {
		return nil, err
	}
	defer done()
	resp, err := rpc.Hash(ctx, &pb.HashRequest{}, s.opts...)
	if err != nil {
		return nil, err
	}
	return (*HashResponse)(resp), nil
}

// MoveLeader implements Maintenance.
func (s *Service) MoveLeader(ctx context.Context, transfereeID uint64) (*MoveLeaderResponse, error) {
	rpc, done, err := s.member(ctx, "MoveLeader", "")
	if err != nil {
		return nil, err
	}
	defer done()
	resp, err := rpc.MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: transfereeID}, s.opts...)
	if err != nil {
		return nil, err
	}
	return (*MoveLeaderResponse)(resp), nil
}

// Downgrade implements Maintenance.
func (s *Service) Downgrade(ctx context.Context, action DowngradeAction, version string) (*DowngradeResponse, error) {
	if _, ok := pb.DowngradeRequest_DowngradeAction_name[int32(action)]; !ok {
		return nil, fmt.Errorf("maintenance: Downgrade: there is no action %d; use DowngradeValidate, DowngradeEnable or DowngradeCancel", action)
	}
	rpc, done, err := s.member(ctx, "Downgrade", "")
	if err != nil {
		return nil, err
	}
	defer done()
	resp, err := rpc.Downgrade(ctx, &pb.DowngradeRequest{Action: pb.DowngradeRequest_DowngradeAction(action), Version: version}, s.opts...)
	if err != nil {
		return nil, since("3.5", "Downgrade", err)
	}
	return (*DowngradeResponse)(resp), nil
}
