package integration_test

import (
	"context"
	"testing"

	"github.com/getcd/getcd/integration/cluster"
)

// A call on getcd makes at most 8 more allocations than on etcd's raw stub with a
// plain connection.
func TestAllocations(t *testing.T) {
	const allowed = 8
	if raceEnabled {
		t.Skip("the race detector has pools forget what they hold")
	}
	if checksWire() {
		t.Skip("a trace allocates")
	}
	c := startCluster(t, cluster.Config{Size: 1})
	all := rivals(t, c.Endpoints()[0])
	raw, getcd := all[0], all[1]
	measure := func(call func(context.Context) error) float64 {
		return testing.AllocsPerRun(500, func() {
			if err := call(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	for name, pair := range map[string][2]func(context.Context) error{
		"put": {raw.put, getcd.put},
		"get": {raw.get, getcd.get},
	} {
		theirs, ours := measure(pair[0]), measure(pair[1])
		t.Logf("%s: %v allocations on the raw stub, %v on getcd", name, theirs, ours)
		if ours > theirs+allowed {
			t.Errorf("%s: %v allocations, want at most %v + %d", name, ours, theirs, allowed)
		}
	}
}
