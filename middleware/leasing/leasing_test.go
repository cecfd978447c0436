package leasing_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/middleware/leasing"
)

// What is read is owned, in the form that the protocol has, and then in memory.
func TestReadsFromMemory(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a := r.kv(0)
		r.put(r.admin, "k", "1")
		r.want(a, "k", "1")
		r.want(a, "absent", nothing)
		leased := r.leased()
		if len(leased) != 2 || leased["k"] == lease.NoLease || leased["absent"] != leased["k"] {
			t.Errorf("the leasing keys are %v, want two with one lease", leased)
		}
		resp, err := r.admin.Get(t.Context(), prefix+"k")
		if err != nil || len(resp.Kvs) != 1 || len(resp.Kvs[0].Value) != 0 {
			t.Errorf("the leasing key is %v, %v; want it without a value", resp, err)
		}
		for range 3 {
			r.inMemory(a, "k", "1")
			r.inMemory(a, "absent", nothing)
		}
		r.put(a, "k", "2")
		r.put(a, "absent", "3")
		r.inMemory(a, "k", "2")
		r.inMemory(a, "absent", "3")
		if _, err := a.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		r.inMemory(a, "k", nothing)
	})
}

// An answer from memory is what the server would answer, but for the header, whose
// revision does not go back.
func TestAnswersAreTheServers(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a := r.kv(0)
		r.put(r.admin, "k", "1") // revision 2
		r.put(r.admin, "k", "2")
		for name, opts := range map[string][]kv.OpOption{
			"plain":                {},
			"keys only":            {kv.WithKeysOnly()},
			"count only":           {kv.WithCountOnly()},
			"limit":                {kv.WithLimit(1)},
			"sort":                 {kv.WithSort(kv.SortByValue, kv.SortDescend)},
			"serializable":         {kv.WithSerializable()},
			"changed since":        {kv.WithMinModRev(3)},
			"changed after":        {kv.WithMinModRev(4)},
			"changed before":       {kv.WithMaxModRev(2)},
			"created since":        {kv.WithMinCreateRev(3)},
			"created before":       {kv.WithMaxCreateRev(2)},
			"not created until":    {kv.WithMaxCreateRev(1)},
			"at an older revision": {kv.WithRev(2)},
			"range":                {kv.WithPrefix()},
		} {
			for _, key := range []string{"k", "absent"} {
				r.value(a, key)
				before := r.asked()
				got, err := a.Get(t.Context(), key, opts...)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if asked := r.asked() - before; (asked != 0) != (name == "range" || name == "at an older revision") {
					t.Errorf("%s of %s: %d requests", name, key, asked)
				}
				want, err := r.admin.Get(t.Context(), key, opts...)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got.Header, want.Header = nil, nil
				if !proto.Equal((*pb.RangeResponse)(got), (*pb.RangeResponse)(want)) {
					t.Errorf("%s of %s: got %v, want %v", name, key, got, want)
				}
			}
		}
		other, err := a.Put(t.Context(), "other", "x")
		if err != nil {
			t.Fatal(err)
		}
		resp, err := a.Get(t.Context(), "k")
		if err != nil || resp.Header.Revision != other.Header.Revision || resp.Header.ClusterId != other.Header.ClusterId {
			t.Errorf("the header is %v, %v, want the Put's %v", resp.Header, err, other.Header)
		}
		resp.Kvs[0].Value[0] = '9'
		r.inMemory(a, "k", "2")
	})
}

