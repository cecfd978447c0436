package once_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/middleware/leasing"
	"github.com/getcd/getcd/middleware/namespace"
	"github.com/getcd/getcd/middleware/once"
	"github.com/getcd/getcd/resolver"
)

// loseEverySecond loses the answer of every second copy of a write, after it was applied.
func (r *rig) loseEverySecond() *tape {
	tp := &tape{}
	for _, m := range r.cluster.Members() {
		m.Intercept(tp.hook(func(n int, ctx context.Context, next func() (any, error)) (any, error) {
			if n%2 == 0 {
				return lostAfter(ctx, next)
			}
			return next()
		}))
	}
	return tp
}

// What would write to the slots is refused, and so is what once does not understand. Nothing is
// sent.
func TestRefused(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		inside := slotsPrefix + "x"
		nested := kv.OpTxn(nil, []kv.Op{kv.OpGet("a")}, []kv.Op{kv.OpTxn(nil, nil, []kv.Op{kv.OpPut(inside, "")})})
		for name, op := range map[string]kv.Op{
			"a put":                    kv.OpPut(inside, ""),
			"a put of the prefix":      kv.OpPut(slotsPrefix, ""),
			"a deletion":               kv.OpDelete(inside),
			"a deletion of a range":    kv.OpDelete("a", kv.WithRange("p")),
			"a deletion within":        kv.OpDelete(inside, kv.WithPrefix()),
			"a deletion from a key on": kv.OpDelete("b", kv.WithFromKey()),
			"a deletion of all keys":   kv.OpDelete("", kv.WithPrefix()),
			"a nested put":             nested,
		} {
			_, err := r.c.Do(t.Context(), op)
			if status.Code(err) != codes.InvalidArgument || client.IsAmbiguous(err) || !strings.Contains(err.Error(), `"once/"`) {
				t.Errorf("%s: got %v, want an error that names the prefix", name, err)
			}
		}
		for name, op := range map[string]kv.Op{
			"beside":            kv.OpPut("once", ""),
			"after":             kv.OpPut("once0", ""),
			"a range before":    kv.OpDelete("a", kv.WithRange(slotsPrefix)),
			"a range after":     kv.OpDelete("once0", kv.WithFromKey()),
			"a read":            kv.OpGet("", kv.WithPrefix()),
			"a read in a write": kv.OpTxn(nil, []kv.Op{kv.OpGet("", kv.WithPrefix()), kv.OpPut("a", "")}, nil),
		} {
			if _, err := r.c.Do(t.Context(), op); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		err := r.c.Conn().Invoke(t.Context(), pb.KV_Put_FullMethodName, &pb.PutRequest{Key: []byte("k")}, &emptypb.Empty{})
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "emptypb.Empty") {
			t.Errorf("a reply of another type: got %v", err)
		}
		before := r.cluster.Member(0).Calls(pb.KV_Txn_FullMethodName)
		for want, c := range map[string]*once.Conn{
			"the prefix is empty":         once.NewConn(r.cluster.Conn(t), ""),
			"WithTTL is given -1 seconds": once.NewConn(r.cluster.Conn(t), "o/", once.WithTTL(-1)),
			"WithSlots is given 0":        once.NewConn(r.cluster.Conn(t), "o/", once.WithSlots(0)),
			"option 1 is nil":             once.NewConn(r.cluster.Conn(t), "o/", nil),
			"once":                        once.NewConn(nil, "o/"),
		} {
			if _, err := kv.New(c).Put(t.Context(), "k", ""); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want an error with %q", err, want)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if n := r.cluster.Member(0).Calls(pb.KV_Txn_FullMethodName); n != before {
			t.Errorf("%d requests were sent by connections that were misused", n-before)
		}
	})
}

// The server's limit of operations counts the slot, and the nesting of what has two branches.
func TestLimitOfOperations(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		puts := func(n int) (ops []kv.Op) {
			for i := range n {
				ops = append(ops, kv.OpPut(fmt.Sprint("k", i), ""))
			}
			return ops
		}
		yes := []kv.Cmp{kv.Compare(kv.Version("k"), "=", 0)}
		for _, c := range []struct {
			op   kv.Op
			fits bool
		}{
			{kv.OpTxn(nil, puts(127), nil), true},
			{kv.OpTxn(nil, puts(128), nil), false},
			{kv.OpTxn(yes, puts(126), puts(126)), true},
			{kv.OpTxn(yes, puts(127), nil), false},
		} {
			_, err := r.c.Do(t.Context(), c.op)
			if c.fits != (err == nil) || err != nil && (!errors.Is(err, rpctypes.ErrTooManyOps) || client.IsAmbiguous(err)) {
				t.Errorf("got %v, want success: %v", err, c.fits)
			}
		}
	})
}

