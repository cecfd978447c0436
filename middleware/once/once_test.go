package once_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/once"
)

// Wherever the answer of a write is lost, the write happens once and is answered, and none of
// its copies is ever applied again.
func TestLostAnswers(t *testing.T) {
	for name, lose := range map[string]func(context.Context, func() (any, error)) (any, error){
		"before it is applied": lostBefore, "after it was applied": lostAfter,
		"never answered, applied": neverAnswered, "never answered, not applied": neverApplied,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				r.put("warm", "")
				var tp tape
				for _, m := range r.cluster.Members() {
					m.Intercept(tp.hook(func(n int, ctx context.Context, next func() (any, error)) (any, error) {
						if n%2 == 0 {
							return lose(ctx, next)
						}
						return next()
					}))
				}
				began := time.Now()
				for i := range 10 {
					resp, err := r.c.Put(r.timeout(time.Minute), "k", fmt.Sprint(i), kv.WithPrevKV())
					if err != nil {
						t.Fatal(err)
					}
					if k := r.get("k"); k.GetModRevision() != resp.Header.Revision || k.GetVersion() != int64(i+1) {
						t.Errorf("write %d was answered with revision %d, and the store has %v", i, resp.Header.Revision, k)
					}
					if i > 0 && string(resp.PrevKv.GetValue()) != fmt.Sprint(i-1) {
						t.Errorf("write %d: the previous value is %v, want %d", i, resp.PrevKv, i-1)
					}
				}
				if took := time.Since(began); took > 10*250*time.Millisecond {
					t.Errorf("10 writes took %v, want some 100 ms each at most", took)
				}
				if len(tp.all()) != 20 {
					t.Errorf("%d copies were sent of 10 writes, want two of each", len(tp.all()))
				}
				tp.replay(r)
				if k := r.get("k"); k.GetVersion() != 10 {
					t.Errorf("the key was written %d times, want 10", k.GetVersion())
				}
			})
		})
	}
}

// Without faults a write is one request, and nothing else is sent.
func TestCostsNoRoundTrip(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		r.put("k", "")
		time.Sleep(time.Second) // the lease's first renewal
		calls := func() (n int) {
			for _, m := range r.cluster.Members() {
				for _, method := range []string{pb.KV_Txn_FullMethodName, pb.KV_Put_FullMethodName, pb.KV_Range_FullMethodName, pb.Lease_LeaseGrant_FullMethodName} {
					n += m.Calls(method)
				}
			}
			return n
		}
		before, rev := calls(), r.get("k").GetModRevision()
		for range 10 {
			r.put("k", "")
		}
		if n := calls() - before; n != 10+1 { // and get's
			r.t.Errorf("10 writes took %d requests, want 10", n-1)
		}
		if got := r.get("k").GetModRevision() - rev; got != 10 {
			r.t.Errorf("10 writes took %d revisions, want 10", got)
		}
		if n := len(r.slots()); n != 8 {
			r.t.Errorf("there are %d slots, want 8", n)
		}
	})
}

// A member that was stopped carries out its copies late, when their slots have been used again.
func TestLateCopies(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.put("k", "")
		r.cluster.Member(0).Freeze()
		for i := range 50 {
			r.put("k", fmt.Sprint(i))
		}
		r.cluster.Member(0).Thaw()
		time.Sleep(10 * time.Second)
		if k := r.get("k"); k.GetVersion() != 51 || string(k.GetValue()) != "49" {
			t.Errorf("after 51 writes the key is %v", k)
		}
	})
}

// A write whose context ends in doubt is ambiguous. Its slot is deleted, which fences the write,
// and never used again.
func TestContextEndsInDoubt(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.put("k", "")
		var tp tape
		for _, m := range r.cluster.Members() {
			m.Intercept(tp.hook(func(_ int, ctx context.Context, next func() (any, error)) (any, error) {
				return neverApplied(ctx, next)
			}))
		}
		for range 3 {
			_, err := r.c.Put(r.timeout(time.Second), "k", "x")
			if !errors.Is(err, context.DeadlineExceeded) || !client.IsAmbiguous(err) {
				t.Errorf("got %v (ambiguous: %v), want the deadline, and doubt", err, client.IsAmbiguous(err))
			}
		}
		for _, m := range r.cluster.Members() {
			m.Intercept(nil)
		}
		time.Sleep(time.Second)
		fenced := make(map[string]bool)
		for _, c := range tp.all() {
			fenced[string(c.GetCompare()[0].GetKey())] = true
		}
		for _, s := range r.slots() {
			if fenced[string(s.GetKey())] {
				t.Errorf("the slot %s is there, though its write is in doubt", s.GetKey())
			}
		}
		if len(fenced) != 3 {
			t.Errorf("3 writes used %d slots, want 3", len(fenced))
		}
		tp.replay(r)
		r.put("k", "y")
		if k := r.get("k"); k.GetVersion() != 2 {
			t.Errorf("the key was written %d times, want twice", k.GetVersion())
		}
	})
}

