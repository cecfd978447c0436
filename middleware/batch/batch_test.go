package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/middleware/batch"
)

// One caller alone sends what it would send without batches, at once, with its own context.
func TestAloneNothingChanges(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		type mark struct{}
		ctx := context.WithValue(t.Context(), mark{}, "mine")
		marked := 0
		r.below.check = func(ctx context.Context, _ string, _ any, _ []grpc.CallOption) {
			if ctx.Value(mark{}) == "mine" {
				marked++
			}
		}
		begin := time.Now()
		for i := range 10 {
			if _, err := r.kv.Put(ctx, &pb.PutRequest{Key: key(i), Value: []byte("v")}); err != nil {
				t.Error(err)
			}
			if _, err := r.kv.Range(ctx, &pb.RangeRequest{Key: key(i)}); err != nil {
				t.Error(err)
			}
			if _, err := r.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: key(i)}); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(begin); took != 30*2*way {
			t.Errorf("30 calls took %v, want %v", took, 30*2*way)
		}
		if marked != 30 {
			t.Errorf("%d calls had their callers' contexts, want 30", marked)
		}
		var want []string
		for range 10 {
			want = append(want, "Put", "Range", "DeleteRange")
		}
		r.wantSent(want...)
	})
}

// The first goes at once, as does the second; the others wait for company: for the first to
// come back, or for enough of them.
func TestCallsTravelTogether(t *testing.T) {
	for what, call := range map[string]func(r *rig, i int) func(){
		"Range": (*rig).get, "Put": (*rig).put,
		"DeleteRange": func(r *rig, i int) func() {
			return func() {
				if _, err := r.kv.DeleteRange(r.t.Context(), &pb.DeleteRangeRequest{Key: key(i)}); err != nil {
					r.t.Error(err)
				}
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				begin := time.Now()
				at(times(26, func(i int) { call(r, i)() })...)
				if took := time.Since(begin); took > 4*way+time.Millisecond {
					t.Errorf("they took %v, want hardly more than two round trips of %v", took, 2*way)
				}
				r.wantSent(what, what, "4 "+what+"s", "16 "+what+"s", "4 "+what+"s")
			})
		})
	}
}

// The kinds do not wait for each other, and do not travel together: puts may be refused for
// want of space when deletions are not.
func TestKindsTravelApart(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		var all []func()
		for i := range 10 {
			all = append(all, r.put(i), r.get(i), func() {
				if _, err := r.kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: key(100 + i)}); err != nil {
					t.Error(err)
				}
			}, func() {
				if _, err := r.kv.Range(t.Context(), &pb.RangeRequest{Key: key(i), Serializable: true}); err != nil {
					t.Error(err)
				}
			})
		}
		r.below.check = func(_ context.Context, _ string, req any, _ []grpc.CallOption) {
			kinds := map[string]bool{}
			for _, op := range req2ops(req) {
				kinds[fmt.Sprintf("%T %v", op.Request, op.GetRequestRange().GetSerializable())] = true
			}
			if len(kinds) > 1 {
				t.Errorf("sent together: %v", kinds)
			}
		}
		at(all...)
		if n := len(r.below.sent()); n > 20 {
			t.Errorf("40 calls took %d requests", n)
		}
	})
}

func req2ops(req any) []*pb.RequestOp {
	txn, _ := req.(*pb.TxnRequest)
	return txn.GetSuccess()
}

// Reads that are the same are asked once, and each caller gets an answer of its own.
func TestIdenticalReadsAreAskedOnce(t *testing.T) {
	for name, req := range map[string]*pb.RangeRequest{
		"of a key":  {Key: key(1)},
		"of a few":  {Key: key(0), RangeEnd: key(9), Limit: 3},
		"of all":    {Key: key(0), RangeEnd: key(9)},
		"of counts": {Key: key(0), RangeEnd: key(9), CountOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				at(times(9, func(i int) { r.put(i)() })...)
				want, err := r.plain.Range(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				r.below.sent()
				at(times(100, func(int) {
					resp, err := r.kv.Range(t.Context(), proto.CloneOf(req))
					if err != nil || !proto.Equal(resp, want) {
						t.Errorf("got %v, %v; want %v", resp, err, want)
						return
					}
					resp.Header.Revision = -1 // nobody else's
					for _, kv := range resp.Kvs {
						kv.Key[0], kv.Value = 'X', nil
					}
				})...)
				// The first one or two are alone, and the others share a question.
				if sent := r.below.sent(); len(sent) > 3 {
					t.Errorf("sent %q, want at most three questions", sent)
				}
			})
		})
	}
}

