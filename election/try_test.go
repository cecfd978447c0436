package election_test

import (
	"strings"
	"testing"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/namespace"
	"github.com/getcd/getcd/watch"
)

// Who does not wait leads at once or leaves nothing behind.
func TestTryCampaign(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		a, b := r.election(r.alone(0), options()...), r.election(r.alone(0), options()...)
		before := r.leases()
		if err := a.TryCampaign(t.Context(), "a"); err != nil {
			t.Fatalf("TryCampaign without others: %v", err)
		}
		wantIs(t, "TryCampaign beside a leader", b.TryCampaign(t.Context(), "b"), election.ErrContended)
		r.wantCandidates("a")
		if b.Key() != "" || !isDone(b.Done()) {
			t.Errorf("after ErrContended: key %q, done %v; want none, and done", b.Key(), isDone(b.Done()))
		}
		rev := a.Rev()
		if err := a.TryCampaign(t.Context(), "still a"); err != nil || a.Rev() != rev {
			t.Errorf("TryCampaign of the leader: %v and rev %d, want it to lead on with %d", err, a.Rev(), rev)
		}
		r.wantCandidates("still a")
		r.resign(a)
		if err := b.TryCampaign(t.Context(), "b"); err != nil || b.Rev() <= rev {
			t.Errorf("TryCampaign after Resign: %v and rev %d, want one above %d", err, b.Rev(), rev)
		}
		r.wantCandidates("b")
		r.resign(b)
		r.wantCandidates()
		if got := r.leases(); got != before {
			t.Errorf("%d leases are left, want those before, %d", got, before)
		}
	})
}

// An election on the services of a namespace has its keys there.
func TestNamespace(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		cc := r.alone(0)
		watcher := namespace.NewWatcher(watch.New(cc), "ns/")
		defer func() { _ = watcher.Close() }()
		opts := append(options(), election.WithKV(namespace.NewKV(kv.New(cc), "ns/")), election.WithWatcher(watcher))
		a := r.leader(cc, "a", opts...)
		resp, err := kv.New(r.admin).Get(t.Context(), "ns/job/", kv.WithPrefix())
		if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Key) != "ns/"+a.Key() || !strings.HasPrefix(a.Key(), "job/") {
			t.Errorf("the candidates are %v, %v; want one, of the key %q in the namespace", resp, err, a.Key())
		}
		r.wantCandidates() // none outside
		done := a.Done()
		r.delete("ns/" + a.Key())
		<-done
		wantIs(t, "Err after the deletion", a.Err(), election.ErrLost)
		r.resign(a)
	})
}
