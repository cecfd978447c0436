package election_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// Who looks at the candidates of sessions sees one put and one deletion of each.
func TestOnePut(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		var got []string
		ctx, cancel := context.WithCancel(t.Context())
		w := watch.New(r.admin)
		defer w.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e, err := range w.Events(ctx, "job/", kv.WithPrefix()) {
				if err == nil {
					got = append(got, fmt.Sprintf("%v version %d", e.Type, e.Kv.Version))
				}
			}
		}()
		synctest.Wait()
		s := r.ledgered()
		e := r.leader(r.alone(0), "a", election.WithSession(s))
		if kvs := r.kvs(); len(kvs) != 1 || kvs[0].Lease != int64(s.ID()) || kvs[0].CreateRevision != e.Rev() {
			t.Errorf("candidates are %v, want one with the lease %x, of revision %d", kvs, s.ID(), e.Rev())
		}
		if n := r.leases(); n != 1 {
			t.Errorf("%d leases, want the session's alone", n)
		}
		r.resign(e)
		wantIs(t, "TryCampaign", r.election(r.alone(0), election.WithSession(r.ledgered())).TryCampaign(ctx, "b"), nil)
		synctest.Wait()
		cancel()
		<-done
		if want := []string{"PUT version 1", "DELETE version 0", "PUT version 1"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// loseFirstPut has the first put that member 0 is asked for end in an error, unapplied,
// and returns what applies it.
func (r *rig) loseFirstPut() (apply func()) {
	var lost atomic.Pointer[pb.TxnRequest]
	r.cluster.Member(0).Intercept(func(ctx context.Context, _ string, req any, next func() (any, error)) (any, error) {
		txn, ok := req.(*pb.TxnRequest)
		if !ok || !isPut(req) || !lost.CompareAndSwap(nil, txn) {
			return next()
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	return func() {
		r.t.Helper()
		if _, err := pb.NewKVClient(r.admin).Txn(r.t.Context(), lost.Load()); err != nil {
			r.t.Errorf("the put that comes late: %v", err)
		}
		synctest.Wait()
	}
}

// A put that was given up and comes late is deleted, however late, and as long as its
// session lives, but not while the session is a candidate, whose key it can't be.
func TestLatePut(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		late := r.loseFirstPut()
		session := election.WithSession(r.ledgered())
		err := r.election(r.alone(0), session).Campaign(timeout(t, time.Second), "a")
		wantIs(t, "Campaign", err, context.DeadlineExceeded)
		for range 2 {
			r.wantCandidates()
			time.Sleep(time.Hour)
			late()
			r.wantCandidates()
		}
		other := r.leader(r.alone(1), "other") // who was not in its way
		r.resign(other)

		again := r.leader(r.alone(1), "again", session)
		rev := again.Rev()
		time.Sleep(time.Minute)
		late()
		r.wantCandidates("again")
		if kvs := r.kvs(); kvs[0].ModRevision != rev {
			t.Errorf("the candidate was written at %d, after it was put at %d", kvs[0].ModRevision, rev)
		}
		r.resign(again)
		late()
		r.wantCandidates()

		// Whoever finds the key there takes it on.
		second := r.election(r.alone(1), session)
		r.cluster.Member(0).Freeze() // where the key is looked after
		late()
		if err := second.Campaign(t.Context(), "second"); err != nil {
			t.Errorf("Campaign: %v", err)
		}
		r.cluster.Member(0).Thaw()
		time.Sleep(time.Minute)
		r.wantCandidates("second")
		if err := second.Proclaim(t.Context(), "led"); err != nil {
			t.Errorf("Proclaim: %v", err)
		}
		r.resign(second)
	})
}
