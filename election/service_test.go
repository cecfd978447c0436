package election_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/internal/memconn"
)

// member is an election service that answers with what the test has set, and
// keeps the requests.
type member struct {
	v3electionpb.UnimplementedElectionServer

	err    error
	values []string // of Observe
	stay   bool     // Observe goes on after them

	mu       sync.Mutex
	requests []proto.Message
}

var header = &pb.ResponseHeader{ClusterId: 1, MemberId: 2, Revision: 3, RaftTerm: 4}

func (m *member) keep(req proto.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = append(m.requests, req)
	return m.err
}

func (m *member) seen() []proto.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.requests)
}

func (m *member) Campaign(_ context.Context, r *v3electionpb.CampaignRequest) (*v3electionpb.CampaignResponse, error) {
	return &v3electionpb.CampaignResponse{Header: header, Leader: leaderKey}, m.keep(r)
}

func (m *member) Proclaim(_ context.Context, r *v3electionpb.ProclaimRequest) (*v3electionpb.ProclaimResponse, error) {
	return &v3electionpb.ProclaimResponse{Header: header}, m.keep(r)
}

func (m *member) Leader(_ context.Context, r *v3electionpb.LeaderRequest) (*v3electionpb.LeaderResponse, error) {
	return &v3electionpb.LeaderResponse{Header: header}, m.keep(r)
}

func (m *member) Resign(_ context.Context, r *v3electionpb.ResignRequest) (*v3electionpb.ResignResponse, error) {
	return &v3electionpb.ResignResponse{Header: header}, m.keep(r)
}

func (m *member) Observe(r *v3electionpb.LeaderRequest, stream v3electionpb.Election_ObserveServer) error {
	if err := m.keep(r); err != nil {
		return err
	}
	for _, val := range m.values {
		if err := stream.Send(&v3electionpb.LeaderResponse{Header: header, Kv: &mvccpb.KeyValue{Value: []byte(val)}}); err != nil {
			return err
		}
	}
	if m.stay {
		<-stream.Context().Done()
	}
	return nil
}

func serve(t *testing.T, m *member) election.Service {
	t.Helper()
	lis := memconn.Listen()
	s := grpc.NewServer(grpc.WaitForHandlers(true))
	v3electionpb.RegisterElectionServer(s, m)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(lis) })
	cc, err := grpc.NewClient("passthrough:///member",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cc.Close()
		s.Stop()
		wg.Wait()
	})
	return election.NewService(cc)
}

var leaderKey = &v3electionpb.LeaderKey{Name: []byte("job"), Key: []byte("job/5"), Rev: 7, Lease: 5}

func TestServiceRequests(t *testing.T) {
	for _, tc := range []struct {
		name string
		call func(context.Context, election.Service) (*pb.ResponseHeader, error)
		want proto.Message
	}{
		{"Campaign", func(ctx context.Context, s election.Service) (*pb.ResponseHeader, error) {
			resp, err := s.Campaign(ctx, "job", 5, "me")
			return resp.GetHeader(), err
		}, &v3electionpb.CampaignRequest{Name: []byte("job"), Lease: 5, Value: []byte("me")}},
		{"Proclaim", func(ctx context.Context, s election.Service) (*pb.ResponseHeader, error) {
			resp, err := s.Proclaim(ctx, leaderKey, "you")
			return resp.GetHeader(), err
		}, &v3electionpb.ProclaimRequest{Leader: leaderKey, Value: []byte("you")}},
		{"Leader", func(ctx context.Context, s election.Service) (*pb.ResponseHeader, error) {
			resp, err := s.Leader(ctx, "job")
			return resp.GetHeader(), err
		}, &v3electionpb.LeaderRequest{Name: []byte("job")}},
		{"Resign", func(ctx context.Context, s election.Service) (*pb.ResponseHeader, error) {
			resp, err := s.Resign(ctx, leaderKey)
			return resp.GetHeader(), err
		}, &v3electionpb.ResignRequest{Leader: leaderKey}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := &member{}
			s := serve(t, m)
			h, err := tc.call(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(header, h, protocmp.Transform()); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]proto.Message{tc.want}, m.seen(), protocmp.Transform()); diff != "" {
				t.Errorf("the server has seen (-want +got):\n%s", diff)
			}
			// The service's own errors come as texts.
			for _, want := range []error{election.ErrNotLeader, election.ErrNoLeader} {
				m.err = status.Error(codes.Unknown, want.Error())
				if _, err := tc.call(t.Context(), s); !errors.Is(err, want) || status.Code(err) != codes.Unknown {
					t.Errorf("got error %v, want %v with the server's code", err, want)
				}
			}
			m.err = status.Error(codes.PermissionDenied, "etcdserver: permission denied")
			if _, err := tc.call(t.Context(), s); status.Code(err) != codes.PermissionDenied {
				t.Errorf("got error %v, want the server's", err)
			}
		})
	}
}

