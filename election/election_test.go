package election_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

func TestOneCandidate(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		e := r.election(r.alone(0), options()...)
		before := r.leases()
		if e.Key() != "" || e.Rev() != 0 || e.Header() != nil || !isDone(e.Done()) {
			t.Errorf("before Campaign: key %q, rev %d, header %v, done %v; want none of them, and done", e.Key(), e.Rev(), e.Header(), isDone(e.Done()))
		}
		wantIs(t, "Err before Campaign", e.Err(), election.ErrNotLeader)
		wantIs(t, "Proclaim before Campaign", e.Proclaim(t.Context(), "x"), election.ErrNotLeader)
		r.resign(e)
		if _, err := e.Leader(t.Context()); err != election.ErrNoLeader { //nolint:errorlint // clientv3's users compare it
			t.Errorf("Leader of nobody: got %v, want %v itself", err, election.ErrNoLeader)
		}

		if err := e.Campaign(t.Context(), "first"); err != nil {
			t.Fatalf("Campaign: %v", err)
		}
		done := e.Done()
		kvs := r.kvs()
		if len(kvs) != 1 || string(kvs[0].Key) != e.Key() || kvs[0].CreateRevision != e.Rev() {
			t.Errorf("candidates are %v, want one with key %q and create revision %d", kvs, e.Key(), e.Rev())
		}
		if e.Header().GetRevision() != kvs[0].ModRevision {
			t.Errorf("the header's revision is %d, want that of the proposal, %d", e.Header().GetRevision(), kvs[0].ModRevision)
		}
		if err := e.Proclaim(t.Context(), "second"); err != nil {
			t.Errorf("Proclaim: %v", err)
		}
		leader, err := e.Leader(t.Context())
		if err != nil || len(leader.Kvs) != 1 || string(leader.Kvs[0].Value) != "second" || leader.Kvs[0].CreateRevision != e.Rev() {
			t.Errorf("Leader: got %v, %v; want the proclamation", leader, err)
		}
		if e.Header().GetRevision() != leader.Kvs[0].ModRevision {
			t.Errorf("the header's revision is %d, want the proclamation's, %d", e.Header().GetRevision(), leader.Kvs[0].ModRevision)
		}
		rev := e.Rev()
		if err := e.Campaign(t.Context(), "third"); err != nil || e.Rev() != rev {
			t.Errorf("Campaign of the leader: %v and rev %d, want it to lead on with %d", err, e.Rev(), rev)
		}
		r.wantCandidates("third")
		time.Sleep(time.Hour)
		if err := e.Err(); err != nil || isDone(done) {
			t.Errorf("after an hour: error %v, done %v; want neither", err, isDone(done))
		}

		r.resign(e)
		if !isDone(done) || e.Key() != "" {
			t.Errorf("after Resign: done %v, key %q; want done and none", isDone(done), e.Key())
		}
		wantIs(t, "Err after Resign", e.Err(), election.ErrNotLeader)
		r.resign(e)
		r.wantCandidates()
		if got := r.leases(); got != before {
			t.Errorf("%d leases are left, want those before, %d", got, before)
		}
		if err := e.Campaign(t.Context(), "again"); err != nil || e.Rev() <= rev {
			t.Errorf("Campaign after Resign: %v and rev %d, want one above %d", err, e.Rev(), rev)
		}
		r.resign(e)
	})
}

// Ten candidates on three members, each leads three times, in the order in which
// they came.
func TestManyCandidates(t *testing.T) {
	inBothModes(t, 3, func(r *rig, options func() []election.Option) {
		t := r.t
		const candidates, rounds = 10, 3
		var (
			leaders atomic.Int32
			mu      sync.Mutex
			revs    []int64
			wg      sync.WaitGroup
		)
		for i := range candidates {
			e := r.election(r.alone(i%3), options()...)
			wg.Go(func() {
				for range rounds {
					if err := e.Campaign(t.Context(), "me"); err != nil {
						t.Errorf("Campaign: %v", err)
						return
					}
					if n := leaders.Add(1); n != 1 {
						t.Errorf("%d leaders at once", n)
					}
					mu.Lock()
					revs = append(revs, e.Rev())
					mu.Unlock()
					time.Sleep(3 * time.Second)
					leaders.Add(-1)
					if err := e.Resign(t.Context()); err != nil {
						t.Errorf("Resign: %v", err)
					}
				}
			})
		}
		begin := time.Now()
		wg.Wait()
		if len(revs) != candidates*rounds {
			t.Errorf("led %d times, want %d", len(revs), candidates*rounds)
		}
		for i := 1; i < len(revs); i++ {
			if revs[i] <= revs[i-1] {
				t.Errorf("rev %d is %d after %d, want it to grow", i, revs[i], revs[i-1])
			}
		}
		// Handing over takes events, not polls.
		if got, want := time.Since(begin), candidates*rounds*3*time.Second; got > want+time.Second {
			t.Errorf("took %v, want hardly more than %v", got, want)
		}
		r.wantCandidates()
	})
}