// A context that ends before anything was sent leaves no doubt, also while the writer's own
// requests are in doubt.
func TestContextEndsUnsent(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		for _, m := range r.cluster.Members() {
			m.Hang()
			defer m.Resume()
		}
		_, err := r.c.Put(r.timeout(time.Second), "k", "x")
		if !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) {
			r.t.Errorf("got %v (ambiguous: %v), want the deadline, and certainty", err, client.IsAmbiguous(err))
		}
	})
}

// When the writer's lease has ended, the next write begins another one. Copies of the old writes
// do nothing.
func TestLeaseEnds(t *testing.T) {
	run(t, 2, func(c *client.Config) { c.Middleware = []client.Middleware{once.Of(slotsPrefix, once.WithTTL(5))} }, func(r *rig) {
		t := r.t
		var tp tape
		r.cluster.Member(0).Intercept(tp.hook(func(_ int, _ context.Context, next func() (any, error)) (any, error) { return next() }))
		r.put("k", "")
		time.Sleep(20 * time.Second)
		if n := len(r.slots()); n != 8 {
			t.Fatalf("after four times to live there are %d slots, want 8: the lease is kept", n)
		}
		r.revokeAll()
		if n := len(r.slots()); n != 0 {
			t.Fatalf("%d slots have outlived their lease", n)
		}
		r.put("k", "")
		tp.replay(r)
		if k := r.get("k"); k.GetVersion() != 2 {
			t.Errorf("the key was written %d times, want twice", k.GetVersion())
		}
	})
}

// revokeAll revokes all leases.
func (r *rig) revokeAll() {
	r.t.Helper()
	leases, err := r.c.Leases(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, l := range leases.Leases {
		if _, err := pb.NewLeaseClient(r.cluster.Conn(r.t)).LeaseRevoke(r.t.Context(), &pb.LeaseRevokeRequest{ID: int64(l.ID)}); err != nil {
			r.t.Error(err)
		}
	}
}

// When the lease ends while a write is in doubt, the slot's history tells what became of it.
func TestLeaseEndsInDoubt(t *testing.T) {
	for name, lose := range map[string]func(context.Context, func() (any, error)) (any, error){"applied": lostAfter, "not applied": lostBefore} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				r.put("k", "0")
				for range 20 {
					if _, err := r.outside.Put(t.Context(), "other", ""); err != nil {
						t.Fatal(err)
					}
				}
				var tp tape
				for _, m := range r.cluster.Members() {
					m.Intercept(tp.hook(func(n int, ctx context.Context, next func() (any, error)) (any, error) {
						if n > 0 {
							return next()
						}
						defer func() {
							r.revokeAll() //nolint:contextcheck // the test's
							for range 20 {
								_, _ = r.outside.Put(ctx, "other", "")
							}
						}()
						return lose(ctx, next)
					}))
				}
				resp, err := r.c.Put(r.timeout(time.Minute), "k", "1", kv.WithPrevKV())
				if err != nil {
					t.Fatal(err)
				}
				if k := r.get("k"); k.GetVersion() != 2 || k.GetModRevision() != resp.Header.Revision || string(resp.PrevKv.GetValue()) != "0" {
					t.Errorf("answered with %v, and the store has %v", resp, k)
				}
				tp.replay(r)
			})
		})
	}
}

