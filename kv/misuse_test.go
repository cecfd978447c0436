package kv_test

import (
	"errors"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/kv"
)

// Every misuse is a UsageError from the call. The error names the operation and
// the option, and nothing is sent.
func TestMisuse(t *testing.T) {
	ctx := t.Context()
	put := func(key, val string, opts ...kv.OpOption) func(kv.KV) error {
		return func(s kv.KV) error { _, err := s.Put(ctx, key, val, opts...); return err }
	}
	get := func(key string, opts ...kv.OpOption) func(kv.KV) error {
		return func(s kv.KV) error { _, err := s.Get(ctx, key, opts...); return err }
	}
	del := func(key string, opts ...kv.OpOption) func(kv.KV) error {
		return func(s kv.KV) error { _, err := s.Delete(ctx, key, opts...); return err }
	}
	do := func(op kv.Op) func(kv.KV) error {
		return func(s kv.KV) error { _, err := s.Do(ctx, op); return err }
	}
	compact := func(rev int64, opts ...kv.CompactOption) func(kv.KV) error {
		return func(s kv.KV) error { _, err := s.Compact(ctx, rev, opts...); return err }
	}
	txn := func(build func(kv.Txn) kv.Txn) func(kv.KV) error {
		return func(s kv.KV) error { _, err := build(s.Txn(ctx)).Commit(); return err }
	}
	when := func(cmp kv.Cmp) func(kv.KV) error {
		return txn(func(x kv.Txn) kv.Txn { return x.If(cmp) })
	}
	exists := kv.Compare(kv.Version("k"), ">", 0)

	tests := []struct {
		name   string
		call   func(kv.KV) error
		op     string
		option string
		is     error // errors.Is finds this, too
	}{
		// Range ends.
		{"prefix and range", get("k", kv.WithPrefix(), kv.WithRange("z")), "Get", "WithRange", nil},
		{"range and prefix", del("k", kv.WithRange("z"), kv.WithPrefix()), "Delete", "WithPrefix", nil},
		{"prefix and from key", get("k", kv.WithPrefix(), kv.WithFromKey()), "Get", "WithFromKey", nil},
		{"from key and range", del("k", kv.WithFromKey(), kv.WithRange("z")), "Delete", "WithRange", nil},
		{"two ranges", get("k", kv.WithRange("y"), kv.WithRange("z")), "Get", "WithRange", nil},
		{"range backwards", get("k", kv.WithRange("a")), "Get", "WithRange", nil},
		{"range of one key and range", get("k", kv.WithRange(""), kv.WithPrefix()), "Get", "WithPrefix", nil},
		{"first key and range", get("k", append(kv.WithFirstKey(), kv.WithRange("z"))...), "Get", "WithRange", nil},

		// Numbers.
		{"limit", get("k", kv.WithLimit(-1)), "Get", "WithLimit", nil},
		{"revision", get("k", kv.WithRev(-1)), "Get", "WithRev", nil},
		{"min mod", get("k", kv.WithMinModRev(-1)), "Get", "WithMinModRev", nil},
		{"max mod", get("k", kv.WithMaxModRev(-1)), "Get", "WithMaxModRev", nil},
		{"min create", get("k", kv.WithMinCreateRev(-1)), "Get", "WithMinCreateRev", nil},
		{"max create", get("k", kv.WithMaxCreateRev(-1)), "Get", "WithMaxCreateRev", nil},
		{"compact", compact(-1), "Compact", "revision", nil},
		{"sort target", get("k", kv.WithSort(5, kv.SortAscend)), "Get", "WithSort", rpctypes.ErrInvalidSortOption},
		{"sort order", get("k", kv.WithSort(kv.SortByKey, -1)), "Get", "WithSort", rpctypes.ErrInvalidSortOption},

		// Options of another operation.
		{"limit on put", put("k", "v", kv.WithLimit(1)), "Put", "WithLimit", nil},
		{"no limit on put", put("k", "v", kv.WithLimit(0)), "Put", "WithLimit", nil},
		{"revision on delete", del("k", kv.WithRev(1)), "Delete", "WithRev", nil},
		{"sort on delete", del("k", kv.WithSort(kv.SortByKey, kv.SortNone)), "Delete", "WithSort", nil},
		{"serializable on put", put("k", "v", kv.WithSerializable()), "Put", "WithSerializable", nil},
		{"keys only on delete", del("k", kv.WithKeysOnly()), "Delete", "WithKeysOnly", nil},
		{"count only on put", put("k", "v", kv.WithCountOnly()), "Put", "WithCountOnly", nil},
		{"min mod on put", put("k", "v", kv.WithMinModRev(1)), "Put", "WithMinModRev", nil},
		{"lease on get", get("k", kv.WithLease(1)), "Get", "WithLease", nil},
		{"lease on delete", del("k", kv.WithLease(1)), "Delete", "WithLease", nil},
		{"ignore value on get", get("k", kv.WithIgnoreValue()), "Get", "WithIgnoreValue", nil},
		{"ignore lease on delete", del("k", kv.WithIgnoreLease()), "Delete", "WithIgnoreLease", nil},
		{"previous on get", get("k", kv.WithPrevKV()), "Get", "WithPrevKV", nil},
		{"prefix on put", put("k", "v", kv.WithPrefix()), "Put", "WithPrefix", nil},
		{"range on put", put("k", "v", kv.WithRange("")), "Put", "WithRange", nil},
		{"from key on put", put("k", "v", kv.WithFromKey()), "Put", "WithFromKey", nil},
		{"progress on get", get("k", kv.WithProgressNotify()), "Get", "WithProgressNotify", nil},
		{"created on put", put("k", "v", kv.WithCreatedNotify()), "Put", "WithCreatedNotify", nil},
		{"filter on delete", del("k", kv.WithFilterPut()), "Delete", "WithFilterPut", nil},
		{"other filter on get", get("k", kv.WithFilterDelete()), "Get", "WithFilterDelete", nil},
		{"fragment on get", get("k", kv.WithFragment()), "Get", "WithFragment", nil},
		{"watch in Do", do(kv.OpWatch("k")), "Watch", "", nil},
		{"watch in a transaction", do(kv.OpTxn(nil, []kv.Op{kv.OpWatch("k")}, nil)), "Txn: Then[0]: Watch", "", nil},
		{"nil option", get("k", kv.WithKeysOnly(), nil), "Get", "option 2", nil},
		{"nil compact option", compact(1, nil), "Compact", "option 1", nil},

		// Put options that contradict each other.
		{"value and ignore", put("k", "v", kv.WithIgnoreValue()), "Put", "WithIgnoreValue", rpctypes.ErrValueProvided},
		{"lease and ignore", put("k", "v", kv.WithLease(1), kv.WithIgnoreLease()), "Put", "WithIgnoreLease", rpctypes.ErrLeaseProvided},

		// Keys.
		{"put nothing", put("", "v"), "Put", "key", rpctypes.ErrEmptyKey},
		{"get nothing", get(""), "Get", "key", rpctypes.ErrEmptyKey},
		{"get nothing to", get("", kv.WithRange("z")), "Get", "key", rpctypes.ErrEmptyKey},
		{"delete nothing", del(""), "Delete", "key", rpctypes.ErrEmptyKey},
		{"compare nothing", when(kv.Compare(kv.Version(""), "=", 0)), "Txn: If[0]: Compare", "key", rpctypes.ErrEmptyKey},

		// Operations.
		{"zero operation", do(kv.Op{}), "Op", "", nil},
		{"new operation", do(*kv.NewOp()), "Op", "", nil},
		{"misused operation", do(kv.OpPut("k", "v", kv.WithRev(1))), "Put", "WithRev", nil},
		{"zero operation nested", do(kv.OpTxn(nil, nil, []kv.Op{{}})), "Txn: Else[0]: Op", "", nil},
		{
			"misuse two levels down",
			do(kv.OpTxn(nil, []kv.Op{kv.OpGet("k"), kv.OpTxn(nil, nil, []kv.Op{kv.OpGet("k", kv.WithLimit(-1))})}, nil)),
			"Txn: Then[1]: Txn: Else[0]: Get", "WithLimit", nil,
		},

		// Comparisons.
		{"zero comparison", when(kv.Cmp{}), "Txn: If[0]: Compare", "", nil},
		{"half a comparison", when(kv.Value("k")), "Txn: If[0]: Compare", "", nil},
		{"nil message", when(kv.FromCompare(nil)), "Txn: If[0]: Compare", "", nil},
		{"operator", when(kv.Compare(kv.Version("k"), "==", 1)), "Txn: If[0]: Compare", "operator", nil},
		{"value type", when(kv.Compare(kv.Value("k"), "=", 1)), "Txn: If[0]: Compare", "value", nil},
		{"version type", when(kv.Compare(kv.Version("k"), "=", "1")), "Txn: If[0]: Compare", "value", nil},
		{"revision type", when(kv.Compare(kv.ModRevision("k"), "=", uint64(1))), "Txn: If[0]: Compare", "value", nil},
		{"create revision type", when(kv.Compare(kv.CreateRevision("k"), "=", nil)), "Txn: If[0]: Compare", "value", nil},
		{"lease type", when(kv.Compare(kv.LeaseValue("k"), "=", 1.5)), "Txn: If[0]: Compare", "value", nil},
		{"two ranges compared", when(exists.WithPrefix().WithRange("z")), "Txn: If[0]: Compare", "WithRange", nil},
		{"range compared backwards", when(exists.WithRange("a")), "Txn: If[0]: Compare", "WithRange", nil},
		{"message of another kind", when(kv.FromCompare(&pb.Compare{
			Key: []byte("k"), Target: pb.Compare_MOD, TargetUnion: &pb.Compare_Version{Version: 1},
		})), "Txn: If[0]: Compare", "value", nil},
		{"message with an unknown target", when(kv.FromCompare(&pb.Compare{Key: []byte("k"), Target: 9})), "Txn: If[0]: Compare", "target", nil},
		{"message with an unknown result", when(kv.FromCompare(&pb.Compare{Key: []byte("k"), Result: 9})), "Txn: If[0]: Compare", "result", nil},

		// The order of a transaction.
		{"if twice", txn(func(x kv.Txn) kv.Txn { return x.If(exists).If(exists) }), "Txn", "If", nil},
		{"then twice", txn(func(x kv.Txn) kv.Txn { return x.Then().Then() }), "Txn", "Then", nil},
		{"else twice", txn(func(x kv.Txn) kv.Txn { return x.Else().Else() }), "Txn", "Else", nil},
		{"if after then", txn(func(x kv.Txn) kv.Txn { return x.Then(kv.OpGet("k")).If(exists) }), "Txn", "If", nil},
		{"if after else", txn(func(x kv.Txn) kv.Txn { return x.Else().If() }), "Txn", "If", nil},
		{"then after else", txn(func(x kv.Txn) kv.Txn { return x.Else().Then() }), "Txn", "Then", nil},
		{"the first mistake counts", txn(func(x kv.Txn) kv.Txn { return x.Else(kv.Op{}).Then().If() }), "Txn", "Then", nil},
		{"a wrong step committed twice", func(s kv.KV) error {
			x := s.Txn(ctx).If().If()
			if _, err := x.Commit(); err == nil {
				return nil
			}
			_, err := x.Commit()
			return err
		}, "Txn", "If", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := &recorder{}
			err := tt.call(kv.New(conn))
			var usage *kv.UsageError
			if !errors.As(err, &usage) {
				t.Fatalf("got %v, want a UsageError", err)
			}
			if usage.Op != tt.op || usage.Option != tt.option {
				t.Errorf("got operation %q and option %q, want %q and %q (%v)", usage.Op, usage.Option, tt.op, tt.option, err)
			}
			if usage.Reason == "" || !strings.Contains(err.Error(), tt.op) || !strings.Contains(err.Error(), tt.option) {
				t.Errorf("text: got %q, want it to name %q, %q and a reason", err, tt.op, tt.option)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %v, want it to be %v too", err, tt.is)
			}
			if got := status.Code(err); got != codes.InvalidArgument {
				t.Errorf("code: got %v, want InvalidArgument", got)
			}
			if conn.calls != 0 {
				t.Errorf("sent %s, want nothing sent", conn.method)
			}
		})
	}
}

