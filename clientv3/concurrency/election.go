package concurrency

import (
	"context"
	"errors"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/election"
)

var (
	// ErrElectionNotLeader is returned by calls that only the leader may make.
	ErrElectionNotLeader = election.ErrNotLeader
	// ErrElectionNoLeader is returned by Leader if there is no leader.
	ErrElectionNoLeader = election.ErrNoLeader
)

// Election is a session's candidacy in an election.
type Election struct {
	native *election.Election
	err    error                  // a usage error that every call returns
	key    atomic.Pointer[string] // the leader's; nil before and after
}

// NewElection returns the session's candidacy in the election with the given
// prefix.
func NewElection(s *Session, pfx string) *Election {
	e, err := newElection(s, pfx)
	return &Election{native: e, err: err}
}

func newElection(s *Session, pfx string) (*election.Election, error) {
	return election.New(connection(s), pfx, options(s)...)
}

// ResumeElection returns an Election for a leader that is already known, by its
// key and the key's create revision.
func ResumeElection(s *Session, pfx string, leaderKey string, leaderRev int64) *Election {
	e, err := election.Resume(connection(s), pfx, leaderKey, leaderRev, options(s)...)
	resumed := &Election{native: e, err: err}
	resumed.key.Store(&leaderKey)
	return resumed
}

func options(s *Session) []election.Option {
	return []election.Option{
		election.WithSession(s.tenure),
		election.WithKV(below.KV(s.client.KV)),
		election.WithLeaseService(below.Lease(s.client.Lease)),
		election.WithWatcher(below.Watcher(s.client.Watcher, s.client.KV)),
	}
}

// connection returns a connection that is never used, since the election has all
// of its services.
func connection(s *Session) grpc.ClientConnInterface {
	if n := s.client.Native(); n != nil {
		return n.Conn()
	}
	return nil
}

// bareError returns an error that clientv3's callers can compare with ==.
func bareError(err error) error {
	for _, known := range []error{election.ErrNotLeader, election.ErrNoLeader} {
		if errors.Is(err, known) {
			return known
		}
	}
	return bare.Error(err)
}

// Campaign makes the session a candidate with a value, and waits until it leads
// or ctx ends. It returns rpctypes.ErrLeaseNotFound if the lease or the session has
// ended. The end by Orphan does not count, since the lease lives on.
func (e *Election) Campaign(ctx context.Context, val string) error {
	if e.err != nil {
		return e.err
	}
	err := e.native.Campaign(ctx, val)
	switch {
	case err == nil:
		guard := e.native.Guard() // Key may be gone already
		e.key.Store(new(string(guard.KeyBytes())))
	case e.native.Key() == "":
		e.key.Store(nil)
	}
	if errors.Is(err, election.ErrLost) {
		return rpctypes.ErrLeaseNotFound
	}
	return bareError(err)
}

// Proclaim replaces the leader's value.
func (e *Election) Proclaim(ctx context.Context, val string) error {
	if e.err != nil {
		return e.err
	}
	err := e.native.Proclaim(ctx, val)
	if errors.Is(err, election.ErrNotLeader) {
		e.key.Store(nil)
	}
	return bareError(err)
}

// Resign gives up the leadership. Without one it does nothing.
func (e *Election) Resign(ctx context.Context) error {
	if e.err != nil {
		return e.err
	}
	defer e.key.Store(nil)
	return bareError(e.native.Resign(ctx))
}

// Leader returns the current leader's key-value pair.
func (e *Election) Leader(ctx context.Context) (*clientv3.GetResponse, error) {
	if e.err != nil {
		return nil, e.err
	}
	resp, err := e.native.Leader(ctx)
	return resp, bareError(err)
}

// Observe reports each leader and each proclamation, in order. The channel closes
// when ctx ends, or when changes can no longer be received.
func (e *Election) Observe(ctx context.Context) <-chan *clientv3.GetResponse {
	if e.err != nil {
		closed := make(chan *clientv3.GetResponse)
		close(closed)
		return closed
	}
	return e.native.Observe(ctx)
}

// Key returns the leader's key. It is kept when the leadership was lost, so that
// transactions which compare its create revision with Rev fail to hold, and is empty
// after Resign, and after a Proclaim that has found out.
func (e *Election) Key() string {
	if key := e.key.Load(); e.err == nil && key != nil {
		return *key
	}
	return ""
}

// Rev returns the create revision of the leader's key, which is the fencing
// token.
func (e *Election) Rev() int64 {
	if e.err != nil {
		return 0
	}
	return e.native.Rev()
}

// Header returns the header of the last successful proposal's response.
func (e *Election) Header() *pb.ResponseHeader {
	if e.err != nil {
		return nil
	}
	return e.native.Header()
}