// Whoever else writes a key has its owner give it up, and waits for that.
func TestOwnerGivesUp(t *testing.T) {
	for name, write := range map[string]func(r *rig, b kv.KV) error{
		"put": func(r *rig, b kv.KV) error {
			_, err := b.Put(r.t.Context(), "k", "new")
			return err
		},
		"the protocol alone": func(r *rig, _ kv.KV) error {
			r.rawWrite("new")
			return nil
		},
		"transaction": func(r *rig, b kv.KV) error {
			_, err := b.Txn(r.t.Context()).If(kv.Compare(kv.Value("k"), "=", "old")).Then(kv.OpPut("k", "new")).Commit()
			return err
		},
		"nested transaction": func(r *rig, b kv.KV) error {
			_, err := b.Do(r.t.Context(), kv.OpTxn(nil, []kv.Op{kv.OpTxn(nil, []kv.Op{kv.OpPut("k", "new")}, nil)}, nil))
			return err
		},
		"delete and put": func(r *rig, b kv.KV) error {
			resp, err := b.Delete(r.t.Context(), "", kv.WithPrefix())
			if err == nil && resp.Deleted != 3 {
				err = fmt.Errorf("deleted %d keys, want 3", resp.Deleted)
			}
			if err == nil {
				_, err = b.Put(r.t.Context(), "k", "new")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, func(r *rig) {
				t := r.t
				a, b := r.kv(0), r.kv(1)
				for _, key := range []string{"j", "k", "l"} {
					r.put(a, key, "old")
					r.want(a, key, "old")
					r.inMemory(a, key, "old")
				}
				if err := write(r, b); err != nil {
					t.Fatal(err)
				}
				if _, ok := r.leased()["k"]; ok {
					t.Error("the leasing key is there still")
				}
				r.want(a, "k", "new")
				if _, ok := r.leased()["k"]; ok {
					t.Error("the owner has taken the key again at once")
				}
				time.Sleep(3 * time.Second)
				r.want(a, "k", "new")
				r.inMemory(a, "k", "new")
			})
		})
	}
}

// A key that is given up while its first Get is under way is not remembered.
func TestRevokedDuringGet(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a := r.kv(0)
		r.put(r.admin, "k", "old")
		acquired, release := r.hold(true)
		var wg sync.WaitGroup
		wg.Go(func() {
			if got := r.value(a, "k"); got != "old" {
				t.Errorf("the Get that had begun before: %s, want old", got)
			}
		})
		<-acquired
		r.rawWrite("new")
		release()
		wg.Wait()
		r.want(a, "k", "new")
	})
}

// While a process is cut off its memory answers until its lease may have ended, and
// not after.
func TestExpiry(t *testing.T) {
	for name, cut := range map[string]func(r *rig){
		"freeze": func(r *rig) { r.cluster.Member(0).Freeze() },
		"hang":   func(r *rig) { r.cluster.Member(0).Hang() },
		"kill":   func(r *rig) { r.cluster.Member(0).Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 1, func(r *rig) {
				t := r.t
				a := r.kv(0)
				r.put(a, "k", "old")
				r.want(a, "k", "old")
				time.Sleep(time.Minute)
				r.inMemory(a, "k", "old")
				cut(r)
				var written time.Time
				var wg sync.WaitGroup
				wg.Go(func() {
					r.rawWrite("new")
					written = time.Now()
				})
				begin, served := time.Now(), time.Time{}
				for time.Since(begin) < 2*ttl {
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					resp, err := a.Get(ctx, "k")
					cancel()
					if err == nil {
						served = time.Now()
						if got := string(resp.Kvs[0].Value); got != "old" {
							t.Fatalf("the cut off KV has %s", got)
						}
					}
					time.Sleep(200 * time.Millisecond)
				}
				wg.Wait()
				if served.Sub(begin) < ttl/3 {
					t.Errorf("memory answered for %v, want at least %v", served.Sub(begin), ttl/3)
				}
				if !served.Before(written) {
					t.Errorf("memory answered at %v, and others have written at %v", served.Sub(begin), written.Sub(begin))
				}
				r.cluster.Member(0).Thaw()
				r.cluster.Member(0).Resume()
				if name == "kill" {
					r.cluster.Member(0).Start()
				}
				time.Sleep(time.Minute)
				r.want(a, "k", "new") // with another session
				r.inMemory(a, "k", "new")
			})
		})
	}
}

// Memory is asked the clock, not only told that the session has ended.
func TestProvenByTheClock(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a, hear := r.deafKV()
		r.want(a, "k", nothing)
		r.inMemory(a, "k", nothing)
		r.cluster.Member(0).Freeze()
		time.Sleep(ttl)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if resp, err := a.Get(ctx, "k"); err == nil {
			t.Errorf("Get: %v, want an error", resp)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if resp, err := a.Txn(ctx).Then(kv.OpGet("k")).Commit(); err == nil {
			t.Errorf("Txn: %v, want an error", resp)
		}
		r.cluster.Member(0).Thaw()
		close(hear)
	})
}

