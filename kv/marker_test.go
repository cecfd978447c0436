package kv_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/middleware/namespace"
)

// ledger is a fake cluster in a synctest bubble, with a client, and an account whose
// balance transactions raise.
type ledger struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	admin   kv.KV // on a member that no fault befalls
	client  *client.Client
	marker  *kv.Marker
}

func withLedger(t *testing.T, test func(l *ledger)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		cl, err := client.New(client.Config{
			Endpoints:   c.Addrs()[:1],
			DialOptions: c.DialOptions(),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cl.Close() })
		l := &ledger{t: t, cluster: c, admin: kv.New(c.Member(1).Conn(t)), client: cl}
		l.marker = l.newMarker(cl)
		test(l)
	})
}

func (l *ledger) newMarker(store kv.KV) *kv.Marker {
	l.t.Helper()
	m, err := kv.NewMarker(store, "marker")
	if err != nil {
		l.t.Fatal(err)
	}
	return m
}

// raise adds a digit to the balance.
func (l *ledger) raise(on kv.Transactor, digit string) error {
	_, err := l.marker.Txn(l.t.Context(), on).Then(kv.OpPut("balance", l.balance()+digit)).Commit()
	return err
}

func (l *ledger) balance() string {
	l.t.Helper()
	resp, err := l.admin.Get(l.t.Context(), "balance")
	if err != nil {
		l.t.Fatal(err)
	}
	if len(resp.Kvs) == 0 {
		return ""
	}
	return string(resp.Kvs[0].Value)
}

func (l *ledger) wantBalance(want string) {
	l.t.Helper()
	if got := l.balance(); got != want {
		l.t.Errorf("the balance is %q, want %q", got, want)
	}
}

func (l *ledger) wantSettled(want bool) {
	l.t.Helper()
	for range 2 { // the second time it is known
		applied, err := l.marker.Settle(l.t.Context())
		if err != nil || applied != want {
			l.t.Errorf("Settle: got %v, %v, want %v", applied, err, want)
		}
	}
}

var errBroke = status.Error(codes.Unavailable, "the connection broke")

// lose loses the next transaction that puts the balance, after it was applied or before.
// What it returns lets a copy of it arrive late.
func (l *ledger) lose(applied bool) (late func()) {
	var lost *pb.TxnRequest
	l.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
		txn, ok := req.(*pb.TxnRequest)
		if !ok || lost != nil || !strings.Contains(txn.String(), "balance") {
			return next()
		}
		lost = txn
		if applied {
			if _, err := next(); err != nil {
				l.t.Errorf("what is to be applied: %v", err)
			}
		}
		return nil, errBroke
	})
	conn := l.cluster.Member(1).Conn(l.t)
	return func() {
		l.t.Helper()
		if lost == nil {
			l.t.Fatal("no transaction was lost")
		}
		if _, err := pb.NewKVClient(conn).Txn(l.t.Context(), lost); err != nil {
			l.t.Errorf("the late copy: %v", err)
		}
	}
}

// transactors are what a Marker's transaction can be begun on.
func (l *ledger) transactors(test func(on kv.Transactor)) {
	l.t.Helper()
	ctx := l.t.Context()
	m, err := lock.New(l.client.Conn(), "lock")
	if err != nil {
		l.t.Fatal(err)
	}
	e, err := election.New(l.client.Conn(), "election")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, err := range []error{m.Lock(ctx), e.Campaign(ctx, "")} {
		if err != nil {
			l.t.Fatal(err)
		}
	}
	for _, on := range []kv.Transactor{l.client, m, e} {
		test(on)
	}
	for _, err := range []error{m.Unlock(ctx), e.Resign(ctx)} {
		if err != nil {
			l.t.Error(err)
		}
	}
}

func TestSettleWhatWasApplied(t *testing.T) {
	withLedger(t, func(l *ledger) {
		t := l.t
		want := ""
		l.transactors(func(on kv.Transactor) {
			late := l.lose(true)
			want += "1"
			if err := l.raise(on, "1"); !client.IsAmbiguous(err) {
				t.Fatalf("%T: Commit: %v, want an ambiguous error", on, err)
			}
			l.wantSettled(true)
			l.wantBalance(want)
			late() // a second copy
			l.wantBalance(want)
			if err := l.raise(on, "2"); err != nil {
				t.Errorf("%T: the next one: %v", on, err)
			}
			want += "2"
			l.wantBalance(want)
		})
	})
}

