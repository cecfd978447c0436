package output_test

import (
	"bytes"
	"testing"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/cmd/getcd/internal/output"
)

var (
	memberAdd = &pb.MemberAddResponse{
		Header: members.Header, Member: members.Members[1], Members: members.Members,
	}
	memberRemove = &pb.MemberRemoveResponse{Header: members.Header}
	hashes       = []output.EndpointHashKV{{Endpoint: "c1", HashKV: &pb.HashKVResponse{Header: header, Hash: 4000000000, HashRevision: 9}}}
	alarms       = &pb.AlarmResponse{Header: header, Alarms: []*pb.AlarmMember{
		{MemberID: 0xbeef, Alarm: pb.AlarmType_NOSPACE}, {Alarm: pb.AlarmType_CORRUPT}, {MemberID: 1},
	}}
	role = &pb.AuthRoleGetResponse{Header: header, Perm: []*authpb.Permission{
		{PermType: authpb.Permission_READ, Key: []byte("k")},
		{PermType: authpb.Permission_WRITE, Key: []byte("a"), RangeEnd: []byte("z")},
		{PermType: authpb.Permission_READWRITE, Key: []byte("p"), RangeEnd: []byte("q")},
		{PermType: authpb.Permission_READ, Key: []byte("f"), RangeEnd: []byte{0}},
		{PermType: authpb.Permission_READ, Key: []byte{0xff}, RangeEnd: []byte{0}},
	}}
)

func TestAdministrationPrinters(t *testing.T) {
	add := func(p output.Printer) error { return p.MemberAdd("m2", "http://p3", memberAdd) }
	voter := func(p output.Printer) error {
		return p.MemberAdd("m 2", "http://p3,http://p4", &pb.MemberAddResponse{Header: header, Member: &pb.Member{ID: 7}})
	}
	remove := func(p output.Printer) error { return p.MemberChange("Member gone", memberRemove) }
	hash := func(p output.Printer) error { return p.EndpointHashKV(hashes) }
	alarm := func(p output.Printer) error { return p.Alarm(alarms) }
	roleGet := func(p output.Printer) error { return p.Role("r", role) }
	root := func(p output.Printer) error { return p.Role("root", &pb.AuthRoleGetResponse{}) }
	roles := func(p output.Printer) error {
		return p.RoleList(&pb.AuthRoleListResponse{Header: header, Roles: []string{"a", "b c"}})
	}
	users := func(p output.Printer) error {
		return p.UserList(&pb.AuthUserListResponse{Header: header, Users: []string{"u", "v"}})
	}
	user := func(p output.Printer) error {
		return p.User("u", &pb.AuthUserGetResponse{Header: header, Roles: []string{"a", "b"}})
	}
	authStatus := func(p output.Printer) error {
		return p.AuthStatus(&pb.AuthStatusResponse{Header: header, Enabled: true, AuthRevision: 12})
	}
	done := func(p output.Printer) error {
		return p.Done("Role r created", &pb.AuthRoleAddResponse{Header: header})
	}
	report := func(p output.Printer) error {
		return p.Report("Downgrade cancel success", &pb.DowngradeResponse{Header: header, Version: "3.7"})
	}

	simple, fields, hexFields := output.Options{Format: "simple"}, output.Options{Format: "fields"}, output.Options{Format: "fields", Hex: true}
	json, hexJSON := output.Options{Format: "json"}, output.Options{Format: "json", Hex: true}
	const head = `"header":{"cluster_id":51966,"member_id":48879,"revision":9,"raft_term":2}`
	const fieldsHead = "\"ClusterID\" : 51966\n\"MemberID\" : 48879\n\"Revision\" : 9\n\"RaftTerm\" : 2\n"
	const hexMembers = `"header":{"cluster_id":"cafe","member_id":"beef","raft_term":2}`
	for _, tt := range []struct {
		name  string
		opts  output.Options
		print func(output.Printer) error
		want  string
	}{
		{"member add", simple, add, "Member                1 added as learner to cluster             cafe\n\n" +
			"ETCD_NAME=\"m2\"\nETCD_INITIAL_CLUSTER=\"m1=http://p1,m1=http://p2,m2=http://p3\"\n" +
			"ETCD_INITIAL_ADVERTISE_PEER_URLS=\"http://p3\"\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n"},
		{"member add voter", simple, voter, "Member                7 added to cluster             cafe\n\n" +
			"ETCD_NAME=\"m 2\"\nETCD_INITIAL_CLUSTER=\"\"\nETCD_INITIAL_ADVERTISE_PEER_URLS=\"http://p3,http://p4\"\nETCD_INITIAL_CLUSTER_STATE=\"existing\"\n"},
		{"member add", hexJSON, add, `{` + hexMembers + `,"member":{"ID":"1","peerURLs":["http://p3"],"isLearner":true},` +
			`"members":[{"ID":"beef","name":"m1","peerURLs":["http://p1","http://p2"],"clientURLs":["http://c1"]},{"ID":"1","peerURLs":["http://p3"],"isLearner":true}]}` + "\n"},
		{"member remove", simple, remove, "Member gone\n"},
		{"member remove", json, remove, `{"header":{"cluster_id":51966,"member_id":48879,"raft_term":2}}` + "\n"},
		{"member remove", hexJSON, remove, `{` + hexMembers + `,"members":[]}` + "\n"},
		{"hashkv", simple, hash, "c1, 4000000000, 9\n"},
		{"hashkv", fields, hash, fieldsHead + "\"Endpoint\" : \"c1\"\n\"Hash\" : 4000000000\n\"HashRevision\" : 9\n\n"},
		{"hashkv", json, hash, `[{"Endpoint":"c1","HashKV":{` + head + `,"hash":4000000000,"hash_revision":9}}]` + "\n"},
		{"no hashkv", json, func(p output.Printer) error { return p.EndpointHashKV(nil) }, "null\n"},
		{"hashkv", output.Options{Format: "table"}, hash, `┌──────────┬────────────┬───────────────┐
│ ENDPOINT │    HASH    │ HASH REVISION │
├──────────┼────────────┼───────────────┤
│       c1 │ 4000000000 │             9 │
└──────────┴────────────┴───────────────┘
`},
		{"alarms", simple, alarm, "memberID:48879 alarm:NOSPACE\nalarm:CORRUPT\nmemberID:1\n"},
		{"alarms", hexFields, alarm, "\"ClusterID\" : cafe\n\"MemberID\" : beef\n\"Revision\" : 9\n\"RaftTerm\" : 2\n" +
			"\"MemberID\" : beef\n\"AlarmType\" : NOSPACE\n\n\"MemberID\" : 0\n\"AlarmType\" : CORRUPT\n\n\"MemberID\" : 1\n\"AlarmType\" : NONE\n\n"},
		{"alarms", json, alarm, `{` + head + `,"alarms":[{"memberID":48879,"alarm":1},{"alarm":2},{"memberID":1}]}` + "\n"},
		{"role", simple, roleGet, "Role r\nKV Read:\n\tk\n\t[p, q) (prefix p)\n\t[f, <open ended>\n\t[\xff, <open ended> (prefix \xff)\nKV Write:\n\t[a, z)\n\t[p, q) (prefix p)\n"},
		{"role root", simple, root, "Role root\nKV Read:\n\t[, <open ended>\nKV Write:\n\t[, <open ended>\n"},
		{"role", fields, func(p output.Printer) error {
			return p.Role("r", &pb.AuthRoleGetResponse{Header: header, Perm: role.Perm[1:2]})
		}, fieldsHead + "\"PermType\" :  WRITE\n\"Key\" : \"a\"\n\"RangeEnd\" : \"z\"\n"},
		{"roles", simple, roles, "a\nb c\n"},
		{"roles", fields, roles, fieldsHead + "\"Roles\" : \"a\" \"b c\"\n"},
		{"no roles", fields, func(p output.Printer) error { return p.RoleList(&pb.AuthRoleListResponse{Header: header}) }, fieldsHead + "\"Roles\" :\n"},
		{"users", simple, users, "u\nv\n"},
		{"users", json, users, `{` + head + `,"users":["u","v"]}` + "\n"},
		{"user", simple, user, "User: u\nRoles: a b\n"},
		{"user without roles", simple, func(p output.Printer) error { return p.User("u", &pb.AuthUserGetResponse{}) }, "User: u\nRoles:\n"},
		{"auth status", simple, authStatus, "Authentication Status: true\nAuthRevision: 12\n"},
		{"auth status", json, authStatus, `{` + head + `,"enabled":true,"authRevision":12}` + "\n"},
		{"done", simple, done, "Role r created\n"},
		{"done", fields, done, fieldsHead},
		{"done", json, done, `{` + head + "}\n"},
		{"report", simple, report, "Downgrade cancel success\n"},
		{"report", json, report, `{` + head + `,"version":"3.7"}` + "\n"},
	} {
		name := tt.name + "/" + tt.opts.Format
		if tt.opts.Hex {
			name += "/hex"
		}
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			tt.opts.Out, tt.opts.Err = &out, &out
			p, err := output.New(tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.print(p); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("stdout\n got %q\nwant %q", &out, tt.want)
			}
		})
	}
}

