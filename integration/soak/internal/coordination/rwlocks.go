package coordination

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"

	"github.com/getcd/getcd/clientv3/concurrency"
	recipes "github.com/getcd/getcd/clientv3/experimental/recipes"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/lease"
)

// rwlocks lets readers and writers contend for one lock.
func rwlocks(ctx context.Context, s *soak) {
	a := newArena(s, "rwlock", func(r *Report) *Holds { return &r.RWLocks })
	a.before = func(shared bool) string {
		if shared {
			return a.prefix + "write/"
		}
		return a.prefix
	}
	name := strings.TrimSuffix(a.prefix, "/")
	a.run(ctx, "rwlock", []kind{
		{"getcd", 5, func(i int, rng *rand.Rand) (contender, error) {
			return &rwmutex{name: name, rng: rng, sessions: sessions{c: s.clients[i%len(s.clients)], rng: rng}}, nil
		}},
		{"facade", 2, func(i int, rng *rand.Rand) (contender, error) {
			return &facadeRWMutex{name: name, rng: rng, sessions: facadeSessions{c: s.facades[i%len(s.facades)], rng: rng}}, nil
		}},
	})
}

// rwmutex contends with package recipe's RWMutex.
type rwmutex struct {
	name     string
	rng      *rand.Rand
	sessions sessions
	s        *session.Session
}

func (c *rwmutex) prepare(ctx context.Context) (err error) {
	c.s, _, err = c.sessions.get(ctx)
	return err
}

func (c *rwmutex) session() lease.ID { return c.sessions.id() }
func (c *rwmutex) close()            { c.sessions.close() }

func (c *rwmutex) acquire(ctx context.Context) (*hold, error) {
	s := c.s
	var err error
	m := recipe.NewRWMutex(c.sessions.c, s, c.name)
	h := &hold{shared: c.rng.IntN(3) > 0, lease: s.ID(), done: s.Done(), err: s.Err}
	h.knows = func(err error) bool { return errors.Is(err, recipe.ErrLost) }
	if h.shared {
		err, h.unlock = m.RLock(ctx), m.RUnlock
	} else {
		err, h.unlock = m.Lock(ctx), m.Unlock
	}
	if err != nil {
		return nil, err
	}
	guard := m.Guard()
	h.key, h.token, h.commit = string(guard.KeyBytes()), m.Token(), guarded(c.sessions.c, guard)
	return h, nil
}

// facadeRWMutex contends with clientv3's RWMutex, which has no token. It is
// checked by the tokens of the others.
type facadeRWMutex struct {
	name     string
	rng      *rand.Rand
	sessions facadeSessions
	s        *concurrency.Session
}

func (c *facadeRWMutex) prepare(context.Context) (err error) {
	c.s, _, err = c.sessions.get()
	return err
}

func (c *facadeRWMutex) timeless()         {}
func (c *facadeRWMutex) session() lease.ID { return c.sessions.id() }
func (c *facadeRWMutex) close()            { c.sessions.close() }

func (c *facadeRWMutex) acquire(context.Context) (*hold, error) {
	s := c.s
	var err error
	m := recipes.NewRWMutex(s, c.name)
	h := &hold{shared: c.rng.IntN(3) > 0, lease: s.Lease(), done: s.Done(), err: s.Native().Err}
	h.knows = func(error) bool { return true }
	if h.shared {
		err, h.unlock = m.RLock(), func(context.Context) error { return m.RUnlock() }
	} else {
		err, h.unlock = m.Lock(), func(context.Context) error { return m.Unlock() }
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}
