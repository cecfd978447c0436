package cluster_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/getcd/getcd/cluster"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a connection that keeps the request and answers with a header, or
// with err.
type recorder struct {
	grpc.ClientConnInterface

	method string
	req    proto.Message
	opts   int
	err    error
}

var header = &pb.ResponseHeader{ClusterId: 1, MemberId: 2, RaftTerm: 3}

func (r *recorder) Invoke(_ context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	r.method = method
	r.req = req.(proto.Message)
	r.opts = len(opts)
	msg := reply.(proto.Message).ProtoReflect()
	msg.Set(msg.Descriptor().Fields().ByName("header"), protoreflect.ValueOfMessage(header.ProtoReflect()))
	return r.err
}

var calls = []struct {
	name   string
	call   func(context.Context, cluster.Cluster) (*pb.ResponseHeader, error)
	method string
	want   proto.Message
}{
	{"list", func(ctx context.Context, c cluster.Cluster) (*pb.ResponseHeader, error) {
		resp, err := c.MemberList(ctx)
		return (*pb.MemberListResponse)(resp).GetHeader(), err
	}, pb.Cluster_MemberList_FullMethodName, &pb.MemberListRequest{Linearizable: true}},
	{"serializable list", func(ctx context.Context, c cluster.Cluster) (*pb.ResponseHeader, error) {
		resp, err := c.MemberList(ctx, kv.WithSerializable())
		return (*pb.MemberListResponse)(resp).GetHeader(), err
	}, pb.Cluster_MemberList_FullMethodName, &pb.MemberListRequest{}},
	{"add", func(ctx context.Context, c cluster.Cluster) (*pb.ResponseHeader, error) {
		resp, err := c.MemberAdd(ctx, []string{"http://10.0.0.4:2380", "https://etcd4.example.com:2380"})
		return (*pb.MemberAddResponse)(resp).GetHeader(), err
	}, pb.Cluster_MemberAdd_FullMethodName, &pb.MemberAddRequest{PeerURLs: []string{"http://10.0.0.4:2380", "https://etcd4.example.com:2380"}}},
	{"add learner", func(ctx context.Context, c cluster.Cluster) (*pb.ResponseHeader, error) {
		resp, err := c.MemberAddAsLearner(ctx, []string{"unix://localhost:4"})
		return (*pb.MemberAddResponse)(resp).GetHeader(), err
	}, pb.Cluster_MemberAdd_FullMethodName, &pb.MemberAddRequest{PeerURLs: []string{"unix://localhost:4"}, IsLearner: true}},
	{"remove", func(ctx context.Context, c cluster.Cluster) (*pb.ResponseHeader, error) {
		resp, err := c.MemberRemove(ctx, 7)
		return (*pb.MemberRemoveResponse)(resp).GetHeader(), err
	}, pb.Cluster_MemberRemove_FullMethodName, &pb.MemberRemoveRequest{ID: 7}},
	{"update", func(ctx context.Context, c cluster.Cluster) (*pb.ResponseHeader, error) {
		resp, err := c.MemberUpdate(ctx, 7, []string{"http://[::1]:2380"})
		return (*pb.MemberUpdateResponse)(resp).GetHeader(), err
	}, pb.Cluster_MemberUpdate_FullMethodName, &pb.MemberUpdateRequest{ID: 7, PeerURLs: []string{"http://[::1]:2380"}}},
	{"update with white space", func(ctx context.Context, c cluster.Cluster) (*pb.ResponseHeader, error) {
		resp, err := c.MemberUpdate(ctx, 7, strings.Split("http://10.0.0.4:2380, https://etcd4.example.com:2380\n", ","))
		return (*pb.MemberUpdateResponse)(resp).GetHeader(), err
	}, pb.Cluster_MemberUpdate_FullMethodName, &pb.MemberUpdateRequest{ID: 7, PeerURLs: []string{"http://10.0.0.4:2380", "https://etcd4.example.com:2380"}}},
	{"promote", func(ctx context.Context, c cluster.Cluster) (*pb.ResponseHeader, error) {
		resp, err := c.MemberPromote(ctx, 7)
		return (*pb.MemberPromoteResponse)(resp).GetHeader(), err
	}, pb.Cluster_MemberPromote_FullMethodName, &pb.MemberPromoteRequest{ID: 7}},
}