// A read is never answered by a question that was sent before the read began.
func TestReadSeesWhatWasWrittenBefore(t *testing.T) {
	for name, end := range map[string][]byte{"of a key": nil, "of a range": key(9)} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				t := r.t
				read := func() string {
					resp, err := r.kv.Range(t.Context(), &pb.RangeRequest{Key: key(1), RangeEnd: end})
					if err != nil || len(resp.Kvs) == 0 {
						return ""
					}
					return string(resp.Kvs[0].Value)
				}
				old := func() { read() }
				at(old, old, old, old, func() {
					time.Sleep(way + time.Millisecond) // the first have been answered, and their answers are on the way
					if _, err := r.plain.Put(t.Context(), &pb.PutRequest{Key: key(1), Value: []byte("new")}); err != nil {
						t.Error(err)
					}
					if got := read(); got != "new" {
						t.Errorf("read %q after the put of %q", got, "new")
					}
				})
			})
		})
	}
}

// Writes of a key, and of ranges with it, are applied in the order of their calls, and never
// in one transaction.
func TestOrderOfAKey(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		write := func(value string, key, end []byte) func() {
			return func() {
				var err error
				if value == "" {
					_, err = r.kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: key, RangeEnd: end})
				} else {
					_, err = r.kv.Put(t.Context(), &pb.PutRequest{Key: key, Value: []byte(value)})
				}
				if err != nil {
					t.Error(err)
				}
			}
		}
		k, all := key(1), []byte{0}
		at(
			write("1", k, nil), write("other", key(7), nil), write("2", k, nil), write("", k, nil), write("3", k, nil),
			write("", key(0), key(5)), write("4", k, nil), write("", []byte("a"), all), write("5", k, nil), write("6", k, nil),
		)
		resp, err := r.plain.Range(t.Context(), &pb.RangeRequest{Key: []byte("a"), RangeEnd: all})
		if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "6" || resp.Kvs[0].Version != 2 {
			t.Errorf("%v, %v; want 6, the second since the last deletion", resp, err)
		}
		if got := r.cluster.Revision(); got != 11 {
			t.Errorf("the revision is %d, want one for each of ten writes", got)
		}
	})
}

// A caller that leaves the order lets the next one go on.
func TestLeavingTheOrder(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		var mu sync.Mutex
		var errs []error
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		put := func(ctx context.Context, value string) func() {
			return func() {
				_, err := r.kv.Put(ctx, &pb.PutRequest{Key: key(1), Value: []byte(value)})
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		}
		deleted := func() {
			if _, err := r.kv.DeleteRange(short, &pb.DeleteRangeRequest{Key: key(0), RangeEnd: key(9)}); err == nil {
				t.Error("a deletion whose context ended while it waited succeeded")
			}
		}
		at(put(t.Context(), "1"), put(short, "2"), put(t.Context(), "3"), deleted, put(short, "4"), put(t.Context(), "5"))
		failed := 0
		for _, err := range errs {
			if err != nil {
				failed++
				if !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) || status.Code(err) != codes.DeadlineExceeded {
					t.Errorf("%v, want the end of the context, for certain", err)
				}
			}
		}
		resp, err := r.plain.Range(t.Context(), &pb.RangeRequest{Key: key(1)})
		if err != nil || failed != 2 || string(resp.Kvs[0].Value) != "5" || resp.Kvs[0].Version != 3 {
			t.Errorf("%d failed, and there is %v, %v; want 2, and the third version", failed, resp, err)
		}
	})
}