// A write whose answer can't be read from the store any more says that it was applied.
func TestCompacted(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.put("k", "0")
		lose := func() {
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
		}
		lose()
		_, err := r.c.Put(r.timeout(time.Minute), "k", "1", kv.WithPrevKV())
		var applied *once.AppliedError
		if !errors.As(err, &applied) || !errors.Is(err, rpctypes.ErrCompacted) || !client.IsAmbiguous(err) || !applied.Succeeded {
			t.Fatalf("got %v, want an *AppliedError that is %v", err, rpctypes.ErrCompacted)
		}
		if k := r.get("k"); k.GetModRevision() != applied.Revision || k.GetVersion() != 2 {
			t.Errorf("the error says revision %d, and the store has %v", applied.Revision, k)
		}
		lose()
		if resp := r.put("k", "2"); resp.Header.Revision != r.get("k").GetModRevision() {
			t.Errorf("what needs no history: got %v, and the store has %v", resp, r.get("k"))
		}
		// The branch is in the slot.
		lose()
		txn, err := r.c.Txn(r.timeout(time.Minute)).If(kv.Compare(kv.Version("k"), "=", 7)).Then(kv.OpPut("a", "")).Else(kv.OpPut("b", "")).Commit()
		if err != nil || txn.Succeeded || r.get("b").GetModRevision() != txn.Header.Revision {
			t.Errorf("got %v, %v, want the Else branch at %v", txn, err, r.get("b"))
		}
	})
}

// compact puts a key, and compacts all before.
func (r *rig) compact() {
	r.t.Helper()
	resp, err := r.outside.Put(r.t.Context(), "other", "")
	if err == nil {
		_, err = r.outside.Compact(r.t.Context(), resp.Header.Revision)
	}
	if err != nil {
		r.t.Error(err)
	}
}

// A write that finds its slot gone was not applied, if no other copy of it was sent: its history
// may be compacted.
func TestSlotWasGoneAndCompacted(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.put("k", "0")
		if _, err := r.outside.Delete(t.Context(), slotsPrefix, kv.WithPrefix()); err != nil {
			t.Fatal(err)
		}
		r.compact()
		r.put("k", "1")
		if k := r.get("k"); k.GetVersion() != 2 {
			t.Errorf("the key was written %d times, want twice", k.GetVersion())
		}
	})
}

// A slot that goes between two copies of a write, of which the first is late, says nothing of the write:
// its history does.
func TestSlotGoesBetweenTwoCopies(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.put("k", "0")
		var tp tape
		for _, m := range r.cluster.Members() {
			m.Intercept(tp.hook(func(n int, ctx context.Context, next func() (any, error)) (any, error) {
				if n > 0 {
					return next()
				}
				_, _ = next()
				r.revokeAll() //nolint:contextcheck // the test's
				<-ctx.Done()
				return nil, ctx.Err()
			}))
		}
		resp := r.put("k", "1")
		if k := r.get("k"); k.GetVersion() != 2 || k.GetModRevision() != resp.Header.Revision {
			t.Errorf("answered with %v, and the store has %v, want it written twice", resp, k)
		}
		if len(tp.all()) < 2 {
			t.Error("no second copy was sent")
		}
	})
}

// twice sends each write a second time, after between, and answers with the second answer.
type twice struct {
	grpc.ClientConnInterface
	between func()
}

func (c *twice) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	if _, ok := write(method, req); ok && c.between != nil {
		if err := c.ClientConnInterface.Invoke(ctx, method, req, &pb.TxnResponse{}, opts...); err != nil {
			return err
		}
		c.between()
	}
	return c.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
}

// The same with two copies of a middleware's below.
func TestMiddlewareBelowSendsTwice(t *testing.T) {
	var below *twice
	run(t, 2, func(c *client.Config) {
		c.Middleware = append(c.Middleware, func(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
			below = &twice{ClientConnInterface: cc}
			return below
		})
	}, func(r *rig) {
		r.put("k", "0")
		below.between = func() { below.between = nil; r.revokeAll() }
		r.put("k", "1")
		if k := r.get("k"); k.GetVersion() != 2 {
			r.t.Errorf("the key was written %d times, want twice", k.GetVersion())
		}
	})
}

