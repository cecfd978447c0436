package lease

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/leaseid"
	"github.com/getcd/getcd/internal/misuse"
)

// ID names a lease. The cluster takes any non-zero 64-bit number; this package
// makes positive ones, which every tool prints the same way.
type ID = leaseid.ID

// NoLease is the zero ID: not a lease. A key put with it lives until it is
// deleted, and the calls of this package refuse it.
const NoLease = leaseid.None

// MaxTTL is the longest time to live, in seconds, that a cluster grants (the
// server's lease.MaxLeaseTTL, some 285 years).
const MaxTTL = 9_000_000_000

type (
	// GrantResponse is the answer to Grant. Its header is empty if package client
	// found only by a copy of the request that the first one was applied.
	GrantResponse struct {
		*pb.ResponseHeader
		// ID is the granted lease.
		ID ID
		// TTL is what the server granted, in seconds. It can be more than was
		// asked for: the server has a minimum of 1.5 election timeouts.
		TTL int64
		// Error is a field of the wire message that servers leave empty.
		Error string
	}

	// RevokeResponse is the answer to Revoke. Its header is empty as that of a
	// GrantResponse.
	RevokeResponse pb.LeaseRevokeResponse

	// KeepAliveResponse is the answer to one renewal.
	KeepAliveResponse struct {
		*pb.ResponseHeader
		// ID is the renewed lease.
		ID ID
		// TTL is the lease's new time to live in seconds, counted by the server
		// from some moment between the sending of the renewal and its answer.
		TTL int64
	}

	// TimeToLiveResponse is the answer to TimeToLive.
	TimeToLiveResponse struct {
		*pb.ResponseHeader
		ID ID `json:"id"`
		// TTL is what is left, in seconds, rounded down; −1 when the lease does
		// not exist (which is an answer, not an error).
		TTL int64 `json:"ttl"`
		// GrantedTTL is what each renewal starts from, in seconds.
		GrantedTTL int64 `json:"granted-ttl"`
		// Keys are the attached keys, when WithAttachedKeys asked for them.
		Keys [][]byte `json:"keys"`
	}

	// Status is one lease in the answer to Leases.
	Status struct {
		ID ID `json:"id"`
	}

	// LeasesResponse is the answer to Leases.
	LeasesResponse struct {
		*pb.ResponseHeader
		Leases []Status `json:"leases"`
	}
)

// Lease is etcd's lease service. Its methods are safe for concurrent use. A
// call that ends with its context returns that context's error; errors of the
// server come as the connection gives them, which for client.Conn means that
// errors.Is finds etcd's rpctypes errors.
type Lease interface {
	// Grant makes a lease of ttl seconds, from 1 to MaxTTL. The client chooses
	// its ID at random, so that the connection may repeat the request on
	// another member without making a second lease.
	Grant(ctx context.Context, ttl int64) (*GrantResponse, error)

	// GrantID is Grant with an ID of the caller's choice, not NoLease. An ID
	// that exists is rpctypes.ErrLeaseExist. Unless the ID is one of NewID's that
	// was not used before, the request is not repeated: when its answer is lost,
	// the error is ambiguous.
	GrantID(ctx context.Context, id ID, ttl int64) (*GrantResponse, error)

	// Revoke ends a lease and deletes the keys attached to it. This client's
	// keepers of the lease end, with ErrRevoked, before the request leaves:
	// from then on nobody can prove that the lease lives, whatever the call
	// returns. A lease that does not exist is rpctypes.ErrLeaseNotFound. The
	// request is repeated when the ID was drawn by this process, by Grant or NewID,
	// and used once; otherwise the error is ambiguous when its answer is lost, since
	// a late copy could revoke another lease of that ID.
	Revoke(ctx context.Context, id ID) (*RevokeResponse, error)

	// TimeToLive tells what is left of a lease. A lease that does not exist is
	// an answer with TTL −1, not an error.
	TimeToLive(ctx context.Context, id ID, opts ...Option) (*TimeToLiveResponse, error)

	// Leases lists the cluster's leases.
	Leases(ctx context.Context) (*LeasesResponse, error)

	// KeepAlive keeps a lease alive until ctx ends, Close is called, the lease
	// is gone, or it can no longer be proven to live. It returns at once; each
	// answer to a renewal is sent to the channel, which holds 16 and drops
	// further answers while it is full (the renewals go on). The channel closes
	// when the lease is no longer kept; it cannot say why. Nothing is proven
	// before the first answer. Keep is the better call: it has a cause and a
	// deadline, and this one is built on it.
	KeepAlive(ctx context.Context, id ID) (<-chan *KeepAliveResponse, error)

	// KeepAliveOnce renews a lease once, on one member after another until one
	// answers or ctx ends; that is safe because a renewal may be repeated. A
	// lease that does not exist is rpctypes.ErrLeaseNotFound, together with the
	// server's answer (TTL ≤ 0).
	KeepAliveOnce(ctx context.Context, id ID) (*KeepAliveResponse, error)

	// Keep keeps a lease alive until ctx ends or the Keeper is closed. It
	// returns after the first acknowledged renewal, which is also how the TTL
	// is learned, or with the reason why there is none: the context's error
	// together with the last failure of a stream, rpctypes.ErrLeaseNotFound, the
	// connection's error if it was closed, or the server's if it renews no leases.
	// Several keepers of one lease share its renewals.
	Keep(ctx context.Context, id ID) (*Keeper, error)

	// Close ends all keepers with ErrClosed, closes the streams and waits for
	// every goroutine. It revokes nothing, and always returns nil. It may be
	// called more than once. Calls other than Keep and KeepAlive keep working.
	Close() error
}

