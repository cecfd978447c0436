package output_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/cmd/getcd/internal/output"
)

// The texts in this file pin etcdctl 3.7's formats without a server. The
// integration module runs both tools and checks that these formats are etcdctl's.

var (
	header  = &pb.ResponseHeader{ClusterId: 0xcafe, MemberId: 0xbeef, Revision: 9, RaftTerm: 2}
	pair    = &mvccpb.KeyValue{Key: []byte("k\n"), Value: []byte("v<\xff"), CreateRevision: 3, ModRevision: 4, Version: 2, Lease: 0x1f}
	other   = &mvccpb.KeyValue{Key: []byte("k2")}
	members = &pb.MemberListResponse{
		Header: &pb.ResponseHeader{ClusterId: 0xcafe, MemberId: 0xbeef, RaftTerm: 2},
		Members: []*pb.Member{
			{ID: 0xbeef, Name: "m1", PeerURLs: []string{"http://p1", "http://p2"}, ClientURLs: []string{"http://c1"}},
			{ID: 0x1, PeerURLs: []string{"http://p3"}, IsLearner: true},
		},
	}
	status = []output.EndpointStatus{{Endpoint: "c1:2379", Status: &pb.StatusResponse{
		Header: header, Version: "3.7.3", StorageVersion: "3.7.0", DbSize: 100000, DbSizeInUse: 40000, DbSizeQuota: 2 << 30,
		Leader: 0xbeef, RaftIndex: 11, RaftAppliedIndex: 10, RaftTerm: 2, Errors: []string{"a", "b"},
		DowngradeInfo: &pb.DowngradeInfo{Enabled: true, TargetVersion: "3.6"},
	}}}
	health = []output.EndpointHealth{
		{Endpoint: "c1", Health: true, Took: "1.5ms"},
		{Endpoint: "c2", Took: "2s", Error: "down"},
	}
	txn = &pb.TxnResponse{Header: header, Succeeded: true, Responses: []*pb.ResponseOp{
		{Response: &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{PrevKv: other}}},
		{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{other}, Count: 1}}},
		{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{Deleted: 1, PrevKvs: []*mvccpb.KeyValue{other}}}},
	}}
)