// A caller whose context ends gets its error at once, and the others their answers: if its
// call was not sent, it is certain that it was not applied; if it was, nobody knows.
func TestContextsEnd(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		begin := time.Now()
		ending := func(in time.Duration, i int, ambiguous bool) func() {
			return func() {
				ctx, cancel := context.WithTimeout(t.Context(), in)
				defer cancel()
				_, err := r.kv.Put(ctx, &pb.PutRequest{Key: key(i), Value: []byte("v")})
				if !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) != ambiguous || status.Code(err) != codes.DeadlineExceeded ||
					strings.Contains(err.Error(), "may have been applied") != ambiguous || !strings.HasPrefix(err.Error(), "etcd Put: ") {
					t.Errorf("Put %d: %v, want the end of the context; ambiguous: %v", i, err, ambiguous)
				}
				if took := time.Since(begin); took > in+time.Millisecond {
					t.Errorf("Put %d took %v, want no more than its %v", i, took, in)
				}
			}
		}
		at(
			r.put(0), r.put(1), r.put(2), ending(3*time.Millisecond, 3, true), r.put(4), r.put(5), // four together
			ending(2*time.Millisecond, 6, false), ending(12*time.Millisecond, 7, true), r.put(8), r.put(9),
		)
		r.wantSent("Put", "Put", "4 Puts", "3 Puts")
		for i, want := range []int{1, 1, 1, 1, 1, 1, 0, 1, 1, 1} {
			resp, err := r.plain.Range(t.Context(), &pb.RangeRequest{Key: key(i)})
			if err != nil || len(resp.Kvs) != want {
				t.Errorf("key %d: %v, %v; want %d", i, resp, err, want)
			}
		}
	})
}

// A caller that has left may change its request.
func TestRequestsAreCopies(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		leaving := func(i int) func() {
			return func() {
				ctx, cancel := context.WithTimeout(t.Context(), way/2)
				defer cancel()
				req := &pb.PutRequest{Key: key(i), Value: []byte("v")}
				if _, err := r.kv.Put(ctx, req); !client.IsAmbiguous(err) {
					t.Errorf("Put: %v, want that its fate is unknown", err)
				}
				copy(req.Key, "xxxx")
				req.Value = nil
			}
		}
		at(r.put(0), r.put(1), leaving(2), leaving(3), r.put(4), leaving(5))
		for i := range 6 {
			resp, err := r.plain.Range(t.Context(), &pb.RangeRequest{Key: key(i)})
			if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "v" {
				t.Errorf("key %d: %v, %v; want what was to be put when the call was made", i, resp, err)
			}
		}
	})
}

// Nobody waits for the answer to a read of any number of keys, but who asks for the same.
func TestLargeReadsTravelAlone(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		large := func(i int, req *pb.RangeRequest) func() {
			req.Key = key(i)
			return func() {
				if _, err := r.kv.Range(t.Context(), req); err != nil {
					t.Error(err)
				}
			}
		}
		at(
			r.get(0), r.get(1), r.get(2),
			large(0, &pb.RangeRequest{RangeEnd: []byte{0}}),
			large(1, &pb.RangeRequest{RangeEnd: []byte{0}, Limit: 1000}),
			large(2, &pb.RangeRequest{RangeEnd: []byte{0}, CountOnly: true}),
			large(3, &pb.RangeRequest{RangeEnd: []byte{0}, Limit: 1, SortTarget: pb.RangeRequest_MOD}),
			large(4, &pb.RangeRequest{RangeEnd: []byte{0}, Limit: 1, MinModRevision: 1}),
			r.get(3), r.get(4), large(5, &pb.RangeRequest{RangeEnd: []byte{0}, Limit: 1}),
		)
		r.wantSent("Range", "Range", "Range", "Range", "Range", "Range", "Range", "4 Ranges")
	})
}

