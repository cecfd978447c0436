package coordination

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/lease"
)

// uses is how many times a session is used before it is replaced.
const uses = 20

// sessions provides a worker's session, and a new one when it has ended or was
// used often enough.
type sessions struct {
	c    *client.Client
	rng  *rand.Rand
	now  *session.Session
	left int
}

// get returns the session, and whether it is a new one.
func (k *sessions) get(ctx context.Context) (s *session.Session, fresh bool, err error) {
	if k.now != nil && k.now.Err() == nil && k.left > 0 {
		k.left--
		return k.now, false, nil
	}
	k.close() //nolint:contextcheck // close the old one whatever happens to ctx
	if k.now, err = session.New(ctx, k.c, session.WithTTL(ttl)); err != nil {
		k.now = nil
		return nil, false, err
	}
	k.left = 1 + k.rng.IntN(uses)
	return k.now, true, nil
}

func (k *sessions) id() lease.ID {
	if k.now == nil || k.now.Err() != nil {
		return lease.NoLease
	}
	return k.now.ID()
}

func (k *sessions) close() {
	if k.now != nil {
		_ = k.now.Close(context.Background()) // if this fails, its TTL ends it
		k.now = nil
	}
}

// facadeSessions is sessions for clientv3's sessions.
type facadeSessions struct {
	c    *clientv3.Client
	rng  *rand.Rand
	now  *concurrency.Session
	left int
}

func (k *facadeSessions) get() (s *concurrency.Session, fresh bool, err error) {
	if k.now != nil && k.now.Native().Err() == nil && k.left > 0 {
		k.left--
		return k.now, false, nil
	}
	k.close()
	// NewSession has no context of its own, and the client's has no deadline.
	if k.now, err = concurrency.NewSession(k.c, concurrency.WithTTL(int(ttl/time.Second))); err != nil {
		k.now = nil
		return nil, false, err
	}
	k.left = 1 + k.rng.IntN(uses)
	return k.now, true, nil
}

func (k *facadeSessions) id() lease.ID {
	if k.now == nil || k.now.Native().Err() != nil {
		return lease.NoLease
	}
	return k.now.Lease()
}

func (k *facadeSessions) close() {
	if k.now != nil {
		_ = k.now.Close() // if this fails, its TTL ends it
		k.now = nil
	}
}

// facade is a contender's part of clientv3: a session, and what was made with it.
type facade[T any] struct {
	name     string
	sessions facadeSessions
	of       func(s *concurrency.Session, name string) *T
	s        *concurrency.Session
	made     *T
}

func (c *facade[T]) prepare(context.Context) (err error) {
	var fresh bool
	c.s, fresh, err = c.sessions.get()
	if err == nil && (fresh || c.made == nil) {
		c.made = c.of(c.s, c.name)
	}
	return err
}

func (c *facade[T]) session() lease.ID { return c.sessions.id() }
func (c *facade[T]) close()            { c.sessions.close() }
