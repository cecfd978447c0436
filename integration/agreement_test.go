package integration_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/getcd/getcd/integration/cluster"
)

// proven returns the methods whose responses prove a leader and a quorum to the
// client. The client's own tests check that this list matches the client's table.
func proven(t *testing.T) []string {
	t.Helper()
	f, err := os.Open("../client/testdata/proves.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var list []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		list = append(list, lines.Text())
	}
	return list
}

// asked makes requests and remembers what later requests refer to. In the second
// round, everything that is added has a different name, so that it does not
// already exist.
type asked struct {
	round    int
	member   *pb.Member
	learner  uint64
	added    int // the number of learners
	lease    int64
	locked   []byte
	leader   *v3electionpb.LeaderKey
	revision int64
}

func (a *asked) request(method string) proto.Message {
	name := func(prefix string) string { return prefix + strconv.Itoa(a.round) }
	switch method {
	case pb.KV_Range_FullMethodName:
		return &pb.RangeRequest{Key: []byte("k")}
	case pb.KV_Txn_FullMethodName:
		return &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("k")}}}}}
	case pb.KV_Put_FullMethodName:
		return &pb.PutRequest{Key: []byte("k")}
	case pb.KV_DeleteRange_FullMethodName:
		return &pb.DeleteRangeRequest{Key: []byte("k")}
	case pb.KV_Compact_FullMethodName:
		return &pb.CompactionRequest{Revision: a.revision}
	case pb.Lease_LeaseGrant_FullMethodName:
		return &pb.LeaseGrantRequest{TTL: 600}
	case pb.Lease_LeaseRevoke_FullMethodName:
		return &pb.LeaseRevokeRequest{ID: a.lease}
	case pb.Cluster_MemberAdd_FullMethodName:
		// An ID is derived from the URL and never used again.
		return &pb.MemberAddRequest{PeerURLs: []string{fmt.Sprint("http://127.0.0.1:", 1+a.added)}, IsLearner: true}
	case pb.Cluster_MemberRemove_FullMethodName:
		return &pb.MemberRemoveRequest{ID: a.learner}
	case pb.Cluster_MemberUpdate_FullMethodName:
		return &pb.MemberUpdateRequest{ID: a.member.GetID(), PeerURLs: a.member.GetPeerURLs()}
	case pb.Auth_UserAdd_FullMethodName:
		return &pb.AuthUserAddRequest{Name: name("user"), Password: "secret"}
	case pb.Auth_UserGet_FullMethodName:
		return &pb.AuthUserGetRequest{Name: "user0"}
	case pb.Auth_UserChangePassword_FullMethodName:
		return &pb.AuthUserChangePasswordRequest{Name: "user0", Password: "other"}
	case pb.Auth_UserGrantRole_FullMethodName:
		return &pb.AuthUserGrantRoleRequest{User: "user0", Role: "role0"}
	case pb.Auth_UserRevokeRole_FullMethodName:
		return &pb.AuthUserRevokeRoleRequest{Name: "user0", Role: "role0"}
	case pb.Auth_UserDelete_FullMethodName:
		return &pb.AuthUserDeleteRequest{Name: "user0"}
	case pb.Auth_RoleAdd_FullMethodName:
		return &pb.AuthRoleAddRequest{Name: name("role")}
	case pb.Auth_RoleGet_FullMethodName:
		return &pb.AuthRoleGetRequest{Role: "role0"}
	case pb.Auth_RoleGrantPermission_FullMethodName:
		return &pb.AuthRoleGrantPermissionRequest{Name: "role0", Perm: permission}
	case pb.Auth_RoleRevokePermission_FullMethodName:
		return &pb.AuthRoleRevokePermissionRequest{Role: "role0", Key: permission.Key}
	case pb.Auth_RoleDelete_FullMethodName:
		return &pb.AuthRoleDeleteRequest{Role: "role0"}
	case v3lockpb.Lock_Lock_FullMethodName:
		return &v3lockpb.LockRequest{Name: []byte(name("lock")), Lease: a.lease}
	case v3lockpb.Lock_Unlock_FullMethodName:
		return &v3lockpb.UnlockRequest{Key: a.locked}
	case v3electionpb.Election_Campaign_FullMethodName:
		return &v3electionpb.CampaignRequest{Name: []byte(name("election")), Lease: a.lease}
	case v3electionpb.Election_Proclaim_FullMethodName:
		return &v3electionpb.ProclaimRequest{Leader: a.leader}
	case v3electionpb.Election_Leader_FullMethodName:
		return &v3electionpb.LeaderRequest{Name: []byte("election0")}
	case v3electionpb.Election_Resign_FullMethodName:
		return &v3electionpb.ResignRequest{Leader: a.leader}
	default: // lists and other requests without parameters
		return message(method, protoreflect.MethodDescriptor.Input)
	}
}

// learn takes what later requests need from the response.
func (a *asked) learn(answer proto.Message) {
	switch m := answer.(type) {
	case *pb.PutResponse:
		a.revision = m.GetHeader().GetRevision()
	case *pb.LeaseGrantResponse:
		a.lease = m.GetID()
	case *pb.MemberAddResponse:
		a.learner = m.GetMember().GetID()
		a.added++
	case *v3lockpb.LockResponse:
		a.locked = m.GetKey()
	case *v3electionpb.CampaignResponse:
		a.leader = m.GetLeader()
	}
}

var permission = &authpb.Permission{Key: []byte("k"), PermType: authpb.READWRITE}

