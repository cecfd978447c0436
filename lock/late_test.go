package lock_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/lock"
)

// stopped keeps transactions back, like a member that was stopped with them.
type stopped struct {
	mu   sync.Mutex
	n    int // how many more it keeps
	pick func(*pb.TxnRequest) bool
	fail bool // they fail at once, instead of waiting; in either case they are applied later

	letGo chan struct{}
	late  chan error // what the cluster said of each in the end
}

func puts(r *pb.TxnRequest) bool { return len(r.Success) > 0 && r.Success[0].GetRequestPut() != nil }

func deletes(r *pb.TxnRequest) bool {
	return len(r.Success) == 1 && r.Success[0].GetRequestDeleteRange() != nil
}

// stop keeps back the next n transactions that pick picks.
func (r *rig) stop(n int, pick func(*pb.TxnRequest) bool, fail bool) *stopped {
	s := &stopped{n: n, pick: pick, fail: fail, letGo: make(chan struct{}), late: make(chan error, 100)}
	r.cluster.Member(0).Intercept(func(ctx context.Context, _ string, req any, next func() (any, error)) (any, error) {
		txn, ok := req.(*pb.TxnRequest)
		if !ok || !s.keeps(txn) {
			return next()
		}
		applied := make(chan struct{})
		go func() {
			defer close(applied)
			<-s.letGo
			_, err := next()
			s.late <- err
		}()
		if s.fail {
			return nil, status.Error(codes.Unavailable, "connection lost")
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	return s
}

func (s *stopped) keeps(txn *pb.TxnRequest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == 0 || !s.pick(txn) {
		return false
	}
	s.n--
	return true
}

// apply lets the transactions reach the cluster, and returns what it says of them.
func (s *stopped) apply() (answers []error) {
	close(s.letGo)
	synctest.Wait()
	for len(s.late) > 0 {
		answers = append(answers, <-s.late)
	}
	return answers
}

// A Lock that was given up, and whose transaction comes late, puts no key: the lease is gone.
func TestLateLockAlone(t *testing.T) {
	forms(t, 1, func(r *rig) {
		t := r.t
		s := r.stop(1, puts, false)
		wantIs(t, "Lock", r.mutex(r.alone(0)).Lock(timeout(t, time.Second)), context.DeadlineExceeded)
		if n := r.leases(); n != 0 {
			t.Errorf("%d leases after Lock was given up, want none", n)
		}
		if late := s.apply(); len(late) != 1 || status.Code(late[0]) != codes.NotFound {
			t.Errorf("the late transaction's answer was %v, want %v", late, rpctypes.ErrLeaseNotFound)
		}
		r.wantNothingLeft()
	})
}

// So it is if the lease is needed for other locks: a key that comes is deleted, and in nobody's way.
func TestLateLockBesideOthers(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		beside, m := r.lockNamed(cc, "beside"), r.mutex(cc)
		s := r.stop(1, puts, false)
		wantIs(t, "Lock", m.Lock(timeout(t, time.Second)), context.DeadlineExceeded)
		time.Sleep(time.Hour)
		if err := m.Lock(t.Context()); err != nil {
			t.Fatalf("Lock again: %v", err)
		}
		if leaseOf(t, m.Key()) == leaseWith(t, "beside/", beside.Key()) {
			t.Error("the next lock has the lease of the one in doubt")
		}
		token := m.Token()
		if late := s.apply(); len(late) != 1 || late[0] != nil {
			t.Errorf("the late transaction's answer was %v, want one that is nil: the lease lives", late)
		}
		r.wantKeys(m.Key())
		if m.Err() != nil || beside.Err() != nil || m.Token() != token {
			t.Errorf("the late transaction did harm: %v, %v", m.Err(), beside.Err())
		}
		r.unlock(m)
		r.wantKeys()
		r.unlock(beside)
		if n := r.leases(); n != 1 { // the one in doubt ends with its last lock
			t.Errorf("%d leases, want 1", n)
		}
		r.wantNothingLeft()
	})
}

// A key that comes back first in the queue holds nobody up.
func TestLateLockIsFirst(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		beside, m := r.lockNamed(cc, "beside"), r.mutex(cc)
		s := r.stop(1, puts, false)
		wantIs(t, "Lock", m.Lock(timeout(t, time.Second)), context.DeadlineExceeded)
		var wg sync.WaitGroup
		wg.Go(func() { s.apply() })
		begin := time.Now()
		rival := r.locked(r.alone(0))
		if got := time.Since(begin); got > 0 {
			t.Errorf("another one had the lock after %v, want at once", got)
		}
		wg.Wait()
		r.wantKeys(rival.Key())
		r.unlock(rival)
		r.unlock(beside)
		r.wantNothingLeft()
	})
}