// Who deletes the leasing keys owns nothing any more, and knows before it is told.
func TestDeletesOwnLeasingKeys(t *testing.T) {
	for name, opts := range map[string][]kv.OpOption{prefix + "k": nil, "": {kv.WithPrefix()}, prefix: {kv.WithPrefix()}, "l": {kv.WithFromKey()}} {
		t.Run(name, func(t *testing.T) {
			run(t, 1, func(r *rig) {
				t := r.t
				a, hear := r.deafKV()
				r.put(r.admin, "k", "1")
				r.want(a, "k", "1")
				if _, err := a.Delete(t.Context(), name, opts...); err != nil {
					t.Fatal(err)
				}
				r.rawWrite("2")
				r.want(a, "k", "2")
				close(hear)
			})
		})
	}
}

// While one's own write is under way memory does not answer, and afterwards it has what
// was written.
func TestWriteUnderWay(t *testing.T) {
	for name, applied := range map[string]bool{"applied": true, "not applied yet": false} {
		for _, owned := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, owned %v", name, owned), func(t *testing.T) {
				run(t, 1, func(r *rig) {
					a := r.kv(0)
					r.put(a, "k", "old")
					if owned {
						r.want(a, "k", "old")
						r.inMemory(a, "k", "old")
					}
					begun, release := r.hold(applied)
					var wg sync.WaitGroup
					wg.Go(func() { r.put(a, "k", "new") })
					<-begun
					for range 3 {
						r.want(a, "k", r.value(r.admin, "k"))
					}
					release()
					wg.Wait()
					r.want(a, "k", "new")
					r.inMemory(a, "k", "new")
				})
			})
		}
	}
}

// A transaction that writes so much that not all of it can be read back is not
// remembered wrongly.
func TestLargeTxn(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a := r.kv(0)
		ops := make([]kv.Op, 64)
		for i := range ops {
			key := fmt.Sprint("k", i)
			r.want(a, key, nothing)
			ops[i] = kv.OpPut(key, "x")
		}
		if _, err := a.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
		before := r.asked()
		for i := range ops {
			r.want(a, fmt.Sprint("k", i), "x")
		}
		if asked := r.asked() - before; asked != 0 {
			t.Errorf("%d requests for what was written, want none", asked)
		}
		ops = append(ops, kv.OpPut("more", "x"))
		if _, err := a.Txn(t.Context()).Then(ops...).Commit(); err == nil {
			t.Error("65 keys were written, and the documentation says 64")
		}
		r.want(a, "k1", "x")
	})
}

// An owner's transaction leaves in memory what each of its keys is afterwards, however
// deep the operations are and whichever branches were taken, and is the server's word.
func TestNestedTxn(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a := r.kv(0)
		var keys []string
		// tree writes a key in each branch of each level, and takes every second Then.
		var tree func(depth int) kv.Op
		tree = func(depth int) kv.Op {
			n := len(keys)
			key := fmt.Sprint("k", n)
			keys = append(keys, key)
			if depth == 0 {
				if n%3 == 0 {
					return kv.OpDelete(key)
				}
				return kv.OpPut(key, "leaf")
			}
			thenOp, elseOp := tree(depth-1), tree(depth-1)
			thenPut, elsePut := kv.OpPut(key, "then"), kv.OpPut(key, "", kv.WithIgnoreValue(), kv.WithIgnoreLease())
			return kv.OpTxn([]kv.Cmp{kv.Compare(kv.Version("other"), "=", n%2)},
				[]kv.Op{thenOp, thenPut}, []kv.Op{elseOp, elsePut})
		}
		op := tree(4)
		for _, key := range keys {
			r.put(r.admin, key, "before")
			r.want(a, key, "before")
		}
		if _, err := a.Do(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		before := r.asked()
		for _, key := range keys {
			got, err := a.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			want, err := r.admin.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got.Kvs, want.Kvs, func(a, b *mvccpb.KeyValue) bool { return proto.Equal(a, b) }) {
				t.Errorf("%s is %v, want %v", key, got.Kvs, want.Kvs)
			}
		}
		if asked := r.asked() - before; asked != 0 {
			t.Errorf("%d requests for what was written, want none", asked)
		}
	})
}

