package coordination

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/concurrency/stm"
)

// isCompacted recognizes the server's response, also on a plain connection.
func isCompacted(err error) bool {
	return errors.Is(err, rpctypes.ErrCompacted) || errors.Is(rpctypes.Error(err), rpctypes.ErrCompacted)
}

const (
	counterKeys = 3
	accounts    = 4
)

// tally records what was added to the counters.
type tally struct {
	mu                 sync.Mutex
	definite, possible [counterKeys]int
}

// counters runs software transactions that add to counters and move money between
// accounts.
func counters(ctx context.Context, s *soak) {
	t := &tally{}
	var wg sync.WaitGroup
	worker := func(i int, run func(context.Context, func(stm.STM) error, stm.Isolation) error, ambiguous func(error) bool) {
		rng := s.random("counter", i)
		wg.Go(func() {
			for ctx.Err() == nil {
				s.transact(ctx, t, rng, run, ambiguous)
				pause(ctx, between(rng, 10*time.Millisecond, 60*time.Millisecond))
			}
		})
	}
	for i, c := range s.clients {
		worker(i, func(ctx context.Context, f func(stm.STM) error, l stm.Isolation) error {
			_, err := stm.Run(ctx, c, f, stm.WithIsolation(l))
			return err
		}, client.IsAmbiguous)
	}
	for i, c := range s.facades {
		worker(10+i, func(ctx context.Context, f func(stm.STM) error, l stm.Isolation) error {
			_, err := concurrency.NewSTM(c, f, concurrency.WithAbortContext(ctx), concurrency.WithIsolation(l))
			return err
		}, func(error) bool { return true }) // clientv3's errors do not say
	}
	wg.Wait()
	s.checkTally(ctx, t)
}

func (s *soak) counter(i int) string { return fmt.Sprintf("%scounter/%d", s.cfg.Prefix, i) }
func (s *soak) account(i int) string { return fmt.Sprintf("%saccount/%d", s.cfg.Prefix, i) }

// transact adds one to a counter, and moves some money.
func (s *soak) transact(ctx context.Context, t *tally, rng *rand.Rand, run func(context.Context, func(stm.STM) error, stm.Isolation) error, ambiguous func(error) bool) {
	n, from, to, amount := rng.IntN(counterKeys), rng.IntN(accounts), rng.IntN(accounts), rng.IntN(100)
	level := []stm.Isolation{stm.SerializableSnapshot, stm.Serializable, stm.RepeatableReads}[rng.IntN(3)]
	tctx, cancel := context.WithTimeout(ctx, between(rng, 20*time.Millisecond, 3*time.Second))
	defer cancel()
	err := run(tctx, func(tx stm.STM) error {
		key := s.counter(n)
		tx.Put(key, strconv.Itoa(number(tx.Get(key))+1))
		if from != to {
			a, b := s.account(from), s.account(to)
			have, has := number(tx.Get(a)), number(tx.Get(b))
			tx.Put(a, strconv.Itoa(have-amount))
			tx.Put(b, strconv.Itoa(has+amount))
		}
		if level != stm.RepeatableReads && rng.IntN(4) == 0 {
			if sum := s.sum(tx); sum != 0 {
				s.violate("counters: a %v transaction sees accounts with a sum of %d", level, sum)
			}
		}
		return nil
	}, level)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.definite[n]++
		s.count(func(r *Report) { r.Counters.Committed++ })
	case ambiguous(err):
		t.possible[n]++
		s.count(func(r *Report) { r.Counters.Ambiguous++ })
	default:
		s.count(func(r *Report) { r.Counters.Failed++ })
	}
}

func (s *soak) sum(tx stm.STM) (sum int) {
	for i := range accounts {
		sum += number(tx.Get(s.account(i)))
	}
	return sum
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // a key that does not exist counts as 0
	return n
}

// checkTally compares the counters with what was added to them.
func (s *soak) checkTally(ctx context.Context, t *tally) {
	// A late transaction is applied within the servers' request timeout, or
	// never.
	octx, cancel := within(ctx, s.cfg.Settle)
	defer cancel()
	pause(octx, 8*time.Second)
	read := func(key string) int {
		resp, err := s.outside.get(octx, key)
		if err != nil {
			s.violate("counters: %v", err)
			return 0
		}
		if len(resp.Kvs) == 0 {
			return 0
		}
		return number(string(resp.Kvs[0].Value))
	}
	for i := range counterKeys {
		n := read(s.counter(i))
		s.count(func(r *Report) { r.Counters.Counted += n })
		if n < t.definite[i] || n > t.definite[i]+t.possible[i] {
			s.violate("counters: counter %d is %d; %d commits are certain and %d more possible", i, n, t.definite[i], t.possible[i])
		}
	}
	sum := 0
	for i := range accounts {
		sum += read(s.account(i))
	}
	if sum != 0 {
		s.violate("counters: the accounts have a sum of %d in the end, not 0", sum)
	}
}