func TestPrinters(t *testing.T) {
	put := func(p output.Printer) error { return p.Put(&pb.PutResponse{Header: header, PrevKv: pair}) }
	get := func(p output.Printer) error {
		return p.Get(&pb.RangeResponse{Header: header, Kvs: []*mvccpb.KeyValue{pair, other}, Count: 5, More: true})
	}
	del := func(p output.Printer) error {
		return p.Delete(&pb.DeleteRangeResponse{Header: header, Deleted: 2, PrevKvs: []*mvccpb.KeyValue{other}})
	}
	events := func(p output.Printer) error {
		return p.Watch(&pb.WatchResponse{Header: header, WatchId: 7, Events: []*mvccpb.Event{
			{Kv: pair, PrevKv: other},
			{Type: mvccpb.Event_DELETE, Kv: other},
		}, CancelReason: "not shown"})
	}
	compacted := func(p output.Printer) error {
		return p.Watch(&pb.WatchResponse{Header: header, CompactRevision: 5, Canceled: true, Created: true})
	}
	inTxn := func(p output.Printer) error { return p.Txn(txn) }
	grant := func(p output.Printer) error {
		return p.LeaseGrant(&pb.LeaseGrantResponse{Header: header, ID: 0x1f, TTL: 60})
	}
	revoke := func(p output.Printer) error {
		return p.LeaseRevoke(0x1f, &pb.LeaseRevokeResponse{Header: header})
	}
	keep := func(p output.Printer) error {
		return p.LeaseKeepAlive(&pb.LeaseKeepAliveResponse{Header: header, ID: 0x1f, TTL: 60})
	}
	ttl := func(keys bool, r *pb.LeaseTimeToLiveResponse) func(output.Printer) error {
		return func(p output.Printer) error { return p.LeaseTimeToLive(r, keys) }
	}
	lives := &pb.LeaseTimeToLiveResponse{Header: header, ID: 0x1f, TTL: 50, GrantedTTL: 60, Keys: [][]byte{[]byte("a"), []byte("b c")}}
	gone := &pb.LeaseTimeToLiveResponse{Header: header, ID: 0x1f, TTL: -1}
	leases := func(p output.Printer) error {
		return p.LeaseList(&pb.LeaseLeasesResponse{Header: header, Leases: []*pb.LeaseStatus{{ID: 0x1f}, {ID: 0x20}}})
	}
	noLeases := func(p output.Printer) error { return p.LeaseList(&pb.LeaseLeasesResponse{Header: header}) }
	ended := func(p output.Printer) error { return p.LeaseEnded(0x1f) }
	list := func(p output.Printer) error { return p.MemberList(members) }
	epStatus := func(p output.Printer) error { return p.EndpointStatus(status) }
	epHealth := func(p output.Printer) error { return p.EndpointHealth(health) }

	simple, hexSimple := output.Options{Format: "simple"}, output.Options{Format: "simple", Hex: true}
	fields, hexFields := output.Options{Format: "fields"}, output.Options{Format: "fields", Hex: true}
	json, hexJSON := output.Options{Format: "json"}, output.Options{Format: "json", Hex: true}
	table := output.Options{Format: "table"}

	const head = `"header":{"cluster_id":51966,"member_id":48879,"revision":9,"raft_term":2}`
	const flat = `"cluster_id":51966,"member_id":48879,"revision":9,"raft_term":2`
	const fieldsHead = "\"ClusterID\" : 51966\n\"MemberID\" : 48879\n\"Revision\" : 9\n\"RaftTerm\" : 2\n"
	for _, tt := range []struct {
		name    string
		opts    output.Options
		print   func(output.Printer) error
		want    string
		wantErr string // on stderr
	}{
		{"put", simple, put, "OK\nk\n\nv<\xff\n", ""},
		{"put", hexSimple, put, "OK\n\\x6b\\x0a\n\\x76\\x3c\\xff\n", ""},
		{"put", fields, put, fieldsHead + "\"PrevKey\" : \"k\\n\"\n\"PrevCreateRevision\" : 3\n\"PrevModRevision\" : 4\n\"PrevVersion\" : 2\n\"PrevValue\" : \"v<\\xff\"\n\"PrevLease\" : 31\n", ""},
		{"put", json, put, `{` + head + `,"prev_kv":{"key":"awo=","create_revision":3,"mod_revision":4,"version":2,"value":"djz/","lease":31}}` + "\n", ""},
		{"get", simple, get, "k\n\nv<\xff\nk2\n\n", ""},
		{"get", output.Options{Format: "simple", ValueOnly: true}, get, "v<\xff\n\n", ""},
		{"get", hexFields, get, "\"ClusterID\" : cafe\n\"MemberID\" : beef\n\"Revision\" : 9\n\"RaftTerm\" : 2\n" +
			"\"Key\" : \"k\\n\"\n\"CreateRevision\" : 3\n\"ModRevision\" : 4\n\"Version\" : 2\n\"Value\" : \"v<\\xff\"\n\"Lease\" : 000000000000001f\n" +
			"\"Key\" : \"k2\"\n\"CreateRevision\" : 0\n\"ModRevision\" : 0\n\"Version\" : 0\n\"Value\" : \"\"\n\"Lease\" : 0000000000000000\n" +
			"\"More\" : true\n\"Count\" : 5\n", ""},
		{"get", json, get, `{` + head + `,"kvs":[{"key":"awo=","create_revision":3,"mod_revision":4,"version":2,"value":"djz/","lease":31},{"key":"azI="}],"more":true,"count":5}` + "\n", ""},
		{"del", simple, del, "2\nk2\n\n", ""},
		{"del", json, del, `{` + head + `,"deleted":2,"prev_kvs":[{"key":"azI="}]}` + "\n", ""},
		{"txn", simple, inTxn, "SUCCESS\n\nOK\nk2\n\n\nk2\n\n\n1\nk2\n\n", ""},
		{"txn", json, inTxn, `{` + head + `,"succeeded":true,"responses":[{"Response":{"response_put":{"prev_kv":{"key":"azI="}}}},` +
			`{"Response":{"response_range":{"kvs":[{"key":"azI="}],"count":1}}},{"Response":{"response_delete_range":{"deleted":1,"prev_kvs":[{"key":"azI="}]}}}]}` + "\n", ""},
		{"failed txn", simple, func(p output.Printer) error { return p.Txn(&pb.TxnResponse{}) }, "FAILURE\n", ""},
		{"watch", simple, events, "PUT\nk2\n\nk\n\nv<\xff\nDELETE\nk2\n\n", ""},
		{"watch", hexSimple, events, "PUT\n\\x6b\\x32\n\n\\x6b\\x0a\n\\x76\\x3c\\xff\nDELETE\n\\x6b\\x32\n\n", ""},
		{"watch", fields, events, fieldsHead + "\"Type\" : PUT\n" +
			"\"PrevKey\" : \"k2\"\n\"PrevCreateRevision\" : 0\n\"PrevModRevision\" : 0\n\"PrevVersion\" : 0\n\"PrevValue\" : \"\"\n\"PrevLease\" : 0\n" +
			"\"Key\" : \"k\\n\"\n\"CreateRevision\" : 3\n\"ModRevision\" : 4\n\"Version\" : 2\n\"Value\" : \"v<\\xff\"\n\"Lease\" : 31\n" +
			"\"Type\" : DELETE\n\"Key\" : \"k2\"\n\"CreateRevision\" : 0\n\"ModRevision\" : 0\n\"Version\" : 0\n\"Value\" : \"\"\n\"Lease\" : 0\n", ""},
		{"watch", json, events, `{"Header":{"cluster_id":51966,"member_id":48879,"revision":9,"raft_term":2},"Events":[` +
			`{"kv":{"key":"awo=","create_revision":3,"mod_revision":4,"version":2,"value":"djz/","lease":31},"prev_kv":{"key":"azI="}},{"type":1,"kv":{"key":"azI="}}],` +
			`"CompactRevision":0,"Canceled":false,"Created":false,"CancelReason":""}` + "\n", ""},
		{"compacted watch", simple, compacted, "", ""},
		{"compacted watch", fields, compacted, fieldsHead, ""},
		{"compacted watch", json, compacted, `{"Header":{"cluster_id":51966,"member_id":48879,"revision":9,"raft_term":2},"Events":null,"CompactRevision":5,"Canceled":true,"Created":true,"CancelReason":""}` + "\n", ""},
		{"grant", simple, grant, "lease 000000000000001f granted with TTL(60s)\n", ""},
		{"grant", json, grant, `{` + flat + `,"ID":31,"TTL":60,"Error":""}` + "\n", ""},
		{"grant", fields, grant, fieldsHead + "\"ID\" : 31\n\"TTL\" : 60\n", ""},
		{"revoke", simple, revoke, "lease 000000000000001f revoked\n", ""},
		{"revoke", json, revoke, `{` + head + "}\n", ""},
		{"keep-alive", simple, keep, "lease 000000000000001f keepalived with TTL(60)\n", ""},
		{"keep-alive", json, keep, `{` + flat + `,"ID":31,"TTL":60}` + "\n", ""},
		{"timetolive", simple, ttl(false, lives), "lease 000000000000001f granted with TTL(60s), remaining(50s)\n", ""},
		{"timetolive", simple, ttl(true, lives), "lease 000000000000001f granted with TTL(60s), remaining(50s), attached keys([a b c])\n", ""},
		{"timetolive", simple, ttl(true, gone), "lease 000000000000001f already expired\n", ""},
		{"timetolive", json, ttl(false, gone), `{` + flat + `,"id":31,"ttl":-1,"granted-ttl":0,"keys":null}` + "\n", ""},
		{"timetolive", hexFields, ttl(true, lives), "\"ClusterID\" : cafe\n\"MemberID\" : beef\n\"Revision\" : 9\n\"RaftTerm\" : 2\n\"ID\" : 000000000000001f\n\"TTL\" : 50\n\"GrantedTTL\" : 60\n\"Key\" : \"a\"\n\"Key\" : \"b c\"\n", ""},
		{"lease list", simple, leases, "found 2 leases\n000000000000001f\n0000000000000020\n", ""},
		{"lease list", json, leases, `{` + flat + `,"leases":[{"id":31},{"id":32}]}` + "\n", ""},
		{"lease list", json, noLeases, `{` + flat + `,"leases":[]}` + "\n", ""},
		{"lease ended", simple, ended, "lease 000000000000001f expired or revoked.\n", ""},
		{"lease ended", json, ended, "", ""},
		{"member list", simple, list, "beef, started, m1, http://p1,http://p2, http://c1, false\n1, unstarted, , http://p3, , true\n", ""},
		{"member list", fields, list, "\"ClusterID\" : 51966\n\"MemberID\" : 48879\n\"RaftTerm\" : 2\n" +
			"\"ID\" : 48879\n\"Name\" : \"m1\"\n\"PeerURL\" : \"http://p1\"\n\"PeerURL\" : \"http://p2\"\n\"ClientURL\" : \"http://c1\"\n\"IsLearner\" : false\n\n" +
			"\"ID\" : 1\n\"Name\" : \"\"\n\"PeerURL\" : \"http://p3\"\n\"IsLearner\" : true\n\n", ""},
		{"member list", json, list, `{"header":{"cluster_id":51966,"member_id":48879,"raft_term":2},"members":[{"ID":48879,"name":"m1","peerURLs":["http://p1","http://p2"],"clientURLs":["http://c1"]},{"ID":1,"peerURLs":["http://p3"],"isLearner":true}]}` + "\n", ""},
		{"member list", hexJSON, list, `{"header":{"cluster_id":"cafe","member_id":"beef","raft_term":2},"members":[{"ID":"beef","name":"m1","peerURLs":["http://p1","http://p2"],"clientURLs":["http://c1"]},{"ID":"1","peerURLs":["http://p3"],"isLearner":true}]}` + "\n", ""},
		{"member list", table, list, `┌──────┬───────────┬──────┬─────────────────────┬──────────────┬────────────┐
│  ID  │  STATUS   │ NAME │     PEER ADDRS      │ CLIENT ADDRS │ IS LEARNER │
├──────┼───────────┼──────┼─────────────────────┼──────────────┼────────────┤
│ beef │   started │   m1 │ http://p1,http://p2 │    http://c1 │      false │
│    1 │ unstarted │      │           http://p3 │              │       true │
└──────┴───────────┴──────┴─────────────────────┴──────────────┴────────────┘
`, ""},
		{"status", simple, epStatus, "c1:2379, beef, 3.7.3, 3.7.0, 100 kB, 40 kB, 60%, 2.1 GB, true, false, 2, 11, 10, a, b, 3.6, true\n", ""},
		{"status", fields, epStatus, fieldsHead + "\"Version\" : \"3.7.3\"\n\"StorageVersion\" : \"3.7.0\"\n\"DBSize\" : 100000\n\"DBSizeInUse\" : 40000\n\"DBSizeQuota\" : 2147483648\n" +
			"\"Leader\" : 48879\n\"IsLearner\" : false\n\"RaftIndex\" : 11\n\"RaftAppliedIndex\" : 10\n\"Errors\" : [a b]\n\"Endpoint\" : \"c1:2379\"\n\"DowngradeTargetVersion\" : \"3.6\"\n\"DowngradeEnabled\" : true\n\n", ""},
		{"status of a member without a database", simple, func(p output.Printer) error {
			return p.EndpointStatus([]output.EndpointStatus{{Endpoint: "e", Status: &pb.StatusResponse{}}})
		}, "e, 0, , , 0 B, 0 B, 0%, 0 B, true, false, 0, 0, 0, , , false\n", ""},
		{"no status", json, func(p output.Printer) error { return p.EndpointStatus(nil) }, "null\n", ""},
		{"health", simple, epHealth, "c1 is healthy: successfully committed proposal: took = 1.5ms\n", "c2 is unhealthy: failed to commit proposal: down\n"},
		{"health", fields, epHealth, "\"Endpoint\" : \"c1\"\n\"Health\" : true\n\"Took\" : 1.5ms\n\"Error\" : \n\n\"Endpoint\" : \"c2\"\n\"Health\" : false\n\"Took\" : 2s\n\"Error\" : down\n\n", ""},
		{"health", json, epHealth, `[{"endpoint":"c1","health":true,"took":"1.5ms"},{"endpoint":"c2","health":false,"took":"2s","error":"down"}]` + "\n", ""},
		{"health", table, epHealth, `┌──────────┬────────┬───────┬───────┐
│ ENDPOINT │ HEALTH │ TOOK  │ ERROR │
├──────────┼────────┼───────┼───────┤
│       c1 │   true │ 1.5ms │       │
│       c2 │  false │    2s │  down │
└──────────┴────────┴───────┴───────┘
`, ""},
	} {
		name := tt.name + "/" + tt.opts.Format
		if tt.opts.Hex {
			name += "/hex"
		}
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			tt.opts.Out, tt.opts.Err = &out, &errOut
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
			if errOut.String() != tt.wantErr {
				t.Errorf("stderr\n got %q\nwant %q", &errOut, tt.wantErr)
			}
		})
	}
}