// A write that is applied after it was given up does not change what is in memory.
func TestLateWrite(t *testing.T) {
	for name, write := range map[string]func(ctx context.Context, l kv.KV) error{
		"put": func(ctx context.Context, l kv.KV) error {
			_, err := l.Put(ctx, "k", "late")
			return err
		},
		"transaction": func(ctx context.Context, l kv.KV) error {
			_, err := l.Txn(ctx).Then(kv.OpPut("k", "late")).Commit()
			return err
		},
		"delete of a range": func(ctx context.Context, l kv.KV) error {
			_, err := l.Delete(ctx, "a", kv.WithRange("z"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 1, func(r *rig) {
				t := r.t
				a := r.kv(0)
				r.put(a, "k", "1")
				r.want(a, "k", "1")
				release, applied := make(chan struct{}), make(chan struct{})
				tries, held := 0, 1
				if name == "delete of a range" {
					held = 2 // the first fails at one's own leasing key, and the second knows it
				}
				var mu sync.Mutex
				r.cluster.Member(0).Intercept(func(_ context.Context, method string, req any, next func() (any, error)) (any, error) {
					txn, ok := req.(*pb.TxnRequest)
					if method != pb.KV_Txn_FullMethodName || !ok {
						return next()
					}
					mu.Lock()
					tries++
					hold := tries == held
					mu.Unlock()
					if hold {
						if len(txn.Compare) == 0 {
							t.Errorf("the write has no guard: %v", txn)
						}
						defer close(applied)
						<-release
					}
					return next()
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := write(ctx, a); err == nil {
					t.Fatal("the write that was held up has succeeded")
				}
				r.want(a, "k", "1")
				r.inMemory(a, "k", "1")
				close(release)
				<-applied
				synctest.Wait()
				r.want(r.admin, "k", r.value(a, "k"))
			})
		})
	}
}

// What is in memory after writes that ran together is what the server has.
func TestWritesTogether(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a := r.kv(0)
		r.value(a, "k")
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				val := strconv.Itoa(i)
				var err error
				switch i % 4 {
				case 0, 1:
					_, err = a.Put(t.Context(), "k", val)
				case 2:
					_, err = a.Delete(t.Context(), "k")
				default:
					_, err = a.Txn(t.Context()).
						If(kv.Compare(kv.Version("k"), ">", 3)).
						Then(kv.OpDelete("k")).
						Else(kv.OpTxn(nil, []kv.Op{kv.OpPut("k", val), kv.OpPut("l"+val, "x")}, nil)).
						Commit()
				}
				if err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() { r.value(a, "k") })
		}
		wg.Wait()
		want, err := r.admin.Get(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		before := r.asked()
		got, err := a.Get(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if r.asked() != before {
			t.Error("it was read anew, want it from memory")
		}
		if got.Header.Revision != want.Header.Revision {
			t.Errorf("the revision is %d, want %d", got.Header.Revision, want.Header.Revision)
		}
		got.Header, want.Header = nil, nil
		if !proto.Equal((*pb.RangeResponse)(got), (*pb.RangeResponse)(want)) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// The forms of a write that leave a key to be read anew, or without its leasing key.
func TestWritesAndMemory(t *testing.T) {
	for name, test := range map[string]struct {
		write  func(r *rig, a kv.KV) error
		asked  bool // the next Get asks
		memory bool // the one after it does not
		want   string
	}{
		"ignore value": {func(r *rig, a kv.KV) error {
			_, err := a.Put(r.t.Context(), "k", "", kv.WithIgnoreValue())
			return err
		}, false, true, "1"},
		"a refused put": {func(r *rig, a kv.KV) error {
			if _, err := a.Put(r.t.Context(), "absent", "", kv.WithIgnoreValue()); err == nil {
				return errors.New("a Put without a value has succeeded")
			}
			return nil
		}, false, true, "1"},
		"ignore lease": {func(r *rig, a kv.KV) error {
			_, err := a.Put(r.t.Context(), "k", "2", kv.WithIgnoreLease())
			return err
		}, false, true, "2"},
		"with a lease": {func(r *rig, a kv.KV) error {
			granted, err := lease.New(r.cluster.Member(0).Conn(r.t)).Grant(r.t.Context(), 60)
			if err == nil {
				_, err = a.Put(r.t.Context(), "k", "2", kv.WithLease(granted.ID))
			}
			return err
		}, true, false, "2"},
		"a range": {func(r *rig, a kv.KV) error {
			_, err := a.Delete(r.t.Context(), "k", kv.WithRange("l"))
			return err
		}, false, true, nothing},
		"another range": {func(r *rig, a kv.KV) error {
			_, err := a.Delete(r.t.Context(), "l", kv.WithFromKey())
			return err
		}, true, true, "1"}, // it has all leasing keys, too
		"the leasing key": {func(r *rig, a kv.KV) error {
			_, err := a.Delete(r.t.Context(), prefix+"k")
			return err
		}, true, true, "1"},
		"everything": {func(r *rig, a kv.KV) error {
			_, err := a.Delete(r.t.Context(), "", kv.WithPrefix())
			return err
		}, true, true, nothing},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 1, func(r *rig) {
				t := r.t
				a := r.kv(0)
				r.put(a, "k", "1")
				r.want(a, "k", "1")
				if err := test.write(r, a); err != nil {
					t.Fatal(err)
				}
				before := r.asked()
				r.want(a, "k", test.want)
				if asked := r.asked() - before; (asked > 0) != test.asked {
					t.Errorf("the next Get made %d requests", asked)
				}
				if test.memory {
					r.inMemory(a, "k", test.want)
				} else {
					before := r.asked()
					if r.want(a, "k", test.want); r.asked() == before {
						t.Error("a Get was answered from memory")
					}
				}
			})
		})
	}
}

