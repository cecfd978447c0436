package stm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/stm"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	store   kv.KV
}

func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		test(&rig{t: t, cluster: c, store: kv.New(c.Conn(t))})
	})
}

func (r *rig) put(pairs ...string) {
	r.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if _, err := r.store.Put(r.t.Context(), pairs[i], pairs[i+1]); err != nil {
			r.t.Fatalf("Put: %v", err)
		}
	}
}

func (r *rig) want(pairs ...string) {
	r.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := r.get(pairs[i]); got != pairs[i+1] {
			r.t.Errorf("%s is %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

func (r *rig) get(key string) string {
	r.t.Helper()
	resp, err := r.store.Get(r.t.Context(), key)
	if err != nil {
		r.t.Fatalf("Get: %v", err)
	}
	if len(resp.Kvs) == 0 {
		return ""
	}
	return string(resp.Kvs[0].Value)
}

func (r *rig) txns() int { return r.cluster.Member(0).Calls(pb.KV_Txn_FullMethodName) }

func number(s string) int { n, _ := strconv.Atoi(s); return n }

func TestReadsAndWrites(t *testing.T) {
	for level := stm.SerializableSnapshot; level <= stm.ReadCommitted; level++ {
		t.Run(level.String(), func(t *testing.T) {
			run(t, func(r *rig) {
				r.put("a", "1", "b", "2", "c", "3")
				resp, err := stm.Run(r.t.Context(), r.store, func(tx stm.STM) error {
					for _, step := range []struct{ what, got, want string }{
						{"Get", tx.Get("a"), "1"},
						{"Get of none", tx.Get("none"), ""},
						{"Get of several", tx.Get("b", "c"), "2"},
						{"Get of nothing", tx.Get(), ""},
					} {
						if step.got != step.want {
							t.Errorf("%s: %q, want %q", step.what, step.got, step.want)
						}
					}
					if rev, none := tx.Rev("a"), tx.Rev("none"); rev != 2 || none != 0 {
						t.Errorf("Rev: %d and %d, want 2 and 0", rev, none)
					}
					tx.Put("a", "x")
					tx.Put("a", "10")
					tx.Del("b")
					tx.Put("d", "4")
					tx.Del("d")
					tx.Del("c")
					tx.Put("c", "30")
					if a, b, c := tx.Get("a"), tx.Get("b"), tx.Get("c", "a"); a != "10" || b != "" || c != "30" {
						t.Errorf("own writes: %q, %q and %q; want 10, none and 30", a, b, c)
					}
					if rev := tx.Rev("a"); rev != 2 {
						t.Errorf("Rev of a written key: %d, want 2", rev)
					}
					return nil
				}, stm.WithIsolation(level))
				if err != nil || !resp.Succeeded {
					t.Fatalf("Run: %v, %v", resp, err)
				}
				r.want("a", "10", "b", "", "c", "30", "d", "")
			})
		})
	}
}

func TestWriteOptions(t *testing.T) {
	run(t, func(r *rig) {
		_, err := stm.Run(r.t.Context(), r.store, func(tx stm.STM) error {
			tx.Put("a", "1", kv.WithLease(4711))
			return nil
		})
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) && !strings.Contains(err.Error(), "lease not found") || client.IsAmbiguous(err) {
			t.Errorf("Put with an unknown lease: %v, want that it is not found", err)
		}
		_, err = stm.Run(r.t.Context(), r.store, func(tx stm.STM) error { tx.Put("a", "1", kv.WithLimit(1)); return nil })
		if _, ok := errors.AsType[*kv.UsageError](err); !ok || client.IsAmbiguous(err) {
			t.Errorf("Put with a Get's option: %v, want a *kv.UsageError", err)
		}
		_, err = stm.Run(r.t.Context(), r.store, func(tx stm.STM) error { tx.Get(""); return nil })
		if _, ok := errors.AsType[*kv.UsageError](err); !ok {
			t.Errorf("Get without a key: %v, want a *kv.UsageError", err)
		}
		if _, err = stm.Run(r.t.Context(), r.store, nil, stm.WithIsolation(4)); err == nil {
			t.Error("an unknown level is accepted")
		}
	})
}

// Ten accounts, eight clients: whatever they do at once, the sum stays.
func TestTransfers(t *testing.T) {
	for level := stm.SerializableSnapshot; level <= stm.RepeatableReads; level++ {
		for _, lossy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, lossy %v", level, lossy), func(t *testing.T) {
				run(t, func(r *rig) { transfers(r, level, lossy) })
			})
		}
	}
}

