package ordering_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/ordering"
	"github.com/getcd/getcd/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a cluster of which members can be behind, and a client of it.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	client  *client.Client
}

func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 3)
		c, err := client.New(client.Config{
			Endpoints:   cluster.Addrs(),
			Resolver:    resolver.Options{KeepOrder: true},
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
		})
		if err != nil {
			t.Fatalf("client.New: %v", err)
		}
		defer c.Close()
		if err := c.WaitReady(t.Context()); err != nil {
			t.Fatalf("WaitReady: %v", err)
		}
		time.Sleep(time.Second) // for the standby, too
		test(&rig{t: t, cluster: cluster, client: c})
	})
}

func (r *rig) put(store kv.KV) int64 {
	r.t.Helper()
	resp, err := store.Put(r.t.Context(), "k", "v")
	if err != nil {
		r.t.Fatalf("Put: %v", err)
	}
	return resp.Header.Revision
}

// behind makes the member answer reads at revision 1, until it has caught up.
func (r *rig) behind(i int, until time.Duration) {
	begin := time.Now()
	r.cluster.Member(i).Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
		resp, err := next()
		if err != nil || until > 0 && time.Since(begin) >= until {
			return resp, err
		}
		switch resp := resp.(type) {
		case *pb.RangeResponse:
			resp.Header.Revision = 1
		case *pb.TxnResponse:
			resp.Header.Revision = 1
		}
		return resp, nil
	})
}

// reads are the ways to read.
func reads(ctx context.Context, store kv.KV) map[string]func() (*pb.ResponseHeader, error) {
	op := kv.OpGet("k", kv.WithSerializable())
	txn := kv.OpTxn(nil, []kv.Op{op}, nil)
	header := func(r interface{ GetHeader() *pb.ResponseHeader }, err error) (*pb.ResponseHeader, error) {
		if err != nil {
			return nil, err
		}
		return r.GetHeader(), nil
	}
	return map[string]func() (*pb.ResponseHeader, error){
		"Get": func() (*pb.ResponseHeader, error) {
			r, err := store.Get(ctx, "k", kv.WithSerializable())
			return header((*pb.RangeResponse)(r), err)
		},
		"Do": func() (*pb.ResponseHeader, error) {
			r, err := store.Do(ctx, op)
			return header((*pb.RangeResponse)(r.Get()), err)
		},
		"Do Txn": func() (*pb.ResponseHeader, error) {
			r, err := store.Do(ctx, txn)
			return header((*pb.TxnResponse)(r.Txn()), err)
		},
		"Txn": func() (*pb.ResponseHeader, error) {
			r, err := store.Txn(ctx).Then(op).Commit()
			return header((*pb.TxnResponse)(r), err)
		},
		"nested Txn": func() (*pb.ResponseHeader, error) {
			r, err := store.Txn(ctx).If(kv.Compare(kv.Version("k"), "=", 99)).Else(txn).Commit()
			return header((*pb.TxnResponse)(r), err)
		},
	}
}

func TestRegression(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		store := ordering.NewKV(r.client)
		for name, read := range reads(t.Context(), store) {
			if _, err := read(); err != nil {
				t.Errorf("%s, before: %v", name, err)
			}
		}
		rev := r.put(store) // counts as seen
		r.behind(0, 0)
		for name, read := range reads(t.Context(), store) {
			_, err := read()
			behind, ok := errors.AsType[*ordering.RegressionError](err)
			if !ok || behind.Seen != rev || behind.Got != 1 || behind.MemberID != r.cluster.Member(0).ID() {
				t.Errorf("%s: %v, want a *RegressionError for %d, of member %x", name, err, rev, r.cluster.Member(0).ID())
			}
		}
		if resp, err := ordering.NewKV(r.client).Get(t.Context(), "k"); err != nil || resp.Header.Revision != 1 {
			t.Errorf("who has seen nothing gets %v, %v; want what there is", resp, err)
		}
	})
}

func TestRetryElsewhere(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		store := ordering.NewKV(r.client, ordering.WithRetry(r.client))
		rev := r.put(store)
		r.behind(0, 0)
		for name, read := range reads(t.Context(), store) {
			begin := time.Now()
			header, err := read()
			if err != nil || header.Revision != rev || header.MemberId == r.cluster.Member(0).ID() {
				t.Errorf("%s: %v, %v; want revision %d from another member", name, header, err, rev)
			}
			if took := time.Since(begin); took != 0 {
				t.Errorf("%s took %v, want the other member to be asked at once", name, took)
			}
		}
	})
}