// What has not arrived when Settle is called never arrives.
func TestSettleWhatComesLate(t *testing.T) {
	withLedger(t, func(l *ledger) {
		t := l.t
		want := ""
		l.transactors(func(on kv.Transactor) {
			late := l.lose(false)
			if err := l.raise(on, "1"); !client.IsAmbiguous(err) {
				t.Fatalf("%T: Commit: %v, want an ambiguous error", on, err)
			}
			l.wantSettled(false)
			late()
			l.wantBalance(want)
			if err := l.raise(on, "2"); err != nil {
				t.Errorf("%T: the next one: %v", on, err)
			}
			want += "2"
			late()
			l.wantBalance(want)
		})
	})
}

// Who does not ask has its transaction settled by the next one.
func TestUnsettledBeforeTheNext(t *testing.T) {
	for _, applied := range []bool{true, false} {
		withLedger(t, func(l *ledger) {
			t := l.t
			late := l.lose(applied)
			if err := l.raise(l.client, "1"); !client.IsAmbiguous(err) {
				t.Fatalf("Commit: %v, want an ambiguous error", err)
			}
			if err := l.raise(l.client, "2"); err != nil {
				t.Errorf("the next one: %v", err)
			}
			want := "2"
			if applied {
				want = "12"
			}
			late()
			l.wantBalance(want)
		})
	}
}

// The cluster is away for a while, and Settle waits for it. Nothing is sent meanwhile, and
// what was not sent is certain.
func TestSettleThroughAnOutage(t *testing.T) {
	withLedger(t, func(l *ledger) {
		t := l.t
		l.lose(true)
		if err := l.raise(l.client, "1"); !client.IsAmbiguous(err) {
			t.Fatalf("Commit: %v, want an ambiguous error", err)
		}
		l.cluster.Member(0).Kill()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := l.marker.Settle(ctx)
		if unsettled, ok := errors.AsType[*kv.UnsettledError](err); !ok || unsettled.Key != "marker" || !client.IsAmbiguous(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Settle: got %v, want an *UnsettledError that is ambiguous, with the context's", err)
		}

		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = l.marker.Txn(ctx, l.client).Then(kv.OpPut("balance", "2")).Commit()
		if client.IsAmbiguous(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Commit before the last one is settled: got %v, want the context's error, and a certain one", err)
		}
		l.wantSettled(false) // that one was not sent

		time.AfterFunc(5*time.Minute, l.cluster.Member(0).Start)
		if err := l.raise(l.client, "3"); err != nil {
			t.Errorf("Commit that waits for the cluster: %v", err)
		}
		l.wantBalance("13")
	})
}

// Settle's own answers are lost, too.
func TestSettleLosesItsAnswers(t *testing.T) {
	for name, applied := range map[string]bool{"applied": true, "refused": false} {
		t.Run(name, func(t *testing.T) {
			withLedger(t, func(l *ledger) {
				t := l.t
				late := l.lose(applied)
				if err := l.raise(l.client, "1"); !client.IsAmbiguous(err) {
					t.Fatalf("Commit: %v, want an ambiguous error", err)
				}
				lost := 0
				l.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
					if _, ok := req.(*pb.TxnRequest); !ok || lost > 2 {
						return next()
					}
					lost++
					if _, err := next(); err != nil {
						t.Error(err)
					}
					return nil, errBroke
				})
				l.wantSettled(applied)
				late()
				if want := map[bool]string{true: "1"}[applied]; l.balance() != want {
					t.Errorf("the balance is %q, want %q", l.balance(), want)
				}
			})
		})
	}
}

func TestSettleWhenOthersUseTheKey(t *testing.T) {
	for name, meddle := range map[string]func(l *ledger) error{
		"written": func(l *ledger) error { _, err := l.admin.Put(l.t.Context(), "marker", "x"); return err },
		"deleted": func(l *ledger) error { _, err := l.admin.Delete(l.t.Context(), "marker"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			withLedger(t, func(l *ledger) {
				t := l.t
				late := l.lose(false)
				if err := l.raise(l.client, "1"); !client.IsAmbiguous(err) {
					t.Fatalf("Commit: %v, want an ambiguous error", err)
				}
				if err := meddle(l); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if _, err := l.marker.Settle(t.Context()); !errors.Is(err, kv.ErrMarkerChanged) || !client.IsAmbiguous(err) {
						t.Errorf("Settle: got %v, want ErrMarkerChanged, which is ambiguous", err)
					}
				}
				late()
				l.wantBalance("")
				if err := l.raise(l.client, "2"); err != nil {
					t.Errorf("the next one: %v", err)
				}
				if err := meddle(l); err != nil {
					t.Fatal(err)
				}
				if err := l.raise(l.client, "3"); err != nil { // sent again
					t.Errorf("the one after that: %v", err)
				}
				l.wantBalance("23")
			})
		})
	}
}