// When a write has lost its answer and then its slot, and a part of the slot's history is compacted,
// the rest tells what became of the write, if it can.
func TestPartOfTheHistoryIsCompacted(t *testing.T) {
	for _, c := range []struct {
		name                string
		lose                func(context.Context, func() (any, error)) (any, error)
		compacted           string // when: before the copy, after it, or after the slot's end
		unknown, unanswered bool
	}{
		{name: "applied, compacted before", lose: lostAfter, compacted: "before"},
		{name: "not applied, compacted before", lose: lostBefore, compacted: "before"},
		{name: "applied, compacted after", lose: lostAfter, compacted: "after", unanswered: true},
		{name: "applied, compacted at the end", lose: lostAfter, compacted: "end", unknown: true},
		{name: "not applied, compacted at the end", lose: lostBefore, compacted: "end", unknown: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				r.put("k", "0")
				for range 20 {
					if _, err := r.outside.Put(t.Context(), "other", ""); err != nil {
						t.Fatal(err)
					}
				}
				step := func(now string) {
					if c.compacted == now {
						r.compact()
					}
				}
				var tp tape
				for _, m := range r.cluster.Members() {
					m.Intercept(tp.hook(func(n int, ctx context.Context, next func() (any, error)) (any, error) {
						if n > 0 {
							return next()
						}
						step("before")
						_, err := c.lose(ctx, next)
						step("after")
						r.revokeAll() //nolint:contextcheck // the test's
						step("end")
						return nil, err
					}))
				}
				_, err := r.c.Put(r.timeout(time.Minute), "k", "1", kv.WithPrevKV())
				var applied *once.AppliedError
				switch {
				case c.unknown:
					if errors.As(err, &applied) || !errors.Is(err, rpctypes.ErrCompacted) || !client.IsAmbiguous(err) {
						t.Errorf("got %v (ambiguous: %v), want %v, and doubt", err, client.IsAmbiguous(err), rpctypes.ErrCompacted)
					}
				case c.unanswered:
					if !errors.As(err, &applied) || applied.Revision != r.get("k").GetModRevision() || r.get("k").GetVersion() != 2 {
						t.Errorf("got %v, want an *AppliedError, and the store has %v", err, r.get("k"))
					}
				case err != nil || r.get("k").GetVersion() != 2:
					t.Errorf("got %v, want success, and the store has %v", err, r.get("k"))
				}
				tp.replay(r)
			})
		})
	}
}

// A refusal of one copy is no answer while another one may have been applied.
func TestRefusedAfterDoubt(t *testing.T) {
	for name, lose := range map[string]func(context.Context, func() (any, error)) (any, error){"applied": lostAfter, "not applied": lostBefore} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, nil, func(r *rig) {
				t := r.t
				r.put("k", "0")
				granted, err := r.c.Grant(t.Context(), 60)
				if err != nil {
					t.Fatal(err)
				}
				var tp tape
				revoked := false
				for _, m := range r.cluster.Members() {
					m.Intercept(tp.hook(func(n int, ctx context.Context, next func() (any, error)) (any, error) {
						if n > 0 {
							return next()
						}
						defer func() {
							_, err := pb.NewLeaseClient(r.cluster.Conn(t)).LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: int64(granted.ID)})
							revoked = err == nil
						}()
						return lose(ctx, next)
					}))
				}
				before := r.get("k").GetModRevision()
				resp, err := r.c.Put(r.timeout(time.Minute), "leased", "", kv.WithLease(granted.ID))
				if !revoked {
					t.Fatal("the lease was not revoked")
				}
				switch {
				case name == "applied" && (err != nil || resp.Header.Revision != before+1):
					t.Errorf("got %v, %v, want that it was applied at %d, before the lease ended", resp, err, before+1)
				case name == "not applied" && (!errors.Is(err, rpctypes.ErrLeaseNotFound) || client.IsAmbiguous(err)):
					t.Errorf("got %v (ambiguous: %v), want %v, and certainty", err, client.IsAmbiguous(err), rpctypes.ErrLeaseNotFound)
				}
				tp.replay(r)
				r.put("k", "1")
			})
		})
	}
}

// "Database space exceeded" may be said of a write that was applied. The slot knows.
func TestNoSpace(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.put("k", "0")
		noSpace := func(applied bool) func(int, context.Context, func() (any, error)) (any, error) {
			return func(_ int, _ context.Context, next func() (any, error)) (any, error) {
				if applied {
					_, _ = next()
				}
				return nil, rpctypes.ErrGRPCNoSpace
			}
		}
		var tp tape
		r.cluster.Member(0).Intercept(tp.hook(noSpace(true)))
		if resp := r.put("k", "1"); resp.Header.Revision != r.get("k").GetModRevision() {
			t.Errorf("got %v, and the store has %v", resp, r.get("k"))
		}
		r.cluster.Member(0).Intercept(tp.hook(noSpace(false)))
		_, err := r.c.Put(r.timeout(time.Minute), "k", "2")
		if !errors.Is(err, rpctypes.ErrNoSpace) || client.IsAmbiguous(err) {
			t.Errorf("got %v (ambiguous: %v), want %v, and certainty", err, client.IsAmbiguous(err), rpctypes.ErrNoSpace)
		}
		tp.replay(r)
	})
}

