package integration_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/integration/cluster"
)

// Package etcdtest answers requests about users, roles and permissions as etcd
// does.
func TestEtcdtestAuthenticatesAsEtcdDoes(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1, Flags: []string{"--bcrypt-cost=4"}})
	need(t, c, "3.7", "the answers that etcdtest gives")
	conn, err := grpc.NewClient("passthrough:///"+c.Endpoints()[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := authScript(timeout(t), conn)
	got := authScript(timeout(t), etcdtest.Start(t, 1).Conn(t))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("etcd (-) and etcdtest (+):\n%s", diff)
	}
}

// authScript makes requests as several users and returns the results.
func authScript(ctx context.Context, conn *grpc.ClientConn) (said []string) {
	say := func(what string, answer any, err error) {
		if err != nil {
			answer = rpctypes.ErrorDesc(err)
		}
		said = append(said, fmt.Sprintf("%s: %v", what, answer))
	}
	a := auth.New(conn)
	do := func(what string, err error) { say(what, "ok", err) }
	read, write, both := auth.PermRead, auth.PermWrite, auth.PermReadWrite

	do("enable without root", second(a.AuthEnable(ctx)))
	do("an empty name", second(a.UserAdd(ctx, "", "x")))
	do("root", second(a.UserAdd(ctx, "root", "r")))
	do("enable without its role", second(a.AuthEnable(ctx)))
	do("a role that is not there", second(a.UserGrantRole(ctx, "root", "nothing")))
	do("root's role, which is not there", second(a.UserGrantRole(ctx, "root", "root")))
	do("again", second(a.UserGrantRole(ctx, "root", "root")))
	do("an empty role", second(a.RoleAdd(ctx, "")))
	for _, user := range []string{"alice", "bob"} {
		do(user, second(a.UserAdd(ctx, user, user)))
	}
	do("without a password", second(a.UserAddWithOptions(ctx, "cert", "", &auth.UserAddOptions{NoPassword: true})))
	do("alice again", second(a.UserAdd(ctx, "alice", "x")))
	for _, role := range []string{"app", "empty", "root"} {
		do("role "+role, second(a.RoleAdd(ctx, role)))
	}
	do("role app again", second(a.RoleAdd(ctx, "app")))
	for _, p := range []struct {
		key, end string
		typ      auth.PermissionType
	}{{"a/", "a0", both}, {"b", "c", read}, {"a0", "b", read}, {"c", "", write}, {"c", "", write}, {"x", "\x00", read}, {"b", "a", read}, {"", "b", read}, {"d", "d", read}} {
		do(fmt.Sprintf("permission %q %q", p.key, p.end), second(a.RoleGrantPermission(ctx, "app", p.key, p.end, p.typ)))
	}
	do("for a role that is not there", second(a.RoleGrantPermission(ctx, "nothing", "a", "", read)))
	do("a permission that is not there", second(a.RoleRevokePermission(ctx, "app", "z", "")))
	do("bob's role app", second(a.UserGrantRole(ctx, "bob", "empty")))
	do("alice's role app", second(a.UserGrantRole(ctx, "alice", "app")))
	do("a role that she does not have", second(a.UserRevokeRole(ctx, "alice", "empty")))
	do("authenticate while it is off", second(a.Authenticate(ctx, "alice", "alice")))
	status, err := a.AuthStatus(ctx)
	do("status", err)
	if err == nil {
		say("on", status.Enabled, nil)
	}
	do("enable", second(a.AuthEnable(ctx)))
	do("enable again", second(a.AuthEnable(ctx)))

	tokens := map[string]string{"somebody": "not.1"}
	for _, name := range []string{"root", "alice", "bob", "cert", "mallory"} {
		resp, err := a.Authenticate(ctx, name, map[string]string{"root": "r"}[name]+map[string]string{"alice": "alice", "bob": "bob"}[name])
		do("login of "+name, err)
		if err == nil {
			tokens[name] = resp.Token
		}
	}
	do("a wrong password", second(a.Authenticate(ctx, "alice", "wrong")))

	lease, err := pb.NewLeaseClient(conn).LeaseGrant(with(ctx, tokens["root"]), &pb.LeaseGrantRequest{TTL: 60})
	do("a lease", err)
	if err == nil {
		do("its key", second(pb.NewKVClient(conn).Put(with(ctx, tokens["root"]), &pb.PutRequest{Key: []byte("z"), Lease: lease.ID})))
	}
	for _, name := range []string{"nobody", "somebody", "bob", "alice", "root"} { // root can revoke the lease
		for _, r := range authRequests(conn, lease.GetID()) {
			do(name+" "+r.what, r.call(with(ctx, tokens[name])))
		}
	}

	do("alice's new password", second(a.UserChangePassword(with(ctx, tokens["root"]), "alice", "new")))
	do("alice with her old token", second(pb.NewKVClient(conn).Put(with(ctx, tokens["alice"]), &pb.PutRequest{Key: []byte("a/")})))
	do("deletion of root", second(a.UserDelete(with(ctx, tokens["root"]), "root")))
	do("deletion of role root", second(a.RoleDelete(with(ctx, tokens["root"]), "root")))
	do("root without its role", second(a.UserRevokeRole(with(ctx, tokens["root"]), "root", "root")))
	do("deletion of role app", second(a.RoleDelete(with(ctx, tokens["root"]), "app")))
	do("deletion of bob", second(a.UserDelete(with(ctx, tokens["root"]), "bob")))
	do("bob with his old token", second(pb.NewKVClient(conn).Range(with(ctx, tokens["bob"]), &pb.RangeRequest{Key: []byte("a")})))
	stubs := pb.NewAuthClient(conn)
	user, err := stubs.UserGet(with(ctx, tokens["root"]), &pb.AuthUserGetRequest{Name: "alice"})
	say("alice's roles", user.GetRoles(), err)
	names, err := stubs.UserList(with(ctx, tokens["root"]), &pb.AuthUserListRequest{})
	say("users", names.GetUsers(), err)
	roles, err := stubs.RoleList(with(ctx, tokens["root"]), &pb.AuthRoleListRequest{})
	say("roles", roles.GetRoles(), err)
	do("off", second(a.AuthDisable(with(ctx, tokens["root"]))))
	do("nobody, while it is off", second(pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("a")})))
	return said
}

