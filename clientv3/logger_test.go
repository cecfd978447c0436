package clientv3_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
)

// A client begins in silence, as clientv3 does, unless its logger is for debugging. It logs
// a failover.
func TestBeginsInSilence(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		var logged bytes.Buffer
		runWith(t, 2, func(cfg *clientv3.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: level})).With("program", "p").WithGroup("g")
		}, func(n *client.Config) { n.Resolver.KeepOrder = true }, func(r *rig) {
			t := r.t
			if _, err := r.Put(t.Context(), "k", "v"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			begun := logged.String()
			if level == slog.LevelInfo && begun != "" {
				t.Errorf("it began with %q, want nothing", begun)
			}
			if level == slog.LevelDebug && !strings.Contains(begun, "level=DEBUG msg=\"etcd: active endpoint changed\" program=p g.from=\"\"") {
				t.Errorf("it began with %q, want the first member at level Debug", begun)
			}
			r.cluster.Member(0).Kill()
			if _, err := r.Get(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			_ = r.Close() // so that nothing else is logged
			if got := strings.TrimPrefix(logged.String(), begun); !strings.Contains(got, "level=INFO msg=\"etcd: active endpoint changed\" program=p g.from=member-1") {
				t.Errorf("after a failover it logged %q, began with %q", got, begun)
			}
		})
	}
}
