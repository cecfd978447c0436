package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/getcd/getcd/etcdtest"
)

// A stalled member is left although each call ends before the client suspects the member: a call
// that has ended unanswered still counts as waiting.
func TestDeadlinesShorterThanTheSuspicion(t *testing.T) {
	put := func(r *rig, ctx context.Context) error { return r.put(ctx, "k", "v") }
	get := func(r *rig, ctx context.Context) error { _, err := r.get(ctx); return err }
	for name, tt := range map[string]struct {
		stall    etcdtest.UnaryHook
		distance time.Duration // to each member
		deadline time.Duration
		call     func(*rig, context.Context) error
	}{
		"writes, silent":                       {hangAllBut("nothing"), 0, 90 * time.Millisecond, put},
		"writes, it lost its leader":           {hangLinearizable, 0, 90 * time.Millisecond, put},
		"reads, silent":                        {hangAllBut("nothing"), 0, 45 * time.Millisecond, get}, // too short for a hedge
		"reads, it lost its leader":            {hangLinearizable, 0, 45 * time.Millisecond, get},
		"writes, silent, far away":             {hangAllBut("nothing"), 60 * time.Millisecond, 400 * time.Millisecond, put},
		"reads, silent, far away":              {hangAllBut("nothing"), 60 * time.Millisecond, 190 * time.Millisecond, get},
		"writes, it lost its leader, far away": {hangLinearizable, 60 * time.Millisecond, 400 * time.Millisecond, put},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				for _, m := range r.cluster.Members() {
					m.Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
						time.Sleep(tt.distance)
						return next()
					})
				}
				r.warm()
				if err := tt.call(r, r.timeout(tt.deadline)); err != nil {
					t.Fatal(err)
				}
				r.cluster.Member(0).Intercept(tt.stall)
				failed := 0
				for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(10 * time.Millisecond) {
					if err := tt.call(r, r.timeout(tt.deadline)); err != nil {
						failed++
					}
				}
				if failed > 10 {
					t.Errorf("%d calls failed in 30 s, want at most 10", failed)
				}
				if got := r.active(); got != m2 {
					t.Errorf("active: got %q, want %q", got, m2)
				}
				for _, m := range r.cluster.Members() {
					m.Intercept(nil)
				}
			})
		})
	}
}