// The request of a batch has the latest of its callers' deadlines, and ends with its last
// caller.
func TestBatchEndsWithItsLastCaller(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		began := time.Now()
		canceled := make(chan time.Duration, 1)
		r.below.check = func(ctx context.Context, method string, _ any, _ []grpc.CallOption) {
			if method != pb.KV_Txn_FullMethodName {
				return
			}
			if d, ok := ctx.Deadline(); !ok || d.Sub(began).Round(time.Second) != 3*time.Second {
				t.Errorf("the deadline is in %v, want that of the last caller", d.Sub(began))
			}
			context.AfterFunc(ctx, func() { canceled <- time.Since(began) })
			time.Sleep(time.Second)
		}
		get := func(until, leave time.Duration) func() {
			return func() {
				ctx, cancel := context.WithTimeout(t.Context(), until)
				defer cancel()
				time.AfterFunc(leave, cancel)
				if _, err := r.kv.Range(ctx, &pb.RangeRequest{Key: key(int(until))}); !errors.Is(err, context.Canceled) || client.IsAmbiguous(err) {
					t.Errorf("Range: %v, want the end of the context", err)
				}
			}
		}
		at(r.get(0), r.get(1), get(time.Second, 100*time.Millisecond), get(3*time.Second, 200*time.Millisecond), get(2*time.Second, 50*time.Millisecond), get(time.Second+1, 60*time.Millisecond))
		if at := <-canceled; at.Round(10*time.Millisecond) != 200*time.Millisecond {
			t.Errorf("the request ended after %v, want 200ms, when its last caller left", at)
		}
		synctest.Wait()
		time.Sleep(2 * time.Second)
	})
}

// Calls with other metadata or options travel apart; those with options of their own alone.
func TestMetadataAndOptionsAreTheCallers(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		seen := map[string]int{}
		r.below.check = func(ctx context.Context, _ string, req any, opts []grpc.CallOption) {
			md, _ := metadata.FromOutgoingContext(ctx)
			waits := slices.ContainsFunc(opts, func(o grpc.CallOption) bool {
				f, ok := o.(grpc.FailFastCallOption)
				return ok && !f.FailFast
			})
			r.below.mu.Lock()
			defer r.below.mu.Unlock()
			for _, op := range req2ops(req) {
				key := string(slices.Concat(op.GetRequestRange().GetKey(), op.GetRequestPut().GetKey(), op.GetRequestDeleteRange().GetKey()))
				if key[4:] != fmt.Sprint(md["token"], waits) {
					t.Errorf("%s was sent with %v and %v", key, md, opts)
				}
				seen[fmt.Sprintf("%T %s", op.Request, key[4:])]++
			}
		}
		var all []func()
		for i := range 60 {
			ctx := t.Context()
			var opts []grpc.CallOption
			if i%3 > 0 {
				ctx = metadata.AppendToOutgoingContext(ctx, "token", fmt.Sprint(i%3))
			}
			if i%2 > 0 {
				opts = append(opts, grpc.WaitForReady(true))
			}
			md, _ := metadata.FromOutgoingContext(ctx)
			key := fmt.Append(key(i), fmt.Sprint(md["token"], i%2 > 0))
			all = append(all, func() {
				if _, err := r.kv.Range(ctx, &pb.RangeRequest{Key: key}, opts...); err != nil {
					t.Error(err)
				}
			}, func() {
				if _, err := r.kv.Put(ctx, &pb.PutRequest{Key: key}, opts...); err != nil {
					t.Error(err)
				}
			}, func() {
				if _, err := r.kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: key, RangeEnd: append(key, 0)}, opts...); err != nil {
					t.Error(err)
				}
			})
		}
		at(all...)
		if len(seen) != 18 {
			t.Errorf("sent %v, want six kinds of batches for each operation", seen)
		}
		r.below.sent()
		r.below.check = nil
		var header metadata.MD
		at(r.get(0), r.get(1), r.get(2), func() {
			if _, err := r.kv.Range(t.Context(), &pb.RangeRequest{Key: key(3)}, grpc.Header(&header)); err != nil {
				t.Error(err)
			}
		}, r.get(4))
		r.wantSent("Range", "Range", "Range", "2 Ranges")
		if header == nil {
			t.Error("the caller has not got its RPC's header")
		}
	})
}

