package election_test

import (
	"testing"
	"testing/synctest"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/kv"
)

// A key below the election's name that is no candidate's does not lead, and keeps
// nobody from it.
func TestElectionBesideKeysOfOthers(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		store := kv.New(r.admin)
		put := func(key string) {
			if _, err := store.Put(t.Context(), key, "other"); err != nil {
				t.Fatalf("Put: %v", err)
			}
		}
		for _, key := range []string{"job/1", "job/v", "job/1/2"} {
			put(key)
		}
		a, b := r.election(r.alone(0), options()...), r.election(r.alone(0), options()...)
		o := r.observe(a)
		o.want("-")
		_, err := a.Leader(t.Context())
		wantIs(t, "Leader of nobody", err, election.ErrNoLeader)
		if err := a.TryCampaign(t.Context(), "a"); err != nil {
			t.Fatalf("TryCampaign: %v", err)
		}
		put("job/1")
		o.want("-", "a")
		leader, err := b.Leader(t.Context())
		if err != nil || len(leader.Kvs) != 1 || string(leader.Kvs[0].Value) != "a" {
			t.Errorf("Leader: got %v, %v, want a", leader, err)
		}
		wantIs(t, "TryCampaign of another", b.TryCampaign(t.Context(), "b"), election.ErrContended)
		won := make(chan error, 1)
		go func() { won <- b.Campaign(t.Context(), "b") }()
		synctest.Wait()
		r.resign(a)
		if err := <-won; err != nil {
			t.Errorf("Campaign: %v", err)
		}
		o.want("-", "a", "b")
		r.resign(b)
		o.want("-", "a", "b", "-")
		o.end()
	})
}
