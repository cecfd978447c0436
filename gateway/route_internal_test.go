package gateway

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The paths of etcd's swagger files (Documentation/dev-guide/apispec/swagger), by service
// and method. Two in a line are those of before 3.4 and after.
var paths = map[string]map[string][2]string{
	"etcdserverpb.KV": {
		"Range": {"/kv/range"}, "Put": {"/kv/put"}, "DeleteRange": {"/kv/deleterange"}, "Txn": {"/kv/txn"}, "Compact": {"/kv/compaction"},
	},
	"etcdserverpb.Watch": {"Watch": {"/watch"}},
	"etcdserverpb.Lease": {
		"LeaseGrant": {"/lease/grant"}, "LeaseRevoke": {"/lease/revoke", "/kv/lease/revoke"}, "LeaseKeepAlive": {"/lease/keepalive"},
		"LeaseTimeToLive": {"/lease/timetolive", "/kv/lease/timetolive"}, "LeaseLeases": {"/lease/leases", "/kv/lease/leases"},
	},
	"etcdserverpb.Cluster": {
		"MemberAdd": {"/cluster/member/add"}, "MemberRemove": {"/cluster/member/remove"}, "MemberUpdate": {"/cluster/member/update"},
		"MemberList": {"/cluster/member/list"}, "MemberPromote": {"/cluster/member/promote"},
	},
	"etcdserverpb.Maintenance": {
		"Alarm": {"/maintenance/alarm"}, "Status": {"/maintenance/status"}, "Defragment": {"/maintenance/defragment"},
		"Hash": {"/maintenance/hash"}, "HashKV": {"/maintenance/hashkv"}, "Snapshot": {"/maintenance/snapshot"},
		"MoveLeader": {"/maintenance/transfer-leadership"}, "Downgrade": {"/maintenance/downgrade"},
	},
	"etcdserverpb.Auth": {
		"AuthEnable": {"/auth/enable"}, "AuthDisable": {"/auth/disable"}, "AuthStatus": {"/auth/status"}, "Authenticate": {"/auth/authenticate"},
		"UserAdd": {"/auth/user/add"}, "UserGet": {"/auth/user/get"}, "UserList": {"/auth/user/list"}, "UserDelete": {"/auth/user/delete"},
		"UserChangePassword": {"/auth/user/changepw"}, "UserGrantRole": {"/auth/user/grant"}, "UserRevokeRole": {"/auth/user/revoke"},
		"RoleAdd": {"/auth/role/add"}, "RoleGet": {"/auth/role/get"}, "RoleList": {"/auth/role/list"}, "RoleDelete": {"/auth/role/delete"},
		"RoleGrantPermission": {"/auth/role/grant"}, "RoleRevokePermission": {"/auth/role/revoke"},
	},
	"v3lockpb.Lock": {"Lock": {"/lock/lock"}, "Unlock": {"/lock/unlock"}},
	"v3electionpb.Election": {
		"Campaign": {"/election/campaign"}, "Proclaim": {"/election/proclaim"}, "Leader": {"/election/leader"},
		"Observe": {"/election/observe"}, "Resign": {"/election/resign"},
	},
}

// Every method of etcd's has its path, but RangeStream.
func TestRoutes(t *testing.T) {
	got := make(map[string]map[string][2]string)
	for _, file := range []protoreflect.FileDescriptor{pb.File_rpc_proto, v3lockpb.File_v3lock_proto, v3electionpb.File_v3election_proto} {
		for i := range file.Services().Len() {
			s := file.Services().Get(i)
			methods := make(map[string][2]string)
			got[string(s.FullName())] = methods
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				r := routeOf(m.Options())
				switch {
				case r == nil && m.Name() != "RangeStream":
					t.Errorf("%s has no path", m.FullName())
				case r == nil:
				case r.old == r.path:
					methods[string(m.Name())] = [2]string{r.path}
				default:
					methods[string(m.Name())] = [2]string{r.path, r.old}
				}
			}
		}
	}
	if diff := cmp.Diff(paths, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}
