package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a fake cluster of one member in a synctest bubble.
type rig struct {
	t       *testing.T
	cluster *etcdtest.Cluster
	kv      kv.KV
	watcher watch.Watcher
	leases  lease.Lease
}

func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		cc := c.Conn(t)
		r := &rig{t: t, cluster: c, kv: kv.New(cc), watcher: watch.New(cc), leases: lease.New(cc)}
		defer r.leases.Close()
		defer r.watcher.Close()
		test(r)
	})
}

// take takes a place, with a lease of an hour.
func (r *rig) take() (*queue.Place, lease.ID) {
	r.t.Helper()
	g, err := r.leases.Grant(r.t.Context(), 3600)
	if err != nil {
		r.t.Fatalf("Grant: %v", err)
	}
	p := &queue.Place{KV: r.kv, Watcher: r.watcher, Leases: r.leases, Prefix: "q/", TTL: 10 * time.Second, Key: fmt.Sprintf("q/%x", int64(g.ID))}
	taken, err := p.Take(r.t.Context(), "v", g.ID)
	if err != nil {
		r.t.Fatalf("Take: %v", err)
	}
	if !taken.New || taken.Own.CreateRevision != p.Rev || p.Rev != taken.Header.Revision {
		r.t.Errorf("Take: got %+v and revision %d, want a new key, of that revision", taken, p.Rev)
	}
	return p, g.ID
}

func (r *rig) delete(p *queue.Place) {
	r.t.Helper()
	if _, err := r.kv.Delete(r.t.Context(), p.Key); err != nil {
		r.t.Fatalf("Delete: %v", err)
	}
}

func (r *rig) wantFirst(p *queue.Place, want bool) {
	r.t.Helper()
	if got, err := p.First(r.t.Context()); err != nil || got != want {
		r.t.Errorf("First: got %v, %v, want %v", got, err, want)
	}
}

// Turns come in the order of the places, whoever leaves in between.
func TestTurns(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		a, id := r.take()
		b, _ := r.take()
		c, _ := r.take()
		r.wantFirst(a, true)
		r.wantFirst(b, false)
		if err := a.Wait(t.Context()); err != nil {
			t.Errorf("Wait of the first: %v", err)
		}
		waits := func(p *queue.Place) chan error {
			result := make(chan error, 1)
			go func() { result <- p.Wait(t.Context()) }()
			synctest.Wait()
			return result
		}
		bs, cs := waits(b), waits(c)
		begin := time.Now()
		r.delete(b)
		if err := <-bs; !errors.Is(err, queue.ErrDeleted) {
			t.Errorf("Wait of a deleted key: got %v, want %v", err, queue.ErrDeleted)
		}
		synctest.Wait()
		select {
		case err := <-cs:
			t.Errorf("Wait ended with %v before its turn", err)
		default:
		}
		if err := queue.Revoke(t.Context(), r.leases, id); err != nil {
			t.Errorf("Revoke: %v", err)
		}
		if err := <-cs; err != nil {
			t.Errorf("Wait: %v", err)
		}
		if got := time.Since(begin); got > 0 {
			t.Errorf("handing over took %v, want it by events, at once", got)
		}
		r.wantFirst(c, true)
	})
}

// Who has waited has a header that is not older than the end of the turn before.
func TestLooked(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		a, _ := r.take()
		b, _ := r.take()
		if err := a.Wait(t.Context()); err != nil || a.Looked != nil {
			t.Errorf("Wait of the first: %v, with the header %v, want none besides that of Take", err, a.Looked)
		}
		result := make(chan error, 1)
		go func() { result <- b.Wait(t.Context()) }()
		synctest.Wait()
		deleted, err := r.kv.Delete(t.Context(), a.Key)
		if err != nil {
			t.Fatalf("Delete: %v", err)
		}
		if err := <-result; err != nil {
			t.Errorf("Wait: %v", err)
		}
		if got, want := b.Looked.GetRevision(), deleted.Header.Revision; got < want {
			t.Errorf("the header's revision is %d, want at least that of the deletion, %d", got, want)
		}
	})
}

// A key of the same name that somebody else has put is another place.
func TestAnotherKeyOfTheSameName(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		p, _ := r.take()
		result := make(chan error, 1)
		go func() { result <- p.Hold(t.Context()) }()
		synctest.Wait()
		if resp, err := p.Commit(t.Context(), kv.OpTxn(nil, []kv.Op{kv.OpPut("x", "1")}, nil)); err != nil || !resp.Succeeded || resp.Header.GetRevision() == 0 {
			t.Errorf("Commit: got %v, %v, want it applied, with a header", resp, err)
		}
		r.delete(p)
		if _, err := r.kv.Put(t.Context(), p.Key, "v"); err != nil {
			t.Fatalf("Put: %v", err)
		}
		if err := <-result; !errors.Is(err, queue.ErrDeleted) {
			t.Errorf("Hold: got %v, want %v", err, queue.ErrDeleted)
		}
		if _, err := p.Commit(t.Context(), kv.OpTxn(nil, []kv.Op{kv.OpPut("x", "2")}, nil)); !errors.Is(err, queue.ErrDeleted) {
			t.Errorf("Commit: got %v, want %v", err, queue.ErrDeleted)
		}
		if resp, err := r.kv.Get(t.Context(), "x"); err != nil || string(resp.Kvs[0].Value) != "1" {
			t.Errorf("x is %v, %v, want what the holder has put, 1", resp, err)
		}
	})
}

