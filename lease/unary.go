package lease

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/misuse"
)

func (s *service) Grant(ctx context.Context, ttl int64) (*GrantResponse, error) {
	if err := s.check(ctx, "Grant"); err != nil {
		return nil, err
	}
	if err := checkTTL("Grant", ttl); err != nil {
		return nil, err
	}
	return s.grant(ctx, NewID(), ttl)
}

func (s *service) GrantID(ctx context.Context, id ID, ttl int64) (*GrantResponse, error) {
	if err := s.check(ctx, "GrantID"); err != nil {
		return nil, err
	}
	if id == NoLease {
		return nil, fmt.Errorf("lease: GrantID: the lease ID is 0, which means no lease; choose another, or use Grant")
	}
	if err := checkTTL("GrantID", ttl); err != nil {
		return nil, err
	}
	return s.grant(ctx, id, ttl)
}

func (s *service) grant(ctx context.Context, id ID, ttl int64) (*GrantResponse, error) {
	if drawn.use(id) {
		ctx = withOwnID(ctx)
	}
	resp, err := s.rpc.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: int64(id), TTL: ttl}, s.opts...)
	if err != nil {
		return nil, err
	}
	return &GrantResponse{ResponseHeader: resp.Header, ID: ID(resp.ID), TTL: resp.TTL, Error: resp.Error}, nil
}

// NewID draws a positive 63-bit ID for GrantID from the system's source of
// randomness, as Grant does. Whoever has to revoke the lease even when the answer
// to the grant is lost needs to know its ID beforehand. With a million leases in
// the cluster, one grant in 10¹³ meets an ID that exists; the server then
// refuses it. An ID is good for one lease: only the first grant by it, and its
// revocation, may be repeated on another member.
func NewID() ID {
	var b [8]byte
	for {
		rand.Read(b[:]) // never fails (Go 1.24)
		if id := ID(binary.BigEndian.Uint64(b[:]) >> 1); id != NoLease {
			drawn.add(id)
			return id
		}
	}
}

func (s *service) Revoke(ctx context.Context, id ID) (*RevokeResponse, error) {
	if err := s.check(ctx, "Revoke"); err != nil {
		return nil, err
	}
	if id == NoLease {
		return nil, errNoLease("Revoke")
	}
	s.keeps.drop(id, ErrRevoked)
	if drawn.has(id) {
		ctx = withOwnID(ctx)
	}
	resp, err := s.rpc.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: int64(id)}, s.opts...)
	if err != nil {
		return nil, err
	}
	return (*RevokeResponse)(resp), nil
}

// GrantNew grants a lease by an ID that is chosen before, so that the lease can be
// revoked when the answer is lost: the ID is returned with an error too. A service
// whose GrantID is errors.ErrUnsupported chooses it itself, by Grant; then it is
// NoLease with an error.
func GrantNew(ctx context.Context, leases Lease, ttl int64) (ID, error) {
	if err := misuse.Nil("lease: GrantNew", "lease service", leases); err != nil {
		return NoLease, err
	}
	id := NewID()
	granted, err := leases.GrantID(ctx, id, ttl)
	switch {
	case err == nil:
		return granted.ID, nil // a server that stands in for etcd may choose another ID
	case !errors.Is(err, errors.ErrUnsupported):
		return id, err
	}
	if granted, err = leases.Grant(ctx, ttl); err != nil {
		return NoLease, err
	}
	return granted.ID, nil
}

func (s *service) TimeToLive(ctx context.Context, id ID, opts ...Option) (*TimeToLiveResponse, error) {
	if err := s.check(ctx, "TimeToLive"); err != nil {
		return nil, err
	}
	if id == NoLease {
		return nil, errNoLease("TimeToLive")
	}
	var op Op
	for i, o := range opts {
		if o == nil {
			return nil, errNilOption("TimeToLive", i)
		}
		o(&op)
	}
	resp, err := s.rpc.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: int64(id), Keys: op.attachedKeys}, s.opts...)
	if err != nil {
		return nil, err
	}
	return &TimeToLiveResponse{
		ResponseHeader: resp.Header,
		ID:             ID(resp.ID),
		TTL:            resp.TTL,
		GrantedTTL:     resp.GrantedTTL,
		Keys:           resp.Keys,
	}, nil
}

