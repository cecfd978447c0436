package batch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/batch"
	"github.com/getcd/getcd/middleware/once"
)

// wants says what a call has to end with.
func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if status.Code(err) != status.Code(want) || status.Convert(err).Message() != status.Convert(want).Message() {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// Nobody fails for another's mistake: each of the calls of a batch that was refused is sent
// alone.
func TestRefusedBatchIsSentAsSingleCalls(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		put := func(req *pb.PutRequest, want error) func() {
			return func() {
				_, err := r.kv.Put(t.Context(), req)
				wants(t, string(req.Key), err, want)
			}
		}
		read := func(rev int64, want error) func() {
			return func() {
				_, err := r.kv.Range(t.Context(), &pb.RangeRequest{Key: fmt.Appendf(nil, "at%d", rev), Revision: rev})
				wants(t, fmt.Sprintf("Range at %d", rev), err, want)
			}
		}
		for range 5 {
			r.cluster.Member(0).Calls("")
			at(r.put(0), r.put(1),
				r.put(2), put(&pb.PutRequest{Key: []byte("lease"), Lease: 12345}, rpctypes.ErrGRPCLeaseNotFound), r.put(3), r.put(4),
				put(&pb.PutRequest{Key: []byte("none"), IgnoreValue: true}, rpctypes.ErrGRPCKeyNotFound), r.put(5), r.put(6), r.put(7))
			at(r.get(0), r.get(1), r.get(2), read(1<<40, rpctypes.ErrGRPCFutureRev), r.get(3), r.get(4), r.get(5), read(1<<41, rpctypes.ErrGRPCFutureRev), r.get(6))
			// These are refused whatever the store has, so they keep nobody's company.
			at(r.put(0), r.put(1), r.put(2), put(&pb.PutRequest{Value: []byte("v")}, rpctypes.ErrGRPCEmptyKey), r.put(3), r.put(4),
				put(&pb.PutRequest{Key: key(5), IgnoreLease: true, Lease: 1}, rpctypes.ErrGRPCLeaseProvided), r.put(5),
				put(&pb.PutRequest{Key: key(6), IgnoreValue: true, Value: []byte("v")}, rpctypes.ErrGRPCValueProvided), r.put(6))
		}
	})
}

// A caller that leaves while its batch is refused is not sent alone, and its key is free.
func TestLeavingARefusedBatch(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		ctx, cancel := context.WithTimeout(t.Context(), way)
		defer cancel()
		at(r.put(0), r.put(1), r.put(2), r.put(3), func() {
			if _, err := r.kv.Put(ctx, &pb.PutRequest{Key: key(9), Value: []byte("v")}); !client.IsAmbiguous(err) {
				t.Errorf("%v, want that the write's fate is unknown", err)
			}
		}, func() {
			_, err := r.kv.Put(t.Context(), &pb.PutRequest{Key: key(5), Lease: 1})
			wants(t, "Put", err, rpctypes.ErrGRPCLeaseNotFound)
		}, r.put(9))
		resp, err := r.plain.Range(t.Context(), &pb.RangeRequest{Key: key(9)})
		if err != nil || len(resp.Kvs) != 1 || resp.Kvs[0].Version != 1 {
			t.Errorf("%v, %v; want the second put alone", resp, err)
		}
	})
}

// The limits of a server are learned from its refusals.
func TestLimitsAreLearned(t *testing.T) {
	for name, refuse := range map[string]func(req *pb.TxnRequest) error{
		"of operations": func(req *pb.TxnRequest) error {
			if len(req.Success) > 10 {
				return rpctypes.ErrGRPCTooManyOps
			}
			return nil
		},
		"of bytes": func(req *pb.TxnRequest) error {
			if proto.Size(req) > 2000 {
				return rpctypes.ErrGRPCRequestTooLarge
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				refused := 0
				r.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
					if txn, ok := req.(*pb.TxnRequest); ok {
						if err := refuse(txn); err != nil {
							refused++
							return nil, err
						}
					}
					return next()
				})
				put := func(i int) {
					if _, err := r.kv.Put(t.Context(), &pb.PutRequest{Key: key(i), Value: make([]byte, 100)}); err != nil {
						t.Error(err)
					}
				}
				for range 10 {
					at(times(200, put)...)
				}
				if refused == 0 || refused > 10 {
					t.Errorf("%d batches were refused, want a few", refused)
				}
			})
		})
	}
}

