package kv_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/getcd/getcd/kv"
)

// Each option sets its field of the request and no other.
func TestMessages(t *testing.T) {
	k, end := []byte("k"), []byte("l")
	tests := []struct {
		name string
		op   kv.Op
		want proto.Message
	}{
		{"get", kv.OpGet("k"), &pb.RangeRequest{Key: k}},
		{"prefix", kv.OpGet("k", kv.WithPrefix()), &pb.RangeRequest{Key: k, RangeEnd: end}},
		{"range", kv.OpGet("k", kv.WithRange("l")), &pb.RangeRequest{Key: k, RangeEnd: end}},
		{"from key", kv.OpGet("k", kv.WithFromKey()), &pb.RangeRequest{Key: k, RangeEnd: []byte{0}}},
		{"all", kv.OpGet("", kv.WithPrefix()), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}},
		{"limit", kv.OpGet("k", kv.WithLimit(3)), &pb.RangeRequest{Key: k, Limit: 3}},
		{"revision", kv.OpGet("k", kv.WithRev(3)), &pb.RangeRequest{Key: k, Revision: 3}},
		{
			"sort", kv.OpGet("k", kv.WithSort(kv.SortByModRevision, kv.SortDescend)),
			&pb.RangeRequest{Key: k, SortTarget: pb.RangeRequest_MOD, SortOrder: pb.RangeRequest_DESCEND},
		},
		{
			"sort by key", kv.OpGet("k", kv.WithSort(kv.SortByKey, kv.SortDescend)),
			&pb.RangeRequest{Key: k, SortTarget: pb.RangeRequest_KEY, SortOrder: pb.RangeRequest_DESCEND},
		},
		// For any other order etcd before 3.7 reads all, whatever the limit.
		{"default sort", kv.OpGet("k", kv.WithSort(kv.SortByKey, kv.SortAscend)), &pb.RangeRequest{Key: k}},
		{"serializable", kv.OpGet("k", kv.WithSerializable()), &pb.RangeRequest{Key: k, Serializable: true}},
		{"keys only", kv.OpGet("k", kv.WithKeysOnly()), &pb.RangeRequest{Key: k, KeysOnly: true}},
		{"count only", kv.OpGet("k", kv.WithCountOnly()), &pb.RangeRequest{Key: k, CountOnly: true}},
		{"min mod", kv.OpGet("k", kv.WithMinModRev(3)), &pb.RangeRequest{Key: k, MinModRevision: 3}},
		{"max mod", kv.OpGet("k", kv.WithMaxModRev(3)), &pb.RangeRequest{Key: k, MaxModRevision: 3}},
		{"min create", kv.OpGet("k", kv.WithMinCreateRev(3)), &pb.RangeRequest{Key: k, MinCreateRevision: 3}},
		{"max create", kv.OpGet("k", kv.WithMaxCreateRev(3)), &pb.RangeRequest{Key: k, MaxCreateRevision: 3}},
		{"put", kv.OpPut("k", "v"), &pb.PutRequest{Key: k, Value: []byte("v")}},
		{"lease", kv.OpPut("k", "v", kv.WithLease(3)), &pb.PutRequest{Key: k, Value: []byte("v"), Lease: 3}},
		{"put previous", kv.OpPut("k", "v", kv.WithPrevKV()), &pb.PutRequest{Key: k, Value: []byte("v"), PrevKv: true}},
		{"ignore value", kv.OpPut("k", "", kv.WithIgnoreValue()), &pb.PutRequest{Key: k, IgnoreValue: true}},
		{"ignore lease", kv.OpPut("k", "v", kv.WithIgnoreLease()), &pb.PutRequest{Key: k, Value: []byte("v"), IgnoreLease: true}},
		{"delete", kv.OpDelete("k"), &pb.DeleteRangeRequest{Key: k}},
		{"delete prefix", kv.OpDelete("k", kv.WithPrefix()), &pb.DeleteRangeRequest{Key: k, RangeEnd: end}},
		{"delete range", kv.OpDelete("k", kv.WithRange("l")), &pb.DeleteRangeRequest{Key: k, RangeEnd: end}},
		{"delete from key", kv.OpDelete("k", kv.WithFromKey()), &pb.DeleteRangeRequest{Key: k, RangeEnd: []byte{0}}},
		{"delete previous", kv.OpDelete("k", kv.WithPrevKV()), &pb.DeleteRangeRequest{Key: k, PrevKv: true}},
		{
			"txn", kv.OpTxn([]kv.Cmp{kv.Compare(kv.LeaseValue("k"), "!=", 3).WithPrefix()}, []kv.Op{kv.OpGet("k")}, []kv.Op{kv.OpDelete("k")}),
			&pb.TxnRequest{
				Compare: []*pb.Compare{{
					Key: k, RangeEnd: end, Target: pb.Compare_LEASE, Result: pb.Compare_NOT_EQUAL, TargetUnion: &pb.Compare_Lease{Lease: 3},
				}},
				Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: k}}}},
				Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: k}}}},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := &recorder{}
			if _, err := kv.New(conn).Do(t.Context(), tt.op); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, conn.req, protocmp.Transform()); diff != "" {
				t.Errorf("request, want - and got +:\n%s", diff)
			}
		})
	}
	conn := &recorder{}
	if _, err := kv.New(conn).Compact(t.Context(), 3, kv.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&pb.CompactionRequest{Revision: 3, Physical: true}, conn.req, protocmp.Transform()); diff != "" {
		t.Errorf("compaction, want - and got +:\n%s", diff)
	}
}