func TestProtobuf(t *testing.T) {
	for _, tt := range []struct {
		name  string
		print func(output.Printer) error
		want  proto.Message
	}{
		{"txn", func(p output.Printer) error { return p.Txn(txn) }, txn},
		{"member list", func(p output.Printer) error { return p.MemberList(members) }, members},
		// The watch is known, and the reason is printed to stderr.
		{"watch", func(p output.Printer) error {
			return p.Watch(&pb.WatchResponse{
				Header: header, WatchId: 7, Canceled: true, CompactRevision: 5, CancelReason: "r", Events: []*mvccpb.Event{{Kv: pair}},
			})
		}, &pb.WatchResponse{Header: header, Canceled: true, CompactRevision: 5, Events: []*mvccpb.Event{{Kv: pair}}}},
		// etcdctl prints only its header.
		{"lease grant", func(p output.Printer) error {
			return p.LeaseGrant(&pb.LeaseGrantResponse{Header: header, ID: 5, TTL: 9})
		}, header},
	} {
		var out bytes.Buffer
		p, err := output.New(output.Options{Format: "protobuf", Out: &out})
		if err != nil {
			t.Fatal(err)
		}
		if err := tt.print(p); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		got := tt.want.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(out.Bytes(), got); err != nil || !proto.Equal(got, tt.want) {
			t.Errorf("%s\n got %v, error %v\nwant %v", tt.name, got, err, tt.want)
		}
	}
}

