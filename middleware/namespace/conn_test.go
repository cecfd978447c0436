package namespace_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/middleware/namespace"
)

// onConn tests in a bubble, with the keys of the whole store and a connection into
// the namespace p/.
func onConn(t *testing.T, test func(r rig, all func() []string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := rig{t: t, conn: etcdtest.Start(t, 1).Conn(t), wrapped: true}
		test(r, func() []string {
			resp, err := kv.New(r.conn).Get(t.Context(), "", kv.WithPrefix())
			if err != nil {
				t.Fatal(err)
			}
			return keys(resp.Kvs)
		})
	})
}

func TestLocksAreInTheNamespace(t *testing.T) {
	onConn(t, func(r rig, all func() []string) {
		t := r.t
		cc := namespace.NewConn(r.conn, "p/")
		inner, err := lock.New(cc, "l")
		if err != nil {
			t.Fatal(err)
		}
		if err := inner.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := inner.Txn(t.Context()).Then(kv.OpPut("done", "")).Commit(); err != nil {
			t.Errorf("a guarded transaction: %v", err)
		}
		if got, want := all(), []string{"p/done", "p/" + inner.Key()}; !slices.Equal(got, want) {
			t.Errorf("the keys are %q, want %q", got, want)
		}
		outer, err := lock.New(r.conn, "p/l")
		if err != nil {
			t.Fatal(err)
		}
		if err := outer.TryLock(t.Context()); err == nil {
			t.Error("the lock could be had from outside, where it is p/l")
		}
		if err := inner.Unlock(t.Context()); err != nil {
			t.Errorf("Unlock: %v", err)
		}
		if got, want := all(), []string{"p/done"}; !slices.Equal(got, want) {
			t.Errorf("the keys are %q, want %q", got, want)
		}
	})
}

func TestElectionsAreInTheNamespace(t *testing.T) {
	onConn(t, func(r rig, all func() []string) {
		t := r.t
		cc := namespace.NewConn(r.conn, "p/")
		e, err := election.New(cc, "e")
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Campaign(t.Context(), "me"); err != nil {
			t.Fatal(err)
		}
		if got, want := all(), []string{"p/" + e.Key()}; !slices.Equal(got, want) {
			t.Errorf("the keys are %q, want %q", got, want)
		}
		if err := e.Resign(t.Context()); err != nil {
			t.Errorf("Resign: %v", err)
		}
	})
}

// Etcd's own services of locks and elections make keys of names.
func TestNamesOfRPCs(t *testing.T) {
	onConn(t, func(r rig, all func() []string) {
		t := r.t
		cc := namespace.NewConn(r.conn, "p/")
		leases := lease.New(cc)
		defer leases.Close()
		granted, err := leases.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		locks := lock.NewService(cc)
		held, err := locks.Lock(t.Context(), "l", granted.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := all(), []string{"p/" + string(held.Key)}; !slices.Equal(got, want) {
			t.Errorf("the keys are %q, want %q", got, want)
		}
		if _, err := locks.Unlock(t.Context(), string(held.Key)); err != nil {
			t.Errorf("Unlock: %v", err)
		}
		if got := all(); len(got) != 0 {
			t.Errorf("the keys are %q after Unlock", got)
		}
	})
}

// They make keys of an empty name, too.
func TestRPCsWithoutAName(t *testing.T) {
	onConn(t, func(r rig, all func() []string) {
		t := r.t
		locks := v3lockpb.NewLockClient(namespace.NewConn(r.conn, "p/"))
		held, err := locks.Lock(t.Context(), &v3lockpb.LockRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := all(), []string{"p/" + string(held.Key)}; !slices.Equal(got, want) {
			t.Errorf("the keys are %q, want %q", got, want)
		}
		if _, err := locks.Unlock(t.Context(), &v3lockpb.UnlockRequest{Key: held.Key}); err != nil {
			t.Errorf("Unlock: %v", err)
		}
		if got := all(); len(got) != 0 {
			t.Errorf("the keys are %q after Unlock", got)
		}
	})
}

// What a caller passes is the caller's: it may send it again.
func TestRequestsStayAsTheyAre(t *testing.T) {
	onConn(t, func(r rig, _ func() []string) {
		t := r.t
		req := &pb.TxnRequest{
			Compare: []*pb.Compare{{Key: []byte("a"), Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{}}},
			Success: []*pb.RequestOp{
				{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("a"), Value: []byte("v")}}},
				{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{
					Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("b"), RangeEnd: []byte{0}}}}},
				}}},
			},
			Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("a")}}}},
		}
		before := proto.Clone(req)
		if _, err := pb.NewKVClient(namespace.NewConn(r.conn, "p/")).Txn(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(before, req) {
			t.Errorf("the request became %v, was %v", req, before)
		}
	})
}

