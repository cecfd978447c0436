package clientv3

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/lease"
)

// These types are package lease's; see there.
type (
	// LeaseID is the ID of a lease.
	LeaseID = lease.ID
	// LeaseGrantResponse is the answer to Grant.
	LeaseGrantResponse = lease.GrantResponse
	// LeaseKeepAliveResponse is the response to one renewal.
	LeaseKeepAliveResponse = lease.KeepAliveResponse
	// LeaseLeasesResponse is the answer to Leases.
	LeaseLeasesResponse = lease.LeasesResponse
	// LeaseOp collects the options of TimeToLive.
	LeaseOp = lease.Op
	// LeaseOption is an option of TimeToLive.
	LeaseOption = lease.Option
	// LeaseRevokeResponse is the answer to Revoke.
	LeaseRevokeResponse = lease.RevokeResponse
	// LeaseStatus is one lease in the response of Leases.
	LeaseStatus = lease.Status
	// LeaseTimeToLiveResponse is the answer to TimeToLive.
	LeaseTimeToLiveResponse = lease.TimeToLiveResponse
)

// NoLease is the ID that means no lease.
const NoLease LeaseID = lease.NoLease

// MaxLeaseTTL is the maximum time to live, in seconds.
const MaxLeaseTTL = lease.MaxTTL

// LeaseResponseChSize is the capacity of KeepAlive's channel.
var LeaseResponseChSize = 16

// Lease is etcd's lease service.
type Lease interface {
	// Grant creates a lease of ttl seconds. The server raises a ttl that is too
	// short.
	Grant(ctx context.Context, ttl int64) (*LeaseGrantResponse, error)

	// Revoke ends a lease and deletes its keys. KeepAlive's channels of the lease
	// close, unless the error means for certain that it was not revoked.
	Revoke(ctx context.Context, id LeaseID) (*LeaseRevokeResponse, error)

	// TimeToLive returns the remaining time of a lease.
	TimeToLive(ctx context.Context, id LeaseID, opts ...LeaseOption) (*LeaseTimeToLiveResponse, error)

	// Leases lists the cluster's leases.
	Leases(ctx context.Context) (*LeaseLeasesResponse, error)

	// KeepAlive keeps a lease alive until ctx ends or the lease cannot be kept
	// alive any longer. The channel then closes. It also closes if the first
	// response does not arrive within Config.DialTimeout plus one second, or
	// within 5 s without a DialTimeout; and if ctx comes from WithRequireLeader
	// and no member has a leader. Responses are dropped if the channel is full,
	// and unread responses are dropped when the lease has ended. After Close,
	// KeepAlive returns an ErrKeepAliveHalted.
	KeepAlive(ctx context.Context, id LeaseID) (<-chan *LeaseKeepAliveResponse, error)

	// KeepAliveOnce renews a lease once.
	KeepAliveOnce(ctx context.Context, id LeaseID) (*LeaseKeepAliveResponse, error)

	// Close stops keeping leases alive. It revokes none of them.
	Close() error
}

// WithAttachedKeys makes TimeToLive list the lease's keys.
func WithAttachedKeys() LeaseOption { return lease.WithAttachedKeys() }

// NewLease returns the lease service on the client's connection. The caller must
// close it; the client does not.
func NewLease(c *Client) Lease {
	if c == nil || c.native == nil {
		return FromLease(lease.New(unconnected{}))
	}
	return leases{lease.New(c.guard()), c.guard(), c.firstRenewal(), &channels{}}
}

// firstRenewal is how long KeepAlive waits for the first answer.
func (c *Client) firstRenewal() time.Duration { return firstRenewal(c.cfg.DialTimeout + time.Second) }

func firstRenewal(timeout time.Duration) time.Duration {
	if timeout == time.Second {
		return 5 * time.Second // no DialTimeout is configured
	}
	return timeout
}

// NewLeaseFromLeaseClient returns the lease service on a generated stub. With a
// client, which may be nil, calls wait for a member as its own do. The timeout
// applies to KeepAlive's first response; one second means 5 s. The time limit of
// later renewals depends on the time to live (package lease).
func NewLeaseFromLeaseClient(remote pb.LeaseClient, c *Client, keepAliveTimeout time.Duration) Lease {
	return leases{lease.New(stub{lease: remote, client: c}), guard{}, firstRenewal(keepAliveTimeout), &channels{}}
}

// FromLease makes a Lease from getcd's own service. clientv3 does not have it.
// The result also implements lease.Lease. What a Revoke that was refused does to its
// channels of KeepAlive is l's decision: package lease closes them.
func FromLease(l lease.Lease) Lease {
	if l, ok := l.(leases); ok {
		return l
	}
	return leases{l, guard{}, firstRenewal(time.Second), nil}
}

// leases converts errors to clientv3's.
type leases struct {
	lease.Lease

	guard    guard
	first    time.Duration // how long KeepAlive waits for the first response
	channels *channels     // nil: they end with a Revoke, whatever becomes of it
}

func (l leases) Grant(ctx context.Context, ttl int64) (*LeaseGrantResponse, error) {
	// The server raises a TTL that is too short to its minimum; package lease
	// refuses it.
	resp, err := l.Lease.Grant(ctx, max(ttl, 1))
	return resp, plain(ctx, err)
}

func (l leases) Revoke(ctx context.Context, id LeaseID) (*LeaseRevokeResponse, error) {
	if err := misuse.Context(ctx, "lease: Revoke"); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err() // nothing is sent, so no keeper ends
	}
	settle := l.channels.revoking(id)
	resp, err := l.Lease.Revoke(ctx, id)
	settle(mayBeGone(err))
	return resp, plain(ctx, err)
}

func (l leases) TimeToLive(ctx context.Context, id LeaseID, opts ...LeaseOption) (*LeaseTimeToLiveResponse, error) {
	if id == NoLease { // the server treats it as a lease that does not exist
		return &LeaseTimeToLiveResponse{ResponseHeader: &pb.ResponseHeader{}, TTL: -1}, nil
	}
	resp, err := l.Lease.TimeToLive(ctx, id, opts...)
	return resp, plain(ctx, err)
}

func (l leases) Leases(ctx context.Context) (*LeaseLeasesResponse, error) {
	resp, err := l.Lease.Leases(ctx)
	return resp, plain(ctx, err)
}

func (l leases) KeepAliveOnce(ctx context.Context, id LeaseID) (*LeaseKeepAliveResponse, error) {
	guarded, stop := l.guard.watchOver(ctx, false)
	defer stop()
	resp, err := l.Lease.KeepAliveOnce(guarded, id)
	if refused := refusedIn(ctx, guarded); err != nil && refused != nil {
		return nil, refused
	}
	return resp, plain(ctx, err)
}