func TestTxnFromMemory(t *testing.T) {
	version := func(key, op string, n int) kv.Cmp { return kv.Compare(kv.Version(key), op, n) }
	for name, test := range map[string]struct {
		op     kv.Op
		memory bool
	}{
		"get":                     {kv.OpTxn(nil, []kv.Op{kv.OpGet("k")}, nil), true},
		"comparison alone":        {kv.OpTxn([]kv.Cmp{version("k", "=", 2)}, nil, nil), true},
		"comparison that fails":   {kv.OpTxn([]kv.Cmp{version("k", ">", 2)}, []kv.Op{kv.OpGet("k")}, []kv.Op{kv.OpGet("none")}), true},
		"version below":           {kv.OpTxn([]kv.Cmp{version("k", "<", 3)}, nil, nil), true},
		"not the version":         {kv.OpTxn([]kv.Cmp{version("k", "!=", 2)}, nil, nil), true},
		"value":                   {kv.OpTxn([]kv.Cmp{kv.Compare(kv.Value("k"), ">", "1")}, nil, nil), true},
		"no value":                {kv.OpTxn([]kv.Cmp{kv.Compare(kv.Value("none"), "!=", "1")}, nil, nil), true},
		"create revision":         {kv.OpTxn([]kv.Cmp{kv.Compare(kv.CreateRevision("none"), "=", 0)}, nil, nil), true},
		"mod revision":            {kv.OpTxn([]kv.Cmp{kv.Compare(kv.ModRevision("k"), "<", 2)}, nil, nil), true},
		"lease":                   {kv.OpTxn([]kv.Cmp{kv.Compare(kv.LeaseValue("k"), "=", 0)}, nil, nil), true},
		"a write not taken":       {kv.OpTxn([]kv.Cmp{version("none", ">", 0)}, []kv.Op{kv.OpPut("none", "x")}, []kv.Op{kv.OpGet("k", kv.WithKeysOnly())}), true},
		"nested":                  {kv.OpTxn(nil, []kv.Op{kv.OpTxn([]kv.Cmp{version("none", "=", 1)}, nil, []kv.Op{kv.OpGet("k")}), kv.OpGet("none")}, nil), true},
		"nested, nothing in it":   {kv.OpTxn(nil, []kv.Op{kv.OpTxn(nil, nil, nil), kv.OpGet("k")}, nil), true},
		"nothing":                 {kv.OpTxn(nil, nil, nil), true},
		"nothing, and a write":    {kv.OpTxn(nil, nil, []kv.Op{kv.OpPut("none", "x")}), true},
		"an unknown key":          {kv.OpTxn(nil, []kv.Op{kv.OpGet("k"), kv.OpGet("unread")}, nil), false},
		"an unknown comparison":   {kv.OpTxn([]kv.Cmp{version("unread", "=", 0)}, []kv.Op{kv.OpGet("k")}, nil), false},
		"a range":                 {kv.OpTxn(nil, []kv.Op{kv.OpGet("k", kv.WithPrefix())}, nil), false},
		"a comparison of a range": {kv.OpTxn([]kv.Cmp{version("k", "=", 2).WithPrefix()}, []kv.Op{kv.OpGet("k")}, nil), false},
		"an old revision":         {kv.OpTxn(nil, []kv.Op{kv.OpGet("k", kv.WithRev(2))}, nil), false},
		"nested and unknown":      {kv.OpTxn(nil, []kv.Op{kv.OpTxn(nil, []kv.Op{kv.OpGet("unread")}, nil)}, nil), false},
		"a write taken":           {kv.OpTxn([]kv.Cmp{version("none", "=", 0)}, []kv.Op{kv.OpDelete("none")}, nil), false},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 1, func(r *rig) {
				t := r.t
				a := r.kv(0)
				r.put(a, "k", "1")
				r.put(a, "k", "2")
				r.value(a, "k")
				r.value(a, "none")
				before := r.asked()
				cmps, thenOps, elseOps := test.op.Txn()
				got, err := a.Txn(t.Context()).If(cmps...).Then(thenOps...).Else(elseOps...).Commit()
				if err != nil {
					t.Fatal(err)
				}
				if asked := r.asked() - before; (asked == 0) != test.memory {
					t.Errorf("%d requests, want it from memory: %v", asked, test.memory)
				}
				want, err := r.admin.Do(t.Context(), test.op)
				if err != nil {
					t.Fatal(err)
				}
				plain((*pb.TxnResponse)(got))
				plain((*pb.TxnResponse)(want.Txn()))
				if !proto.Equal((*pb.TxnResponse)(got), (*pb.TxnResponse)(want.Txn())) {
					t.Errorf("got %v, want %v", got, want.Txn())
				}
			})
		})
	}
}