// Servers may be given larger limits, so they are tried again.
func TestLimitsAreTriedAgain(t *testing.T) {
	for _, refusal := range []error{rpctypes.ErrGRPCTooManyOps, rpctypes.ErrGRPCRequestTooLarge} {
		t.Run(refusal.Error(), func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				r.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
					if txn, ok := req.(*pb.TxnRequest); ok && len(txn.Success) > 4 {
						return nil, refusal
					}
					return next()
				})
				puts := times(200, func(i int) { r.put(i)() })
				for range 10 {
					at(puts...)
				}
				r.cluster.Member(0).Intercept(nil)
				for range 10 {
					r.below.sent()
					at(puts...)
				}
				if n := r.largest(); n > 10 {
					t.Errorf("soon after the refusals there is a batch of %d, want small ones", n)
				}
				time.Sleep(time.Minute)
				for range 10 {
					r.below.sent()
					at(puts...)
				}
				if n := r.largest(); n < 50 {
					t.Errorf("a minute later the largest batch is one of %d, want larger ones", n)
				}
			})
		})
	}
}

// Where refusals are frequent, batches become small; they grow again.
func TestRefusalsMakeBatchesSmall(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		bad := func() {
			_, err := r.kv.Put(t.Context(), &pb.PutRequest{Key: []byte("bad"), Lease: 1})
			wants(t, "Put", err, rpctypes.ErrGRPCLeaseNotFound)
		}
		for range 20 {
			at(times(50, func(i int) {
				if i == 10 {
					bad()
				} else {
					r.put(i)()
				}
			})...)
		}
		r.below.sent()
		at(times(50, func(i int) { r.put(i)() })...)
		if n := r.largest(); n > 32 {
			t.Errorf("after many refusals there is a batch of %d, want small ones", n)
		}
		for range 20 {
			at(times(50, func(i int) { r.put(i)() })...)
		}
		r.below.sent()
		at(times(400, func(i int) { r.put(i)() })...)
		if n := r.largest(); n < 100 {
			t.Errorf("after a while without refusals the largest batch is one of %d", n)
		}
	})
}

// Answers that are too large for the connection together are asked for again one by one;
// writes with previous values do not fail for those of others.
func TestLargeAnswers(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		value := bytes.Repeat([]byte("x"), 10_000)
		for i := range 100 {
			if _, err := r.plain.Put(t.Context(), &pb.PutRequest{Key: key(i), Value: value}); err != nil {
				t.Fatal(err)
			}
		}
		at(times(100, func(i int) {
			resp, err := r.kv.Range(t.Context(), &pb.RangeRequest{Key: key(i)})
			if err != nil || len(resp.Kvs) != 1 || !bytes.Equal(resp.Kvs[0].Value, value) {
				t.Errorf("Range %d: %v", i, err)
			}
		})...)
		at(times(100, func(i int) {
			resp, err := r.kv.Put(t.Context(), &pb.PutRequest{Key: key(i), Value: value, PrevKv: true})
			if err != nil || !bytes.Equal(resp.PrevKv.GetValue(), value) {
				t.Errorf("Put %d: %v", i, err)
			}
		})...)
		at(times(100, func(i int) {
			resp, err := r.kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: key(i), PrevKv: true})
			if err != nil || len(resp.PrevKvs) != 1 || !bytes.Equal(resp.PrevKvs[0].Value, value) {
				t.Errorf("DeleteRange %d: %v", i, err)
			}
		})...)
	}, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(15_000)))
}

// Large values travel alone, and so does nobody with them.
func TestLargeValuesTravelAlone(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		large := func(i int) func() {
			return func() {
				if _, err := r.kv.Put(t.Context(), &pb.PutRequest{Key: key(i), Value: make([]byte, 20_000)}); err != nil {
					t.Error(err)
				}
			}
		}
		at(large(0), large(1), r.put(2), large(3), r.put(4), r.put(5), large(6))
		r.wantSent("Put", "Put", "Put", "Put", "Put", "Put", "Put")
	})
}

// What is refused for want of space does not take deletions with it, which make space.
func TestNoSpaceSparesDeletions(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		r.cluster.Member(0).Intercept(func(_ context.Context, method string, req any, next func() (any, error)) (any, error) {
			puts := method == pb.KV_Put_FullMethodName
			for _, op := range req2ops(req) {
				puts = puts || op.GetRequestPut() != nil
			}
			if puts {
				return nil, rpctypes.ErrGRPCNoSpace
			}
			return next()
		})
		at(times(20, func(i int) {
			if i%2 == 0 {
				if _, err := r.kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: key(i)}); err != nil {
					t.Error(err)
				}
				return
			}
			_, err := r.kv.Put(t.Context(), &pb.PutRequest{Key: key(i)})
			wants(t, "Put", err, rpctypes.ErrGRPCNoSpace)
		})...)
		for _, sent := range r.below.sent() {
			if sent == "Put" && r.cluster.Member(0).Calls(pb.KV_Put_FullMethodName) > 3 {
				t.Error("puts that may have been applied were sent again")
			}
		}
	})
}

