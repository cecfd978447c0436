package concurrency

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/election"
)

var (
	// ErrElectionNotLeader is the answer of what only the leader can do, to others.
	ErrElectionNotLeader = election.ErrNotLeader
	// ErrElectionNoLeader is Leader's answer when nobody leads.
	ErrElectionNoLeader = election.ErrNoLeader
)

// Election is a session's part in an election.
type Election struct {
	native *election.Election
	err    error // of what cannot be: the answer of every call
}

// NewElection returns the session's part in the election on the given prefix.
func NewElection(s *Session, pfx string) *Election {
	e, err := newElection(s, pfx)
	return &Election{e, err}
}

func newElection(s *Session, pfx string) (*election.Election, error) {
	return election.New(connection(s), pfx, options(s)...)
}

// ResumeElection returns the part of a leader that is known already, by its key and
// the key's create revision.
func ResumeElection(s *Session, pfx string, leaderKey string, leaderRev int64) *Election {
	e, err := election.Resume(connection(s), pfx, leaderKey, leaderRev, options(s)...)
	return &Election{e, err}
}

func options(s *Session) []election.Option {
	return []election.Option{
		election.WithSession(s.native),
		election.WithKV(below.KV(s.client.KV)),
		election.WithLeaseService(below.Lease(s.client.Lease)),
		election.WithWatcher(below.Watcher(s.client.Watcher, s.client.KV)),
	}
}

// connection is not used by an election that has all of its services.
func connection(s *Session) grpc.ClientConnInterface {
	if n := s.client.Native(); n != nil {
		return n.Conn()
	}
	return nil
}

// told is an error that clientv3's callers compare with ==.
func told(err error) error {
	for _, known := range []error{election.ErrNotLeader, election.ErrNoLeader} {
		if errors.Is(err, known) {
			return known
		}
	}
	return bare.Error(err)
}

// Campaign puts the session up with a value, and waits until it leads or ctx ends. It
// is rpctypes.ErrLeaseNotFound when the session has ended.
func (e *Election) Campaign(ctx context.Context, val string) error {
	if e.err != nil {
		return e.err
	}
	err := e.native.Campaign(ctx, val)
	if errors.Is(err, election.ErrLost) {
		return rpctypes.ErrLeaseNotFound
	}
	return told(err)
}

// Proclaim replaces the leader's value.
func (e *Election) Proclaim(ctx context.Context, val string) error {
	if e.err != nil {
		return e.err
	}
	return told(e.native.Proclaim(ctx, val))
}

// Resign gives up the leadership. Without one it does nothing.
func (e *Election) Resign(ctx context.Context) error {
	if e.err != nil {
		return e.err
	}
	return told(e.native.Resign(ctx))
}

// Leader reads who leads.
func (e *Election) Leader(ctx context.Context) (*clientv3.GetResponse, error) {
	if e.err != nil {
		return nil, e.err
	}
	resp, err := e.native.Leader(ctx)
	return resp, told(err)
}

// Observe tells who leads: each leader and each proclamation, in order. The channel
// closes when ctx ends, or when the changes can no longer be learned.
func (e *Election) Observe(ctx context.Context) <-chan *clientv3.GetResponse {
	if e.err != nil {
		closed := make(chan *clientv3.GetResponse)
		close(closed)
		return closed
	}
	return e.native.Observe(ctx)
}

// Key is the leader's key while the session leads, and otherwise empty.
func (e *Election) Key() string {
	if e.err != nil {
		return ""
	}
	return e.native.Key()
}

// Rev is the create revision of the leader's key: the fencing token.
func (e *Election) Rev() int64 {
	if e.err != nil {
		return 0
	}
	return e.native.Rev()
}

// Header is the server's for the last proposal that succeeded.
func (e *Election) Header() *pb.ResponseHeader {
	if e.err != nil {
		return nil
	}
	return e.native.Header()
}
