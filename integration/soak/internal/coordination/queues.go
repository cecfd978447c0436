package coordination

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/getcd/getcd/client"
	recipes "github.com/getcd/getcd/clientv3/experimental/recipes"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/kv"
)

// ends has the two ends of a queue, with one of getcd's APIs. Those of clientv3's
// recipes have no context; their Dequeue returns only with an item.
type ends struct {
	who     string
	enqueue func(context.Context, string) error
	dequeue func(context.Context) (string, error)
	endless bool
}

// ledger records what happened to each item of a queue.
type ledger struct {
	s       *soak
	name    string
	figures func(*Report) *Items

	mu        sync.Mutex // guards the fields below
	fates     map[string]fate
	refused   int
	out       map[string]int
	unsettled map[string]int // unsettled Dequeues, by the item's key
	forever   int            // those that will never be settled
}

type fate int

const (
	enqueued fate = iota + 1
	doubtful
	refused
)

func (l *ledger) count(f func(*Items)) { l.s.count(func(r *Report) { f(l.figures(r)) }) }

// queues runs producers and consumers of a Queue and a PriorityQueue.
func queues(ctx context.Context, s *soak) {
	var wg sync.WaitGroup
	for _, name := range []string{"queue", "priority"} {
		l := &ledger{
			s: s, name: s.cfg.Prefix + name, fates: make(map[string]fate), out: make(map[string]int), unsettled: make(map[string]int),
			figures: func(r *Report) *Items {
				if name == "queue" {
					return &r.Queue
				}
				return &r.PriorityQueue
			},
		}
		wg.Go(func() { l.run(ctx, name == "priority") })
	}
	wg.Wait()
}

// members makes the ends for all producers and consumers.
func (l *ledger) members(prioritized bool) (all []ends) {
	rngs := func(i int) *rand.Rand { return l.s.random(l.name+" priorities", i) }
	for i, c := range l.s.clients {
		all = append(all, native(c, l.name, prioritized, rngs(i), i))
	}
	for i, c := range l.s.facades {
		who := fmt.Sprintf("%s facade %d", l.name, i)
		if prioritized {
			q, rng := recipes.NewPriorityQueue(c, l.name), rngs(10+i)
			all = append(all, ends{
				who:     who,
				enqueue: func(_ context.Context, v string) error { return q.Enqueue(v, priority(rng, v)) },
				dequeue: func(context.Context) (string, error) { return q.Dequeue() }, endless: true,
			})
			continue
		}
		q := recipes.NewQueue(c, l.name)
		all = append(all, ends{
			who:     who,
			enqueue: func(_ context.Context, v string) error { return q.Enqueue(v) },
			dequeue: func(context.Context) (string, error) { return q.Dequeue() }, endless: true,
		})
	}
	return all
}

func native(c *client.Client, name string, prioritized bool, rng *rand.Rand, i int) ends {
	who := fmt.Sprintf("%s getcd %d", name, i)
	if prioritized {
		q := recipe.NewPriorityQueue(c, name)
		return ends{
			who:     who,
			enqueue: func(ctx context.Context, v string) error { return q.Enqueue(ctx, v, priority(rng, v)) },
			dequeue: q.Dequeue,
		}
	}
	q := recipe.NewQueue(c, name)
	return ends{who: who, enqueue: q.Enqueue, dequeue: q.Dequeue}
}

// farewell is the item that tells a consumer to end. It has the lowest priority.
const farewell = "farewell"

func priority(rng *rand.Rand, val string) uint16 {
	if strings.HasPrefix(val, farewell) {
		return 65535
	}
	return uint16(rng.IntN(4)) //nolint:gosec // it fits
}

func (l *ledger) run(ctx context.Context, prioritized bool) {
	all := l.members(prioritized)
	consuming, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var producers, consumers sync.WaitGroup
	for i, e := range all {
		rng := l.s.random(e.who, i)
		producers.Go(func() { l.produce(ctx, e, rng); l.s.late(e.who + ", producing") })
	}
	for i, e := range all {
		rng := l.s.random(e.who, 100+i)
		consumers.Go(func() { l.consume(consuming, e, rng); l.s.late(e.who + ", consuming") })
	}
	producers.Wait()
	l.drain(ctx, all, &consumers, stop)
	l.settle()
}

// produce enqueues items until ctx ends.
func (l *ledger) produce(ctx context.Context, e ends, rng *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		if l.backlog() > longest {
			pause(ctx, 20*time.Millisecond)
			continue
		}
		val := fmt.Sprintf("%s/%d", e.who, n)
		limit := 5 * time.Second
		if rng.IntN(10) == 0 {
			limit = between(rng, time.Millisecond, 50*time.Millisecond)
		}
		ectx, cancel := context.WithTimeout(ctx, limit)
		err := e.enqueue(ectx, val)
		cancel()
		l.mu.Lock()
		switch {
		case err == nil:
			l.fates[val] = enqueued
		case client.IsAmbiguous(err):
			l.fates[val] = doubtful
		default:
			l.fates[val] = refused
			l.refused++
		}
		f := l.fates[val]
		l.mu.Unlock()
		l.count(func(i *Items) {
			switch f {
			case enqueued:
				i.Enqueued++
			case doubtful:
				i.Doubtful++
			default:
				i.Refused++
			}
		})
		pause(ctx, between(rng, 5*time.Millisecond, 60*time.Millisecond))
	}
}