// In a session the key has the session's lease, as clientv3's has, and the
// candidates of one session are one.
func TestSession(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		s := r.session()
		e := r.leader(r.alone(0), "a", election.WithSession(s))
		synctest.Wait()
		if n := r.leases(); n != 1 {
			t.Errorf("%d leases, want the session's alone", n)
		}
		if kvs := r.kvs(); len(kvs) != 1 || kvs[0].Lease != int64(s.ID()) {
			t.Errorf("candidates are %v, want one with the lease %x", kvs, s.ID())
		}
		same := r.leader(r.alone(0), "b", election.WithSession(s))
		if same.Key() != e.Key() || same.Rev() != e.Rev() {
			t.Errorf("the session's second Election leads with %s at %d, want %s at %d", same.Key(), same.Rev(), e.Key(), e.Rev())
		}
		r.wantCandidates("b")
		if err := e.Proclaim(t.Context(), "c"); err != nil {
			t.Errorf("Proclaim by the first, after the second's: %v", err)
		}
		r.wantCandidates("c")
		r.resign(same)
		<-e.Done()
		wantIs(t, "Err of the first", e.Err(), election.ErrLost)
		r.resign(e)
		if err := s.Err(); err != nil {
			t.Errorf("the session has ended: %v", err)
		}
	})
}

func TestResume(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		s := r.session()
		e := r.leader(r.alone(0), "a", election.WithSession(s))
		for _, name := range []string{"job", "job/"} {
			again, err := election.Resume(r.alone(0), name, e.Key(), e.Rev(), election.WithSession(s))
			if err != nil {
				t.Fatalf("Resume: %v", err)
			}
			if again.Key() != e.Key() || again.Rev() != e.Rev() {
				t.Errorf("resumed with %s at %d, want %s at %d", again.Key(), again.Rev(), e.Key(), e.Rev())
			}
			if err := again.Proclaim(t.Context(), "by "+name); err != nil {
				t.Errorf("Proclaim: %v", err)
			}
			r.wantCandidates("by " + name)
			if l, err := again.Leader(t.Context()); err != nil || string(l.Kvs[0].Value) != "by "+name {
				t.Errorf("Leader: got %v, %v", l, err)
			}
			if err := again.Err(); err != nil {
				t.Errorf("Err: %v", err)
			}
			done := again.Done()
			synctest.Wait()
			if isDone(done) {
				t.Error("Done is closed")
			}
			if name == "job/" {
				r.resign(again)
				r.wantCandidates()
			} else {
				// Its goroutines end with its session, or when it is resigned.
				defer r.resign(again)
			}
		}
		// Who resumes what is over learns of it.
		late, err := election.Resume(r.alone(0), "job", e.Key(), e.Rev(), election.WithSession(s))
		if err != nil {
			t.Fatalf("Resume: %v", err)
		}
		wantIs(t, "Proclaim", late.Proclaim(t.Context(), "x"), election.ErrLost)
		<-late.Done()
		r.resign(late)
		r.resign(e)
	})
}

func TestTxn(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		e := r.election(r.alone(0))
		put := func() error {
			resp, err := e.Txn(t.Context()).Then(kv.OpPut("x", "1")).Commit()
			if err == nil && (!resp.Succeeded || resp.Header.GetRevision() == 0) {
				t.Errorf("got %v, want it applied, with a header", resp)
			}
			return err
		}
		wantIs(t, "Txn before Campaign", put(), election.ErrNotLeader)
		if err := e.Campaign(t.Context(), "a"); err != nil {
			t.Fatalf("Campaign: %v", err)
		}
		if err := put(); err != nil {
			t.Errorf("Txn of the leader: %v", err)
		}
		resp, err := e.Txn(t.Context()).If(kv.Compare(kv.Value("x"), "=", "2")).Then(kv.OpPut("x", "3")).Else(kv.OpGet("x")).Commit()
		if err != nil || resp.Succeeded || string(resp.Responses[0].GetResponseRange().Kvs[0].Value) != "1" {
			t.Errorf("a comparison that does not hold: got %v, %v; want the Else branch", resp, err)
		}
		if _, err := e.Txn(t.Context()).Then().If().Commit(); err == nil || !strings.Contains(err.Error(), "If: it comes after Then") {
			t.Errorf("wrong order: got %v, want that", err)
		}
		if resp, err := kv.New(r.admin).Txn(t.Context()).If(e.Guard()).Commit(); err != nil || !resp.Succeeded {
			t.Errorf("Guard of the leader: %v, %v; want it to hold", resp, err)
		}
		r.delete(e.Key())
		wantIs(t, "Txn after the loss", put(), election.ErrLost)
		r.resign(e)
		if resp, err := kv.New(r.admin).Txn(t.Context()).If(e.Guard()).Commit(); err != nil || resp.Succeeded {
			t.Errorf("Guard of nobody: %v, %v; want it not to hold", resp, err)
		}
	})
}