// All members are behind: the read waits for one that catches up, or for its context.
func TestRetryUntilCaughtUp(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		store := ordering.NewKV(r.client, ordering.WithRetry(r.client))
		rev := r.put(store)
		for i := range 3 {
			r.behind(i, 5*time.Second)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := store.Get(ctx, "k", kv.WithSerializable())
		if _, ok := errors.AsType[*ordering.RegressionError](err); !ok || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get: %v, want a *RegressionError and the context's", err)
		}
		begin := time.Now()
		resp, err := store.Get(t.Context(), "k", kv.WithSerializable())
		if err != nil || resp.Header.Revision != rev {
			t.Errorf("Get: %v, %v; want revision %d", resp, err, rev)
		}
		if took := time.Since(begin); took < 3900*time.Millisecond || took > 4300*time.Millisecond {
			t.Errorf("Get took %v, want hardly more than the 4s until the members have caught up", took)
		}
		// Members are asked with pauses.
		calls := 0
		for _, m := range r.cluster.Members() {
			calls += m.Calls(pb.KV_Range_FullMethodName)
		}
		if calls > 200 {
			t.Errorf("the members were asked %d times in 5s, want pauses", calls)
		}
	})
}

func TestViolationFunc(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		enough := errors.New("enough")
		asked := 0
		store := ordering.NewKV(r.client, ordering.WithViolation(func(op kv.Op, resp kv.OpResponse, seen int64) error {
			if asked++; !op.IsGet() || resp.Get().Header.Revision != 1 || seen != r.cluster.Revision() {
				t.Errorf("asked about %v, %v, %d", op, resp, seen)
			}
			if asked == 3 {
				return enough
			}
			return nil
		}))
		r.put(store)
		r.behind(0, 0)
		if _, err := store.Get(t.Context(), "k", kv.WithSerializable()); !errors.Is(err, enough) || asked != 3 {
			t.Errorf("Get: %v, asked %d times; want what the function says, the third time", err, asked)
		}
	})
}

// Writes are not repeated, whatever their answers say.
func TestWrites(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		store := ordering.NewKV(r.client, ordering.WithRetry(r.client))
		rev := r.put(store)
		r.behind(0, 0)
		if _, err := store.Txn(t.Context()).Then(kv.OpPut("k", "w")).Commit(); err != nil {
			t.Errorf("Txn: %v", err)
		}
		if _, err := store.Delete(t.Context(), "k"); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if got := r.cluster.Revision(); got != rev+2 {
			t.Errorf("the revision is %d, want %d", got, rev+2)
		}
		if _, err := store.Txn(t.Context()).Then().If().Commit(); err == nil {
			t.Error("a Txn in the wrong order succeeded")
		}
	})
}

func TestFloor(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		var floor ordering.Floor
		store := ordering.NewKV(r.client, ordering.WithFloor(&floor))
		rev := r.put(store)
		if floor.Revision() != rev {
			t.Errorf("the floor is %d, want %d", floor.Revision(), rev)
		}
		floor.Rise(rev - 1)
		floor.Rise(rev + 1)
		if _, err := store.Get(t.Context(), "k"); err == nil || floor.Revision() != rev+1 {
			t.Errorf("Get below the floor of %d: %v", floor.Revision(), err)
		}
		r.put(r.client)
		if _, err := store.Get(t.Context(), "k"); err != nil {
			t.Errorf("Get: %v", err)
		}
	})
}

// The context ends while the other member is asked, which does not answer: what was found out before is
// in the error all the same.
func TestRetryEndsUnanswered(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		store := ordering.NewKV(r.client, ordering.WithRetry(r.client))
		rev := r.put(store)
		r.behind(0, 0)
		for i := 1; i < 3; i++ {
			r.cluster.Member(i).Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
				if method == pb.KV_Range_FullMethodName {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return next()
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := store.Get(ctx, "k", kv.WithSerializable())
		behind, ok := errors.AsType[*ordering.RegressionError](err)
		if !ok || behind.Seen != rev || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get: %v, want a *RegressionError and the context's", err)
		}
	})
}
