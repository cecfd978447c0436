package clientv3

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/lease"
)

// What follows is package lease's; see there.
type (
	// LeaseID names a lease.
	LeaseID = lease.ID
	// LeaseGrantResponse is the answer to Grant.
	LeaseGrantResponse = lease.GrantResponse
	// LeaseKeepAliveResponse is the answer to one renewal.
	LeaseKeepAliveResponse = lease.KeepAliveResponse
	// LeaseLeasesResponse is the answer to Leases.
	LeaseLeasesResponse = lease.LeasesResponse
	// LeaseOp collects the options of TimeToLive.
	LeaseOp = lease.Op
	// LeaseOption is an option of TimeToLive.
	LeaseOption = lease.Option
	// LeaseRevokeResponse is the answer to Revoke.
	LeaseRevokeResponse = lease.RevokeResponse
	// LeaseStatus is one lease in the answer to Leases.
	LeaseStatus = lease.Status
	// LeaseTimeToLiveResponse is the answer to TimeToLive.
	LeaseTimeToLiveResponse = lease.TimeToLiveResponse
)

// NoLease is no lease.
const NoLease LeaseID = lease.NoLease

// MaxLeaseTTL is the longest time to live, in seconds.
const MaxLeaseTTL = lease.MaxTTL

// LeaseResponseChSize is how many answers KeepAlive's channel holds. It only tells:
// changing it changes nothing.
var LeaseResponseChSize = 16

// Lease is etcd's lease service.
type Lease interface {
	// Grant makes a lease of ttl seconds. The server raises what is too short.
	Grant(ctx context.Context, ttl int64) (*LeaseGrantResponse, error)

	// Revoke ends a lease and deletes its keys.
	Revoke(ctx context.Context, id LeaseID) (*LeaseRevokeResponse, error)

	// TimeToLive tells what is left of a lease.
	TimeToLive(ctx context.Context, id LeaseID, opts ...LeaseOption) (*LeaseTimeToLiveResponse, error)

	// Leases lists the cluster's leases.
	Leases(ctx context.Context) (*LeaseLeasesResponse, error)

	// KeepAlive keeps a lease alive until ctx ends or it cannot be kept any longer,
	// which closes the channel. Answers that the channel has no room for are
	// dropped. After Close it is an ErrKeepAliveHalted.
	KeepAlive(ctx context.Context, id LeaseID) (<-chan *LeaseKeepAliveResponse, error)

	// KeepAliveOnce renews a lease once.
	KeepAliveOnce(ctx context.Context, id LeaseID) (*LeaseKeepAliveResponse, error)

	// Close stops keeping leases. It revokes none.
	Close() error
}

// WithAttachedKeys makes TimeToLive list the lease's keys.
func WithAttachedKeys() LeaseOption { return lease.WithAttachedKeys() }

// NewLease returns the lease service on the client's connection. The client does not
// close it.
func NewLease(c *Client) Lease { return FromLease(lease.New(c.conn())) }

// NewLeaseFromLeaseClient returns the lease service on a generated stub. Neither the
// client nor the timeout is used: how long a renewal may take follows from the time
// to live (package lease).
func NewLeaseFromLeaseClient(remote pb.LeaseClient, _ *Client, _ time.Duration) Lease {
	return FromLease(lease.New(stub{lease: remote}))
}

// FromLease makes a Lease of getcd's own service, which clientv3 does not have. What
// it returns is a lease.Lease, too.
func FromLease(l lease.Lease) Lease { return leases{l} }

// leases has clientv3's errors.
type leases struct{ lease.Lease }

func (l leases) Grant(ctx context.Context, ttl int64) (*LeaseGrantResponse, error) {
	// The server takes what is too short for its least; package lease does not.
	resp, err := l.Lease.Grant(ctx, max(ttl, 1))
	return resp, plain(err)
}

func (l leases) Revoke(ctx context.Context, id LeaseID) (*LeaseRevokeResponse, error) {
	resp, err := l.Lease.Revoke(ctx, id)
	return resp, plain(err)
}

func (l leases) TimeToLive(ctx context.Context, id LeaseID, opts ...LeaseOption) (*LeaseTimeToLiveResponse, error) {
	if id == NoLease { // to the server it is one that does not exist
		return &LeaseTimeToLiveResponse{ResponseHeader: &pb.ResponseHeader{}, TTL: -1}, nil
	}
	resp, err := l.Lease.TimeToLive(ctx, id, opts...)
	return resp, plain(err)
}

func (l leases) Leases(ctx context.Context) (*LeaseLeasesResponse, error) {
	resp, err := l.Lease.Leases(ctx)
	return resp, plain(err)
}

func (l leases) KeepAlive(ctx context.Context, id LeaseID) (<-chan *LeaseKeepAliveResponse, error) {
	answers, err := l.Lease.KeepAlive(ctx, id)
	if errors.Is(err, lease.ErrClosed) {
		closed := make(chan *LeaseKeepAliveResponse)
		close(closed)
		return closed, ErrKeepAliveHalted{Reason: err}
	}
	return answers, plain(err)
}

func (l leases) KeepAliveOnce(ctx context.Context, id LeaseID) (*LeaseKeepAliveResponse, error) {
	resp, err := l.Lease.KeepAliveOnce(ctx, id)
	return resp, plain(err)
}