// The next process of a writer goes on with its key, which refuses what the last one has
// under way.
func TestMarkerOfTheNextProcess(t *testing.T) {
	withLedger(t, func(l *ledger) {
		t := l.t
		late := l.lose(false)
		if err := l.raise(l.client, "1"); !client.IsAmbiguous(err) {
			t.Fatalf("Commit: %v, want an ambiguous error", err)
		}
		l.marker = l.newMarker(l.client)
		if err := l.raise(l.client, "2"); err != nil {
			t.Errorf("the next process: %v", err)
		}
		late()
		l.wantBalance("2")
	})
}

// Each error that is certain leaves nothing to ask.
func TestCertainErrors(t *testing.T) {
	withLedger(t, func(l *ledger) {
		t := l.t
		ctx := t.Context()
		if err := l.raise(l.client, "1"); err != nil {
			t.Fatal(err)
		}
		calls := l.cluster.Member(0).Calls(pb.KV_Txn_FullMethodName)
		if _, err := l.marker.Txn(ctx, l.client).Then(kv.OpPut("", "")).Commit(); err == nil {
			t.Error("Commit of a put without a key: no error")
		}
		l.wantSettled(false)
		if n := l.cluster.Member(0).Calls(pb.KV_Txn_FullMethodName) - calls; n != 0 {
			t.Errorf("%d transactions were sent, want none", n)
		}
		if _, err := l.marker.Txn(ctx, l.client).Then(kv.OpPut("balance", "2", kv.WithLease(4711))).Commit(); err == nil || client.IsAmbiguous(err) {
			t.Errorf("Commit with a lease that is not there: %v, want a certain error", err)
		}
		l.wantSettled(false)

		m, err := lock.New(l.client.Conn(), "lock")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.raise(m, "2"); !errors.Is(err, lock.ErrNotHeld) {
			t.Errorf("Commit without the lock: %v, want ErrNotHeld", err)
		}
		l.wantSettled(false)
		l.wantBalance("1")
	})
}

func TestMarkersTransactionIsLikeAnyOther(t *testing.T) {
	withLedger(t, func(l *ledger) {
		t := l.t
		ctx := t.Context()
		l.transactors(func(on kv.Transactor) {
			resp, err := l.marker.Txn(ctx, on).
				If(kv.Compare(kv.Version("x"), "=", 0)).
				Then(kv.OpGet("x"), kv.OpTxn(nil, []kv.Op{kv.OpPut("x", "1")}, nil)).
				Else(kv.OpGet("x")).
				Commit()
			if err != nil || !resp.Succeeded || len(resp.Responses) != 2 {
				t.Errorf("%T: Then: got %v, %v, want two answers", on, resp, err)
			}
			resp, err = l.marker.Txn(ctx, on).
				If(kv.Compare(kv.Version("x"), "=", 0)).
				Then(kv.OpPut("x", "2")).
				Else(kv.OpGet("x"), kv.OpTxn(nil, nil, []kv.Op{kv.OpGet("x")})).
				Commit()
			if err != nil || resp.Succeeded || len(resp.Responses) != 2 {
				t.Errorf("%T: Else: got %v, %v, want two answers", on, resp, err)
			} else if got, err := resp.Get(0); err != nil || show(got) != "x=1" {
				t.Errorf("%T: Else: got %v, %v, want x=1", on, got, err)
			}
			if _, err := l.admin.Delete(ctx, "x"); err != nil {
				t.Error(err)
			}
		})
		calls := l.cluster.Member(0).Calls(pb.KV_Txn_FullMethodName)
		if err := l.raise(l.client, "1"); err != nil {
			t.Error(err)
		}
		if n := l.cluster.Member(0).Calls(pb.KV_Txn_FullMethodName) - calls; n != 1 {
			t.Errorf("a transaction took %d requests, want 1", n)
		}
		resp, err := l.admin.Get(ctx, "marker", kv.WithPrefix())
		if err != nil || len(resp.Kvs) != 1 {
			t.Errorf("got %v, %v, want one key of the marker's", resp, err)
		}
	})
}