// plain removes the headers, which may differ.
func plain(resp *pb.TxnResponse) {
	resp.Header = nil
	for _, part := range resp.Responses {
		switch r := part.Response.(type) {
		case *pb.ResponseOp_ResponseRange:
			r.ResponseRange.Header = nil
		case *pb.ResponseOp_ResponseDeleteRange:
			r.ResponseDeleteRange.Header = nil
		case *pb.ResponseOp_ResponseTxn:
			plain(r.ResponseTxn)
		}
	}
}

// A write waits for an owner that does not answer for as long as its context, and
// then was not applied.
func TestWriterGivesUp(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		a, b := r.kv(0), r.kv(1)
		r.put(a, "k", "1")
		r.want(a, "k", "1")
		r.cluster.Member(0).Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := b.Put(ctx, "k", "2"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put: %v, want that the time was up", err)
		}
		r.want(b, "k", "1")
		r.put(b, "k", "3") // waits for the lease
		r.cluster.Member(0).Thaw()
		time.Sleep(time.Minute)
		r.want(a, "k", "3")
	})
}

// A lease that somebody else revokes takes what is in memory with it, and another
// session is made.
func TestSessionLost(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		_, _, leases := r.services(0)
		granted, err := leases.Grant(t.Context(), 30)
		if err != nil {
			t.Fatal(err)
		}
		a := r.kv(0, session.WithLease(granted.ID))
		r.put(a, "k", "1")
		r.want(a, "k", "1")
		if got := r.leased()["k"]; got != granted.ID {
			t.Errorf("the leasing key has lease %x, want %x", got, granted.ID)
		}
		if _, err := leases.Revoke(t.Context(), granted.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // its leasing keys' deletion is seen
		r.put(r.admin, "k", "2")
		r.want(a, "k", "2")
		time.Sleep(time.Minute)
		r.want(a, "k", "2")
		r.inMemory(a, "k", "2")
		if got := r.leased()["k"]; got == granted.ID || got == lease.NoLease {
			t.Errorf("the leasing key has lease %x, want another than %x", got, granted.ID)
		}
	})
}

// What a cluster that was put back has is not what was in memory.
func TestRestored(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		r.put(r.admin, "k", "1")
		backup := r.cluster.Backup()
		a := r.kv(0)
		r.put(a, "k", "2")
		r.want(a, "k", "2")
		synctest.Wait() // its watch has seen that revision
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		r.cluster.Restore(backup)
		for _, m := range r.cluster.Members() {
			m.Start()
		}
		for {
			_, err := r.admin.Put(t.Context(), "k", "3")
			if err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		r.want(a, "k", "3")
	})
}

