package election_test

import (
	"testing"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/kv"
)

// Turn is not before anything that former leaders have done; Header is the proposal's.
func TestTurn(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		store := kv.New(r.admin)
		a, b := r.leader(r.alone(0), "a", options()...), r.election(r.alone(0), options()...)
		if b.Turn() != nil {
			t.Errorf("before any Campaign: %v, want none", b.Turn())
		}
		if got, want := a.Turn().GetRevision(), a.Header().GetRevision(); got != want {
			t.Errorf("without waiting: revision %d, want that of the proposal, %d", got, want)
		}
		result := r.campaign(t.Context(), b)
		r.wantCandidates("a", "b")
		if _, err := store.Put(t.Context(), "state", "a's"); err != nil {
			t.Fatalf("Put: %v", err)
		}
		r.resign(a)
		if err := <-result; err != nil {
			t.Fatalf("Campaign: %v", err)
		}
		state, err := store.Get(t.Context(), "state", kv.WithRev(b.Turn().GetRevision()))
		if err != nil || len(state.Kvs) != 1 {
			t.Errorf("at the revision of Turn, %d, the state is %v, %v, want what the former leader has put", b.Turn().GetRevision(), state, err)
		}
		if b.Turn().GetRevision() < a.Header().GetRevision() {
			t.Errorf("Turn is at %d, before the resignation at %d", b.Turn().GetRevision(), a.Header().GetRevision())
		}
		if b.Header().GetRevision() >= b.Turn().GetRevision() {
			t.Errorf("Header is at %d, want that of the proposal, before Turn's, %d", b.Header().GetRevision(), b.Turn().GetRevision())
		}
		if err := b.Campaign(t.Context(), "b again"); err != nil {
			t.Fatalf("Campaign of the leader: %v", err)
		}
		if got, want := b.Turn().GetRevision(), b.Header().GetRevision(); got != want {
			t.Errorf("after another proposal: revision %d, want its, %d", got, want)
		}
		r.resign(b)
		if err := a.TryCampaign(t.Context(), "a"); err != nil {
			t.Fatalf("TryCampaign: %v", err)
		}
		if a.Turn().GetRevision() < b.Header().GetRevision() {
			t.Errorf("Turn is at %d, before the resignation at %d", a.Turn().GetRevision(), b.Header().GetRevision())
		}
		r.resign(a)
	})
}
