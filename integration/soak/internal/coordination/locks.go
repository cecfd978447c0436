package coordination

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

// kind is a kind of contenders in an arena.
type kind struct {
	name string
	n    int
	make func(i int, rng *rand.Rand) (contender, error)
}

// run lets all contend until ctx ends.
func (a *arena) run(ctx context.Context, name string, kinds []kind) {
	var wg sync.WaitGroup
	for _, k := range kinds {
		for i := range k.n {
			who := fmt.Sprintf("%s %s %d", name, k.name, i)
			rng := a.s.random(who, i)
			c, err := k.make(i, rng)
			if err != nil {
				a.s.violate("%s: %v", who, err)
				continue
			}
			wg.Go(func() { a.contend(ctx, who, c, rng) })
		}
	}
	wg.Wait()
}

// locks lets mutexes, those of pools, lockers and clientv3's mutexes contend for one lock.
func locks(ctx context.Context, s *soak) {
	a := newArena(s, "lock", func(r *Report) *Holds { return &r.Locks })
	name := strings.TrimSuffix(a.prefix, "/")
	var pools []*lock.Pool
	for _, c := range s.clients[:2] {
		p, err := lock.NewPool(c.Conn(), lock.WithTTL(ttl), lock.WithLeaseService(c), lock.WithWatcher(c))
		if err != nil {
			s.violate("NewPool: %v", err)
			return
		}
		pools = append(pools, p)
	}
	defer func() {
		for _, p := range pools {
			cctx, cancel := within(ctx, finishing)
			if err := p.Close(cctx); err != nil {
				s.cfg.Log("coordination: closing a pool: %v", err)
			}
			cancel()
		}
	}()
	a.run(ctx, "lock", []kind{
		{"mutex", 4, func(i int, rng *rand.Rand) (contender, error) {
			c := s.clients[i%len(s.clients)]
			opts := []lock.Option{lock.WithTTL(ttl)}
			if i%2 == 0 {
				opts = append(opts, lock.WithLeaseService(c))
			}
			m, err := lock.New(c.Conn(), name, opts...)
			return &mutex{m: m, rng: rng}, err
		}},
		{"pool", 4, func(i int, rng *rand.Rand) (contender, error) {
			p := pools[i%len(pools)]
			m, err := p.Mutex(name)
			if err != nil {
				return nil, err
			}
			side, err := p.Mutex(fmt.Sprintf("%s-beside-%d", name, i))
			return &pooled{mutex{m: m, rng: rng}, side}, err
		}},
		{"locker", 2, func(i int, _ *rand.Rand) (contender, error) {
			c := s.clients[i%len(s.clients)]
			l, err := lock.NewLocker(c.Conn(), lock.Config{
				TTL: 5 * time.Second, Heartbeat: 500 * time.Millisecond, Retries: 1, RequestTimeout: time.Second, RetryInterval: 100 * time.Millisecond,
			})
			return &locker{c: c, l: l, name: name}, err
		}},
		{"facade", 3, func(i int, rng *rand.Rand) (contender, error) {
			return &facadeMutex{facade[concurrency.Mutex]{name: name, sessions: facadeSessions{c: s.facades[i%len(s.facades)], rng: rng}, of: concurrency.NewMutex}}, nil
		}},
	})
}

// mutex contends with package lock's Mutex.
type mutex struct {
	m   *lock.Mutex
	rng *rand.Rand
}

func (c *mutex) prepare(context.Context) error { return nil }
func (c *mutex) session() lease.ID             { return lease.NoLease }
func (c *mutex) close()                        {}

func (c *mutex) acquire(ctx context.Context) (*hold, error) {
	err := lock.ErrLocked
	if c.rng.IntN(4) == 0 {
		err = c.m.TryLock(ctx)
	}
	if errors.Is(err, lock.ErrLocked) {
		err = c.m.Lock(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &hold{
		key: c.m.Key(), token: c.m.Token(), lease: leaseOf(c.m.Key()),
		commit: func(ctx context.Context, ops ...kv.Op) (*kv.TxnResponse, bool, error) {
			resp, err := c.m.Txn(ctx).Then(ops...).Commit()
			if errors.Is(err, lock.ErrLost) {
				return nil, false, nil
			}
			return resp, err == nil, err
		},
		done: c.m.Done(), err: c.m.Err, unlock: c.m.Unlock,
		knows: func(err error) bool { return errors.Is(err, lock.ErrLost) },
	}, nil
}

// pooled contends with a Pool's Mutex. Mostly it also holds another lock, so that the
// lease goes on when the contended lock is left.
type pooled struct {
	mutex
	side *lock.Mutex
}

func (c *pooled) prepare(ctx context.Context) error {
	if c.rng.IntN(8) == 0 {
		_ = c.side.Unlock(ctx) // what was lost need not be unlocked
	}
	if c.side.Err() == nil {
		return nil
	}
	return c.side.Lock(ctx)
}

// locker contends with package lock's Locker, which uses etcd's lock service.
type locker struct {
	c    *client.Client
	l    *lock.Locker
	name string
}

func (c *locker) prepare(context.Context) error { return nil }
func (c *locker) session() lease.ID             { return lease.NoLease }
func (c *locker) close()                        {}

func (c *locker) acquire(ctx context.Context) (*hold, error) {
	held, err := c.l.Lock(ctx, c.name)
	if err != nil {
		return nil, err
	}
	h := &hold{
		key: held.Key(), lease: leaseOf(held.Key()), done: held.Done(), err: held.Err, unlock: held.Unlock,
		knows: func(err error) bool { return errors.Is(err, lock.ErrLost) },
	}
	// The service does not return the token, which is the key's create revision.
	resp, err := c.c.Get(ctx, held.Key(), kv.WithKeysOnly())
	switch {
	case err != nil:
		uctx, cancel := within(ctx, finishing)
		defer cancel()
		_ = held.Unlock(uctx) // if this fails, its TTL ends it
		return nil, err
	case len(resp.Kvs) == 0: // already lost; no token is smaller than 0
		h.token = -1
	default:
		h.token = resp.Kvs[0].CreateRevision
	}
	h.commit = guarded(c.c, kv.Compare(kv.CreateRevision(h.key), "=", h.token))
	return h, nil
}

// facadeMutex contends with clientv3's Mutex.
type facadeMutex struct{ facade[concurrency.Mutex] }

func (c *facadeMutex) acquire(ctx context.Context) (*hold, error) {
	s, m := c.s, c.made
	if err := m.Lock(ctx); err != nil {
		return nil, err
	}
	// The token is the key's create revision, which is in the guard's comparison.
	guard := m.IsOwner()
	return &hold{
		key: m.Key(), token: guard.GetCompare().GetCreateRevision(), lease: s.Lease(),
		commit: guarded(s.Client(), guard), done: s.Done(), err: s.Native().Err, unlock: m.Unlock,
		knows: func(error) bool { return true }, // clientv3's Unlock does not report a loss
	}, nil
}