// message returns an empty request or response of the method.
func message(method string, which func(protoreflect.MethodDescriptor) protoreflect.MessageDescriptor) proto.Message {
	service, name := path.Split(method)
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.Trim(service, "/")))
	if err != nil {
		panic(err) // the stubs that name the method register it
	}
	described := found.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name))
	kind, err := protoregistry.GlobalTypes.FindMessageByName(which(described).FullName())
	if err != nil {
		panic(err)
	}
	return kind.New().Interface()
}

func (a *asked) ask(ctx context.Context, conn grpc.ClientConnInterface, method string) (proto.Message, error) {
	answer := message(method, protoreflect.MethodDescriptor.Output)
	return answer, conn.Invoke(ctx, method, a.request(method), answer)
}

// inOrder has the methods with a proof, each after those that it needs. Those at
// the end need users that log in, or end authentication.
var inOrder = []string{
	pb.KV_Put_FullMethodName, pb.KV_Range_FullMethodName, pb.KV_Txn_FullMethodName, pb.KV_DeleteRange_FullMethodName,
	pb.KV_Compact_FullMethodName, pb.Maintenance_Alarm_FullMethodName,
	pb.Auth_AuthStatus_FullMethodName, pb.Auth_AuthDisable_FullMethodName,
	pb.Auth_UserAdd_FullMethodName, pb.Auth_RoleAdd_FullMethodName, pb.Auth_RoleGrantPermission_FullMethodName,
	pb.Auth_UserGrantRole_FullMethodName, pb.Auth_UserChangePassword_FullMethodName,
	pb.Auth_UserGet_FullMethodName, pb.Auth_UserList_FullMethodName, pb.Auth_RoleGet_FullMethodName, pb.Auth_RoleList_FullMethodName,
	pb.Auth_UserRevokeRole_FullMethodName, pb.Auth_RoleRevokePermission_FullMethodName,
	pb.Auth_UserDelete_FullMethodName, pb.Auth_RoleDelete_FullMethodName,
	pb.Lease_LeaseGrant_FullMethodName, v3lockpb.Lock_Lock_FullMethodName, v3lockpb.Lock_Unlock_FullMethodName,
	v3electionpb.Election_Campaign_FullMethodName, v3electionpb.Election_Proclaim_FullMethodName,
	v3electionpb.Election_Leader_FullMethodName, v3electionpb.Election_Resign_FullMethodName,
	pb.Lease_LeaseRevoke_FullMethodName,
	pb.Cluster_MemberUpdate_FullMethodName, pb.Cluster_MemberAdd_FullMethodName, pb.Cluster_MemberRemove_FullMethodName,
}

// again has what the first round removes and the second one requests.
var again = []string{
	pb.KV_Put_FullMethodName,
	pb.Auth_UserAdd_FullMethodName, pb.Auth_RoleAdd_FullMethodName, pb.Auth_RoleGrantPermission_FullMethodName, pb.Auth_UserGrantRole_FullMethodName,
	pb.Lease_LeaseGrant_FullMethodName, v3lockpb.Lock_Lock_FullMethodName, v3electionpb.Election_Campaign_FullMethodName,
	pb.Cluster_MemberAdd_FullMethodName,
}

// needUsers are methods that are only answered while authentication is on. This
// test only checks that they fail without a quorum.
var needUsers = []string{pb.Auth_Authenticate_FullMethodName, pb.Auth_AuthEnable_FullMethodName}

// A member without its peers gives no response that counts as proof of a quorum.
// When all is well, each of these requests succeeds. Requests that a member can
// answer from memory still succeed.
func TestNoAgreementWithoutAQuorum(t *testing.T) {
	if list := slices.Sorted(slices.Values(append(slices.Clone(inOrder), needUsers...))); !slices.Equal(list, proven(t)) {
		t.Fatalf("the client takes for proof what these answer:\n%q\nasked are\n%q", proven(t), list)
	}
	c := startCluster(t, cluster.Config{Links: true, Flags: []string{"--strict-reconfig-check=false"}})
	victim := c.Members()[0]
	conn := victim.Control()
	members, err := pb.NewClusterClient(conn).MemberList(timeout(t), &pb.MemberListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	asks := slices.Clone(inOrder)
	if !c.AtLeast("3.5") {
		asks = slices.DeleteFunc(asks, func(m string) bool { return m == pb.Auth_AuthStatus_FullMethodName })
	}
	a := &asked{}
	for _, m := range members.Members {
		if m.ID == victim.ID() {
			a.member = m
		}
	}
	for _, method := range slices.Concat(asks, again) {
		answer, err := a.ask(timeout(t), conn, method)
		if err != nil {
			t.Fatalf("with all members there, %s: %v", method, err)
		}
		a.learn(answer)
	}

	if err := victim.CutPeers(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the member loses its leader", func() bool {
		status, err := pb.NewMaintenanceClient(conn).Status(timeout(t), &pb.StatusRequest{})
		return err == nil && status.Leader == 0
	})
	a.round = 1
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var asking sync.WaitGroup
	for _, method := range slices.Concat(asks, needUsers) {
		asking.Go(func() {
			if answer, err := a.ask(ctx, conn, method); err == nil {
				t.Errorf("without a quorum %s answered %v", method, answer)
			}
		})
	}
	asking.Wait()
	if _, err := pb.NewLeaseClient(conn).LeaseLeases(timeout(t), &pb.LeaseLeasesRequest{}); err != nil {
		t.Errorf("LeaseLeases: %v, want an answer from memory", err)
	}
	if err := victim.HealPeers(); err != nil {
		t.Fatal(err)
	}
}