// with is ctx with a token, if there is one.
func with(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
}

type authRequest struct {
	what string
	call func(context.Context) error
}

// authRequests are the requests that each user makes. None of them changes what
// other users may do.
func authRequests(conn *grpc.ClientConn, lease int64) []authRequest {
	store := pb.NewKVClient(conn)
	admin := auth.New(conn)
	var out []authRequest
	add := func(what string, call func(context.Context) error) { out = append(out, authRequest{what, call}) }
	put := func(key string, prev bool, lease int64) *pb.PutRequest {
		return &pb.PutRequest{Key: []byte(key), PrevKv: prev, Lease: lease}
	}
	del := func(key string, prev bool) *pb.DeleteRangeRequest {
		return &pb.DeleteRangeRequest{Key: []byte(key), PrevKv: prev}
	}
	for _, key := range []string{"a/1", "b1", "c", "z"} {
		add("puts "+key, func(ctx context.Context) error { return second(store.Put(ctx, put(key, false, 0))) })
		add("deletes "+key, func(ctx context.Context) error { return second(store.DeleteRange(ctx, del(key, false))) })
	}
	add("puts c and wants what it was", func(ctx context.Context) error { return second(store.Put(ctx, put("c", true, 0))) })
	add("deletes c and wants what it was", func(ctx context.Context) error { return second(store.DeleteRange(ctx, del("c", true))) })
	for _, r := range [][2]string{{"a/", ""}, {"a/", "a0"}, {"a/", "c"}, {"a/", "d"}, {"a", "b"}, {"x", "\x00"}, {"y", "z"}, {"", "\x00"}, {"c", ""}} {
		add(fmt.Sprintf("gets %q %q", r[0], r[1]), func(ctx context.Context) error {
			if r[0] == "" {
				r[0] = "\x00"
			}
			return second(store.Range(ctx, &pb.RangeRequest{Key: []byte(r[0]), RangeEnd: []byte(r[1])}))
		})
	}
	txn := func(cmp string, ops ...*pb.RequestOp) *pb.TxnRequest {
		return &pb.TxnRequest{
			Compare: []*pb.Compare{{Key: []byte(cmp), Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: 99}}},
			Success: ops,
		}
	}
	add("compares z", func(ctx context.Context) error { return second(store.Txn(ctx, txn("z"))) })
	add("would put z", func(ctx context.Context) error {
		return second(store.Txn(ctx, txn("a/1", &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put("z", false, 0)}})))
	})
	add("would delete z, inside", func(ctx context.Context) error {
		inner := txn("a/1", &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: del("z", false)}})
		return second(store.Txn(ctx, txn("a/1", &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: inner}})))
	})
	add("would put a/1", func(ctx context.Context) error {
		return second(store.Txn(ctx, txn("a/1", &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put("a/1", true, 0)}})))
	})
	add("puts on the lease", func(ctx context.Context) error { return second(store.Put(ctx, put("a/1", false, lease))) })
	add("asks for the lease's keys", func(ctx context.Context) error {
		return second(pb.NewLeaseClient(conn).LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: lease, Keys: true}))
	})
	add("watches a/", func(ctx context.Context) error { return watchError(ctx, conn, "a/") })
	add("watches z", func(ctx context.Context) error { return watchError(ctx, conn, "z") })
	locks := v3lockpb.NewLockClient(conn)
	add("unlocks z", func(ctx context.Context) error {
		return second(locks.Unlock(ctx, &v3lockpb.UnlockRequest{Key: []byte("z")}))
	})
	add("adds a user", func(ctx context.Context) error { return second(admin.UserAdd(ctx, "root", "x")) })
	add("asks for alice", func(ctx context.Context) error { return second(admin.UserGet(ctx, "alice")) })
	add("asks for users", func(ctx context.Context) error { return second(admin.UserList(ctx)) })
	add("asks for app", func(ctx context.Context) error { return second(admin.RoleGet(ctx, "app")) })
	add("asks for a role that is not there", func(ctx context.Context) error { return second(admin.RoleGet(ctx, "nothing")) })
	add("asks for a user that is not there", func(ctx context.Context) error { return second(admin.UserGet(ctx, "mallory")) })
	add("grants", func(ctx context.Context) error {
		return second(admin.RoleGrantPermission(ctx, "empty", "e", "", auth.PermissionType(authpb.Permission_READ)))
	})
	leases := pb.NewLeaseClient(conn)
	add("takes a lease", func(ctx context.Context) error { return second(leases.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: 60})) })
	add("revokes a lease that is not there", func(ctx context.Context) error {
		return second(leases.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 99}))
	})
	add("revokes the lease", func(ctx context.Context) error {
		return second(leases.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: lease}))
	})
	add("asks for the lease", func(ctx context.Context) error {
		return second(leases.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: lease}))
	})
	add("asks for leases", func(ctx context.Context) error { return second(leases.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})) })
	add("renews the lease", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		s, err := leases.LeaseKeepAlive(ctx)
		if err != nil {
			return err
		}
		if err := s.Send(&pb.LeaseKeepAliveRequest{ID: lease}); err != nil {
			return err
		}
		return second(s.Recv())
	})
	add("asks for the members", func(ctx context.Context) error {
		return second(pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{}))
	})
	add("asks for the members, of all", func(ctx context.Context) error {
		return second(pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: true}))
	})
	add("asks for the status", func(ctx context.Context) error {
		return second(pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{}))
	})
	add("compacts to revision 1", func(ctx context.Context) error {
		return second(store.Compact(ctx, &pb.CompactionRequest{Revision: 1}))
	})
	add("asks whether it is on", func(ctx context.Context) error { return second(admin.AuthStatus(ctx)) })
	return out
}

// watchError returns the error with which a watch is refused.
func watchError(ctx context.Context, conn *grpc.ClientConn, key string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return err
	}
	create := &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte(key)}}
	if err := s.Send(&pb.WatchRequest{RequestUnion: create}); err != nil {
		return err
	}
	resp, err := s.Recv()
	if err == nil && resp.Canceled {
		err = fmt.Errorf("canceled: %s", resp.CancelReason)
	}
	return err
}