func transfers(r *rig, level stm.Isolation, lossy bool) {
	const accounts, clients, each = 10, 8, 20
	r.put("count", "0")
	for i := range accounts {
		r.put(account(i), "100")
	}
	if lossy { // of each tenth transaction the answer is lost, or the request
		var n atomic.Int64
		r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			switch i := n.Add(1); {
			case method == pb.KV_Txn_FullMethodName && i%20 == 7:
				return nil, rpctypes.ErrGRPCTimeout
			case method == pb.KV_Txn_FullMethodName && i%20 == 17:
				_, _ = next()
				return nil, rpctypes.ErrGRPCTimeout
			}
			return next()
		})
	}
	var done, unknown, calls atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				from, to := rand.N(accounts), rand.N(accounts)
				_, err := stm.Run(r.t.Context(), r.store, func(tx stm.STM) error {
					calls.Add(1)
					a, b := number(tx.Get(account(from))), number(tx.Get(account(to)))
					if from != to {
						amount := rand.N(a + 1)
						tx.Put(account(from), strconv.Itoa(a-amount))
						tx.Put(account(to), strconv.Itoa(b+amount))
					}
					tx.Put("count", strconv.Itoa(number(tx.Get("count"))+1))
					return nil
				}, stm.WithIsolation(level))
				switch {
				case err == nil:
					done.Add(1)
				case client.IsAmbiguous(err):
					unknown.Add(1)
				case !lossy:
					r.t.Errorf("Run: %v", err)
				}
			}
		})
	}
	wg.Wait()
	r.cluster.Member(0).Intercept(nil)
	sum := 0
	for i := range accounts {
		n := number(r.get(account(i)))
		if n < 0 {
			r.t.Errorf("account %d has %d", i, n)
		}
		sum += n
	}
	if sum != accounts*100 {
		r.t.Errorf("the sum is %d, want %d", sum, accounts*100)
	}
	if n := int64(number(r.get("count"))); n < done.Load() || n > done.Load()+unknown.Load() {
		r.t.Errorf("%d were applied; want those that succeeded, %d, and at most those that may have been, %d", n, done.Load(), unknown.Load())
	}
	if !lossy && done.Load() != clients*each {
		r.t.Errorf("%d succeeded, want %d", done.Load(), clients*each)
	}
	r.t.Logf("%d calls for %d commits, %d in doubt", calls.Load(), done.Load(), unknown.Load())
}

func account(i int) string { return "account/" + strconv.Itoa(i) }

// What another transaction does in the midst of one, and what each level makes
// of it. A try that is in vain is followed by another.
func TestAnomalies(t *testing.T) {
	type outcome struct{ a, b, tries string }
	for _, test := range []struct {
		name string
		// apply calls between once, when another transaction comes in between.
		apply   func(tx stm.STM, between func())
		between func(r *rig)
		want    [4]outcome // by level
	}{{
		name: "lost update",
		apply: func(tx stm.STM, between func()) {
			a := number(tx.Get("a"))
			between()
			tx.Put("a", strconv.Itoa(a+1))
		},
		between: func(r *rig) { r.put("a", "10") },
		want:    [4]outcome{{"11", "0", "2"}, {"11", "0", "2"}, {"11", "0", "2"}, {"1", "0", "1"}},
	}, {
		name: "write skew",
		apply: func(tx stm.STM, between func()) {
			a := tx.Get("a")
			between()
			tx.Put("b", a+"'")
		},
		between: func(r *rig) { r.put("a", r.get("b")+"*") },
		want:    [4]outcome{{"0*", "0*'", "2"}, {"0*", "0*'", "2"}, {"0*", "0*'", "2"}, {"0*", "0'", "1"}},
	}, {
		name: "inconsistent reads", // a and b are always equal
		apply: func(tx stm.STM, between func()) {
			a := tx.Get("a")
			between()
			if b := tx.Get("b"); a != b {
				tx.Put("seen", a+" and "+b)
			}
		},
		between: func(r *rig) {
			_, _ = r.store.Txn(r.t.Context()).Then(kv.OpPut("a", "1"), kv.OpPut("b", "1")).Commit()
		},
		want: [4]outcome{{"1", "1", "2"}, {"1", "1", "2"}, {"1", "1", "2"}, {"1", "1", "1"}},
	}, {
		name: "overwriting blindly",
		apply: func(tx stm.STM, between func()) {
			tx.Get("a")
			between()
			tx.Put("b", "mine")
		},
		between: func(r *rig) { r.put("b", "other") },
		want:    [4]outcome{{"0", "mine", "2"}, {"0", "mine", "1"}, {"0", "mine", "1"}, {"0", "mine", "1"}},
	}, {
		name: "nothing to conflict with",
		apply: func(tx stm.STM, between func()) {
			tx.Get("a")
			between()
			tx.Put("b", "mine")
		},
		between: func(r *rig) { r.put("c", "other") },
		want:    [4]outcome{{"0", "mine", "1"}, {"0", "mine", "1"}, {"0", "mine", "1"}, {"0", "mine", "1"}},
	}} {
		for level, want := range test.want {
			level := stm.Isolation(level)
			t.Run(test.name+"/"+level.String(), func(t *testing.T) {
				run(t, func(r *rig) {
					r.put("a", "0", "b", "0")
					tries := 0
					_, err := stm.Run(r.t.Context(), r.store, func(tx stm.STM) error {
						tries++
						test.apply(tx, func() {
							if tries == 1 {
								test.between(r)
							}
						})
						return nil
					}, stm.WithIsolation(level))
					if err != nil {
						t.Fatalf("Run: %v", err)
					}
					if got := (outcome{r.get("a"), r.get("b"), strconv.Itoa(tries)}); got != want {
						t.Errorf("a, b and tries are %v, want %v", got, want)
					}
					// Only ReadCommitted commits what does not fit together.
					wantSeen := ""
					if test.name == "inconsistent reads" && level == stm.ReadCommitted {
						wantSeen = "0 and 1"
					}
					r.want("seen", wantSeen)
				})
			})
		}
	}
}

