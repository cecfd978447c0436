package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/cmd/getcd/internal/mirror"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// rig is a source and a destination in a synctest bubble.
type rig struct {
	*testing.T

	source  mirror.Source
	watcher watch.Watcher
	dest    *unreliable
	to      watch.Watcher // of the destination
	warned  []string
}

func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		from, to := etcdtest.Start(t, 1).Conn(t), etcdtest.Start(t, 1).Conn(t)
		r := &rig{
			T: t,
			source: struct {
				kv.KV
				kv.Streamer
			}{kv.New(from), kv.NewStreamer(from)}, watcher: watch.New(from), to: watch.New(to),
			dest: &unreliable{KV: kv.New(to), next: func() fate { return answered }, met: make(map[fate]int)},
		}
		defer func() {
			_ = r.watcher.Close()
			_ = r.to.Close()
		}()
		test(r)
	})
}

// start runs a mirror until the test ends, or until end is called. end returns
// the mirror's error.
func (r *rig) start(cfg mirror.Config) (m *mirror.Mirror, end func() error) {
	r.Helper()
	cfg.Warn = func(text string) { r.warned = append(r.warned, text) }
	ctx, cancel := context.WithCancel(r.Context())
	m = mirror.New(r.source, r.watcher, r.dest, cfg)
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	return m, func() error {
		cancel()
		return <-ended
	}
}

func put(t *testing.T, store kv.KV, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if _, err := store.Put(t.Context(), pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
}

// history returns all changes, one line per revision.
func history(t *testing.T, w watch.Watcher) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var lines []string
	var rev int64
	for r := range w.Watch(ctx, "", kv.WithPrefix(), kv.WithRev(2)) {
		for _, e := range r.Events {
			line := fmt.Sprintf("%s %s=%s", e.GetType(), e.GetKv().GetKey(), e.GetKv().GetValue())
			if e.GetKv().GetModRevision() == rev {
				lines[len(lines)-1] += "; " + line
			} else {
				lines = append(lines, line)
			}
			rev = e.GetKv().GetModRevision()
		}
	}
	return lines
}

// In TestEachChangeOnce the destination loses responses and requests, and applies
// requests that were already given up. No change may be missing, doubled or
// undone.
func TestEachChangeOnce(t *testing.T) {
	for seed := range uint64(10) {
		run(t, func(r *rig) {
			t := r.T
			random, fates := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1))
			r.dest.next = func() fate {
				if fates.IntN(3) > 0 {
					return answered
				}
				return fate(fates.IntN(int(late) + 1))
			}
			m, end := r.start(mirror.Config{})
			time.Sleep(time.Second) // the empty state is copied within this time
			changes := 0
			for range 150 {
				var ops []kv.Op
				for _, n := range random.Perm(6)[:1+random.IntN(3)] {
					key := fmt.Sprintf("key%d", n)
					if changes++; random.IntN(3) == 0 {
						ops = append(ops, kv.OpDelete(key))
					} else {
						ops = append(ops, kv.OpPut(key, fmt.Sprintf("value %d", changes)))
					}
				}
				if _, err := r.source.Txn(t.Context()).Then(ops...).Commit(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
			}
			time.Sleep(10 * time.Minute) // time in a bubble costs nothing
			want, got := history(t, r.watcher), history(t, r.to)
			if !slices.Equal(got, want) {
				t.Errorf("seed %d: got %d revisions, want %d\n got %s\nwant %s", seed, len(got), len(want), strings.Join(got, "\n     "), strings.Join(want, "\n     "))
			}
			if n := len(strings.Split(strings.Join(want, "; "), "; ")); m.Count() != int64(n) {
				t.Errorf("seed %d: got count %d, want %d", seed, m.Count(), n)
			}
			if err := end(); !errors.Is(err, context.Canceled) {
				t.Errorf("seed %d: got %v, want %v", seed, err, context.Canceled)
			}
			if len(r.dest.met) != int(late)+1 {
				t.Errorf("seed %d: transactions met the fates %v, want each of %d", seed, r.dest.met, late+1)
			}
		})
	}
}

