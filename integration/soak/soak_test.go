package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/frontproxy"
	"github.com/getcd/getcd/integration/grpcproxy"
)

func TestMain(m *testing.M) {
	cluster.Main()
	grpcproxy.Main()
	goleak.VerifyTestMain(m)
}

func short(t *testing.T, check, through string, seed uint64) {
	t.Helper()
	text, err := soak(t.Context(), options{
		lasting: 12 * time.Second, seed: seed, checks: []string{check}, through: through,
		least: 200 * time.Millisecond, most: 1500 * time.Millisecond, log: t.Logf,
	})
	t.Log(text)
	if errors.Is(err, exec.ErrNotFound) {
		t.Skipf("NOT TESTED through %s: %v", through, err)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestWatch is a short run of the watch check.
func TestWatch(t *testing.T) { short(t, "watch", "", 1) }

// TestCached is the same with clients that have a cache of the keys.
func TestCached(t *testing.T) { short(t, "cached", "", 1) }

// TestCoordination is a short run of the check of locks, elections and queues.
func TestCoordination(t *testing.T) { short(t, "coordination", "", 1) }

// TestOnce is a short run of the check of writes that happen once.
func TestOnce(t *testing.T) { short(t, "once", "", 1) }

// TestCompareAndSet is a short run of the check of package cas.
func TestCompareAndSet(t *testing.T) { short(t, "cas", "", 1) }

// TestThrough is a short run of the checks watch and coordination through a proxy of each kind.
func TestThrough(t *testing.T) {
	for i, way := range []string{grpcProxy, string(frontproxy.HAProxyTCP), string(frontproxy.NginxGRPC)} {
		if testing.Short() && i > 0 {
			break
		}
		for _, check := range []string{"watch", "coordination"} {
			t.Run(way+", "+check, func(t *testing.T) { short(t, check, way, uint64(i)+2) })
		}
	}
}

// TestUnknownThrough checks that the error names the choices.
func TestUnknownThrough(t *testing.T) {
	if _, err := soak(t.Context(), options{checks: []string{"watch"}, through: "tea"}); err == nil || !strings.Contains(err.Error(), `"tea"`) {
		t.Errorf("got %v, want that there is no such proxy", err)
	}
}

// TestUnknownCheck checks that the error names the choices.
func TestUnknownCheck(t *testing.T) {
	if _, err := soak(t.Context(), options{checks: []string{"tea"}}); err == nil || !strings.Contains(err.Error(), `"tea"`) {
		t.Errorf("got %v, want that there is no such check", err)
	}
}
