package chaos_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/soak/internal/chaos"
)

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

// TestEachFault applies every fault once and checks that the cluster is healthy
// afterwards.
func TestEachFault(t *testing.T) {
	c, err := cluster.Start(t.Context(), cluster.Config{Links: true, ElectionTimeout: 500 * time.Millisecond, HeartbeatInterval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	for i, name := range chaos.Names() {
		ctx, cancel := context.WithCancel(t.Context())
		var lines []string
		cfg := chaos.Config{
			Seed: uint64(i), Least: time.Millisecond, Most: 20 * time.Millisecond, Faults: []string{name},
			Log: func(format string, args ...any) {
				lines = append(lines, fmt.Sprintf(format, args...))
				time.AfterFunc(100*time.Millisecond, cancel)
			},
		}
		events, err := chaos.Run(ctx, c, cfg)
		cancel()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(events) == 0 || len(lines) != len(events) || !strings.HasPrefix(lines[0], name) || events[0].Ended.Before(events[0].Began) {
			t.Errorf("%s: got events %v and lines %v, want one line for each event", name, events, lines)
		}
		healthy, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := c.WaitHealthy(healthy); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
		cancel()
	}
}

// TestSeed checks that the same seed gives the same faults, and another seed
// gives others.
func TestSeed(t *testing.T) {
	var draws [][]string
	for _, seed := range []uint64{1, 1, 2} {
		d, err := chaos.Draws(seed, 200)
		if err != nil {
			t.Fatal(err)
		}
		draws = append(draws, d)
	}
	if !slices.Equal(draws[0], draws[1]) || slices.Equal(draws[0], draws[2]) {
		t.Error("want the same faults for the same seed, and others for another")
	}
	for _, name := range chaos.Names() {
		if !slices.ContainsFunc(draws[0], func(s string) bool { return strings.HasPrefix(s, name+" ") }) {
			t.Errorf("%s is not among 200 faults", name)
		}
	}
}

// TestMisuse checks that errors name what is wrong.
func TestMisuse(t *testing.T) {
	c, err := cluster.Start(t.Context(), cluster.Config{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	for want, cfg := range map[string]chaos.Config{
		`no fault is called "flood"`:   {Faults: []string{"flood"}},
		"Least is 2s and Most is 1s":   {Least: 2 * time.Second, Most: time.Second},
		"want 3 or more, and cluster.": {},
	} {
		if _, err := chaos.Run(t.Context(), c, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
