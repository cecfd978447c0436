package cluster_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/integration/cluster"
)

func withDisks(t *testing.T, fsync bool) *cluster.Cluster {
	t.Helper()
	if err := cluster.DisksSupported(); err != nil {
		t.Skip(err)
	}
	cfg := fast()
	cfg.Disks, cfg.Fsync = true, fsync
	return start(t, cfg)
}

// A leader whose disk stalls lives but no longer leads. Its last write is either
// lost or kept as a whole, and the member catches up.
func TestStallDiskOfLeader(t *testing.T) {
	c := withDisks(t, false)
	leader, err := c.Leader(within(t, limit))
	if err != nil {
		t.Fatal(err)
	}
	cc := dial(t, leader.Endpoint())
	if err := put(t.Context(), cc, "key", "before"); err != nil {
		t.Fatal(err)
	}
	if err := leader.StallDisk(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The first write makes it notice. The member may see the deadline first, and says then that
	// the request has timed out.
	err = put(within(t, 300*time.Millisecond), cc, "other", "v")
	if code := status.Code(err); code != codes.DeadlineExceeded && !strings.Contains(status.Convert(err).Message(), "request timed out") {
		t.Errorf("put through the member whose disk stalls: got %v, want a timeout", err)
	}
	until(t, "another leader", nil, func(ctx context.Context) error {
		next, err := c.Leader(ctx)
		if err == nil && next == leader {
			err = errors.New("still the old leader")
		}
		return err
	})
	if !leader.Running() {
		t.Error("the member does not run: it is to live while its disk stalls")
	}
	next, err := c.Leader(within(t, limit))
	if err != nil {
		t.Fatal(err)
	}
	if err := put(within(t, limit), dial(t, next.Endpoint()), "key", "after"); err != nil {
		t.Fatal(err)
	}
	if err := leader.HealDisk(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitHealthy(within(t, limit)); err != nil {
		t.Fatal(err)
	}
	wantValue(t, cc, "key", "after")
}

// A member can be killed while its disk is stalled, and has a healthy one after
// its restart.
func TestStallDiskAndKill(t *testing.T) {
	c := withDisks(t, true)
	m := c.Members()[0]
	if err := m.StallDisk(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.StallDisk(t.Context()); err != nil {
		t.Errorf("stalling again: %v", err)
	}
	// A write is waiting for the disk when the member is killed.
	_ = put(within(t, 200*time.Millisecond), dial(t, m.Endpoint()), "key", "v")
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := m.StallDisk(t.Context()); err == nil {
		t.Error("the disk of a member that does not run was stalled")
	}
	if err := m.Restart(within(t, limit)); err != nil {
		t.Fatal(err)
	}
	if err := put(within(t, limit), dial(t, m.Endpoint()), "key", "v"); err != nil {
		t.Fatal(err)
	}
}

func TestStallDiskNeedsDisks(t *testing.T) {
	cfg := fast()
	cfg.Size = 1
	c := start(t, cfg)
	if err := c.Members()[0].StallDisk(t.Context()); !errors.Is(err, cluster.ErrNoDisk) {
		t.Errorf("got %v, want %v", err, cluster.ErrNoDisk)
	}
}