// Whether a try that is in vain sees what does not fit together.
func TestReadsWithinATry(t *testing.T) {
	for level, want := range [4]string{"00", "00", "01", "01"} {
		level := stm.Isolation(level)
		t.Run(level.String(), func(t *testing.T) {
			run(t, func(r *rig) {
				r.put("a", "0", "b", "0")
				first := ""
				_, err := stm.Run(r.t.Context(), r.store, func(tx stm.STM) error {
					a := tx.Get("a")
					if first == "" {
						r.put("a", "1", "b", "1")
						first = tx.Get("a") + tx.Get("b")
						if again := tx.Get("a"); again != a {
							t.Errorf("a was read as %q, then as %q", a, again)
						}
					}
					return nil
				}, stm.WithIsolation(level))
				if err != nil || first != want {
					t.Errorf("a and b are %q (%v), want %q", first, err, want)
				}
			})
		})
	}
}

func TestRoundTrips(t *testing.T) {
	keys := make([]string, 20)
	for i := range keys {
		keys[i] = account(i)
	}
	sum := func(tx stm.STM) error {
		n := 0
		for _, key := range keys {
			n += number(tx.Get(key))
		}
		tx.Put("sum", strconv.Itoa(n))
		if n < 0 {
			return errors.New("nobody has less than nothing")
		}
		return nil
	}
	for _, test := range []struct {
		name  string
		apply func(stm.STM) error
		opts  []stm.Option
		want  int
	}{
		{"one by one", sum, nil, 21},
		{"prefetched", sum, []stm.Option{stm.WithPrefetch(keys...)}, 2},
		{"in one Get", func(tx stm.STM) error { tx.Get(keys...); return sum(tx) }, nil, 2},
		{"without reads", func(tx stm.STM) error { tx.Put("sum", "1"); return nil }, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				if _, err := stm.Run(r.t.Context(), r.store, test.apply, test.opts...); err != nil {
					t.Fatalf("Run: %v", err)
				}
				if got := r.txns(); got != test.want {
					t.Errorf("%d transactions were sent, want %d", got, test.want)
				}
			})
		})
	}
	t.Run("after a conflict", func(t *testing.T) {
		run(t, func(r *rig) {
			r.put("account/0", "1")
			tries := 0
			_, err := stm.Run(r.t.Context(), r.store, func(tx stm.STM) error {
				tx.Get(keys...)
				if tries++; tries == 1 {
					r.put("account/0", "2")
				}
				return sum(tx)
			})
			// One read, the commit that fails and brings everything back, and the
			// one that succeeds.
			if got := r.txns(); err != nil || got != 3 {
				t.Errorf("%d transactions were sent (%v), want 3", got, err)
			}
			r.want("sum", "2")
		})
	})
}

// What is prefetched and not read is no part of the transaction.
func TestPrefetchedButNotRead(t *testing.T) {
	run(t, func(r *rig) {
		tries := 0
		_, err := stm.Run(r.t.Context(), r.store, func(tx stm.STM) error {
			tries++
			r.put("b", strconv.Itoa(tries))
			tx.Put("c", tx.Get("a"))
			return nil
		}, stm.WithPrefetch("a", "b"))
		if err != nil || tries != 1 {
			t.Errorf("%d tries (%v), want 1", tries, err)
		}
	})
}

