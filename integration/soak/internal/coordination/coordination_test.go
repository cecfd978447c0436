package coordination_test

import (
	"context"
	"flag"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/soak/internal/chaos"
	"github.com/getcd/getcd/integration/soak/internal/coordination"
)

var (
	long    = flag.Duration("soak", 15*time.Second, "how long TestUnderFaults works")
	seed    = flag.Uint64("seed", 1, "the seed of TestUnderFaults")
	calm    = flag.Bool("calm", false, "TestUnderFaults does no faults")
	compact = flag.Duration("compact", 2*time.Second, "how often TestUnderFaults compacts history; 0 for never")
	parts   = flag.String("parts", "", "the only part that TestUnderFaults runs")
)

// All promises about locks, elections, queues, transactions and barriers hold
// during random faults, even if leases are revoked behind their owners' backs.
func TestUnderFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	c := startCluster(t, cluster.Config{Links: true})
	ctx, cancel := context.WithTimeout(t.Context(), *long)
	defer cancel()
	type result struct {
		events []chaos.Event
		err    error
	}
	faults := make(chan result, 1)
	go func() {
		var r result
		if !*calm {
			r.events, r.err = chaos.Run(ctx, c, chaos.Config{Seed: *seed, Most: 4 * time.Second, Log: t.Logf})
		}
		faults <- r
	}()
	cfg := coordination.Config{Endpoints: c.Endpoints(), Outside: outside(c), Seed: *seed, Compact: *compact, Log: t.Logf}
	if *parts != "" {
		cfg.Parts = []string{*parts}
	}
	r, err := coordination.Run(ctx, cfg)
	if err != nil {
		t.Error(err)
	}
	done := <-faults
	if done.err != nil {
		t.Error(done.err)
	}
	t.Logf("%d faults\n%v", len(done.events), r)
	for _, v := range r.Violations {
		t.Error(v)
	}
	if *parts == "" && (r.Locks.Writes == 0 || r.RWLocks.Writes == 0 || r.Elections.Writes == 0 || r.Queue.Dequeued == 0 ||
		r.PriorityQueue.Dequeued == 0 || r.Counters.Committed == 0 || r.Marked.Committed == 0 || r.DoubleBarriers == 0 || r.Barriers == 0 || r.Revoked == 0) {
		t.Error("something was not done at all, so nothing was checked of it")
	}
}

func outside(c *cluster.Cluster) (conns []grpc.ClientConnInterface) {
	for _, m := range c.Members() {
		conns = append(conns, m.Control())
	}
	return conns
}
