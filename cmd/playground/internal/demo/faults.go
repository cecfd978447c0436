package demo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
)

var errOwnCluster = fmt.Errorf("%w: it would break your cluster", errSkipped)

// killActive kills the member that serves, while workers read and write.
func (s *stage) killActive(ctx context.Context) error {
	if s.local == nil {
		return errOwnCluster
	}
	load := s.startLoad(ctx)
	defer load.stop()
	if err := load.await(ctx, 100); err != nil {
		return err
	}
	victim := s.active()
	m := s.local.Member(victim)
	if m == nil {
		return fmt.Errorf("no member is at the active endpoint %q", victim)
	}
	leader, err := s.local.Members.Leader(ctx)
	if err != nil {
		return err
	}
	role := "a follower"
	if leader == m {
		role = "the leader"
	}
	s.say("%d reads and writes so far; SIGKILL %s on %s, %s", load.done(), m.Name(), victim, role)
	if err := m.Kill(); err != nil {
		return err
	}
	if err := load.await(ctx, 200); err != nil {
		return err
	}
	reads, writes := load.stop()
	s.say("reads:  %d ok, %d failed, longest gap %v", reads.ok, reads.failed, round(reads.gap))
	s.say("writes: %d ok, %d failed, all of them marked ambiguous: %v, longest gap %v", writes.ok, writes.failed, writes.failed == writes.ambiguous, round(writes.gap))
	s.say("%s is active now", s.active())
	if err := s.local.Members.Restart(ctx); err != nil {
		return err
	}
	s.say("%s is back", m.Name())
	switch {
	case reads.failed > 0:
		return fmt.Errorf("%d reads failed", reads.failed)
	case writes.failed != writes.ambiguous:
		return fmt.Errorf("%d writes failed without being marked ambiguous", writes.failed-writes.ambiguous)
	}
	return nil
}

// moveAll restarts all members elsewhere; only the zone says where.
func (s *stage) moveAll(ctx context.Context) error {
	if s.local == nil {
		return errOwnCluster
	}
	before := s.local.Members.Endpoints()
	s.say("all members are killed, and started on other ports")
	if err := s.local.Members.Move(ctx); err != nil {
		return err
	}
	if err := s.local.Publish(); err != nil {
		return err
	}
	start := time.Now()
	for _, r := range s.local.Records() {
		s.say("  %s", r)
	}
	got, err := s.client.Get(ctx, s.prefix+"foo")
	if err != nil {
		return err
	}
	if len(got.Kvs) != 1 {
		return errors.New("the key that was put is gone")
	}
	s.say("the same client reads again %v after the records changed", round(time.Since(start)))
	s.endpoints()
	for _, e := range s.client.Endpoints() {
		for _, old := range before {
			if e.Address == old {
				return fmt.Errorf("the client still knows %s", old)
			}
		}
	}
	return nil
}

func (s *stage) active() string {
	for _, e := range s.client.Endpoints() {
		if e.Role == balancer.Active {
			return e.Address
		}
	}
	return ""
}

// tally is what became of one kind of operation.
type tally struct {
	ok, failed, ambiguous int
	gap                   time.Duration // the longest time without a success
	last                  time.Time     // of the last success
}

func (t *tally) count(err error, now time.Time) {
	if err != nil {
		t.failed++
		if client.IsAmbiguous(err) {
			t.ambiguous++
		}
		return
	}
	t.ok++
	t.gap = max(t.gap, now.Sub(t.last))
	t.last = now
}

// load is two readers and two writers.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu            sync.Mutex
	reads, writes tally
	progress      chan struct{} // capacity 1: an operation succeeded
}

func (s *stage) startLoad(ctx context.Context) *load {
	ctx, cancel := context.WithCancel(ctx)
	now := time.Now()
	l := &load{cancel: cancel, reads: tally{last: now}, writes: tally{last: now}, progress: make(chan struct{}, 1)}
	for i := range 2 {
		key := s.prefix + "load/" + strconv.Itoa(i)
		l.wg.Go(func() {
			l.work(ctx, &l.reads, func(ctx context.Context) error { _, err := s.client.Get(ctx, key); return err })
		})
		l.wg.Go(func() {
			l.work(ctx, &l.writes, func(ctx context.Context) error { _, err := s.client.Put(ctx, key, "v"); return err })
		})
	}
	return l
}

// work does one operation every 5 ms. Those under way when the load is stopped
// end in their own time, so that none fails for being stopped.
func (l *load) work(ctx context.Context, t *tally, do func(context.Context) error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		err := do(call)
		cancel()
		l.mu.Lock()
		t.count(err, time.Now())
		l.mu.Unlock()
		select {
		case l.progress <- struct{}{}:
		default:
		}
	}
}

func (l *load) done() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads.ok + l.writes.ok
}

// await waits for n more reads and n more writes.
func (l *load) await(ctx context.Context, n int) error {
	l.mu.Lock()
	reads, writes := l.reads.ok+n, l.writes.ok+n
	l.mu.Unlock()
	for {
		l.mu.Lock()
		enough := l.reads.ok >= reads && l.writes.ok >= writes
		l.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-l.progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stop ends the load and returns the accounts. It may be called again.
func (l *load) stop() (reads, writes tally) {
	l.cancel()
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads, l.writes
}
