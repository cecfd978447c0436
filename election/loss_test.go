package election_test

import (
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/internal/testconn"
	"github.com/getcd/getcd/lease"
)

func TestKeyDeleted(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		e := r.leader(r.alone(0), "a", options()...)
		done := e.Done()
		time.Sleep(time.Minute)
		begin := time.Now()
		r.delete(e.Key())
		<-done
		if got := time.Since(begin); got > 0 {
			t.Errorf("Done %v after the deletion, want at once", got)
		}
		wantIs(t, "Err", e.Err(), election.ErrLost)
		wantIs(t, "Proclaim", e.Proclaim(t.Context(), "x"), election.ErrNotLeader)
		if e.Key() != "" {
			t.Errorf("the key is %q, want none", e.Key())
		}
		// Campaign works with and without a Resign before.
		if err := e.Campaign(t.Context(), "again"); err != nil {
			t.Errorf("Campaign: %v", err)
		}
		r.wantCandidates("again")
		r.resign(e)
		r.wantCandidates()
	})
}

// A key that was deleted before anybody looked is noticed, too; by Proclaim even
// when nobody looks.
func TestKeyDeletedBeforeLooking(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		e := r.leader(r.alone(0), "a", options()...)
		r.delete(e.Key())
		<-e.Done()
		wantIs(t, "Err", e.Err(), election.ErrLost)
		r.resign(e)

		e = r.leader(r.alone(0), "a", options()...)
		r.delete(e.Key())
		wantIs(t, "Proclaim", e.Proclaim(t.Context(), "x"), election.ErrLost)
		r.wantCandidates()
		if err := e.Campaign(t.Context(), "again"); err != nil {
			t.Errorf("Campaign: %v", err)
		}
		r.delete(e.Key())
		if err := e.Campaign(t.Context(), "and again"); err != nil {
			t.Errorf("Campaign of a leader whose key is gone: %v", err)
		}
		r.wantCandidates("and again")
		r.resign(e)
	})
}

// A leader that is cut off knows before another one leads.
func TestCutOffLeaderKnowsInTime(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		a := r.leader(r.alone(0), "a")
		b := r.election(r.alone(1))
		result := r.campaign(t.Context(), b)
		time.Sleep(time.Minute)
		var lost, led time.Time
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			<-a.Done()
			lost = time.Now()
		}()
		r.cluster.Member(0).Freeze()
		if err := <-result; err != nil {
			t.Fatalf("Campaign: %v", err)
		}
		led = time.Now()
		<-gone
		if !lost.Before(led) {
			t.Errorf("the leader knew %v after another one led, want before", lost.Sub(led))
		}
		wantIs(t, "Err", a.Err(), lease.ErrExpired)
		wantIs(t, "Err", a.Err(), election.ErrLost)
		if b.Rev() <= a.Rev() {
			t.Errorf("the new leader has rev %d, want one above the old one's, %d", b.Rev(), a.Rev())
		}
		r.cluster.Member(0).Thaw()
		r.resign(a)
		r.wantCandidates("b")
		r.resign(b)
	})
}

// The session's end is the leadership's, and ends a Campaign that waits.
func TestSessionEnds(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		s, other := r.session(), r.session()
		a := r.leader(r.alone(0), "a", election.WithSession(s))
		b := r.election(r.alone(0), election.WithSession(other))
		result := r.campaign(t.Context(), b)
		r.wantCandidates("a", "b")
		_ = other.Close()
		err := <-result
		wantIs(t, "Campaign", err, election.ErrLost)
		wantIs(t, "Campaign", err, lease.ErrClosed)
		r.wantCandidates("a") // without waiting for the lease
		wantIs(t, "Campaign without a session", b.Campaign(t.Context(), "b"), election.ErrLost)

		done := a.Done()
		_ = s.Close()
		<-done
		wantIs(t, "Err", a.Err(), lease.ErrClosed)
		wantIs(t, "Proclaim", a.Proclaim(t.Context(), "x"), election.ErrLost)
		r.resign(a)
		r.wantCandidates()
	})
}

// A waiter whose key is taken from it queues again.
func TestWaiterStartsOver(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		a, b := r.leader(r.alone(0), "a"), r.election(r.alone(0), options()...)
		result := r.campaign(t.Context(), b)
		r.wantCandidates("a", "b")
		old := r.kvs()[1]
		r.delete(string(old.Key))
		time.Sleep(time.Minute)
		r.wantCandidates("a", "b")
		if again := r.kvs()[1]; again.CreateRevision <= old.CreateRevision {
			t.Errorf("the candidate's create revision is %d, want one after %d", again.CreateRevision, old.CreateRevision)
		}
		r.resign(a)
		if err := <-result; err != nil {
			t.Errorf("Campaign: %v", err)
		}
		r.resign(b)
		r.wantCandidates()
	})
}

// Even when the member at the other end of the watch has fallen silent, a leader
// learns of its key's deletion, and a waiter of its turn.
func TestSilentWatch(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		split := &testconn.SplitStreams{ClientConnInterface: r.alone(1), Streams: r.alone(0), Method: pb.Watch_Watch_FullMethodName}
		a, b := r.leader(r.alone(1), "a"), r.election(split)
		result := r.campaign(t.Context(), b)
		r.wantCandidates("a", "b")
		r.cluster.Member(0).Hang()
		begin := time.Now()
		r.resign(a)
		if err := <-result; err != nil {
			t.Fatalf("Campaign: %v", err)
		}
		if got := time.Since(begin); got > 5*time.Second {
			t.Errorf("the waiter led after %v, want at most half a TTL, 5s", got)
		}
		done := b.Done()
		synctest.Wait()
		begin = time.Now()
		r.delete(b.Key())
		<-done
		if got := time.Since(begin); got > 5*time.Second {
			t.Errorf("Done %v after the deletion, want at most half a TTL, 5s", got)
		}
		r.cluster.Member(0).Resume()
		r.resign(b)
	})
}

// The member that a candidate talks to is killed while it waits and while it
// leads.
func TestFailover(t *testing.T) {
	run(t, 3, func(r *rig) {
		t := r.t
		cc := r.client()
		a, b := r.leader(r.alone(2), "a"), r.election(cc)
		result := r.campaign(t.Context(), b)
		r.wantCandidates("a", "b")
		r.cluster.Member(0).Kill()
		time.Sleep(20 * time.Second)
		r.wantCandidates("a", "b")
		r.resign(a)
		if err := <-result; err != nil {
			t.Fatalf("Campaign: %v", err)
		}
		done := b.Done()
		r.cluster.Member(0).Start()
		time.Sleep(time.Minute)
		r.cluster.Member(1).Kill()
		time.Sleep(time.Minute)
		if isDone(done) || b.Err() != nil {
			t.Errorf("after the members' deaths: done %v, %v; want it to lead", isDone(done), b.Err())
		}
		r.delete(b.Key())
		<-done
		r.resign(b)
	})
}