// longest is the maximum length of a queue. To find the first item, a server
// sorts all items.
const longest = 100

// backlog returns the approximate number of items in the queue.
func (l *ledger) backlog() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.fates) - l.refused - len(l.out)
}

// consume dequeues until it gets the farewell or ctx ends.
func (l *ledger) consume(ctx context.Context, e ends, rng *rand.Rand) {
	last := make(map[string]int) // the number of the last item, by producer
	for ctx.Err() == nil {
		dctx, cancel := context.WithTimeout(ctx, between(rng, 5*time.Millisecond, 3*time.Second))
		val, err := e.dequeue(dctx)
		ended := dctx.Err() != nil
		cancel()
		if err != nil {
			l.failed(err, ended)
			clear(last) // an item that it may have taken arrives later
			if !ended {
				pause(ctx, 20*time.Millisecond)
			}
			continue
		}
		if strings.HasPrefix(val, farewell) {
			return
		}
		l.mu.Lock()
		l.out[val]++
		again := l.out[val] > 1
		f := l.fates[val]
		l.mu.Unlock()
		l.count(func(i *Items) { i.Dequeued++ })
		if again {
			l.s.violate("%s: the item %q was dequeued twice, the second time by %s", l.name, val, e.who)
		}
		if i := strings.LastIndexByte(val, '/'); l.figures(&Report{}) != nil && strings.HasSuffix(l.name, "queue") && f == enqueued {
			n, err := strconv.Atoi(val[i+1:])
			if before, ok := last[val[:i]]; err == nil && ok && before > n {
				l.s.violate("%s: %s got item %d of %q after item %d", l.name, e.who, n, val[:i], before)
			}
			last[val[:i]] = n
		}
	}
}

// failed records a Dequeue that returned no item.
func (l *ledger) failed(err error, ended bool) {
	u, ok := errors.AsType[*recipe.UnsettledError](err)
	if !ok {
		if ended {
			l.count(func(i *Items) { i.GivenUp++ })
		} else {
			l.s.cfg.Log("coordination: %s: %v", l.name, err)
		}
		return
	}
	forever := isCompacted(err)
	l.mu.Lock()
	l.unsettled[u.Key]++
	if forever {
		l.forever++
	}
	l.mu.Unlock()
	l.count(func(i *Items) {
		i.Unsettled++
		if forever {
			i.Unknown++
		}
	})
	l.s.cfg.Log("coordination: %s: %v", l.name, err)
}

// drain ends the consumers: each gets one farewell, after all items.
func (l *ledger) drain(ctx context.Context, all []ends, consumers *sync.WaitGroup, stop context.CancelFunc) {
	dctx, cancel := within(ctx, l.s.cfg.Settle)
	defer cancel()
	gone := make(chan struct{})
	go func() { consumers.Wait(); close(gone) }() // joined below, when the last consumer has ended
	sender := all[0]
	for n := 0; ; n++ {
		// A farewell with an unknown outcome may be in the queue; one too many is
		// harmless.
		if err := sender.enqueue(dctx, fmt.Sprintf("%s/%d", farewell, n)); err != nil && dctx.Err() != nil {
			l.s.violate("%s: it could not be drained: %v", l.name, err)
			break
		}
		if n+1 < len(all) {
			continue
		}
		t := time.NewTimer(5 * time.Second) // a farewell may be lost with an unsettled claim
		select {
		case <-gone:
			t.Stop()
			l.leftover(dctx)
			return
		case <-t.C:
		case <-dctx.Done():
			t.Stop()
			l.s.violate("%s: consumers have not ended when it should be empty", l.name)
			stop()
			return
		}
	}
	stop()
}

// leftover counts the remaining items as dequeued. Most of them are farewells.
func (l *ledger) leftover(ctx context.Context) {
	resp, err := l.s.outside.get(ctx, l.name+"/", kv.WithPrefix())
	if err != nil {
		l.s.violate("%s: looking for what is left: %v", l.name, err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, item := range resp.Kvs {
		val := string(item.Value)
		if strings.HasPrefix(val, farewell) {
			continue
		}
		if l.fates[val] != doubtful {
			l.s.violate("%s: the item %q is there after the farewells that came behind it", l.name, val)
		}
		l.out[val]++
	}
}

// settle compares the enqueued items with the dequeued ones.
func (l *ledger) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost []string
	for val, f := range l.fates {
		switch n := l.out[val]; {
		case f == enqueued && n == 0:
			lost = append(lost, val)
		case f == refused && n > 0:
			l.s.violate("%s: the item %q came out, of which Enqueue had said that it was not enqueued", l.name, val)
		case f == doubtful && n > 0:
			l.count(func(i *Items) { i.DoubtfulOut++ })
		}
	}
	for val := range l.out {
		if l.fates[val] == 0 {
			l.s.violate("%s: the item %q came out, and was never enqueued", l.name, val)
		}
	}
	if len(lost) > l.forever {
		l.s.violate("%s: %d items were enqueued and have never come out, such as %q; only %d Dequeues could never tell", l.name, len(lost), lost[0], l.forever)
	}
}
