package main

import (
	"context"
	"fmt"
	"time"

	"github.com/getcd/getcd/integration/internal/measure"
)

// leaseTTL is in seconds.
const leaseTTL = 15

// leases keeps many leases. What it costs to keep them is measured when each has been
// renewed at least once, for several periods of renewal, which are a third of the TTL for both
// clients, since clientv3 renews all leases of the same age together.
func leases(ctx context.Context, w *work) error {
	before, goroutines := memory(), goroutines()
	begin := time.Now()
	lost := make([]<-chan struct{}, w.Size)
	if err := each(ctx, w.Size, 64, func(_ context.Context, i int) (err error) {
		lost[i], err = w.keep(ctx, leaseTTL)
		return err
	}); err != nil {
		return err
	}
	w.add("granted and kept in", time.Since(begin).Seconds(), "s")
	w.grown(before, goroutines, w.Size)
	if err := wait(ctx, leaseTTL*time.Second/3+time.Second); err != nil {
		return err
	}
	sent, cpu, begin := w.wire.sent.Load(), measure.CPU(), time.Now()
	period := leaseTTL * time.Second / 3
	if err := wait(ctx, 2*max(w.For, period).Round(period)); err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	w.add("CPU a second", milliseconds(measure.CPU()-cpu)/took, "ms").main()
	w.add("requests a second", float64(w.wire.sent.Load()-sent)/took, "")
	w.add("streams", float64(w.wire.streams.Load()), "")
	w.add("leases lost", float64(closed(lost)), "").main()
	return nil
}

// closed returns how many of the channels are closed.
func closed(all []<-chan struct{}) (n int) {
	for _, c := range all {
		select {
		case <-c:
			n++
		default:
		}
	}
	return n
}

// longLeases keeps leases until the parent has done what it does to the members.
func longLeases(ctx context.Context, w *work) error {
	before, goroutines := memory(), goroutines()
	lost := make([]<-chan struct{}, w.Size)
	if err := each(ctx, w.Size, 64, func(_ context.Context, i int) (err error) {
		lost[i], err = w.keep(ctx, longTTL)
		return err
	}); err != nil {
		return err
	}
	w.grown(before, goroutines, w.Size)
	if err := w.parent.Ready(); err != nil {
		return err
	}
	cpu, begin := measure.CPU(), time.Now()
	left, err := w.parent.Next()
	if err != nil {
		return err
	}
	var have int
	if _, err := fmt.Sscan(left, &have); err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	w.add("kept for", took, "s")
	w.add("CPU a second", milliseconds(measure.CPU()-cpu)/took, "ms").main()
	w.add("leases lost, as the client knows", float64(closed(lost)), "").main()
	w.add("leases lost, as the cluster knows", float64(w.Size-have), "").main()
	return nil
}

// longTTL leaves time for an election, and for another member to take the renewals.
const longTTL = 60

// killTwo kills two members, one after the other, while the time passes: first a follower
// and then the leader. Each is away for a tenth of the time. In the end it says how many leases
// the cluster has.
func killTwo(ctx context.Context, s *stage, say func(string) error) error {
	for _, leads := range []bool{false, true} {
		if err := wait(ctx, s.during*3/10); err != nil {
			return err
		}
		victim, err := s.member(ctx, leads)
		if err != nil {
			return err
		}
		if err := victim.Kill(); err != nil {
			return err
		}
		if err := wait(ctx, s.during/10); err != nil {
			return err
		}
		if err := victim.Restart(ctx); err != nil {
			return fmt.Errorf("restarting %s: %w", victim.Name(), err)
		}
	}
	if err := wait(ctx, s.during*2/10); err != nil {
		return err
	}
	left, err := s.admin.Leases(ctx)
	if err != nil {
		return err
	}
	return say(fmt.Sprint(len(left.Leases)))
}