// An invalid watch is found before package watch sends anything.
func TestWatchMisuse(t *testing.T) {
	for name, tt := range map[string]struct {
		op     kv.Op
		option string
	}{
		"no key":            {kv.OpWatch(""), "key"},
		"limit":             {kv.OpWatch("k", kv.WithLimit(1)), "WithLimit"},
		"serializable":      {kv.OpWatch("k", kv.WithSerializable()), "WithSerializable"},
		"lease":             {kv.OpWatch("k", kv.WithLease(1)), "WithLease"},
		"negative revision": {kv.OpWatch("k", kv.WithRev(-1)), "WithRev"},
		"empty range":       {kv.OpWatch("k", kv.WithRange("k")), "WithRange"},
		"range backwards":   {kv.OpWatch("k", kv.WithRange("a")), "WithRange"},
		"two ranges":        {kv.OpWatch("k", kv.WithPrefix(), kv.WithFromKey()), "WithFromKey"},
		"nil":               {kv.OpWatch("k", nil), "option 1"},
	} {
		t.Run(name, func(t *testing.T) {
			var usage *kv.UsageError
			if err := tt.op.Err(); !errors.As(err, &usage) || usage.Op != "Watch" || usage.Option != tt.option {
				t.Errorf("got %v, want a UsageError of Watch and %s", err, tt.option)
			}
		})
	}
	for name, op := range map[string]kv.Op{
		"key": kv.OpWatch("k"), "all": kv.OpWatch("", kv.WithPrefix()), "one": kv.OpWatch("k", kv.WithRange("")),
		"without an end": kv.OpWatch("k", kv.WithRange("\x00")),
	} {
		if err := op.Err(); err != nil {
			t.Errorf("%s: got %v, want none", name, err)
		}
	}
}