func TestStateAndChanges(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  mirror.Config
		want []string
	}{
		{"all", mirror.Config{}, []string{"PUT a/1=v2; PUT a/2=v3; PUT b/1=v4", "PUT a/1=v5; DELETE a/2=; PUT b/1=v6"}},
		{"a prefix", mirror.Config{Prefix: "a/", DestPrefix: "a/"}, []string{"PUT a/1=v2; PUT a/2=v3", "PUT a/1=v5; DELETE a/2="}},
		{"another prefix", mirror.Config{Prefix: "a/", DestPrefix: "x/y/"}, []string{"PUT x/y/1=v2; PUT x/y/2=v3", "PUT x/y/1=v5; DELETE x/y/2="}},
		{"no prefix", mirror.Config{Prefix: "a/"}, []string{"PUT 1=v2; PUT 2=v3", "PUT 1=v5; DELETE 2="}},
		{"a prefix for all", mirror.Config{DestPrefix: "x/"}, []string{"PUT x/a/1=v2; PUT x/a/2=v3; PUT x/b/1=v4", "PUT x/a/1=v5; DELETE x/a/2=; PUT x/b/1=v6"}},
		{"small transactions", mirror.Config{MaxTxnOps: 2}, []string{"PUT a/1=v2; PUT a/2=v3", "PUT b/1=v4", "PUT a/1=v5; DELETE a/2=", "PUT b/1=v6"}},
		{"from the first revision", mirror.Config{Rev: 1}, []string{"PUT a/1=v2; PUT a/2=v3; PUT b/1=v4", "PUT a/1=v5; DELETE a/2=; PUT b/1=v6"}},
		{"from a revision", mirror.Config{Rev: 4}, []string{"PUT a/2=v3", "PUT b/1=v4", "PUT a/1=v5; DELETE a/2=; PUT b/1=v6"}},
	} {
		run(t, func(r *rig) {
			t := r.T
			put(t, r.source, "a/1", "v1", "a/1", "v2", "a/2", "v3", "b/1", "v4")
			tt.cfg.Copying = func(done, total int64) {
				if done > total {
					t.Errorf("%s: %d of %d were copied", tt.name, done, total)
				}
			}
			_, end := r.start(tt.cfg)
			time.Sleep(time.Second)
			ops := []kv.Op{kv.OpPut("a/1", "v5"), kv.OpDelete("a/2"), kv.OpPut("b/1", "v6")}
			if _, err := r.source.Txn(t.Context()).Then(ops...).Commit(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := history(t, r.to); !slices.Equal(got, tt.want) {
				t.Errorf("%s\n got %q\nwant %q", tt.name, got, tt.want)
			}
			if err := end(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want %v", tt.name, err, context.Canceled)
			}
		})
	}
}

// In TestOthersWrite another program writes to the destination.
func TestOthersWrite(t *testing.T) {
	run(t, func(r *rig) {
		t := r.T
		put(t, r.source, "k", "v1")
		_, end := r.start(mirror.Config{})
		time.Sleep(time.Second)
		put(t, r.dest.KV, "k", "theirs", "l", "theirs")
		put(t, r.source, "k", "v2", "l", "v3")
		time.Sleep(time.Second)
		want := []string{"PUT k=v1", "PUT k=theirs", "PUT l=theirs", "PUT k=v2", "PUT l=v3"}
		if got := history(t, r.to); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		_ = end()
	})
}

// In TestNoPermissionToRead the mirror writes without a guard, and warns once.
func TestNoPermissionToRead(t *testing.T) {
	run(t, func(r *rig) {
		t := r.T
		var doubt atomic.Bool
		r.dest.next = func() fate {
			if doubt.Load() {
				return unanswered
			}
			return refused
		}
		put(t, r.source, "k", "v1")
		_, end := r.start(mirror.Config{})
		time.Sleep(time.Second)
		put(t, r.source, "k", "v2", "k", "v3")
		time.Sleep(time.Second)
		want := []string{"PUT k=v1", "PUT k=v2", "PUT k=v3"}
		if got := history(t, r.to); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		doubt.Store(true)
		put(t, r.source, "k", "v4")
		time.Sleep(time.Second)
		if err := end(); err == nil || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the member is gone") {
			t.Errorf("got %v, want the doubt", err)
		}
		if len(r.warned) != 1 {
			t.Errorf("got warnings %q, want one", r.warned)
		}
	})
}

func TestCompacted(t *testing.T) {
	run(t, func(r *rig) {
		t := r.T
		put(t, r.source, "k", "v1", "k", "v2", "k", "v3")
		if _, err := r.source.Compact(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		_, end := r.start(mirror.Config{Rev: 2})
		time.Sleep(time.Second)
		if err := end(); !errors.Is(err, rpctypes.ErrCompacted) {
			t.Errorf("got %v, want %v", err, rpctypes.ErrCompacted)
		}
	})
}

// In TestRefused the mirror ends with the destination's error.
func TestRefused(t *testing.T) {
	run(t, func(r *rig) {
		t := r.T
		put(t, r.source, "prefix", "the key would be empty")
		_, end := r.start(mirror.Config{Prefix: "prefix"})
		time.Sleep(time.Second)
		if err := end(); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want a refusal", err)
		}
	})
}
