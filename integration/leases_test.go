package integration_test

import (
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/lease"
)

// Ten thousand leases of a minute outlive the loss of the member that renews them, and then
// of the leader. GETCD_LEASES makes it another number; GETCD_LEASES_FOR is how long each of
// the three phases lasts.
func TestLeasesOutliveTwoKills(t *testing.T) {
	t.Parallel()
	grpcOnly(t, "thousands of leases: the gateway has a request for each renewal")
	leases, phase := 10_000, 10*time.Second
	if raceEnabled {
		leases = 1000
	}
	if text := os.Getenv("GETCD_LEASES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("GETCD_LEASES: %v", err)
		}
		leases = n
	}
	if text := os.Getenv("GETCD_LEASES_FOR"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("GETCD_LEASES_FOR: %v", err)
		}
		phase = d
	}
	const ttl = 60
	ctx := t.Context()
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	service := lease.New(cl.Conn())
	defer func() { _ = service.Close() }()

	begin := time.Now()
	keepers := make([]*lease.Keeper, leases)
	var wg sync.WaitGroup
	const callers = 64
	for i := range callers {
		wg.Go(func() {
			for j := i; j < leases; j += callers {
				g, err := service.Grant(ctx, ttl)
				if err != nil {
					t.Errorf("Grant: %v", err)
					return
				}
				if keepers[j], err = service.Keep(ctx, g.ID); err != nil {
					t.Errorf("Keep: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	t.Logf("%d leases are kept after %v", leases, time.Since(begin).Round(time.Millisecond))

	hold := func() {
		t.Helper()
		time.Sleep(phase)
		lost, least := 0, ttl*time.Second
		var last error
		for _, k := range keepers {
			if err := k.Err(); err != nil {
				lost, last = lost+1, err
				continue
			}
			least = min(least, time.Until(k.Deadline()))
		}
		if lost > 0 {
			t.Errorf("%d of %d leases were lost, the last with %v", lost, leases, last)
		}
		t.Logf("the lease that is nearest to its deadline has %v", least.Round(time.Millisecond))
	}
	hold()
	for _, victim := range []func() *cluster.Member{
		func() *cluster.Member { return activeMember(t, cl, c) },
		func() *cluster.Member { return leaderOf(t, c) },
	} {
		killed := victim()
		if err := killed.Kill(); err != nil {
			t.Fatal(err)
		}
		hold()
		if err := killed.Restart(timeout(t)); err != nil {
			t.Fatal(err)
		}
	}
	// The cluster says the same.
	list, err := service.Leases(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[lease.ID]bool, leases)
	for _, s := range list.Leases {
		there[s.ID] = true
	}
	for _, k := range keepers {
		if !there[k.ID()] {
			t.Fatalf("the cluster has no lease %016x", uint64(k.ID()))
		}
	}
}