// A cluster may be put back while there is no session, and no watch that would notice. Revisions
// of the history that was lost are not told any more.
func TestRestoredBetweenSessions(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		backup := r.cluster.Backup()
		a := r.kv(0)
		for i := range 100 {
			r.put(a, "k", fmt.Sprint(i))
		}
		r.want(a, "k", "99")
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		time.Sleep(2 * ttl)
		r.cluster.Restore(backup)
		for _, m := range r.cluster.Members() {
			m.Start()
		}
		time.Sleep(time.Minute)
		r.put(r.admin, "k", "new")
		r.want(a, "k", "new")
		before, now := r.asked(), r.cluster.Revision()
		got, err := a.Get(t.Context(), "k")
		if err != nil || r.asked() != before {
			t.Fatalf("Get: %v, %v, want an answer from memory", got, err)
		}
		if got.Header.Revision > now {
			t.Errorf("an answer from memory has revision %d, and the cluster is at %d", got.Header.Revision, now)
		}
		txn, err := a.Txn(t.Context()).Then(kv.OpGet("k")).Commit()
		if err != nil || r.asked() != before {
			t.Fatalf("Txn: %v, %v, want an answer from memory", txn, err)
		}
		if part := txn.Responses[0].GetResponseRange().Header.Revision; txn.Header.Revision > now || part > now {
			t.Errorf("a transaction from memory has revisions %d and %d, and the cluster is at %d", txn.Header.Revision, part, now)
		}
	})
}

// A new session that has seen nothing yet knows no revision, so nothing is answered from memory.
func TestNewSessionKnowsNoRevision(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		store, watcher, leases := r.services(0)
		granted, err := leases.Grant(t.Context(), 30)
		if err != nil {
			t.Fatal(err)
		}
		a, err := leasing.New(t.Context(), store, &sighted{Watcher: watcher}, leases, prefix, session.WithTTL(ttl), session.WithLease(granted.ID))
		if err != nil {
			t.Fatal(err)
		}
		r.t.Cleanup(func() { _ = a.Close(context.Background()) })
		if _, err := pb.NewLeaseClient(r.cluster.Member(1).Conn(t)).LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: int64(granted.ID)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // there is another session
		got, err := a.Txn(t.Context()).Commit()
		if err != nil || got.Header.Revision != r.cluster.Revision() {
			t.Errorf("got %v, %v, want revision %d", got, err, r.cluster.Revision())
		}
	})
}

// Close gives up everything, and the KV goes on without memory.
func TestClose(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a := r.kv(0)
		r.put(a, "k", "1")
		r.want(a, "k", "1")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 2 {
			if err := a.Close(ended); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if leased := r.leased(); len(leased) > 0 {
			t.Errorf("the leasing keys %v are left", leased)
		}
		if n := r.cluster.Member(0).Calls(pb.Lease_LeaseRevoke_FullMethodName); n != 1 {
			t.Errorf("the lease was revoked %d times, want 1", n)
		}
		r.put(r.admin, "k", "2")
		r.want(a, "k", "2")
		r.put(a, "k", "3")
		r.want(a, "k", "3")
		if leased := r.leased(); len(leased) > 0 {
			t.Errorf("the closed KV owns %v", leased)
		}
	})
}

// Close returns when the cluster is away.
func TestCloseCutOff(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a := r.kv(0)
		r.put(a, "k", "1")
		r.want(a, "k", "1")
		r.cluster.Member(0).Freeze()
		begin := time.Now()
		if err := a.Close(t.Context()); err == nil {
			t.Error("Close without a cluster has succeeded")
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("Close took %v", took)
		}
		r.cluster.Member(0).Thaw()
	})
}

func TestNewFails(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		store, watcher, leases := r.services(0)
		if _, err := leasing.New(t.Context(), store, watcher, leases, ""); err == nil {
			t.Error("the empty prefix was accepted")
		}
		if _, err := leasing.New(t.Context(), store, watcher, leases, prefix, session.WithTTL(time.Millisecond)); err == nil {
			t.Error("a TTL of 1ms was accepted")
		}
		m := r.cluster.Member(0)
		denied := status.Error(codes.PermissionDenied, "etcdserver: permission denied")
		m.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.KV_Range_FullMethodName {
				return nil, denied // of the snapshot
			}
			return next()
		})
		if _, err := leasing.New(t.Context(), store, watcher, leases, prefix); status.Code(err) != codes.PermissionDenied {
			t.Errorf("New: %v, want %v", err, denied)
		}
		m.Intercept(nil)
		m.Hang()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := leasing.New(ctx, store, watcher, leases, prefix); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("New: %v, want that the time was up", err)
		}
		m.Resume()
		synctest.Wait()
		left, err := lease.New(r.cluster.Member(1).Conn(t)).Leases(t.Context())
		if err != nil || len(left.Leases) > 0 {
			t.Errorf("the leases %v are left, %v", left, err)
		}
	})
}