// Whatever is not a single read or write passes through.
func TestOthersPassThrough(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		var all []func()
		for i := range 10 {
			all = append(all, func() {
				if _, err := r.kv.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key(i)}}}}}); err != nil {
					t.Error(err)
				}
			}, func() {
				if _, err := pb.NewLeaseClient(batch.NewConn(r.below)).LeaseGrant(t.Context(), &pb.LeaseGrantRequest{TTL: 60}); err != nil {
					t.Error(err)
				}
			})
		}
		at(all...)
		var want []string
		for range 10 {
			want = append(want, "1 Puts", "LeaseGrant")
		}
		r.wantSent(want...)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := pb.NewWatchClient(batch.NewConn(r.below)).Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: key(0)}}}); err != nil {
			t.Fatal(err)
		}
		if resp, err := stream.Recv(); err != nil || !resp.Created {
			t.Errorf("watch: %v, %v", resp, err)
		}
	})
}

// Misuse is an error, as it is without batches.
func TestMisuse(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		for name, call := range map[string]func() error{
			"the connection is nil": func() error {
				_, err := pb.NewKVClient(batch.NewConn(nil)).Put(t.Context(), &pb.PutRequest{Key: key(0)})
				return err
			},
			"the context is nil": func() error {
				_, err := r.kv.Put(nil, &pb.PutRequest{Key: key(0)}) //nolint:staticcheck // the misuse
				return err
			},
			"a call option is nil": func() error {
				_, err := r.kv.Range(t.Context(), &pb.RangeRequest{Key: key(0)}, nil)
				return err
			},
		} {
			if err := call(); err == nil || !strings.Contains(err.Error(), name) || status.Code(err) != codes.InvalidArgument {
				t.Errorf("%v, want that %s", err, name)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.kv.Put(ended, &pb.PutRequest{Key: key(0)}); status.Code(err) != codes.Canceled {
			t.Errorf("with a context that has ended: %v", err)
		}
	})
}

// Calls that come while those before are stuck do not wait for them for long.
func TestStuckBatchesDelayNobody(t *testing.T) {
	run(t, func(r *rig) {
		stuck := make(chan struct{})
		for i := range 2 {
			r.below.mu.Lock()
			r.below.check = func(context.Context, string, any, []grpc.CallOption) { <-stuck }
			r.below.mu.Unlock()
			go r.put(i)()
			go r.get(i)()
			synctest.Wait()
		}
		r.below.mu.Lock()
		r.below.check = nil
		r.below.mu.Unlock()
		start := time.Now()
		at(r.put(2), r.put(3), r.get(2))
		if took := time.Since(start); took > 250*time.Millisecond {
			t.Errorf("calls behind stuck ones took %v, want at most 250ms", took)
		}
		r.wantSent("2 Puts", "Put", "Put", "Range", "Range", "Range")
		close(stuck)
		synctest.Wait()
		time.Sleep(time.Second)
	})
}

// After an answer that was too large to share a batch, calls go alone; but not for ever: small answers,
// of single calls too, make batches large again.
func TestLargeAnswersAreForgotten(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		large := make([]byte, 600<<10)
		for i := range 6 {
			if _, err := pb.NewKVClient(r.below).Put(t.Context(), &pb.PutRequest{Key: key(i), Value: large}); err != nil {
				t.Fatal(err)
			}
		}
		at(times(6, func(i int) { r.get(i)() })...)
		r.below.sent()
		for i := range 40 { // one after the other, of keys with small values
			r.get(100 + i)()
		}
		r.below.sent()
		at(times(26, func(i int) { r.get(100 + i)() })...)
		r.wantSent("Range", "Range", "4 Ranges", "16 Ranges", "4 Ranges")
	})
}