func TestOpAccessors(t *testing.T) {
	op := kv.OpGet("k", kv.WithPrefix(), kv.WithLimit(1), kv.WithRev(2), kv.WithSort(kv.SortByValue, kv.SortAscend),
		kv.WithSerializable(), kv.WithKeysOnly(), kv.WithCountOnly(),
		kv.WithMinModRev(3), kv.WithMaxModRev(4), kv.WithMinCreateRev(5), kv.WithMaxCreateRev(6))
	if !op.IsGet() || op.IsPut() || op.IsDelete() || op.IsTxn() {
		t.Error("OpGet: want IsGet alone")
	}
	if string(op.KeyBytes()) != "k" || string(op.RangeBytes()) != "l" || op.Limit() != 1 || op.Rev() != 2 ||
		op.MinModRev() != 3 || op.MaxModRev() != 4 || op.MinCreateRev() != 5 || op.MaxCreateRev() != 6 {
		t.Errorf("OpGet: got %+v", op)
	}
	if !op.IsSerializable() || !op.IsKeysOnly() || !op.IsCountOnly() || !op.IsSortSet() || !op.IsSortOptionValid() || !op.IsOptsWithPrefix() || op.IsOptsWithFromKey() {
		t.Errorf("OpGet: got %+v", op)
	}
	op.WithRangeBytes([]byte("z"))
	if string(op.RangeBytes()) != "z" {
		t.Errorf("range end: got %q, want z", op.RangeBytes())
	}

	put := kv.OpPut("k", "v", kv.WithLease(7), kv.WithPrevKV())
	if !put.IsPut() || string(put.ValueBytes()) != "v" || put.LeaseID() != 7 || !put.IsPrevKV() || put.IsIgnoreLease() || put.IsIgnoreValue() {
		t.Errorf("OpPut: got %+v", put)
	}
	put.WithValueBytes([]byte("w"))
	if string(put.ValueBytes()) != "w" {
		t.Errorf("value: got %q, want w", put.ValueBytes())
	}
	if kv.OpGet("k", kv.WithSort(9, 9)).IsSortOptionValid() || !kv.OpDelete("k").IsDelete() {
		t.Error("want an invalid sort option, and a Delete")
	}
	cmps, thens, elses := kv.OpTxn([]kv.Cmp{kv.Version("k")}, []kv.Op{put, put}, nil).Txn()
	if len(cmps) != 1 || len(thens) != 2 || len(elses) != 0 {
		t.Errorf("OpTxn: got %d, %d and %d parts, want 1, 2 and 0", len(cmps), len(thens), len(elses))
	}

	watch := kv.OpWatch("k", kv.WithRev(2), kv.WithPrevKV(), kv.WithProgressNotify(), kv.WithFilterPut())
	if !watch.IsWatch() || watch.IsGet() || watch.Rev() != 2 || !watch.IsPrevKV() || !watch.IsProgressNotify() || !watch.IsFilterPut() ||
		watch.IsCreatedNotify() || watch.IsFilterDelete() || watch.IsFragment() {
		t.Errorf("OpWatch: got %+v", watch)
	}
	watch = kv.OpWatch("k", kv.WithCreatedNotify(), kv.WithFilterDelete(), kv.WithFragment())
	if watch.IsPrevKV() || watch.IsProgressNotify() || watch.IsFilterPut() ||
		!watch.IsCreatedNotify() || !watch.IsFilterDelete() || !watch.IsFragment() {
		t.Errorf("OpWatch: got %+v", watch)
	}

	opts := []kv.OpOption{kv.WithLimit(1), nil, kv.WithPrefix()}
	if !kv.IsOptsWithPrefix(opts) || kv.IsOptsWithFromKey(opts) {
		t.Error("options: want WithPrefix and not WithFromKey")
	}
	opts = append(opts, kv.WithFromKey(), kv.WithLease(1))
	if !kv.IsOptsWithPrefix(opts) || !kv.IsOptsWithFromKey(opts) {
		t.Error("contradicting options: want both to be found")
	}
}