// A server whose answer does not fit the request: nobody knows what became of writes, and
// reads are asked again.
func TestAnswerThatDoesNotFit(t *testing.T) {
	for name, spoil := range map[string]func(*pb.TxnResponse){
		"too few":      func(r *pb.TxnResponse) { r.Responses = r.Responses[1:] },
		"none":         func(r *pb.TxnResponse) { r.Responses = nil },
		"another type": func(r *pb.TxnResponse) { r.Responses[1].Response = &pb.ResponseOp_ResponseTxn{} },
		"empty":        func(r *pb.TxnResponse) { r.Responses[1].Response = nil },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				r.cluster.Member(0).Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
					resp, err := next()
					if txn, ok := resp.(*pb.TxnResponse); ok {
						spoil(txn)
					}
					return resp, err
				})
				var mu sync.Mutex
				failed := 0
				at(times(10, func(i int) {
					if _, err := r.kv.Put(t.Context(), &pb.PutRequest{Key: key(i)}); err != nil {
						mu.Lock()
						defer mu.Unlock()
						if failed++; status.Code(err) != codes.Internal || !client.IsAmbiguous(err) {
							t.Errorf("%v (ambiguous: %v), want that the fate of the put is unknown", err, client.IsAmbiguous(err))
						}
					}
				})...)
				if failed != 8 {
					t.Errorf("%d puts failed, want those of batches", failed)
				}
				at(times(10, func(i int) { r.get(i)() })...)
				failed = 0
				at(times(10, func(i int) {
					if _, err := r.kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: key(i)}); err != nil {
						mu.Lock()
						defer mu.Unlock()
						if failed++; !client.IsAmbiguous(err) {
							t.Errorf("%v, want that the fate of the deletion is unknown", err)
						}
					}
				})...)
				if failed != 8 {
					t.Errorf("%d deletions failed, want those of batches", failed)
				}
			})
		})
	}
}

// On a client, errors are the client's, each with its own operation.
func TestErrorsOfAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 1)
		c, err := client.New(client.Config{
			Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions(), Middleware: []client.Middleware{batch.NewConn},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			switch method {
			case pb.KV_Put_FullMethodName, pb.KV_DeleteRange_FullMethodName, pb.KV_Txn_FullMethodName:
				time.Sleep(time.Millisecond)
				resp, err := next()
				if err != nil {
					return resp, err
				}
				return nil, rpctypes.ErrGRPCTimeout // applied, and the answer is lost
			}
			return next()
		})
		check := func(op string, err error) {
			t.Helper()
			e, ok := errors.AsType[*client.Error](err)
			if !ok || e.Op != op || !client.IsAmbiguous(err) || !errors.Is(err, rpctypes.ErrTimeout) {
				t.Errorf("%s: %v, want that its fate is unknown, because of a timeout", op, err)
			}
		}
		var all []func()
		for i := range 10 {
			all = append(all, func() {
				_, err := c.Put(t.Context(), string(key(i)), "v")
				check("Put", err)
			}, func() {
				_, err := c.Delete(t.Context(), string(key(100+i)))
				check("DeleteRange", err)
			})
		}
		at(all...)
		if resp, err := c.Get(t.Context(), "k", kv.WithPrefix(), kv.WithCountOnly()); err != nil || resp.Count != 10 {
			t.Errorf("%v, %v; want what was put, once", resp, err)
		}
		if n := cluster.Member(0).Calls(pb.KV_Put_FullMethodName) + cluster.Member(0).Calls(pb.KV_Txn_FullMethodName); n > 12 {
			t.Errorf("%d requests, want that none was sent again", n)
		}
	})
}