// While the store has no space, nothing can make slots for those that were deleted. Writes fail,
// each after one attempt, and do not wait for the end of their contexts. When there is space again,
// the same connection works again.
func TestNoSpaceForSlots(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		puts := func(req any) bool {
			txn, _ := req.(*pb.TxnRequest)
			return slices.ContainsFunc(txn.GetSuccess(), func(op *pb.RequestOp) bool { return op.GetRequestPut() != nil })
		}
		full := func(refuseGrants bool) {
			for _, m := range r.cluster.Members() {
				m.Intercept(func(_ context.Context, method string, req any, next func() (any, error)) (any, error) {
					if puts(req) || refuseGrants && method == pb.Lease_LeaseGrant_FullMethodName {
						return nil, rpctypes.ErrGRPCNoSpace
					}
					return next()
				})
			}
		}
		fail := func(i int) {
			t.Helper()
			began := time.Now()
			_, err := r.c.Put(r.timeout(time.Minute), "k", "")
			if !errors.Is(err, rpctypes.ErrNoSpace) || client.IsAmbiguous(err) || time.Since(began) > time.Second {
				t.Errorf("write %d: got %v (ambiguous: %v) after %v, want %v at once, and certainty", i, err, client.IsAmbiguous(err), time.Since(began), rpctypes.ErrNoSpace)
			}
		}
		full(true)
		fail(0) // which can't have a lease
		full(false)
		for i := range 20 { // more than the writer has slots at first
			fail(i + 1)
		}
		for _, m := range r.cluster.Members() {
			m.Intercept(nil)
		}
		r.put("k", "")
		full(true)
		for i := range 20 {
			fail(i + 21)
		}
		for _, m := range r.cluster.Members() {
			m.Intercept(nil)
		}
		r.put("k", "")
	})
}

// A context that ends while there is no slot says why there is none.
func TestContextEndsWithoutASlot(t *testing.T) {
	for _, code := range []codes.Code{codes.Unavailable, codes.NotFound} { // the latter by a proxy that has no route
		run(t, 1, nil, func(r *rig) {
			t := r.t
			c := once.NewConn(r.cluster.Conn(t), slotsPrefix) // a plain connection, which does not try again
			defer c.Close()
			r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
				if method == pb.Lease_LeaseGrant_FullMethodName {
					return nil, status.Error(code, "out of order")
				}
				return next()
			})
			_, err := kv.New(c).Put(r.timeout(time.Second), "k", "")
			if !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded || client.IsAmbiguous(err) {
				t.Errorf("got %v (ambiguous: %v), want the deadline, and certainty", err, client.IsAmbiguous(err))
			}
			if !strings.Contains(err.Error(), "granting the slots' lease") || !strings.Contains(err.Error(), "out of order") {
				t.Errorf("got %v, want it to say why there is no slot", err)
			}
			r.cluster.Member(0).Intercept(nil)
			if _, err := kv.New(c).Put(r.timeout(time.Minute), "k", ""); err != nil {
				t.Errorf("when it is in order again: %v", err)
			}
		})
	}
}