// Op collects the options of TimeToLive.
type Op struct {
	attachedKeys bool
}

// Option is an option of TimeToLive.
type Option func(*Op)

// WithAttachedKeys makes TimeToLive list the keys attached to the lease.
func WithAttachedKeys() Option {
	return func(op *Op) { op.attachedKeys = true }
}

type service struct {
	rpc   pb.LeaseClient
	opts  []grpc.CallOption
	keeps *manager
	err   error // what was wrong with New, which every call returns
}

// New returns the lease service over cc. The call options are added to every
// RPC. Nothing is sent and no goroutine runs until a call needs it. A connection or
// an option that is nil is the error of every call.
func New(cc grpc.ClientConnInterface, opts ...grpc.CallOption) Lease {
	rpc := pb.NewLeaseClient(misuse.Conn("lease", cc))
	s := &service{rpc: rpc, opts: opts, keeps: newManager(rpc, opts)}
	if cc == nil {
		s.err = misuse.Error("lease: New: the connection is nil")
	}
	for i, opt := range opts {
		if opt == nil && s.err == nil {
			s.err = errNilOption("New", i)
		}
	}
	return s
}

// check is what every call asks first.
func (s *service) check(ctx context.Context, call string) error {
	if err := misuse.Context(ctx, "lease: "+call); err != nil {
		return err
	}
	return s.err
}

func (s *service) Keep(ctx context.Context, id ID) (*Keeper, error) {
	if err := s.check(ctx, "Keep"); err != nil {
		return nil, err
	}
	if id == NoLease {
		return nil, errNoLease("Keep")
	}
	k, first, err := s.keeps.add(ctx, id, nil)
	if err != nil {
		return nil, err
	}
	if first == nil {
		return k, nil
	}
	select {
	case <-first:
		return k, nil
	case <-k.done:
		return nil, k.Err()
	}
}

func (s *service) KeepAlive(ctx context.Context, id ID) (<-chan *KeepAliveResponse, error) {
	sink := make(chan *KeepAliveResponse, keepAliveBuffer)
	if err := s.check(ctx, "KeepAlive"); err != nil {
		close(sink)
		return sink, err
	}
	if id == NoLease {
		close(sink)
		return sink, errNoLease("KeepAlive")
	}
	if _, _, err := s.keeps.add(ctx, id, sink); err != nil {
		close(sink)
		return sink, err
	}
	return sink, nil
}

func (s *service) Close() error {
	s.keeps.close()
	return nil
}

// seconds is a TTL of the wire as a Duration. MaxTTL just fits; what a server
// might send beyond it is cut there.
func seconds(ttl int64) time.Duration {
	return time.Duration(min(ttl, MaxTTL)) * time.Second
}