func (s *service) Leases(ctx context.Context) (*LeasesResponse, error) {
	if err := s.check(ctx, "Leases"); err != nil {
		return nil, err
	}
	resp, err := s.rpc.LeaseLeases(ctx, &pb.LeaseLeasesRequest{}, s.opts...)
	if err != nil {
		return nil, err
	}
	out := &LeasesResponse{ResponseHeader: resp.Header, Leases: make([]Status, len(resp.Leases))}
	for i, l := range resp.Leases {
		out.Leases[i].ID = ID(l.ID)
	}
	return out, nil
}

func (s *service) KeepAliveOnce(ctx context.Context, id ID) (*KeepAliveResponse, error) {
	if err := s.check(ctx, "KeepAliveOnce"); err != nil {
		return nil, err
	}
	if id == NoLease {
		return nil, errNoLease("KeepAliveOnce")
	}
	var (
		avoid attempt.Avoidance
		last  error
	)
	for try := 0; ; try++ {
		resp, endpoint, over, err := s.renewOnce(ctx, id, avoid, share(ctx, try))
		if err == nil {
			out := &KeepAliveResponse{ResponseHeader: resp.Header, ID: ID(resp.ID), TTL: resp.TTL}
			if resp.TTL <= 0 {
				return out, errNotFound(id)
			}
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, because(fmt.Errorf("lease: renewing %016x: %w", uint64(id), ctx.Err()), last)
		}
		if over || final(err) || strange(err) && strange(last) {
			return nil, err
		}
		last = err
		avoid.Add(endpoint)
		if !backoff.Sleep(ctx, pauses.Pause(try)) {
			return nil, because(fmt.Errorf("lease: renewing %016x: %w", uint64(id), ctx.Err()), last)
		}
	}
}

// share is how long one try of KeepAliveOnce may take: no more than half of the
// time that is left, so that there is some for another.
func share(ctx context.Context, try int) time.Duration {
	wait := blindPatience(try)
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, max(time.Until(end)/2, leastShare))
	}
	return wait
}

// leastShare ends the halving.
const leastShare = 50 * time.Millisecond

// renewOnce sends one renewal on a stream of its own and waits for its answer,
// for the given time at most: a silent member must not use up ctx while another
// could be asked. over says that no other try can do better, since the connection
// is closed: no member was asked, and nobody's context has ended.
func (s *service) renewOnce(ctx context.Context, id ID, avoid []string, wait time.Duration) (resp *pb.LeaseKeepAliveResponse, endpoint string, over bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	a := &attempt.Attempt{Avoid: avoid}
	stream, err := s.rpc.LeaseKeepAlive(attempt.NewContext(ctx, a), s.opts...)
	if err != nil {
		return nil, a.Endpoint(), status.Code(err) == codes.Canceled, err
	}
	endpoint = a.Endpoint()
	// When Send fails, Recv has the reason. The stream is not half-closed before the
	// answer is there: etcd's gRPC proxy ends it then, without one
	// (server/proxy/grpcproxy/lease.go, recvLoop).
	_ = stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(id)})
	resp, err = stream.Recv()
	if err == nil {
		_ = stream.CloseSend()
	}
	return resp, endpoint, false, err
}

// final reports whether another try, on whatever member, would get the same answer. A
// lease that is gone does not come back.
func final(err error) bool { return etcderr.FinalForStream(err) || etcderr.NotFound(err) }

// strange reports an answer that is none of etcd's. A server that stands in for etcd says in this
// way that it does not renew leases, and so does the next one.
func strange(err error) bool { return err != nil && etcderr.Code(err) == codes.Unknown }

// denied reports an answer to one renewal that ends the stream it came on: since
// etcd 3.6 the server checks that the user may write the lease's keys.
func denied(err error) bool {
	return status.Code(err) == codes.PermissionDenied
}