// Without a role for the slots the error says what is missing.
func TestPermission(t *testing.T) {
	users := map[string]string{"root": "r", "u": "p"}
	run(t, 2, func(c *client.Config) { c.Username, c.Password = "u", "p" }, func(r *rig) {
		t := r.t
		admin := pb.NewAuthClient(r.cluster.Conn(t))
		grant := func(key, end string) {
			t.Helper()
			_, err := admin.RoleGrantPermission(t.Context(), &pb.AuthRoleGrantPermissionRequest{Name: "writer", Perm: &authpb.Permission{PermType: authpb.READWRITE, Key: []byte(key), RangeEnd: []byte(end)}})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"root", "u"} {
			if _, err := admin.UserAdd(t.Context(), &pb.AuthUserAddRequest{Name: name, Password: users[name]}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := admin.RoleAdd(t.Context(), &pb.AuthRoleAddRequest{Name: "writer"}); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.UserGrantRole(t.Context(), &pb.AuthUserGrantRoleRequest{User: "u", Role: "writer"}); err != nil {
			t.Fatal(err)
		}
		grant("k", "")
		enable := func() {
			t.Helper()
			if _, err := admin.AuthEnable(t.Context(), &pb.AuthEnableRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := admin.UserGrantRole(t.Context(), &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"}); err != nil {
			t.Fatal(err)
		}
		enable()
		_, err := r.c.Put(r.timeout(time.Minute), "k", "")
		if !errors.Is(err, rpctypes.ErrPermissionDenied) || client.IsAmbiguous(err) || !strings.Contains(err.Error(), `read and write the keys with the prefix "once/"`) {
			t.Errorf("got %v, want %v, and the role that is missing", err, rpctypes.ErrPermissionDenied)
		}
		r.cluster.DisableAuth()
		grant(slotsPrefix, kv.GetPrefixRangeEnd(slotsPrefix))
		enable()
		if _, err := r.c.Put(r.timeout(time.Minute), "k", ""); err != nil {
			t.Errorf("with the role: %v", err)
		}
		_, err = r.c.Put(r.timeout(time.Minute), "j", "")
		if !errors.Is(err, rpctypes.ErrPermissionDenied) || strings.Contains(err.Error(), "prefix") {
			t.Errorf("got %v, want %v, and nothing of slots", err, rpctypes.ErrPermissionDenied)
		}
	})
}

// A write that comes while another one is told that there is no slot gets one all the same.
func TestWriteAfterARefusal(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		var refuse atomic.Bool
		r.cluster.Member(0).Intercept(func(_ context.Context, method string, req any, next func() (any, error)) (any, error) {
			if txn, ok := req.(*pb.TxnRequest); ok && method == pb.KV_Txn_FullMethodName && len(txn.Success) > 1 && refuse.Swap(false) {
				return nil, rpctypes.ErrGRPCPermissionDenied
			}
			return next()
		})
		plain := dial(t, r.cluster, func(c *client.Config) { c.Middleware = nil }).Conn()
		for range 300 { // the moment is short
			conn := once.NewConn(plain, slotsPrefix)
			store := kv.New(conn)
			refuse.Store(true)
			if _, err := store.Put(r.timeout(time.Minute), "k", ""); !errors.Is(rpctypes.Error(err), rpctypes.ErrPermissionDenied) {
				t.Fatalf("got %v, want the refusal", err)
			}
			if _, err := store.Put(r.timeout(time.Minute), "k", ""); err != nil {
				t.Fatalf("after the refusal: %v", err)
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A namespace may be above or below.
func TestNamespaces(t *testing.T) {
	for name, c := range map[string]struct {
		middleware []client.Middleware
		slots      string
	}{
		"above": {[]client.Middleware{namespace.Of("jobs/"), once.Of(slotsPrefix)}, slotsPrefix},
		"below": {[]client.Middleware{once.Of(slotsPrefix), namespace.Of("jobs/")}, "jobs/" + slotsPrefix},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, func(cfg *client.Config) { cfg.Middleware = c.middleware }, func(r *rig) {
				t := r.t
				r.put("k", "0")
				tp := r.loseEverySecond()
				txn, err := r.c.Txn(t.Context()).If(kv.Compare(kv.Value("k"), "=", "0")).
					Then(kv.OpPut("k", "1", kv.WithPrevKV()), kv.OpGet("k")).Commit()
				if err != nil || !txn.Succeeded || txn.Header.Revision != r.get("jobs/k").GetModRevision() ||
					string(txn.Responses[0].GetResponsePut().GetPrevKv().GetKey()) != "k" || string(txn.Responses[1].GetResponseRange().GetKvs()[0].GetValue()) != "1" {
					t.Errorf("got %v, %v", txn, err)
				}
				slots, err := r.outside.Get(t.Context(), c.slots, kv.WithPrefix())
				if err != nil || len(slots.Kvs) != 8 {
					t.Errorf("got %v, %v, want 8 slots under %s", slots, err, c.slots)
				}
				tp.replay(r)
			})
		})
	}
}

// Locks' guarded transactions, the leasing cache and the façade work on it.
func TestWhatStandsOnIt(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		m, err := lock.New(r.c.Conn(), "locks/l")
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.loseEverySecond()
		for i := range 4 {
			txn, err := m.Txn(t.Context()).Then(kv.OpPut("guarded", "", kv.WithPrevKV())).Commit()
			if err != nil || !txn.Succeeded || r.get("guarded").GetVersion() != int64(i+1) {
				t.Errorf("a guarded transaction: got %v, %v, and the store has %v", txn, err, r.get("guarded"))
			}
		}
		if err := m.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	})
	run(t, 2, nil, func(r *rig) {
		t := r.t
		l, err := leasing.New(t.Context(), r.c, r.c, r.c, "leasing/")
		if err != nil {
			t.Fatal(err)
		}
		r.loseEverySecond()
		for i := range 6 {
			if _, err := l.Put(t.Context(), "k", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			if got, err := l.Get(t.Context(), "k"); err != nil || string(got.Kvs[0].Value) != fmt.Sprint(i) || got.Kvs[0].Version != int64(i+1) || r.get("k").GetVersion() != int64(i+1) {
				t.Errorf("%d: got %v, %v, and the store has %v", i, got, err, r.get("k"))
			}
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	run(t, 2, nil, func(r *rig) {
		t := r.t
		cli, err := clientv3.NewWith(clientv3.Config{Endpoints: r.cluster.Addrs(), DialOptions: r.cluster.DialOptions()}, func(n *client.Config) {
			n.Middleware = []client.Middleware{once.Of("facade/" + slotsPrefix)}
			n.Resolver = resolver.Options{KeepOrder: true}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer cli.Close()
		if _, err := cli.Put(t.Context(), "k", "0"); err != nil {
			t.Fatal(err)
		}
		r.loseEverySecond()
		for i := range 4 {
			resp, err := cli.Put(t.Context(), "k", "", clientv3.WithPrevKV())
			if err != nil || resp.PrevKv.Version != int64(i+1) {
				t.Errorf("%d: got %v, %v", i, resp, err)
			}
		}
		if _, err := cli.Delete(t.Context(), "", clientv3.WithPrefix()); err == nil {
			t.Error("the slots can be deleted")
		}
	})
}

// A program written for clientv3 must not take an applied write for one that was refused: the
// error is the one of etcd's that leaves the outcome open.
func TestFacadeOfAppliedWrites(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		cli, err := clientv3.NewWith(clientv3.Config{Endpoints: r.cluster.Addrs(), DialOptions: r.cluster.DialOptions()}, func(n *client.Config) {
			n.Middleware = []client.Middleware{once.Of(slotsPrefix)}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer cli.Close()
		if _, err := cli.Put(t.Context(), "k", "0"); err != nil {
			t.Fatal(err)
		}
		var tp tape
		for _, m := range r.cluster.Members() {
			m.Intercept(tp.hook(func(n int, ctx context.Context, next func() (any, error)) (any, error) {
				if n > 0 {
					return next()
				}
				_, _ = next()
				resp, err := r.outside.Put(ctx, "other", "")
				if err == nil {
					_, err = r.outside.Compact(ctx, resp.Header.Revision)
				}
				if err != nil {
					t.Error(err)
				}
				return nil, errLost
			}))
		}
		_, err = cli.Put(r.timeout(time.Minute), "k", "1", clientv3.WithPrevKV())
		if err != rpctypes.ErrTimeout || r.get("k").GetVersion() != 2 { //nolint:errorlint // clientv3's programs compare
			t.Errorf("got %v, want %v, and the store has %v", err, rpctypes.ErrTimeout, r.get("k"))
		}
	})
}

// Whoever deletes the slots from outside stops no write, and lets no late copy in.
func TestSlotsAreDeleted(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		var tp tape
		var made []*pb.TxnRequest
		keep := tp.hook(func(_ int, _ context.Context, next func() (any, error)) (any, error) { return next() })
		r.cluster.Member(0).Intercept(func(ctx context.Context, method string, req any, next func() (any, error)) (any, error) {
			if txn, ok := req.(*pb.TxnRequest); ok && len(txn.GetCompare()) == 1 && txn.GetCompare()[0].GetTarget() == pb.Compare_CREATE {
				if !slices.ContainsFunc(made, func(o *pb.TxnRequest) bool { return proto.Equal(o, txn) }) {
					made = append(made, txn)
				}
			}
			return keep(ctx, method, req, next)
		})
		for range 10 {
			r.put("k", "")
		}
		if _, err := r.outside.Delete(t.Context(), slotsPrefix, kv.WithPrefix()); err != nil {
			t.Fatal(err)
		}
		for _, c := range made {
			if resp, err := r.stub.Txn(t.Context(), c); err != nil || !resp.GetSucceeded() {
				t.Fatalf("the slots were not made once more: %v, %v", resp, err)
			}
		}
		for range 10 {
			r.put("k", "")
		}
		tp.replay(r)
		if k := r.get("k"); k.GetVersion() != 20 || len(made) != 2 {
			t.Errorf("the key was written %d times, by %d writers, want 20 times, by two", k.GetVersion(), len(made))
		}
		if bytes.Equal(made[0].GetCompare()[0].GetKey(), made[len(made)-1].GetCompare()[0].GetKey()) {
			t.Error("the second writer has the first one's slots")
		}
	})
}

// The lease of slots that were lost is revoked, as soon as no write has one of the others.
func TestLeaseOfLostSlots(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		r.put("k", "")
		wantLeases := func(want int, why string) {
			t.Helper()
			synctest.Wait()
			resp, err := pb.NewLeaseClient(r.cluster.Conn(t)).LeaseLeases(t.Context(), &pb.LeaseLeasesRequest{})
			if err != nil || len(resp.GetLeases()) != want {
				t.Errorf("the leases are %v, %v; want %d: %s", resp, err, want, why)
			}
		}
		var tp tape
		release, done := make(chan struct{}), make(chan error, 1)
		r.cluster.Member(0).Intercept(tp.hook(func(n int, _ context.Context, next func() (any, error)) (any, error) {
			if n == 0 {
				<-release
			}
			return next()
		}))
		go func() {
			_, err := r.c.Put(r.timeout(time.Minute), "k", "")
			done <- err
		}()
		synctest.Wait()
		for _, s := range r.slots() {
			if bytes.Equal(s.Key, tp.all()[0].GetCompare()[0].GetKey()) {
				continue
			}
			if _, err := r.outside.Delete(t.Context(), string(s.Key)); err != nil {
				t.Fatal(err)
			}
		}
		r.put("k", "")
		wantLeases(2, "a write has a slot of the first one")
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		wantLeases(1, "no write has one any more")
		if k, n := r.get("k"), len(r.slots()); k.GetVersion() != 3 || n != 8 {
			t.Errorf("the key was written %d times, and there are %d slots; want 3 and 8", k.GetVersion(), n)
		}
	})
}

// An error names the caller's operation, and not the transaction that it was sent as.
func TestErrorsNameTheWrite(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		r.put("warm", "")
		for op, write := range map[string]func(ctx context.Context) error{
			"Put":         func(ctx context.Context) error { _, err := r.c.Put(ctx, "k", ""); return err },
			"DeleteRange": func(ctx context.Context) error { _, err := r.c.Delete(ctx, "k"); return err },
			"Txn": func(ctx context.Context) error {
				_, err := r.c.Txn(ctx).Then(kv.OpPut("k", "")).Commit()
				return err
			},
		} {
			for fault, tt := range map[string]struct {
				hook func(ctx context.Context, next func() (any, error)) (any, error)
				want error
			}{
				"refused": {func(context.Context, func() (any, error)) (any, error) { return nil, rpctypes.ErrGRPCPermissionDenied }, rpctypes.ErrPermissionDenied},
				"late":    {neverApplied, context.DeadlineExceeded},
			} {
				var tp tape
				r.cluster.Member(0).Intercept(tp.hook(func(_ int, ctx context.Context, next func() (any, error)) (any, error) { return tt.hook(ctx, next) }))
				err := write(r.timeout(time.Second))
				e, ok := errors.AsType[*client.Error](err)
				if !ok || e.Op != op || !errors.Is(err, tt.want) {
					t.Errorf("%s, %s: %v; want an error of %s that is %v", op, fault, err, op, tt.want)
				}
				if got := client.IsAmbiguous(err); got != (fault == "late") {
					t.Errorf("%s, %s: ambiguous is %v: %v", op, fault, got, err)
				}
			}
		}
	})
}