// What package once beneath knows of a batch, each of its callers is told: here, that it was
// applied, and that its answer was lost and can't be read from the store.
func TestAppliedBatchWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 1)
		c, err := client.New(client.Config{
			Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions(),
			Middleware: []client.Middleware{batch.NewConn, once.Of("once/")},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Put(t.Context(), "warm", ""); err != nil { // which makes the slots
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		var mu sync.Mutex
		lost := make(map[string]bool)
		cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			switch r := req.(type) {
			case *pb.RangeRequest:
				if r.Revision != 0 { // of the store's history
					return nil, rpctypes.ErrGRPCPermissionDenied
				}
			case *pb.TxnRequest:
				time.Sleep(time.Millisecond)
				slot := string(r.Compare[0].Key)
				mu.Lock()
				first := len(r.Success) > 2 && !lost[slot]
				lost[slot] = true
				mu.Unlock()
				if first {
					_, _ = next()
					return nil, status.Error(codes.Unavailable, "the answer is lost")
				}
			}
			return next()
		})
		failed := 0
		at(times(10, func(i int) {
			_, err := c.Put(t.Context(), string(key(i)), "v", kv.WithPrevKV())
			if err == nil {
				return // it was alone
			}
			mu.Lock()
			defer mu.Unlock()
			failed++
			if _, ok := errors.AsType[*once.AppliedError](err); !ok || !client.IsAmbiguous(err) {
				t.Errorf("%v (ambiguous: %v), want a *once.AppliedError", err, client.IsAmbiguous(err))
			}
		})...)
		if failed < 5 {
			t.Errorf("%d puts failed, want those of batches", failed)
		}
		if resp, err := c.Get(t.Context(), "k", kv.WithPrefix(), kv.WithCountOnly()); err != nil || resp.Count != 10 {
			t.Errorf("%v, %v; want all that was put", resp, err)
		}
	})
}

// A client's batches survive the death of the member: reads are answered, and writes either
// succeed or say that their fate is unknown.
func TestMemberDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 3)
		c, err := client.New(client.Config{
			Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions(), Middleware: []client.Middleware{batch.NewConn},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for n := range 100 {
					time.Sleep(time.Millisecond)
					k, v := string(key(i)), fmt.Sprint(n)
					if _, err := c.Put(t.Context(), k, v); err != nil && !client.IsAmbiguous(err) {
						t.Errorf("Put: %v", err)
					} else if err != nil {
						continue
					}
					if resp, err := c.Get(t.Context(), k); err != nil || string(resp.Kvs[0].Value) != v {
						t.Errorf("Get: %v, %v; want %s", resp, err, v)
					}
				}
			})
		}
		time.Sleep(30 * time.Millisecond)
		for _, e := range c.Endpoints() {
			if e.Role.String() == "active" {
				cluster.ByID(e.MemberID).Kill()
			}
		}
		wg.Wait()
	})
}

// Calls of a program that uses clientv3's names travel together, and its errors are clientv3's.
func TestFacade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 1)
		cli, err := clientv3.NewWith(clientv3.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()},
			func(n *client.Config) { n.Middleware = []client.Middleware{batch.NewConn} })
		if err != nil {
			t.Fatal(err)
		}
		defer cli.Close()
		var all []func()
		for i := range 100 {
			all = append(all, func() {
				if _, err := cli.Put(t.Context(), string(key(i)), "v"); err != nil {
					t.Error(err)
				}
			}, func() {
				if _, err := cli.Get(t.Context(), string(key(i))); err != nil {
					t.Error(err)
				}
			})
		}
		all = append(all, func() {
			if _, err := cli.Put(t.Context(), "lease", "v", clientv3.WithLease(1)); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
				t.Errorf("Put: %v", err)
			}
		})
		var wg sync.WaitGroup
		for _, f := range all {
			wg.Go(f)
		}
		wg.Wait()
		m := cluster.Member(0)
		if n := m.Calls(pb.KV_Put_FullMethodName) + m.Calls(pb.KV_Range_FullMethodName); n > 150 {
			t.Errorf("%d of 200 calls were single requests", n)
		}
		m.Hang()
		at(times(10, func(i int) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := cli.Put(ctx, string(key(i)), "v"); err != context.DeadlineExceeded { //nolint:errorlint // clientv3's programs compare
				t.Errorf("Put: %v, want the context's error itself", err)
			}
		})...)
		m.Resume()
	})
}

// A panic below a call, which its caller survives, leaves nothing behind.
func TestPanicBelow(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		r.below.check = func(context.Context, string, any, []grpc.CallOption) { panic("an interceptor's") }
		func() {
			defer func() { _ = recover() }()
			r.put(1)()
		}()
		r.below.check = nil
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := r.kv.Put(ctx, &pb.PutRequest{Key: key(1)}); err != nil {
			t.Errorf("Put: %v", err)
		}
	})
}