// A request without a key is refused, as it is without a namespace. It reaches no key, not even the
// one that is the prefix itself.
func TestAKeyThatIsMissingStaysMissing(t *testing.T) {
	onConn(t, func(r rig, all func() []string) {
		t := r.t
		put(t, kv.New(r.conn), "a", "", "p/", "", "p/k", "", "q", "")
		before := all()
		store := pb.NewKVClient(namespace.NewConn(r.conn, "p/"))
		refused := func(what string, err error) {
			t.Helper()
			if !errors.Is(rpctypes.Error(err), rpctypes.ErrEmptyKey) {
				t.Errorf("%s without a key: got %v, want %v", what, err, rpctypes.ErrEmptyKey)
			}
		}
		_, err := store.Put(t.Context(), &pb.PutRequest{Value: []byte("v")})
		refused("a Put", err)
		for _, end := range []string{"", "\x00", "k", "z"} {
			what := fmt.Sprintf(" up to %q", end)
			get := &pb.RangeRequest{RangeEnd: []byte(end)}
			_, err := store.Range(t.Context(), get)
			refused("a Range"+what, err)
			remove := &pb.DeleteRangeRequest{RangeEnd: []byte(end)}
			_, err = store.DeleteRange(t.Context(), remove)
			refused("a DeleteRange"+what, err)
			_, err = store.Txn(t.Context(), &pb.TxnRequest{Compare: []*pb.Compare{{RangeEnd: []byte(end)}}})
			refused("a comparison"+what, err)
			_, err = store.Txn(t.Context(), &pb.TxnRequest{Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: get}}}})
			refused("a transaction's Range"+what, err)
			_, err = store.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: remove}}}})
			refused("a transaction's DeleteRange"+what, err)
		}
		if got := all(); !slices.Equal(got, before) {
			t.Errorf("the keys are %q, want %q", got, before)
		}
	})
}

// A watch without a key begins with the first one, as it does without a namespace.
func TestAWatchWithoutAKey(t *testing.T) {
	onConn(t, func(r rig, _ func() []string) {
		t := r.t
		for _, test := range []struct {
			end  string
			want []string
		}{{"", []string{"p/\x00"}}, {"\x00", []string{"p/a", "p/\x00"}}, {"a", []string{"p/\x00"}}} {
			w, err := pb.NewWatchClient(namespace.NewConn(r.conn, "p/")).Watch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			create := &pb.WatchCreateRequest{RangeEnd: []byte(test.end)}
			if err := w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
				t.Fatal(err)
			}
			if resp, err := w.Recv(); err != nil || !resp.Created {
				t.Fatalf("got %v, %v, want the watch", resp, err)
			}
			for _, key := range []string{"\x00", "a", "p/", "p/a", "q", "p/\x00"} {
				put(t, kv.New(r.conn), key, key)
			}
			var got []string // by their values, which have no prefix that could be removed
			for last := ""; last != "\x00"; {
				resp, err := w.Recv()
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range resp.Events {
					last = string(e.Kv.Key)
					got = append(got, string(e.Kv.Value))
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("up to %q: the watch has %q, want %q", test.end, got, test.want)
			}
		}
	})
}