func TestAdministrationProtobuf(t *testing.T) {
	for _, tt := range []struct {
		print func(output.Printer) error
		want  proto.Message
	}{
		{func(p output.Printer) error { return p.MemberAdd("n", "u", memberAdd) }, memberAdd},
		{func(p output.Printer) error { return p.MemberChange("s", memberRemove) }, memberRemove},
		{func(p output.Printer) error { return p.Alarm(alarms) }, alarms},
		{func(p output.Printer) error { return p.Role("r", role) }, role},
		{func(p output.Printer) error { return p.Done("s", memberRemove) }, memberRemove},
	} {
		var out bytes.Buffer
		p, err := output.New(output.Options{Format: "protobuf", Out: &out})
		if err != nil {
			t.Fatal(err)
		}
		if err := tt.print(p); err != nil {
			t.Errorf("%T: %v", tt.want, err)
		}
		got := tt.want.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(out.Bytes(), got); err != nil || !proto.Equal(got, tt.want) {
			t.Errorf("%T\n got %v, error %v\nwant %v", tt.want, got, err, tt.want)
		}
	}
}

func TestRevoked(t *testing.T) {
	for _, tt := range []struct{ key, end, want string }{
		{"k", "", "Permission of key k is revoked from role r"},
		{"k", "z", "Permission of range [k, z) is revoked from role r"},
		{"k", "\x00", "Permission of range [k, <open ended> is revoked from role r"},
	} {
		if got := output.Revoked("r", tt.key, tt.end); got != tt.want {
			t.Errorf("%q to %q: got %q, want %q", tt.key, tt.end, got, tt.want)
		}
	}
}