// Each Commit sends the transaction as it is by then. The order of the steps stays.
func TestCommitAgain(t *testing.T) {
	conn := &recorder{}
	x := kv.New(conn).Txn(t.Context())
	for i, step := range []func(){
		func() {},
		func() {},
		func() { x.If(kv.Compare(kv.Version("k"), ">", 0)).Then(kv.OpPut("k", "v")) },
		func() { x.Else(kv.OpGet("k")) },
	} {
		step()
		if _, err := x.Commit(); err != nil || conn.calls != i+1 {
			t.Errorf("commit %d: got %v and %d calls, want %d calls", i+1, err, conn.calls, i+1)
		}
	}
	want := &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte("k"), Result: pb.Compare_GREATER, Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{}}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("k"), Value: []byte("v")}}}},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k")}}}},
	}
	if !proto.Equal(conn.req, want) {
		t.Errorf("the last one sent %v, want %v", conn.req, want)
	}
	var usage *kv.UsageError
	if _, err := x.Then().Commit(); !errors.As(err, &usage) || usage.Option != "Then" || conn.calls != 4 {
		t.Errorf("Then after Else: got %v and %d calls, want a UsageError of Then and 4", err, conn.calls)
	}
}

// These look like misuse but are valid.
func TestAllowed(t *testing.T) {
	for name, op := range map[string]kv.Op{
		"prefix twice":                kv.OpGet("", append(kv.WithFirstKey(), kv.WithPrefix())...),
		"same range twice":            kv.OpGet("k", kv.WithRange("z"), kv.WithRange("z")),
		"later limit":                 kv.OpGet("k", kv.WithLimit(1), kv.WithLimit(2)),
		"no limit, no revision":       kv.OpGet("k", kv.WithLimit(0), kv.WithRev(0)),
		"sorted count":                kv.OpGet("k", kv.WithCountOnly(), kv.WithSort(kv.SortByKey, kv.SortNone)),
		"empty range":                 kv.OpDelete("k", kv.WithRange("k")),
		"range without an end":        kv.OpDelete("k", kv.WithRange("\x00")),
		"no lease":                    kv.OpPut("k", "v", kv.WithLease(0), kv.WithIgnoreLease()),
		"empty value":                 kv.OpPut("k", ""),
		"empty transaction":           kv.OpTxn(nil, nil, nil),
		"negative number to compare":  kv.OpTxn([]kv.Cmp{kv.Compare(kv.Version("k"), ">", -1)}, nil, nil),
		"key only after construction": rekeyed(),
	} {
		t.Run(name, func(t *testing.T) {
			if err := op.Err(); err != nil {
				t.Errorf("Err: got %v, want none", err)
			}
			conn := &recorder{}
			if _, err := kv.New(conn).Do(t.Context(), op); err != nil || conn.calls != 1 {
				t.Errorf("Do: got %v and %d calls, want none and 1", err, conn.calls)
			}
		})
	}
}

func rekeyed() kv.Op {
	op := kv.OpPut("", "v")
	op.WithKeyBytes([]byte("k"))
	return op
}