func TestOneCallAtATime(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		a, b := r.leader(r.alone(0), "a"), r.election(r.alone(0))
		result := r.campaign(t.Context(), b)
		r.wantCandidates("a", "b")
		wantIs(t, "second Campaign", b.Campaign(t.Context(), "b2"), election.ErrCampaigning)
		wantIs(t, "Proclaim while waiting", b.Proclaim(t.Context(), "b2"), election.ErrNotLeader)
		r.resign(b) // ends the Campaign
		err := <-result
		wantIs(t, "Campaign", err, election.ErrResigned)
		wantIs(t, "Campaign", err, election.ErrNotLeader)
		r.wantCandidates("a")
		r.resign(a)
	})
}

// The services of a client are shared.
func TestSharedServices(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		leases := lease.New(cc)
		defer func() { _ = leases.Close() }()
		a := r.leader(cc, "a", election.WithLeaseService(leases))
		other, err := election.New(cc, "other", election.WithLeaseService(leases))
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Campaign(t.Context(), "o"); err != nil {
			t.Fatal(err)
		}
		if got := r.cluster.Member(0).Calls(pb.Lease_LeaseKeepAlive_FullMethodName); got != 1 {
			t.Errorf("%d renewal streams, want 1", got)
		}
		r.resign(other)
		_ = leases.Close()
		<-a.Done()
		wantIs(t, "Err", a.Err(), lease.ErrClosed)
		r.resign(a)
	})
}

func TestMisuse(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []election.Option
		want string
	}{
		{"", nil, "name is empty"},
		{"job", []election.Option{election.WithTTL(0)}, "from 1 s"},
		{"job", []election.Option{election.WithTTL(1500 * time.Millisecond)}, "whole seconds"},
		{"job", []election.Option{election.WithTTL((lease.MaxTTL + 1) * time.Second)}, "etcdserver: too large lease TTL"},
		{"job", []election.Option{election.WithSession(election.Unproven(0))}, "lease ID is 0"},
	} {
		if _, err := election.New(nil, tc.name, tc.opts...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New(%q): got error %v, want one that says %q", tc.name, err, tc.want)
		}
	}
	s := election.WithSession(election.Unproven(5))
	for _, tc := range []struct {
		key  string
		rev  int64
		opts []election.Option
		want string
	}{
		{"job/5", 7, nil, "no session"},
		{"other/5", 7, []election.Option{s}, `none of the election "job"`},
		{"job/5", 0, []election.Option{s}, "create revision is 0"},
	} {
		if _, err := election.Resume(nil, "job", tc.key, tc.rev, tc.opts...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Resume(%q, %d): got error %v, want one that says %q", tc.key, tc.rev, err, tc.want)
		}
	}
}

// A lease that somebody else keeps: nothing is proven, and all the rest works.
func TestUnprovenSession(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		s := r.session()
		e := r.leader(r.alone(0), "a", election.WithSession(election.Unproven(s.ID())))
		done := e.Done()
		if _, err := pb.NewLeaseClient(r.admin).LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: int64(s.ID())}); err != nil {
			t.Fatal(err)
		}
		<-done
		wantIs(t, "Err", e.Err(), election.ErrLost)
		r.resign(e)
		err := r.election(r.alone(0), election.WithSession(election.Unproven(99))).Campaign(timeout(t, time.Minute), "b")
		wantIs(t, "Campaign with a lease that does not exist", err, election.ErrLost)
		if err == nil || !strings.Contains(err.Error(), "lease not found") {
			t.Errorf("Campaign with a lease that does not exist: got %v, want that", err)
		}
		r.wantCandidates()
		if _, err := e.Leader(context.Background()); err != election.ErrNoLeader { //nolint:errorlint // itself
			t.Errorf("Leader: got %v, want %v", err, election.ErrNoLeader)
		}
	})
}
