package election

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/lease"
)

// Service is etcd's election service. It is safe for concurrent use. Errors are
// the connection's; the server's own often come with the code Unknown, since
// that service is a client of its member and passes on no code. errors.Is finds
// ErrNotLeader and ErrNoLeader.
type Service interface {
	// Campaign waits until the candidate leads the election called name, with
	// value as its proclamation and with a lease that the caller keeps alive: when
	// the lease ends, so does the leadership. The answer's Leader stands for it.
	// When ctx ends the server withdraws the candidate, unless it cannot at that
	// moment: revoke the lease.
	//
	// After any error take another lease, too. A member whose client has left
	// withdraws the candidate, which is named after the lease, and may do so late:
	// it would withdraw that of a second Campaign with the same lease, by which it
	// leads meanwhile, and nobody would be told. For the same reason a client's
	// connection does not send a Campaign to a second member, unless the first has
	// certainly not seen it.
	//
	// name must not be empty, and id not NoLease. Without a lease the server grants
	// one of 60 s that nobody knows and nobody renews (v3election/election.go): the
	// leadership would be lost after a minute without a sign.
	Campaign(ctx context.Context, name string, id lease.ID, value string) (*v3electionpb.CampaignResponse, error)

	// Proclaim replaces the leader's value. A leader that leads no more is
	// ErrNotLeader.
	Proclaim(ctx context.Context, leader *v3electionpb.LeaderKey, value string) (*v3electionpb.ProclaimResponse, error)

	// Leader tells who leads. Nobody is ErrNoLeader.
	Leader(ctx context.Context, name string) (*v3electionpb.LeaderResponse, error)

	// Observe tells who leads, and each proclamation from then on, until the loop
	// ends, which ends the stream. The last pair, and no other, has an error: the
	// context's, the connection's, or io.EOF when the server has ended the
	// stream, as it does when its own watch fails. It is not resumed:
	// Election.Leaders is.
	Observe(ctx context.Context, name string) iter.Seq2[*v3electionpb.LeaderResponse, error]

	// Resign gives up a leadership. One that is lost already is no error.
	Resign(ctx context.Context, leader *v3electionpb.LeaderKey) (*v3electionpb.ResignResponse, error)
}

type service struct {
	rpc  v3electionpb.ElectionClient
	opts []grpc.CallOption
}

// NewService returns the election service over cc. The call options are added to every
// RPC.
func NewService(cc grpc.ClientConnInterface, opts ...grpc.CallOption) Service {
	return &service{rpc: v3electionpb.NewElectionClient(misuse.Conn("election", cc)), opts: opts}
}

func (s *service) Campaign(ctx context.Context, name string, id lease.ID, value string) (*v3electionpb.CampaignResponse, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if id == lease.NoLease {
		return nil, errors.New("election: Campaign: the lease ID is 0: the server would grant a 60 s lease that nobody renews; grant a lease first")
	}
	req := &v3electionpb.CampaignRequest{Name: []byte(name), Lease: int64(id), Value: []byte(value)}
	resp, err := s.rpc.Campaign(ctx, req, s.opts...)
	return resp, known(err)
}

func (s *service) Proclaim(ctx context.Context, leader *v3electionpb.LeaderKey, value string) (*v3electionpb.ProclaimResponse, error) {
	if err := checkLeader("Proclaim", leader); err != nil {
		return nil, err
	}
	resp, err := s.rpc.Proclaim(ctx, &v3electionpb.ProclaimRequest{Leader: leader, Value: []byte(value)}, s.opts...)
	return resp, known(err)
}

func (s *service) Leader(ctx context.Context, name string) (*v3electionpb.LeaderResponse, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	resp, err := s.rpc.Leader(ctx, &v3electionpb.LeaderRequest{Name: []byte(name)}, s.opts...)
	return resp, known(err)
}

func (s *service) Observe(ctx context.Context, name string) iter.Seq2[*v3electionpb.LeaderResponse, error] {
	return func(yield func(*v3electionpb.LeaderResponse, error) bool) {
		err := misuse.Context(ctx, "election: Observe")
		if err == nil {
			err = checkName(name)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // ends the stream when the loop does
		stream, err := s.rpc.Observe(ctx, &v3electionpb.LeaderRequest{Name: []byte(name)}, s.opts...)
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			resp, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("election: the server ended the observation: %w", err)
			}
			if !yield(resp, known(err)) || err != nil {
				return
			}
		}
	}
}

func (s *service) Resign(ctx context.Context, leader *v3electionpb.LeaderKey) (*v3electionpb.ResignResponse, error) {
	if err := checkLeader("Resign", leader); err != nil {
		return nil, err
	}
	resp, err := s.rpc.Resign(ctx, &v3electionpb.ResignRequest{Leader: leader}, s.opts...)
	return resp, known(err)
}

// known gives the service's own errors, which are texts without a code, their
// identity.
func known(err error) error {
	if err == nil {
		return nil
	}
	// A connection that explains its errors has the text further in.
	for in := err; in != nil; in = errors.Unwrap(in) {
		text := status.Convert(in).Message()
		for _, e := range []error{ErrNotLeader, ErrNoLeader} {
			if text == e.Error() {
				return fmt.Errorf("%w (%w)", e, err)
			}
		}
	}
	return err
}

// checkName refuses what all elections would share: without a name the keys
// would be /LEASE, and a prefix scan for them would meet whatever else starts
// with a slash.
func checkName(name string) error {
	if name == "" {
		return errors.New("election: the name is empty; an election's keys are NAME/LEASE, so it needs one of its own")
	}
	return nil
}

func checkLeader(call string, leader *v3electionpb.LeaderKey) error {
	if leader == nil || len(leader.Key) == 0 {
		return fmt.Errorf("election: %s: the leader is missing; it must be the one that Campaign returned", call)
	}
	if leader.Lease == 0 {
		return fmt.Errorf("election: %s: the leader's lease ID is 0: the server would grant a 60 s lease that nobody renews; it must be that of the leader that Campaign returned", call)
	}
	return nil
}
