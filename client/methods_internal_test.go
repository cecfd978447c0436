package client

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"

	"github.com/getcd/getcd/internal/etcdrpc"
)

// The table has every method of etcd's services, and nothing else.
func TestEveryMethodIsListed(t *testing.T) {
	if len(methods) != len(kinds) {
		t.Errorf("%d methods are in the list, of which %d differ", len(kinds), len(methods))
	}
	listed := maps.Clone(methods)
	for _, m := range etcdrpc.Methods() {
		if _, ok := listed[m.Name]; !ok {
			t.Errorf("%s is not in the table, and so a write: say in methods.go what it is, with the place in etcd's source that shows it", m.Name)
		}
		delete(listed, m.Name)
		if c := classify(m.Name, nil, false); m.Streams() && c.proves {
			t.Errorf("%s is a stream, and said to prove something", m.Name)
		}
	}
	for m := range listed {
		t.Errorf("%s is in the table, and no method of etcd's", m)
	}
	if c := classify("/etcdserverpb.KV/Invented", nil, true); c.class != write || c.proves {
		t.Errorf("a method that is not known: got %+v, want a write that proves nothing", c)
	}
}

// What is answered without an agreement of the members that is made for the request.
func TestWhatProvesNothing(t *testing.T) {
	serializableTxn := &pb.TxnRequest{Success: []*pb.RequestOp{
		{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Serializable: true}}},
	}}
	for _, c := range []struct {
		method string
		req    any
	}{
		{pb.KV_Range_FullMethodName, &pb.RangeRequest{Serializable: true}},
		{pb.KV_Txn_FullMethodName, serializableTxn},
		{pb.Lease_LeaseLeases_FullMethodName, &pb.LeaseLeasesRequest{}},
		{pb.Lease_LeaseTimeToLive_FullMethodName, &pb.LeaseTimeToLiveRequest{}},
		{pb.Cluster_MemberList_FullMethodName, &pb.MemberListRequest{}},
		{pb.Cluster_MemberList_FullMethodName, &pb.MemberListRequest{Linearizable: true}},
		{pb.Cluster_MemberPromote_FullMethodName, &pb.MemberPromoteRequest{}},
		{pb.Maintenance_Status_FullMethodName, &pb.StatusRequest{}},
		{pb.Maintenance_Hash_FullMethodName, &pb.HashRequest{}},
		{pb.Maintenance_HashKV_FullMethodName, &pb.HashKVRequest{}},
		{pb.Maintenance_Defragment_FullMethodName, &pb.DefragmentRequest{}},
		{pb.Maintenance_MoveLeader_FullMethodName, &pb.MoveLeaderRequest{}},
		{pb.Maintenance_Downgrade_FullMethodName, &pb.DowngradeRequest{}},
	} {
		if got := classify(c.method, c.req, false); got.proves {
			t.Errorf("%s %v: said to prove an agreement", c.method, c.req)
		}
	}
	for _, m := range []string{
		pb.KV_Range_FullMethodName, pb.KV_Put_FullMethodName, pb.Lease_LeaseGrant_FullMethodName,
		pb.Auth_UserList_FullMethodName, pb.Maintenance_Alarm_FullMethodName, v3lockpb.Lock_Lock_FullMethodName,
	} {
		if !classify(m, nil, false).proves {
			t.Errorf("%s: said to prove nothing", m)
		}
	}
}

// The list is what a real member without its peers is asked for
// (integration/agreement_test.go): it must answer none of it.
func TestWhatProvesAgreement(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "proves.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for m := range methods {
		if classify(m, nil, false).proves {
			got = append(got, m)
		}
	}
	slices.Sort(got)
	if want := strings.Fields(string(text)); !slices.Equal(got, want) {
		t.Errorf("methods that prove an agreement:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
