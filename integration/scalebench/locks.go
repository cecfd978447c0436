package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

func goroutines() int { return runtime.NumGoroutine() }

// lockUnlock takes and frees one lock again and again.
func lockUnlock(ctx context.Context, w *work) error {
	who, err := w.contender(ctx)
	if err != nil {
		return err
	}
	one := func(name string) error {
		unlock, err := who(ctx, name)
		if err != nil {
			return err
		}
		return unlock(ctx)
	}
	for i := range w.Size/20 + 1 { // until everything is warm
		if err := one(fmt.Sprint("scalebench/warm/", i)); err != nil {
			return err
		}
	}
	took := make([]time.Duration, w.Size)
	sent := w.wire.sent.Load()
	for i := range took {
		begin := time.Now()
		if err := one("scalebench/lock"); err != nil {
			return err
		}
		took[i] = time.Since(begin)
	}
	requests := w.wire.sent.Load() - sent
	slices.Sort(took)
	w.add("p50", quantile(took, 0.5), "ms").main()
	w.add("p99", quantile(took, 0.99), "ms").main()
	w.add("requests each", float64(requests)/float64(w.Size), "").main()
	return nil
}

// contended has many contenders take one lock in turn, and each at once again.
func contended(ctx context.Context, w *work) error {
	var mu sync.Mutex
	var waits []time.Duration
	turns := make([]int, w.Size)
	inside := 0
	who := make([]contender, w.Size)
	for i := range who {
		var err error
		if who[i], err = w.contender(ctx); err != nil {
			return err
		}
	}
	end := time.Now().Add(w.For)
	begin := time.Now()
	if err := each(ctx, w.Size, w.Size, func(ctx context.Context, i int) error {
		for time.Now().Before(end) {
			begin := time.Now()
			unlock, err := who[i](ctx, "scalebench/contended")
			if err != nil {
				return err
			}
			mu.Lock()
			if inside++; inside != 1 {
				mu.Unlock()
				return fmt.Errorf("%d hold the lock", inside)
			}
			waits = append(waits, time.Since(begin))
			turns[i]++
			inside--
			mu.Unlock()
			if err := unlock(ctx); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	slices.Sort(waits)
	slices.Sort(turns)
	w.add("locks a second", float64(len(waits))/took, "").main().more()
	w.add("median wait", quantile(waits, 0.5), "ms")
	w.add("longest wait", quantile(waits, 1), "ms").main()
	w.add("turns of who had fewest", float64(turns[0]), "").more()
	w.add("turns of who had most", float64(turns[len(turns)-1]), "")
	return nil
}

// held takes many locks and holds them.
func held(ctx context.Context, w *work) error {
	who, err := w.contender(ctx)
	if err != nil {
		return err
	}
	unlock := make([]func(context.Context) error, w.Size)
	before, goroutines, streams, begin := memory(), goroutines(), w.wire.streams.Load(), time.Now()
	if err := each(ctx, w.Size, 64, func(_ context.Context, i int) (err error) {
		unlock[i], err = who(ctx, fmt.Sprint("scalebench/held/", i))
		return err
	}); err != nil {
		return err
	}
	w.add("locked in", time.Since(begin).Seconds(), "s").main()
	w.grown(before, goroutines, w.Size)
	w.add("streams of all", float64(w.wire.streams.Load()-streams), "").main()
	begin = time.Now()
	if err := each(ctx, w.Size, 64, func(ctx context.Context, i int) error { return unlock[i](ctx) }); err != nil {
		return err
	}
	w.add("unlocked in", time.Since(begin).Seconds(), "s")
	return nil
}