// What was taken is taken up again, such as by the same lease.
func TestTakeAgain(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		p, id := r.take()
		again := &queue.Place{KV: r.kv, Watcher: r.watcher, Leases: r.leases, Prefix: p.Prefix, TTL: p.TTL, Key: p.Key}
		taken, err := again.Take(t.Context(), "w", id)
		if err != nil {
			t.Fatalf("Take: %v", err)
		}
		if taken.New || again.Rev != p.Rev || string(taken.Own.Value) != "v" || taken.Own.Lease != int64(id) {
			t.Errorf("Take: got %+v and revision %d, want the key that is there, of revision %d", taken, again.Rev, p.Rev)
		}
		// Who knows key and revision needs no Take.
		known := &queue.Place{KV: r.kv, Watcher: r.watcher, Leases: r.leases, Prefix: p.Prefix, TTL: p.TTL, Key: p.Key, Rev: p.Rev}
		r.wantFirst(known, true)
	})
}

// An error that stays ends everything; one that passes is waited out.
func TestErrors(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		first, _ := r.take()
		p, id := r.take()
		fail := func(code codes.Code, only string, times int) {
			r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
				if method != only || times == 0 {
					return next()
				}
				times--
				return nil, status.Error(code, "as the test wants")
			})
		}
		known := &queue.Place{KV: r.kv, Watcher: r.watcher, Leases: r.leases, Prefix: p.Prefix, TTL: p.TTL, Key: p.Key, Rev: p.Rev}
		fail(codes.Unavailable, pb.KV_Txn_FullMethodName, 3)
		r.wantFirst(known, false)
		fail(codes.PermissionDenied, pb.KV_Txn_FullMethodName, 1)
		known = &queue.Place{KV: r.kv, Watcher: r.watcher, Leases: r.leases, Prefix: p.Prefix, TTL: p.TTL, Key: p.Key, Rev: p.Rev}
		if err := known.Wait(t.Context()); status.Code(err) != codes.PermissionDenied {
			t.Errorf("Wait: got %v, want the refusal", err)
		}
		r.cluster.Member(0).Intercept(nil)

		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("the cause")
		time.AfterFunc(time.Minute, func() { cancel(cause) })
		if err := p.Wait(ctx); !errors.Is(err, cause) {
			t.Errorf("Wait: got %v, want the context's cause", err)
		}

		// Revoke has time of its own.
		fail(codes.Unavailable, pb.Lease_LeaseRevoke_FullMethodName, 3)
		if err := queue.Revoke(ctx, r.leases, id); err != nil {
			t.Errorf("Revoke with a context that has ended: %v", err)
		}
		if err := queue.Revoke(ctx, r.leases, id); err != nil {
			t.Errorf("Revoke of what is revoked: %v", err)
		}
		fail(codes.Unavailable, pb.Lease_LeaseRevoke_FullMethodName, -1)
		begin := time.Now()
		outer, done := queue.Cleanup(ctx)
		defer done()
		for range 2 { // both together
			if err := queue.Revoke(outer, r.leases, id); err == nil {
				t.Error("Revoke without a cluster: no error")
			}
		}
		if got := time.Since(begin); got != 3*time.Second {
			t.Errorf("Revoke took %v, want all the time there is, 3s", got)
		}
		r.cluster.Member(0).Intercept(nil)
		r.wantFirst(first, true)
	})
}

// Who has lost its place needs to close nothing: the watcher rests without watches.
func TestNothingRunsAfterHold(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		watching := func() bool {
			synctest.Wait()
			stacks := make([]byte, 1<<20)
			return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("getcd/watch.(*"))
		}
		p, _ := r.take()
		result := make(chan error, 1)
		go func() { result <- p.Hold(t.Context()) }()
		if !watching() {
			t.Error("there is no goroutine of the watcher while holding")
		}
		r.delete(p)
		if err := <-result; !errors.Is(err, queue.ErrDeleted) {
			t.Errorf("Hold: got %v, want %v", err, queue.ErrDeleted)
		}
		if watching() {
			t.Error("goroutines of the watcher are left after the loss")
		}
	})
}

// A place that may be put yet is deleted when it comes, and then none is to come: what looks
// after it ends, also when the answer to the deletion was lost.
func TestForsakeAfterALostAnswer(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		g, err := r.leases.Grant(t.Context(), 3600)
		if err != nil {
			t.Fatalf("Grant: %v", err)
		}
		p := &queue.Place{KV: r.kv, Watcher: r.watcher, Leases: r.leases, Prefix: "q/", TTL: 10 * time.Second, Key: queue.Key("q/", g.ID), Shared: true, Doubt: true}
		clean, ended := make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			defer close(ended)
			p.Forsake(ctx, g.ID, clean)
		}()
		<-clean
		synctest.Wait()

		lost := false
		r.cluster.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			resp, err := next()
			if method == pb.KV_Txn_FullMethodName && !lost {
				lost = true
				return nil, status.Error(codes.Unavailable, "the connection broke")
			}
			return resp, err
		})
		if _, err := r.kv.Put(t.Context(), p.Key, "", kv.WithLease(g.ID)); err != nil { // it comes late
			t.Fatalf("Put: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("Forsake still waits for a second put")
		}
		cancel()
		<-ended
	})
}