// explained is an error as client.Conn gives them: with a text of its own.
type explained struct{ error }

func (e explained) Error() string { return "etcd Leader: " + e.error.Error() + " [member-1:2379]" }
func (e explained) Unwrap() error { return e.error }
func (e explained) GRPCStatus() *status.Status {
	return status.New(status.Code(e.error), e.Error())
}

type explaining struct {
	grpc.ClientConnInterface

	err error
}

func (c explaining) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return explained{c.err}
}

func TestServiceErrorsAreFoundBehindOthers(t *testing.T) {
	s := election.NewService(explaining{err: status.Error(codes.Unknown, "election: no leader")})
	if _, err := s.Leader(t.Context(), "job"); !errors.Is(err, election.ErrNoLeader) || !strings.Contains(err.Error(), "member-1") {
		t.Errorf("got error %v, want %v, and the explanation", err, election.ErrNoLeader)
	}
	s = election.NewService(explaining{err: status.Error(codes.Unavailable, "gone")})
	if _, err := s.Leader(t.Context(), "job"); errors.Is(err, election.ErrNoLeader) || status.Code(err) != codes.Unavailable {
		t.Errorf("got error %v, want the connection's", err)
	}
}

func TestServiceObserve(t *testing.T) {
	observe := func(m *member, until int) (got []string, err error) {
		for resp, e := range serve(t, m).Observe(t.Context(), "job") {
			if e != nil {
				return got, e
			}
			if got = append(got, string(resp.Kv.Value)); len(got) == until {
				break
			}
		}
		return got, nil
	}
	m := &member{values: []string{"a", "b"}}
	if got, err := observe(m, -1); !slices.Equal(got, m.values) || !errors.Is(err, io.EOF) {
		t.Errorf("a stream that the server ends: got %q, %v; want %q and EOF", got, err, m.values)
	}
	if diff := cmp.Diff([]proto.Message{&v3electionpb.LeaderRequest{Name: []byte("job")}}, m.seen(), protocmp.Transform()); diff != "" {
		t.Errorf("the server has seen (-want +got):\n%s", diff)
	}
	if got, err := observe(&member{err: status.Error(codes.Unavailable, "gone")}, -1); len(got) > 0 || status.Code(err) != codes.Unavailable {
		t.Errorf("a stream that fails: got %q, %v; want the server's error", got, err)
	}
	// The end of the loop ends the stream, or the server's handler would stay.
	if got, err := observe(&member{values: []string{"a", "b"}, stay: true}, 2); !slices.Equal(got, []string{"a", "b"}) || err != nil {
		t.Errorf("a loop that ends: got %q, %v; want a and b", got, err)
	}
}

func TestServiceMisuse(t *testing.T) {
	m := &member{}
	s := serve(t, m)
	ctx := t.Context()
	noLease := proto.CloneOf(leaderKey)
	noLease.Lease = 0
	_, name := s.Campaign(ctx, "", 5, "")
	_, lease := s.Campaign(ctx, "job", 0, "")
	_, leader := s.Leader(ctx, "")
	_, nobody := s.Proclaim(ctx, nil, "")
	_, noKey := s.Resign(ctx, &v3electionpb.LeaderKey{Lease: 5})
	_, without := s.Resign(ctx, noLease)
	var observe error
	for _, err := range s.Observe(ctx, "") {
		observe = err
	}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{name, "name is empty"},
		{leader, "name is empty"},
		{observe, "name is empty"},
		{lease, "lease ID is 0"},
		{without, "lease ID is 0"},
		{nobody, "Proclaim: the leader is missing"},
		{noKey, "Resign: the leader is missing"},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) {
			t.Errorf("got error %v, want one that says %q", tc.err, tc.want)
		}
	}
	if seen := m.seen(); len(seen) > 0 {
		t.Errorf("%v were sent, want nothing", seen)
	}
}
