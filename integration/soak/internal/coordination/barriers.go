package coordination

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	recipes "github.com/getcd/getcd/clientv3/experimental/recipes"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/lease"
)

// barriers lets groups pass double barriers, and waiters wait at single ones.
func barriers(ctx context.Context, s *soak) {
	var wg sync.WaitGroup
	wg.Go(func() { s.doubleBarriers(ctx) })
	wg.Go(func() { s.singleBarriers(ctx) })
	wg.Wait()
}

// group is the number of members that pass a double barrier together.
const group = 4

// pass is one member's part in one round: it enters and leaves.
type pass struct {
	enter, leave func(context.Context) error
	lease        lease.ID // its session's
}

// doubleBarriers passes one double barrier after another. Each is new, so that a
// member that failed in one round does not disturb the next.
func (s *soak) doubleBarriers(ctx context.Context) {
	rng := s.random("double barrier", 0)
	natives := make([]sessions, group-1)
	for i := range natives {
		natives[i] = sessions{c: s.clients[i%len(s.clients)], rng: s.random("double barrier session", i)}
	}
	facade := facadeSessions{c: s.facades[0], rng: s.random("double barrier session", group)}
	defer func() { //nolint:contextcheck // the end outlives ctx
		for i := range natives {
			natives[i].close()
		}
		facade.close()
	}()
	for round := 0; ctx.Err() == nil; round++ {
		name := fmt.Sprintf("%sdouble/%d", s.cfg.Prefix, round)
		var passes []pass
		for i := range natives {
			session, _, err := natives[i].get(ctx)
			if err != nil {
				break
			}
			b := recipe.NewDoubleBarrier(s.clients[i%len(s.clients)], session, name, group)
			passes = append(passes, pass{b.Enter, b.Leave, session.ID()})
		}
		// A member whose calls have no context waits for the others even if they
		// have given up. So it takes part only if nobody will give up.
		last, _, err := facade.get()
		if err != nil || len(passes) < group-1 {
			pause(ctx, 100*time.Millisecond)
			continue
		}
		b := recipes.NewDoubleBarrier(last, name, group)
		passes = append(passes, pass{
			func(context.Context) error { return b.Enter() }, func(context.Context) error { return b.Leave() },
			last.Lease(),
		})
		s.through(ctx, name, passes, rng, func() { facade.close() })
		pause(ctx, between(rng, 0, 100*time.Millisecond))
	}
}

// through runs one round. free ends the member that has no context.
func (s *soak) through(ctx context.Context, name string, passes []pass, rng *rand.Rand, free func()) {
	var entering, leaving, entered, left, broken atomic.Int32
	rctx, cancel := within(ctx, 20*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i, p := range passes {
		delay := between(rng, 0, 30*time.Millisecond)
		stay := between(rng, 0, 30*time.Millisecond)
		wg.Go(func() {
			pause(rctx, delay)
			entering.Add(1)
			if err := p.enter(rctx); err != nil {
				broken.Add(1)
				leaving.Add(1) // the others must not wait for it
				cancel()
				return
			}
			if n := entering.Load(); int(n) < len(passes) {
				s.violate("%s: member %d has entered when only %d of %d had begun to", name, i, n, len(passes))
			}
			entered.Add(1)
			pause(rctx, stay)
			leaving.Add(1)
			if err := p.leave(rctx); err != nil {
				broken.Add(1)
				cancel()
				return
			}
			left.Add(1)
			// A member whose lease has ended does not block the others, whether
			// it knows about the loss yet or not.
			if n := leaving.Load(); int(n) < len(passes) && broken.Load() == 0 && s.allLive(ctx, passes) {
				s.violate("%s: member %d has left when only %d of %d had begun to", name, i, n, len(passes))
			}
		})
	}
	done := make(chan struct{})
	freed := make(chan struct{})
	go func() { // joined through freed
		defer close(freed)
		select {
		case <-done:
		case <-rctx.Done():
			// Give the members with a context time to clean up.
			t := time.NewTimer(cleanupTime + slack)
			defer t.Stop()
			select {
			case <-done:
			case <-t.C:
				free()
			}
		}
	}()
	wg.Wait()
	close(done)
	<-freed
	s.count(func(r *Report) {
		if int(left.Load()) == len(passes) {
			r.DoubleBarriers++
		} else {
			r.BarriersBroken++
		}
	})
}

// allLive reports whether the leases of all members live. A lease whose state
// cannot be read does not count as alive.
func (s *soak) allLive(ctx context.Context, passes []pass) bool {
	octx, cancel := within(ctx, finishing)
	defer cancel()
	for _, p := range passes {
		if lives, _, _, err := s.outside.lives(octx, p.lease, ""); err != nil || !lives {
			return false
		}
	}
	return true
}

// singleBarriers holds a barrier, lets others wait at it, and releases it.
func (s *soak) singleBarriers(ctx context.Context) {
	rng := s.random("barrier", 0)
	for round := 0; ctx.Err() == nil; round++ {
		name := fmt.Sprintf("%sbarrier/%d", s.cfg.Prefix, round)
		rctx, cancel := within(ctx, 30*time.Second)
		s.barrier(rctx, name, rng)
		cancel()
		pause(ctx, between(rng, 0, 100*time.Millisecond))
	}
}

func (s *soak) barrier(ctx context.Context, name string, rng *rand.Rand) {
	held := recipe.NewBarrier(s.clients[0], name)
	if err := held.Hold(ctx); err != nil {
		s.count(func(r *Report) { r.BarriersBroken++ })
		return
	}
	var releasing atomic.Bool
	var gone atomic.Int32
	waits := []func(context.Context) error{
		recipe.NewBarrier(s.clients[1], name).Wait,
		recipe.NewBarrier(s.clients[2], name).Wait,
	}
	var wg sync.WaitGroup
	for i, wait := range waits {
		wg.Go(func() {
			for ctx.Err() == nil {
				wctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				err := wait(wctx)
				cancel()
				if err == nil {
					if !releasing.Load() {
						s.violate("%s: waiter %d went on before it was released", name, i)
					}
					gone.Add(1)
					return
				}
				pause(ctx, 10*time.Millisecond)
			}
		})
	}
	pause(ctx, between(rng, 0, 100*time.Millisecond))
	releasing.Store(true)
	for ctx.Err() == nil && held.Release(ctx) != nil {
		pause(ctx, 10*time.Millisecond)
	}
	wg.Wait()
	s.count(func(r *Report) {
		if int(gone.Load()) == len(waits) {
			r.Barriers++
		} else {
			r.BarriersBroken++
		}
	})
}
