package clientv3

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/misuse"
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

// LeaseResponseChSize is how many answers KeepAlive's channel holds.
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
	// which closes the channel: as well when the first answer does not come within
	// Config.DialTimeout and a second, or 5 s without one, and when ctx is one of
	// WithRequireLeader and no member has a leader. Answers that the channel has no
	// room for are dropped, and so are those not read when the lease has ended.
	// After Close it is an ErrKeepAliveHalted.
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
func NewLease(c *Client) Lease {
	if c == nil || c.native == nil {
		return FromLease(lease.New(unconnected{}))
	}
	return leases{lease.New(c.guard()), c.guard(), c.firstRenewal()}
}

// firstRenewal is how long KeepAlive waits for the first answer.
func (c *Client) firstRenewal() time.Duration { return firstRenewal(c.cfg.DialTimeout + time.Second) }

func firstRenewal(timeout time.Duration) time.Duration {
	if timeout == time.Second {
		return 5 * time.Second // nobody has configured it
	}
	return timeout
}

// NewLeaseFromLeaseClient returns the lease service on a generated stub. The client is
// not used. The timeout is that of KeepAlive's first answer; one second means 5 s. How
// long later renewals may take follows from the time to live (package lease).
func NewLeaseFromLeaseClient(remote pb.LeaseClient, _ *Client, keepAliveTimeout time.Duration) Lease {
	return leases{lease.New(stub{lease: remote}), guard{}, firstRenewal(keepAliveTimeout)}
}

// FromLease makes a Lease of getcd's own service, which clientv3 does not have. What
// it returns is a lease.Lease, too.
func FromLease(l lease.Lease) Lease {
	if l, ok := l.(leases); ok {
		return l
	}
	return leases{l, guard{}, firstRenewal(time.Second)}
}

// leases has clientv3's errors.
type leases struct {
	lease.Lease

	guard guard
	first time.Duration // how long KeepAlive waits for the first answer
}

func (l leases) Grant(ctx context.Context, ttl int64) (*LeaseGrantResponse, error) {
	// The server takes what is too short for its least; package lease does not.
	resp, err := l.Lease.Grant(ctx, max(ttl, 1))
	return resp, plain(ctx, err)
}

func (l leases) Revoke(ctx context.Context, id LeaseID) (*LeaseRevokeResponse, error) {
	resp, err := l.Lease.Revoke(ctx, id)
	return resp, plain(ctx, err)
}

func (l leases) TimeToLive(ctx context.Context, id LeaseID, opts ...LeaseOption) (*LeaseTimeToLiveResponse, error) {
	if id == NoLease { // to the server it is one that does not exist
		return &LeaseTimeToLiveResponse{ResponseHeader: &pb.ResponseHeader{}, TTL: -1}, nil
	}
	resp, err := l.Lease.TimeToLive(ctx, id, opts...)
	return resp, plain(ctx, err)
}

func (l leases) Leases(ctx context.Context) (*LeaseLeasesResponse, error) {
	resp, err := l.Lease.Leases(ctx)
	return resp, plain(ctx, err)
}

func (l leases) KeepAlive(ctx context.Context, id LeaseID) (<-chan *LeaseKeepAliveResponse, error) {
	if err := misuse.Context(ctx, "lease: KeepAlive"); err != nil {
		return nil, err
	}
	kept, cancel := context.WithCancel(ctx)
	guarded, stop := l.guard.watchOver(kept, false)
	answers, err := l.Lease.KeepAlive(guarded, id)
	if err != nil {
		stop()
		cancel()
		closed := make(chan *LeaseKeepAliveResponse)
		close(closed)
		switch {
		case errors.Is(err, lease.ErrClosed):
			return closed, ErrKeepAliveHalted{Reason: err}
		case id == NoLease:
			return closed, nil // to the server it is one that does not exist
		}
		return closed, plain(ctx, err)
	}
	out := make(chan *LeaseKeepAliveResponse, LeaseResponseChSize)
	go func() { // ends with answers, which end with kept
		defer cancel()
		defer stop()
		l.pass(ctx, answers, out)
	}()
	return out, nil
}

// pass hands on the answers until they end, or the first is late. What waits in out
// when the lease has ended says that it lives, and is taken back.
func (l leases) pass(ctx context.Context, answers <-chan *LeaseKeepAliveResponse, out chan *LeaseKeepAliveResponse) {
	defer close(out)
	timer := time.NewTimer(l.first)
	defer timer.Stop()
	late := timer.C
	for {
		select {
		case a, ok := <-answers:
			if !ok {
				for ctx.Err() == nil && len(out) > 0 {
					select {
					case <-out:
					default: // the program has taken it meanwhile
					}
				}
				return
			}
			late = nil
			select {
			case out <- a:
			default:
			}
		case <-late:
			return
		}
	}
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
