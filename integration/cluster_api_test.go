package integration_test

import (
	"errors"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	members "github.com/getcd/getcd/cluster"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
)

// The membership changes as requested. The added members never start, so the
// three running ones keep the quorum.
func TestMembership(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	m := members.New(dial(t, client.Config{Endpoints: c.Endpoints()}).Conn())

	for name, opts := range map[string][]kv.OpOption{"linearizable": nil, "serializable": {kv.WithSerializable()}} {
		list, err := m.MemberList(timeout(t), opts...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(list.Members) != 3 {
			t.Errorf("%s: %d members, want 3", name, len(list.Members))
		}
		for _, listed := range list.Members {
			running := c.Member(listed.Name)
			if running == nil || running.ID() != listed.ID || !slices.Equal(listed.ClientURLs, []string{running.ClientURL()}) {
				t.Errorf("%s: %v is listed, want a member that runs", name, listed)
			}
		}
	}

	const first, moved = "http://127.0.0.1:1", "http://127.0.0.1:2"
	var added *members.MemberAddResponse
	eventually(t, "members have been connected for long enough to be called healthy", func() bool {
		var err error
		added, err = m.MemberAddAsLearner(timeout(t), []string{first})
		if err != nil && !errors.Is(err, rpctypes.ErrUnhealthy) {
			t.Fatal(err)
		}
		return err == nil
	})
	id := added.Member.ID
	if !added.Member.IsLearner || len(added.Members) != 4 || !slices.Equal(added.Member.PeerURLs, []string{first}) {
		t.Errorf("added %v of %d members, want a learner at %s, the fourth", added.Member, len(added.Members), first)
	}
	// Within the same second it would even have the same ID.
	if _, err := m.MemberAdd(timeout(t), []string{first}); !errors.Is(err, rpctypes.ErrPeerURLExist) && !errors.Is(err, rpctypes.ErrMemberExist) {
		t.Errorf("adding its URL again: got %v, want %v or %v", err, rpctypes.ErrPeerURLExist, rpctypes.ErrMemberExist)
	}
	if _, err := m.MemberPromote(timeout(t), id); !errors.Is(err, rpctypes.ErrMemberLearnerNotReady) {
		t.Errorf("promoting it before it has started: got %v, want %v", err, rpctypes.ErrMemberLearnerNotReady)
	}
	updated, err := m.MemberUpdate(timeout(t), id, []string{moved})
	if err != nil {
		t.Fatal(err)
	}
	urls := func(list []string) bool { return slices.Equal(list, []string{moved}) }
	if i := slices.IndexFunc(updated.Members, func(m *pb.Member) bool { return m.ID == id }); i < 0 || !urls(updated.Members[i].PeerURLs) {
		t.Errorf("after the update: %v, want %x at %s", updated.Members, id, moved)
	}
	removed, err := m.MemberRemove(timeout(t), id)
	if err != nil || len(removed.Members) != 3 {
		t.Fatalf("removed: %v, %v; want three members", removed, err)
	}
	if _, err := m.MemberRemove(timeout(t), id); !errors.Is(err, rpctypes.ErrMemberNotFound) {
		t.Errorf("removing it again: got %v, want %v", err, rpctypes.ErrMemberNotFound)
	}
	// A leader asks first whether the member has most of its log, and then whether it is a
	// learner (etcdserver/server.go, mayPromoteMember). Most of a short log may take a moment.
	eventually(t, "the voter is up to date", func() bool {
		_, err := m.MemberPromote(timeout(t), c.Members()[0].ID())
		if !errors.Is(err, rpctypes.ErrMemberNotLearner) && !errors.Is(err, rpctypes.ErrMemberLearnerNotReady) {
			t.Fatalf("promoting a voter: got %v, want %v", err, rpctypes.ErrMemberNotLearner)
		}
		return errors.Is(err, rpctypes.ErrMemberNotLearner)
	})
}