// One call of Lock goes on with another lease, since the key may still come with the first.
func TestLockGoesOnInDoubt(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		cc := r.alone(0)
		beside := r.lockNamed(cc, "beside")
		s := r.stop(1, puts, true)
		m := r.locked(cc)
		s.apply()
		r.wantKeys(m.Key())
		r.unlock(m)
		time.Sleep(time.Hour)
		r.wantKeys()
		r.unlock(beside)
		r.wantNothingLeft()
	})
}

// An answer that was lost leaves no doubt if the key is there: the session goes on.
func TestLostAnswerIsSettled(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		beside := r.lockNamed(cc, "beside")
		lost := false
		r.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			resp, err := next()
			if txn, ok := req.(*pb.TxnRequest); ok && puts(txn) && !lost {
				lost = true
				return nil, status.Error(codes.Unavailable, "connection lost")
			}
			return resp, err
		})
		m := r.locked(cc)
		key := m.Key()
		if leaseOf(t, key) != leaseWith(t, "beside/", beside.Key()) || r.leases() != 1 {
			t.Errorf("%q has another lease than %q, want the same", key, beside.Key())
		}
		r.unlock(m)
		if m = r.locked(cc); m.Key() != key {
			t.Errorf("the next key is %q, want %q again", m.Key(), key)
		}
		r.unlock(m)
		r.unlock(beside)
		r.wantNothingLeft()
	})
}

// A deletion that comes late does not free the next lock, although its key has the same name.
func TestLateUnlockOfTheSameKey(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		beside, m := r.lockNamed(cc, "beside"), r.locked(cc)
		key := m.Key()
		s := r.stop(1, deletes, false)
		if err := m.Unlock(timeout(t, time.Second)); err != nil { // deletes it by another request
			t.Errorf("Unlock: %v", err)
		}
		r.wantKeys()
		if err := m.Lock(t.Context()); err != nil || m.Key() != key {
			t.Fatalf("Lock again: %v, with the key %q, want %q", err, m.Key(), key)
		}
		if late := s.apply(); len(late) != 1 || late[0] != nil {
			t.Errorf("the late deletion's answer was %v", late)
		}
		time.Sleep(time.Minute)
		if err := m.Err(); err != nil {
			t.Errorf("the late deletion has freed the next lock: %v", err)
		}
		r.wantKeys(key)
		r.unlock(m)
		r.unlock(beside)
		r.wantNothingLeft()
	})
}

// An Unlock that does not reach the cluster says so within its time, and the key is deleted as soon as
// that can be reached, while other locks go on.
func TestUnlockInDoubtBesideOthers(t *testing.T) {
	sharing(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		beside, m := r.lockNamed(cc, "beside"), r.locked(cc)
		key := m.Key()
		s := r.stop(-1, deletes, false)
		begin := time.Now()
		if err := m.Unlock(timeout(t, time.Second)); err == nil {
			t.Error("Unlock: got no error although no deletion was answered")
		}
		if got := time.Since(begin); got > 4*time.Second {
			t.Errorf("Unlock took %v, want at most 3 s more than its context, 4s", got)
		}
		wantIs(t, "Err", m.Err(), lock.ErrNotHeld)
		r.wantKeys(key)
		time.Sleep(time.Hour)
		if err := beside.Err(); err != nil {
			t.Errorf("the other lock: %v", err)
		}
		s.mu.Lock()
		s.n = 0
		s.mu.Unlock()
		s.apply()
		r.wantKeys()
		again := r.locked(cc)
		if again.Key() == key {
			t.Errorf("the next key is %q again, though its session is to end", key)
		}
		r.unlock(again)
		r.unlock(beside)
		r.wantNothingLeft()
	})
}
