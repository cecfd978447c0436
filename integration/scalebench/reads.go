package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/integration/internal/measure"
	"github.com/getcd/getcd/kv"
)

const readPrefix = "scalebench/read/"

// keys returns what gives the prefix as many keys as the row's size, once.
func keys(prefix string) func(ctx context.Context, s *stage) error {
	return func(ctx context.Context, s *stage) error { return s.fill(ctx, prefix, s.size/perTxn*perTxn) }
}

// fill gives the prefix n keys, unless it has them.
func (s *stage) fill(ctx context.Context, prefix string, n int) error {
	have, err := s.admin.Get(ctx, prefix, kv.WithPrefix(), kv.WithCountOnly())
	if err != nil || have.Count == int64(n) {
		return err
	}
	return each(ctx, n/perTxn, 8, func(ctx context.Context, i int) error { return s.write(ctx, prefix, i) })
}

// getAll reads all keys of a prefix at once, ten times after a first.
func getAll(ctx context.Context, w *work) error {
	const times = 10
	want := w.Size / perTxn * perTxn
	one := func() error {
		n, err := w.get(ctx, readPrefix)
		if err == nil && n != want {
			err = fmt.Errorf("%d keys, want %d", n, want)
		}
		return err
	}
	if err := one(); err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	took, cpu := make([]time.Duration, times), measure.CPU()
	for i := range took {
		begin := time.Now()
		if err := one(); err != nil {
			return err
		}
		took[i] = time.Since(begin)
	}
	used := measure.CPU() - cpu
	runtime.ReadMemStats(&after)
	slices.Sort(took)
	n := float64(times * want)
	w.add("p50", quantile(took, 0.5), "ms").main()
	w.add("allocations a key", float64(after.Mallocs-before.Mallocs)/n, "").main()
	w.add("bytes allocated a key", float64(after.TotalAlloc-before.TotalAlloc)/n, "B")
	w.add("CPU each", milliseconds(used)/times, "ms")
	return nil
}

const streamPrefix = "scalebench/stream/"

// streamAll reads all keys in parts, and keeps none.
func streamAll(ctx context.Context, w *work) error {
	want := w.Size / perTxn * perTxn
	most := watchMost()
	cpu, begin := measure.CPU(), time.Now()
	n, err := w.stream(ctx, streamPrefix)
	if err == nil && n != want {
		err = fmt.Errorf("%d keys, want %d", n, want)
	}
	if err != nil {
		return err
	}
	took, used := time.Since(begin), measure.CPU()-cpu
	heap, _ := most()
	w.add("largest heap while reading", heap/(1<<20), "MiB").main()
	w.add("took", took.Seconds(), "s").main()
	w.add("CPU", used.Seconds(), "s")
	w.add("keys", float64(n), "")
	return nil
}

// firstGet makes one client after another and has it read a key.
func firstGet(ctx context.Context, w *work) error {
	took := make([]time.Duration, w.Size)
	cpu := measure.CPU()
	for i := range took {
		begin := time.Now()
		c, err := dial(w.Client, w.settings(grpc.WithStatsHandler(w.wire)))
		if err != nil {
			return err
		}
		_, err = c.get(ctx, "scalebench/none/")
		took[i] = time.Since(begin)
		if bad := c.close(); err == nil {
			err = bad
		}
		if err != nil {
			return err
		}
	}
	used := measure.CPU() - cpu
	slices.Sort(took)
	w.add("p50", quantile(took, 0.5), "ms").main()
	w.add("p99", quantile(took, 0.99), "ms")
	w.add("CPU of each client", milliseconds(used)/float64(w.Size), "ms")
	return nil
}
