package integration_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
)

// A range that is larger than what gRPC receives ahead is read to its end although the member
// that it is read from is killed, and the next one stopped: each key once, in order, as of one
// revision.
func TestScanThroughMemberLoss(t *testing.T) {
	t.Parallel()
	const keys, size = 24_000, 2 << 10
	c := startCluster(t, cluster.Config{Size: 3})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	ctx := patient(t)
	value := strings.Repeat("v", size)
	for i := 0; i < keys; i += 100 {
		ops := make([]kv.Op, 100)
		for j := range ops {
			ops[j] = kv.OpPut(fmt.Sprintf("k/%06d", i+j), value)
		}
		if _, err := cl.Txn(ctx).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	var paused *cluster.Member
	defer func() {
		if paused != nil {
			_ = paused.Continue()
		}
	}()
	n := 0
	for pair, err := range cl.Scan(ctx, "k/", kv.WithPrefix()) {
		if err != nil {
			t.Fatalf("after %d keys: %v", n, err)
		}
		if want := fmt.Sprintf("k/%06d", n); string(pair.Key) != want || len(pair.Value) != size {
			t.Fatalf("got %s with %d bytes, want %s with %d", pair.Key, len(pair.Value), want, size)
		}
		n++
		switch n {
		case 1:
			if _, err := cl.Put(ctx, "k/020000", "later"); err != nil {
				t.Fatal(err)
			}
		case 1000:
			lost := activeMember(t, cl, c)
			if err := lost.Kill(); err != nil {
				t.Fatal(err)
			}
		case 12_000:
			for _, m := range c.Members() {
				if !m.Running() {
					if err := m.Restart(ctx); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := c.WaitHealthy(ctx); err != nil {
				t.Fatal(err)
			}
			paused = activeMember(t, cl, c)
			if err := paused.Pause(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n != keys {
		t.Errorf("%d keys, want %d", n, keys)
	}
}