func TestMarkerMisuse(t *testing.T) {
	withLedger(t, func(l *ledger) {
		t := l.t
		ctx := t.Context()
		usage := func(what string, err error, want string) {
			t.Helper()
			if err == nil || err.Error() != want {
				t.Errorf("%s: got %v, want %q", what, err, want)
			}
			if status.Code(err) != codes.InvalidArgument || client.IsAmbiguous(err) {
				t.Errorf("%s: the code is %v and it is ambiguous: %v, want InvalidArgument and false", what, status.Code(err), client.IsAmbiguous(err))
			}
		}
		_, err := kv.NewMarker(nil, "marker")
		usage("without a store", err, "kv: NewMarker: the store is nil")
		_, err = kv.NewMarker(l.client, "")
		usage("without a key", err, `kv: NewMarker: key: it is empty; name a key of the writer's own, such as "markers/host-1"`)
		_, err = l.marker.Settle(ctx)
		usage("nothing to settle", err, "kv: Marker: Settle: the last transaction was answered, or there was none; call it after an error of Commit")
		_, err = l.marker.Txn(ctx, nil).Commit()
		usage("on nothing", err, "kv: Marker: Txn: the store is nil")
		for _, write := range []kv.Op{kv.OpPut("x", ""), kv.OpDelete("x"), kv.OpTxn(nil, nil, []kv.Op{kv.OpDelete("x")})} {
			_, err = l.marker.Txn(ctx, l.client).Else(kv.OpGet("x"), write).Commit()
			usage("a write in Else", err, "kv: Marker: Else[1]: it writes, and a copy of the transaction that comes late would do so even after Settle; put an OpTxn with both branches into Then")
		}
		if err := l.raise(l.client, "1"); err != nil {
			t.Error(err)
		}
		_, err = l.marker.Settle(ctx)
		usage("nothing to settle any more", err, "kv: Marker: Settle: the last transaction was answered, or there was none; call it after an error of Commit")

		l.cluster.Member(0).Hang()
		var wg sync.WaitGroup
		wg.Go(func() { _ = l.raise(l.client, "2") })
		synctest.Wait()
		usage("two at once", l.raise(l.client, "3"), "kv: Marker: Txn: a transaction or Settle is under way; use one Marker, with a key of its own, for each writer")
		_, err = l.marker.Settle(ctx)
		usage("two at once", err, "kv: Marker: Settle: a transaction or Settle is under way; use one Marker, with a key of its own, for each writer")
		l.cluster.Member(0).Resume()
		wg.Wait()
	})
}

// The transaction looks at another key than the marker's store, which must not go unnoticed.
func TestMarkerInAnotherNamespace(t *testing.T) {
	withLedger(t, func(l *ledger) {
		t := l.t
		elsewhere := namespace.NewKV(l.client, "ns/")
		for range 2 {
			err := l.raise(elsewhere, "1")
			if _, ok := errors.AsType[*kv.UsageError](err); !ok || client.IsAmbiguous(err) || !strings.Contains(err.Error(), "not of one cluster and one namespace") {
				t.Errorf("Commit: got %v, want a *UsageError that says so", err)
			}
			l.wantSettled(false)
			if _, err := elsewhere.Put(t.Context(), "marker", "x"); err != nil { // the second time it is there
				t.Fatal(err)
			}
		}
		l.marker = l.newMarker(elsewhere)
		if err := l.raise(elsewhere, "1"); err != nil {
			t.Errorf("Commit in the same namespace: %v", err)
		}
		l.wantBalance("")
	})
}

// On a plain connection gRPC's statuses tell what is ambiguous.
func TestMarkerOnAPlainConnection(t *testing.T) {
	withLedger(t, func(l *ledger) {
		t := l.t
		var conn grpc.ClientConnInterface = l.cluster.Member(0).Conn(t)
		store := kv.New(conn)
		l.marker = l.newMarker(store)
		late := l.lose(false)
		if err := l.raise(store, "1"); status.Code(err) != codes.Unavailable {
			t.Fatalf("Commit: %v, want Unavailable", err)
		}
		l.wantSettled(false)
		late()
		l.wantBalance("")
	})
}