// Slots are bounded. Writes beyond wait, and all are done.
func TestSlotsAreBounded(t *testing.T) {
	for _, most := range []int{1, 3, 20, 300} {
		run(t, 3, func(c *client.Config) { c.Middleware = []client.Middleware{once.Of(slotsPrefix, once.WithSlots(most))} }, func(r *rig) {
			var wg sync.WaitGroup
			for range 400 {
				wg.Go(func() {
					if _, err := r.c.Put(r.timeout(time.Minute), "k", ""); err != nil {
						r.t.Error(err)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
			if n := len(r.slots()); n > most {
				r.t.Errorf("there are %d slots, want %d at most", n, most)
			}
			if k := r.get("k"); k.GetVersion() != 400 {
				r.t.Errorf("the key was written %d times, want 400", k.GetVersion())
			}
		})
	}
}

// A plain connection, which sends nothing again by itself, gives the same.
func TestPlainConnection(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		c := once.NewConn(r.cluster.Conn(t), slotsPrefix)
		store := kv.New(c)
		if _, err := store.Put(t.Context(), "k", "0"); err != nil {
			t.Fatal(err)
		}
		var tp tape
		r.cluster.Member(0).Intercept(tp.hook(func(n int, ctx context.Context, next func() (any, error)) (any, error) {
			if n%3 == 0 {
				return lostAfter(ctx, next)
			}
			if n%3 == 1 {
				return lostBefore(ctx, next)
			}
			return next()
		}))
		for i := range 5 {
			resp, err := store.Put(r.timeout(time.Minute), "k", "", kv.WithPrevKV())
			if err != nil || resp.Header.Revision != r.get("k").GetModRevision() || resp.PrevKv.GetVersion() != int64(i+1) {
				t.Fatalf("got %v, %v, and the store has %v", resp, err, r.get("k"))
			}
		}
		tp.replay(r)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if n := len(r.slots()); n != 0 {
			t.Errorf("%d slots are left after Close", n)
		}
		if _, err := store.Put(t.Context(), "k", ""); err == nil || client.IsAmbiguous(err) {
			t.Errorf("after Close: got %v, want an error, and certainty", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
	})
}

// When the client is closed, so is what runs here, and the slots are gone.
func TestClientIsClosed(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		r.put("k", "")
		if err := r.c.Close(); err != nil {
			r.t.Error(err)
		}
		if _, err := r.c.Put(r.timeout(time.Minute), "k", ""); !errors.Is(err, client.ErrClosed) || client.IsAmbiguous(err) {
			r.t.Errorf("got %v, want %v", err, client.ErrClosed)
		}
		if n := len(r.slots()); n != 0 {
			r.t.Errorf("%d slots are left after Close", n)
		}
	})
	// Without a cluster Close gives up, and the slots are left to the lease's end.
	run(t, 2, nil, func(r *rig) {
		r.put("k", "")
		for _, m := range r.cluster.Members() {
			m.Freeze()
			defer m.Thaw()
		}
		began := time.Now()
		if err := r.c.Close(); err != nil || time.Since(began) > 2*time.Second {
			r.t.Errorf("got %v after %v, want nil after 1 s or so", err, time.Since(began))
		}
	})
}

// When the client is closed before the grant of the slots' lease was answered, the lease is revoked
// all the same.
func TestClosedDuringTheGrant(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		granted := make(chan struct{})
		r.cluster.Member(0).Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method != pb.Lease_LeaseGrant_FullMethodName {
				return next()
			}
			_, _ = next()
			close(granted)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		put := make(chan error, 1)
		go func() {
			_, err := r.c.Put(r.timeout(time.Minute), "k", "")
			put <- err
		}()
		<-granted
		if err := r.c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-put; !errors.Is(err, net.ErrClosed) || client.IsAmbiguous(err) {
			t.Errorf("got %v (ambiguous: %v), want %v, and certainty", err, client.IsAmbiguous(err), net.ErrClosed)
		}
		left, err := pb.NewLeaseClient(r.cluster.Conn(t)).LeaseLeases(t.Context(), &pb.LeaseLeasesRequest{})
		if err != nil || len(left.Leases) != 0 {
			t.Errorf("after Close there are leases: %v, %v, want none", left, err)
		}
	})
}

var _ grpc.ClientConnInterface = (*once.Conn)(nil)

// A write on a Conn that was closed fails at once, even if the cluster is away and the connection below is
// open: it was not sent, and nothing that is to be told of it takes an answer.
func TestClosedWhileTheClusterIsAway(t *testing.T) {
	run(t, 1, func(c *client.Config) { c.Middleware = nil }, func(r *rig) {
		t := r.t
		conn := once.NewConn(r.c.Conn(), slotsPrefix)
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		r.cluster.Member(0).Kill()
		begin := time.Now()
		_, err := pb.NewKVClient(conn).Put(r.timeout(time.Minute), &pb.PutRequest{Key: []byte("k")})
		if !errors.Is(err, net.ErrClosed) || client.IsAmbiguous(err) {
			t.Errorf("got %v (ambiguous: %v), want %v, and certainty", err, client.IsAmbiguous(err), net.ErrClosed)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v, want no time", took)
		}
	})
}