func TestAbort(t *testing.T) {
	abort := errors.New("not enough")
	run(t, func(r *rig) {
		r.put("a", "1")
		_, err := stm.Run(r.t.Context(), r.store, func(tx stm.STM) error {
			tx.Put("a", tx.Get("a")+"0")
			return abort
		})
		if !errors.Is(err, abort) || client.IsAmbiguous(err) {
			t.Errorf("Run: %v, want the function's error", err)
		}
		func() {
			defer func() {
				if r := recover(); r != "oops" {
					t.Errorf("recovered %v, want the function's panic", r)
				}
			}()
			_, _ = stm.Run(r.t.Context(), r.store, func(tx stm.STM) error { tx.Put("a", "2"); panic("oops") })
		}()
		r.want("a", "1")
	})
}

// A failed read ends the function, even one that recovers from it.
func TestReadFails(t *testing.T) {
	for name, recovers := range map[string]bool{"plainly": false, "recovering": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.put("a", "1")
				r.cluster.Member(0).Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
					if r.txns() == 2 {
						return nil, rpctypes.ErrGRPCPermissionDenied
					}
					return next()
				})
				cleaned, went := false, false
				_, err := stm.Run(r.t.Context(), r.store, func(tx stm.STM) error {
					defer func() {
						cleaned = true
						if recovers {
							_ = recover()
						}
					}()
					tx.Put("a", "2")
					tx.Get("a", "b")
					tx.Get("c")
					went = true
					return nil
				})
				if !cleaned || went || err == nil || !strings.Contains(err.Error(), "permission denied") {
					t.Errorf("cleaned up %v, went on %v, error %v; want true, false and permission denied", cleaned, went, err)
				}
				r.cluster.Member(0).Intercept(nil)
				r.want("a", "1")
			})
		})
	}
}

func TestContext(t *testing.T) {
	run(t, func(r *rig) {
		ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
		defer cancel()
		tries := 0
		_, err := stm.Run(ctx, r.store, func(tx stm.STM) error { // never without a conflict
			tries++
			tx.Put("b", tx.Get("a"))
			r.put("a", strconv.Itoa(tries))
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) {
			t.Errorf("Run: %v, want the context's error, and no doubt", err)
		}
		if tries < 30 || tries > 100 { // 10 s in pauses of 125 ms to 250 ms
			t.Errorf("%d tries in 10s, want pauses that grow, and not beyond 250ms", tries)
		}
		r.want("b", "")
	})
}

// The answer is lost: the commit is not repeated, and the error says what is known.
func TestAmbiguousCommit(t *testing.T) {
	for _, test := range []struct {
		name      string
		err       error
		read      bool
		ambiguous bool
	}{
		{"timeout", rpctypes.ErrGRPCTimeout, false, true},
		{"refused", rpctypes.ErrGRPCPermissionDenied, false, false},
		{"nothing to write", rpctypes.ErrGRPCTimeout, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(r *rig) {
				r.put("a", "1")
				r.cluster.Member(0).Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
					if r.txns() < 2 {
						return next()
					}
					if test.ambiguous {
						_, _ = next()
					}
					return nil, test.err
				})
				calls := 0
				_, err := stm.Run(r.t.Context(), r.store, func(tx stm.STM) error {
					calls++
					if a := tx.Get("a"); !test.read {
						tx.Put("a", a+"1")
					}
					return nil
				})
				commit, ok := errors.AsType[*stm.CommitError](err)
				if !ok || commit.Ambiguous() != test.ambiguous || client.IsAmbiguous(err) != test.ambiguous {
					t.Errorf("Run: %v; want a *CommitError, ambiguous: %v", err, test.ambiguous)
				}
				if strings.Contains(fmt.Sprint(err), "may have been applied") != test.ambiguous {
					t.Errorf("the error is %q, want it to say whether it may have been applied: %v", err, test.ambiguous)
				}
				if calls != 1 || r.txns() != 2 {
					t.Errorf("%d calls, %d transactions; want 1 and 2, a read and a commit", calls, r.txns())
				}
				r.cluster.Member(0).Intercept(nil)
				if test.ambiguous {
					r.want("a", "11")
				}
			})
		})
	}
}

// The revision of the first read is compacted before the second: a new try.
func TestCompaction(t *testing.T) {
	run(t, func(r *rig) {
		r.put("a", "1", "b", "1")
		tries := 0
		_, err := stm.Run(r.t.Context(), r.store, func(tx stm.STM) error {
			tries++
			a := tx.Get("a")
			if tries == 1 {
				r.put("a", "2", "b", "2")
				if _, err := r.store.Compact(r.t.Context(), r.cluster.Revision()); err != nil {
					t.Errorf("Compact: %v", err)
				}
			}
			tx.Put("c", a+tx.Get("b"))
			return nil
		})
		if err != nil || tries != 2 {
			t.Errorf("Run: %v after %d tries, want nil after 2", err, tries)
		}
		r.want("c", "22")
	})
}