// TestCheckAgreesWithThePrinters tries all formats and kinds: what Check allows
// must print, and what it refuses must not.
func TestCheckAgreesWithThePrinters(t *testing.T) {
	kinds := map[output.Kind][]func(output.Printer) error{
		output.KeyValues: {
			func(p output.Printer) error { return p.Put(&pb.PutResponse{}) },
			func(p output.Printer) error { return p.Get(&pb.RangeResponse{}) },
			func(p output.Printer) error { return p.Delete(&pb.DeleteRangeResponse{}) },
			func(p output.Printer) error { return p.Txn(&pb.TxnResponse{}) },
			func(p output.Printer) error { return p.Watch(&pb.WatchResponse{}) },
		},
		output.Leases: {
			func(p output.Printer) error { return p.LeaseGrant(&pb.LeaseGrantResponse{}) },
			func(p output.Printer) error { return p.LeaseKeepAlive(&pb.LeaseKeepAliveResponse{}) },
			func(p output.Printer) error { return p.LeaseTimeToLive(&pb.LeaseTimeToLiveResponse{}, true) },
			func(p output.Printer) error { return p.LeaseList(&pb.LeaseLeasesResponse{}) },
		},
		output.LeaseRevocation: {func(p output.Printer) error { return p.LeaseRevoke(1, &pb.LeaseRevokeResponse{}) }},
		output.Members:         {func(p output.Printer) error { return p.MemberList(&pb.MemberListResponse{}) }},
		output.Endpoints: {
			func(p output.Printer) error { return p.EndpointHealth(nil) },
			func(p output.Printer) error { return p.EndpointStatus(nil) },
			func(p output.Printer) error { return p.EndpointHashKV(nil) },
		},
		output.Administration: {
			func(p output.Printer) error { return p.Alarm(&pb.AlarmResponse{}) },
			func(p output.Printer) error { return p.Role("r", &pb.AuthRoleGetResponse{}) },
			func(p output.Printer) error { return p.RoleList(&pb.AuthRoleListResponse{}) },
			func(p output.Printer) error { return p.Done("done", &pb.AuthRoleAddResponse{}) },
		},
		output.Operations: {
			func(p output.Printer) error { return p.MemberAdd("m", "u", &pb.MemberAddResponse{}) },
			func(p output.Printer) error { return p.MemberChange("changed", &pb.MemberRemoveResponse{}) },
			func(p output.Printer) error { return p.AuthStatus(&pb.AuthStatusResponse{}) },
			func(p output.Printer) error { return p.User("u", &pb.AuthUserGetResponse{}) },
			func(p output.Printer) error { return p.UserList(&pb.AuthUserListResponse{}) },
			func(p output.Printer) error { return p.Report("done", &pb.MoveLeaderResponse{}) },
		},
	}
	for _, format := range output.Formats() {
		p, err := output.New(output.Options{Format: format, Out: io.Discard, Err: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		for kind, prints := range kinds {
			allowed := output.Check(format, kind)
			for n, show := range prints {
				if err := show(p); (err == nil) != (allowed == nil) {
					t.Errorf("%s, kind %d, print %d: printing returns %v, Check returns %v", format, kind, n, err, allowed)
				} else if _, ok := errors.AsType[*output.UnsupportedError](err); err != nil && !ok {
					t.Errorf("%s, kind %d, print %d: got %T, want an UnsupportedError", format, kind, n, err)
				}
			}
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	const want = `unsupported output format "xml" for --write-out: use one of fields, json, protobuf, simple, table`
	if _, err := output.New(output.Options{Format: "xml"}); err == nil || err.Error() != want {
		t.Errorf("New: got %v, want %s", err, want)
	}
	if err := output.Check("xml", output.KeyValues); err == nil || err.Error() != want {
		t.Errorf("Check: got %v, want %s", err, want)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteErrors(t *testing.T) {
	for _, format := range output.Formats() {
		p, err := output.New(output.Options{Format: format, Out: failing{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.MemberList(members); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: got %v, want %v", format, err, io.ErrClosedPipe)
		}
	}
}