func TestRequests(t *testing.T) {
	for _, tc := range calls {
		t.Run(tc.name, func(t *testing.T) {
			r := &recorder{}
			h, err := tc.call(t.Context(), cluster.New(r, grpc.WaitForReady(true)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, r.req, protocmp.Transform()); r.method != tc.method || diff != "" {
				t.Errorf("sent %s, want %s (-want +got):\n%s", r.method, tc.method, diff)
			}
			if diff := cmp.Diff(header, h, protocmp.Transform()); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if r.opts < 1 {
				t.Error("the call option was dropped")
			}
			r.err = rpctypes.ErrMemberNotFound
			if _, err := tc.call(t.Context(), cluster.New(r)); !errors.Is(err, rpctypes.ErrMemberNotFound) {
				t.Errorf("got error %v, want the connection's", err)
			}
		})
	}
}

func TestPeerURLs(t *testing.T) {
	for _, tc := range []struct {
		urls []string
		want string
	}{
		{nil, "there is no peer URL"},
		{[]string{"http://10.0.0.4:2380", "10.0.0.4:2380"}, `"10.0.0.4:2380"`},
		{[]string{"ftp://10.0.0.4:2380"}, `its scheme is "ftp"`},
		{[]string{"10.0.0.4"}, `its scheme is ""`},
		{[]string{"http://10.0.0.4"}, `"10.0.0.4" for a host and port`},
		{[]string{"http://10.0.0.4:2380/peer"}, `the path "/peer"`},
		{[]string{"http://10.0.0.4:port"}, "invalid port"},
	} {
		r := &recorder{}
		c := cluster.New(r)
		_, add := c.MemberAdd(t.Context(), tc.urls)
		_, learner := c.MemberAddAsLearner(t.Context(), tc.urls)
		_, update := c.MemberUpdate(t.Context(), 7, tc.urls)
		for call, err := range map[string]error{"MemberAdd": add, "MemberAddAsLearner": learner, "MemberUpdate": update} {
			if !errors.Is(err, rpctypes.ErrMemberBadURLs) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), call+":") {
				t.Errorf("%s %q: got error %v, want ErrMemberBadURLs with %q", call, tc.urls, err, tc.want)
			}
		}
		if r.method != "" {
			t.Errorf("%q: %s was sent, want nothing", tc.urls, r.method)
		}
	}
}

func TestListOptions(t *testing.T) {
	for name, opt := range map[string]kv.OpOption{"a limit": kv.WithLimit(3), "a put's option": kv.WithLease(5), "nil": nil} {
		r := &recorder{}
		_, err := cluster.New(r).MemberList(t.Context(), kv.WithSerializable(), opt)
		if err == nil || !strings.Contains(err.Error(), "option 2") {
			t.Errorf("%s: got error %v, want one that names option 2", name, err)
		}
		if r.method != "" {
			t.Errorf("%s: %s was sent, want nothing", name, r.method)
		}
	}
}

// A serializable list works while the member has no leader.
func TestListWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := etcdtest.Start(t, 3)
		fake.Member(0).SetNoLeader(true)
		c := cluster.New(fake.Member(0).Conn(t))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		list, err := c.MemberList(ctx, kv.WithSerializable())
		if err != nil || len(list.Members) != 3 {
			t.Errorf("serializable: got %v, %v; want three members", list, err)
		}
		if _, err := c.MemberList(ctx); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("linearizable: got error %v, want that it waited for a leader until its deadline", err)
		}
	})
}
