package concurrency_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
)

// The state at the header's revision has what the former holders have put.
func TestHeader(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		a, b := r.mutex(), r.mutex()
		r.lock(a)
		key, err := r.Get(t.Context(), a.Key())
		if err != nil || key.Kvs[0].CreateRevision != a.Header().Revision {
			t.Errorf("without waiting the revision is %d, want that of the key, %v, %v", a.Header().Revision, key, err)
		}
		got := make(chan error)
		go func() { got <- b.Lock(t.Context()) }()
		synctest.Wait()
		if _, err := r.Put(t.Context(), "state", "a's"); err != nil {
			t.Fatal(err)
		}
		r.unlock(a)
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		state, err := r.Get(t.Context(), "state", clientv3.WithRev(b.Header().Revision))
		if err != nil || len(state.Kvs) != 1 {
			t.Errorf("at the header's revision, %d, the state is %v, %v; want what the former holder has put", b.Header().Revision, state, err)
		}
		r.unlock(b)
		if err := a.TryLock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a.Header().Revision <= b.Header().Revision {
			t.Errorf("the revision after TryLock is %d, want one after the former holder's, %d", a.Header().Revision, b.Header().Revision)
		}
		r.unlock(a)
	})
}

// isDelete reports whether a request deletes a key.
func isDelete(req any) bool {
	txn, ok := req.(*pb.TxnRequest)
	return ok && len(txn.Success) > 0 && txn.Success[0].GetRequestDeleteRange() != nil
}

// refuse has the member refuse to delete keys.
func (r *rig) refuse() {
	r.member.Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
		if isDelete(req) {
			return nil, rpctypes.ErrGRPCPermissionDenied
		}
		return next()
	})
}

// Unlock can be called until it has succeeded.
func TestUnlockAgain(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		m := r.mutex()
		r.lock(m)
		key := m.Key()
		r.refuse()
		for range 2 {
			if err := m.Unlock(t.Context()); err != rpctypes.ErrPermissionDenied { //nolint:errorlint // as callers do
				t.Errorf("Unlock: %v, want %v", err, rpctypes.ErrPermissionDenied)
			}
			r.wantKeys(1)
			if m.Key() != key {
				t.Errorf("the key is %q, want %q", m.Key(), key)
			}
			if txn, err := r.Txn(t.Context()).If(m.IsOwner()).Commit(); err != nil || !txn.Succeeded {
				t.Errorf("IsOwner does not hold: %v, %v", txn, err)
			}
		}
		r.member.Intercept(nil)
		r.unlock(m)
		r.wantKeys(0)
		if m.Key() != "" {
			t.Errorf("the key is %q, want none", m.Key())
		}
		if err := m.Unlock(t.Context()); err != concurrency.ErrLockReleased { //nolint:errorlint // as callers do
			t.Errorf("Unlock: %v, want %v", err, concurrency.ErrLockReleased)
		}
	})
}

// A lock that was taken again is not the one that could not be released.
func TestLockAfterAFailedUnlock(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		s := r.session()
		m := concurrency.NewMutex(s, "lock")
		r.lock(m)
		r.refuse()
		if err := m.Unlock(t.Context()); err == nil {
			t.Error("Unlock: no error")
		}
		r.member.Intercept(nil)
		r.lock(m)
		r.unlock(m)
		r.wantKeys(0)
		if err := m.Unlock(t.Context()); err != concurrency.ErrLockReleased { //nolint:errorlint // as callers do
			t.Errorf("Unlock: %v, want %v", err, concurrency.ErrLockReleased)
		}

		// A lock that was taken later, here by the same session, is never released.
		r.lock(m)
		r.refuse()
		if err := m.Unlock(t.Context()); err == nil {
			t.Error("Unlock: no error")
		}
		r.member.Intercept(nil)
		if _, err := r.Delete(t.Context(), m.Key()); err != nil {
			t.Fatal(err)
		}
		other := concurrency.NewMutex(s, "lock")
		r.lock(other)
		r.unlock(m)
		r.wantKeys(1)
		r.unlock(other)
	})
}

// Unlock in an outage can be repeated, whether the key is deleted meanwhile or not, and
// whatever has become of the context.
func TestUnlockInAnOutage(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		m := r.mutex()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, ctx := range []context.Context{t.Context(), ended} {
			r.lock(m)
			r.member.Freeze()
			for range 2 {
				begin := time.Now()
				if err := m.Unlock(ctx); err != context.DeadlineExceeded { //nolint:errorlint // as callers do
					t.Errorf("Unlock: %v, want %v", err, context.DeadlineExceeded)
				}
				if took := time.Since(begin); took > 3*time.Second {
					t.Errorf("Unlock took %v, want 3 s at most", took)
				}
			}
			r.member.Thaw()
			err := m.Unlock(ctx)
			for tries := 1; err != nil && tries < 10; tries++ { // until it succeeds
				err = m.Unlock(ctx)
			}
			if err != nil {
				t.Errorf("Unlock after the outage: %v", err)
			}
			r.wantKeys(0)
		}
		if err := m.Unlock(nil); err == nil { //nolint:staticcheck // SA1012: that is what is tested
			t.Error("Unlock without a context: no error")
		}
	})
}

// A program that compares the create revision of its key learns from the server that the
// session has ended, and not by an error.
func TestKeyOfALostSession(t *testing.T) {
	run(t, func(r *rig) {
		t := r.t
		s := r.session()
		m, e := concurrency.NewMutex(s, "lock"), concurrency.NewElection(s, "chair")
		r.lock(m)
		if err := e.Campaign(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		held := func(key string, rev int64) bool {
			t.Helper()
			resp, err := r.Txn(t.Context()).If(clientv3.Compare(clientv3.CreateRevision(key), "=", rev)).Commit()
			if err != nil {
				t.Errorf("of the key %q: %v", key, err)
			}
			return err == nil && resp.Succeeded
		}
		key, rev := m.Key(), m.Header().Revision
		if !held(m.Key(), rev) || !held(e.Key(), e.Rev()) {
			t.Error("they are not held, want both")
		}
		if _, err := r.Revoke(t.Context(), s.Lease()); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		if held(m.Key(), rev) || held(e.Key(), e.Rev()) {
			t.Error("they are held, want none")
		}
		if m.Key() != key {
			t.Errorf("the mutex's key is %q, want %q", m.Key(), key)
		}
		resumed := concurrency.ResumeElection(s, "chair", e.Key(), e.Rev())
		if resumed.Key() != e.Key() || held(resumed.Key(), resumed.Rev()) {
			t.Errorf("the key of the resumed one is %q, want %q, not held", resumed.Key(), e.Key())
		}
		r.unlock(m)
		if err := e.Proclaim(t.Context(), "ann, again"); err != concurrency.ErrElectionNotLeader { //nolint:errorlint // as callers do
			t.Errorf("Proclaim: %v", err)
		}
		if err := resumed.Resign(t.Context()); err != nil {
			t.Error(err)
		}
		if m.Key() != "" || e.Key() != "" || resumed.Key() != "" {
			t.Errorf("the keys are %q, %q and %q, want none", m.Key(), e.Key(), resumed.Key())
		}
	})
}