// A Cmp's message is its own: changing it changes the comparison, until that is used.
func TestCmpMessage(t *testing.T) {
	cmp := kv.Compare(kv.Version("k"), "=", 0)
	before := cmp
	cmp.GetCompare().RangeEnd = []byte("l")
	op := kv.OpTxn([]kv.Cmp{cmp}, nil, nil)
	cmp.GetCompare().RangeEnd = []byte("m")
	cmps, _, _ := op.Txn()
	for _, c := range []struct {
		name string
		cmp  kv.Cmp
		want string
	}{{"a copy from before", before, ""}, {"the operation's", cmps[0], "l"}, {"the comparison", cmp, "m"}} {
		if got := string(c.cmp.GetCompare().GetRangeEnd()); got != c.want {
			t.Errorf("%s: its range ends at %q, want %q", c.name, got, c.want)
		}
	}
}

// A Cmp is a value: changing one copy does not change another.
func TestCmpCopies(t *testing.T) {
	original := kv.Compare(kv.Value("k"), "=", "v")
	copied := original
	copied.WithKeyBytes([]byte("x"))
	copied.WithValueBytes([]byte("y"))
	ranged := original.WithPrefix()
	if string(original.KeyBytes()) != "k" || string(original.ValueBytes()) != "v" || len(original.GetCompare().RangeEnd) != 0 {
		t.Errorf("original: got %v, want it unchanged", original.GetCompare())
	}
	if string(copied.KeyBytes()) != "x" || string(copied.ValueBytes()) != "y" || string(ranged.GetCompare().RangeEnd) != "l" {
		t.Errorf("copies: got %v and %v", copied.GetCompare(), ranged.GetCompare())
	}
	message := &pb.Compare{Key: []byte("k")}
	from := kv.FromCompare(message)
	message.Key[0] = 'x'
	clone := from.Clone()
	clone.KeyBytes()[0] = 'y'
	if string(from.KeyBytes()) != "k" {
		t.Errorf("key: got %q, want k", from.KeyBytes())
	}
	version := kv.Version("k")
	version.WithValueBytes([]byte("v"))
	if version.Err() == nil {
		t.Error("WithValueBytes on a version: got no error")
	}
	var none *kv.Cmp
	if none.KeyBytes() != nil {
		t.Error("key of a nil Cmp: want nil")
	}
}