// A Get whose context has ended is an error even if memory could answer.
func TestCancelled(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a := r.kv(0)
		r.value(a, "k")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := a.Get(ctx, "k"); status.Code(err) != codes.Canceled {
			t.Errorf("Get: %v, want that it was cancelled", err)
		}
		if _, err := a.Txn(ctx).Then(kv.OpGet("k")).Commit(); status.Code(err) != codes.Canceled {
			t.Errorf("Txn: %v, want that it was cancelled", err)
		}
		if _, err := a.Do(t.Context(), kv.Op{}); err == nil {
			t.Error("the zero Op was accepted")
		}
	})
}

// Of readers and writers of many clients none sees an old value after a newer one,
// and no increment is lost.
func TestIncrements(t *testing.T) {
	run(t, 3, func(r *rig) {
		t := r.t
		const increments = 20
		names := []string{"m", "n"}
		var wg sync.WaitGroup
		for i := range 3 {
			l := r.kv(i)
			wg.Go(func() {
				last := make(map[string]int)
				for n := range increments * len(names) {
					name := names[(i+n)%len(names)]
					for done := false; !done; {
						resp, err := l.Get(t.Context(), name)
						if err != nil {
							t.Error(err)
							return
						}
						value, version := 0, int64(0)
						if len(resp.Kvs) > 0 {
							value, _ = strconv.Atoi(string(resp.Kvs[0].Value))
							version = resp.Kvs[0].Version
						}
						if value < last[name] {
							t.Errorf("%s is %d, and was %d before", name, value, last[name])
							return
						}
						txn, err := l.Txn(t.Context()).
							If(kv.Compare(kv.Version(name), "=", version)).
							Then(kv.OpPut(name, strconv.Itoa(value+1))).
							Commit()
						if err != nil {
							t.Error(err)
							return
						}
						last[name] = value
						if done = txn.Succeeded; done {
							last[name]++
						}
					}
					time.Sleep(time.Duration(i*100+n) * time.Millisecond)
				}
			})
		}
		wg.Wait()
		for _, name := range names {
			r.want(r.admin, name, strconv.Itoa(3*increments))
		}
		if leased := r.leased(); !slices.Contains([]int{0, 1, 2}, len(leased)) {
			t.Errorf("the leasing keys are %v", leased)
		}
	})
}

// A write that waits for another client's key was not applied, whatever becomes of what it says to the owner:
// when its context ends while that is under way, the error is not ambiguous.
func TestWriterGivesUpWhileItAsks(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		r.put(r.admin, "k", "v")
		owner := r.kv(1)
		r.want(owner, "k", "v")
		c, err := client.New(client.Config{ // whose errors tell what is ambiguous
			Endpoints:   []string{r.cluster.Member(0).Addr()},
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(r.cluster.Dialer())},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		l, err := leasing.New(t.Context(), c, c, c, prefix, session.WithTTL(ttl))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close(t.Context())
		r.cluster.Member(0).Intercept(func(ctx context.Context, _ string, req any, next func() (any, error)) (any, error) {
			if txn, ok := req.(*pb.TxnRequest); ok && len(txn.Success) > 0 && txn.Success[0].GetRequestTxn() != nil { // REVOKE
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return next()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err = l.Put(ctx, "k", "w"); !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) {
			t.Errorf("got %v (ambiguous: %v), want an error that says for certain that nothing was written", err, client.IsAmbiguous(err))
		}
		r.want(r.admin, "k", "v")
	})
}

// Leasing keys are read as any key can be, and are not kept in memory: those who write them ask no owner.
func TestLeasingKeysAreNotKept(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		l, other := r.kv(0), r.kv(1)
		if got := r.value(l, prefix+"k"); got != nothing {
			t.Fatalf("before, the leasing key is %q, want nothing", got)
		}
		r.want(other, "k", nothing) // which makes the leasing key
		resp, err := l.Get(t.Context(), prefix+"k")
		if err != nil || len(resp.Kvs) != 1 {
			t.Errorf("the leasing key is %v, %v, want the one that the other has made", resp, err)
		}
	})
}
