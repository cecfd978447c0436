package coordination

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// elections lets candidates of all kinds contend in one election, while others
// observe it.
func elections(ctx context.Context, s *soak) {
	a := newArena(s, "election", func(r *Report) *Holds { return &r.Elections })
	name := strings.TrimSuffix(a.prefix, "/")
	began, err := s.outside.get(ctx, "\x00")
	if err != nil {
		return
	}
	observing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	observers := []*observer{
		{who: "observer getcd", began: make(chan struct{})},
		{who: "observer facade"},
	}
	wg.Go(func() { observers[0].leaders(observing, s, name) })
	wg.Go(func() { observers[1].observe(observing, s, name) })

	select {
	case <-observers[0].began:
	case <-ctx.Done():
	}
	a.run(ctx, "election", []kind{
		{"own", 2, func(i int, _ *rand.Rand) (contender, error) {
			e, err := election.New(s.clients[i%len(s.clients)].Conn(), name, election.WithTTL(ttl))
			return &candidate{e: e}, err
		}},
		{"session", 2, func(i int, rng *rand.Rand) (contender, error) {
			return &sessionCandidate{name: name, sessions: sessions{c: s.clients[i%len(s.clients)], rng: rng}}, nil
		}},
		{"service", 1, func(i int, _ *rand.Rand) (contender, error) {
			c := s.clients[i%len(s.clients)]
			return &rpcCandidate{c: c, rpc: election.NewService(c.Conn()), name: name}, nil
		}},
		{"facade", 2, func(i int, rng *rand.Rand) (contender, error) {
			return &facadeCandidate{facade[concurrency.Election]{name: name, sessions: facadeSessions{c: s.facades[i%len(s.facades)], rng: rng}, of: concurrency.NewElection}}, nil
		}},
	})
	for _, o := range observers {
		o.finish(ctx, a, name, began.Header.Revision)
	}
	stop()
	wg.Wait()
}

// led makes the hold of an election.Election that leads.
func led(e *election.Election, id lease.ID) *hold {
	return &hold{
		key: e.Key(), token: e.Rev(), lease: id,
		commit: func(ctx context.Context, ops ...kv.Op) (*kv.TxnResponse, bool, error) {
			resp, err := e.Txn(ctx).Then(ops...).Commit()
			if errors.Is(err, election.ErrNotLeader) {
				return nil, false, nil
			}
			return resp, err == nil, err
		},
		done: e.Done(), err: e.Err, unlock: e.Resign,
		knows:    func(error) bool { return true }, // Resign returns no error after a loss
		proclaim: e.Proclaim,
		denied:   func(err error) bool { return errors.Is(err, election.ErrNotLeader) },
	}
}

// candidate campaigns with a new lease each time.
type candidate struct{ e *election.Election }

func (c *candidate) prepare(context.Context) error { return nil }
func (c *candidate) session() lease.ID             { return lease.NoLease }
func (c *candidate) close()                        {}

func (c *candidate) acquire(ctx context.Context) (*hold, error) {
	if err := c.e.Campaign(ctx, "elected"); err != nil {
		return nil, err
	}
	return led(c.e, leaseOf(c.e.Key())), nil
}

// sessionCandidate campaigns with a session.
type sessionCandidate struct {
	name     string
	sessions sessions
	s        *session.Session
	e        *election.Election
}

func (c *sessionCandidate) prepare(ctx context.Context) (err error) {
	var fresh bool
	if c.s, fresh, err = c.sessions.get(ctx); err != nil || !fresh && c.e != nil {
		return err
	}
	cl := c.sessions.c
	c.e, err = election.New(cl.Conn(), c.name, election.WithSession(c.s), election.WithLeaseService(cl), election.WithWatcher(cl), election.WithTTL(ttl))
	return err
}

func (c *sessionCandidate) session() lease.ID { return c.sessions.id() }
func (c *sessionCandidate) close()            { c.sessions.close() }

func (c *sessionCandidate) acquire(ctx context.Context) (*hold, error) {
	if err := c.e.Campaign(ctx, "elected"); err != nil {
		return nil, err
	}
	return led(c.e, c.s.ID()), nil
}

// rpcCandidate campaigns with etcd's election service.
type rpcCandidate struct {
	c    *client.Client
	rpc  election.Service
	name string
}

func (c *rpcCandidate) prepare(context.Context) error { return nil }
func (c *rpcCandidate) session() lease.ID             { return lease.NoLease }
func (c *rpcCandidate) close()                        {}

func (c *rpcCandidate) acquire(ctx context.Context) (*hold, error) {
	id := lease.NewID()
	if _, err := c.c.GrantID(ctx, id, 3); err != nil {
		c.revoke(ctx, id)
		return nil, err
	}
	// The keeper outlives ctx, except for its first renewal.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	keeper, err := c.c.Keep(life, id)
	stop()
	if err != nil {
		end()
		c.revoke(ctx, id)
		return nil, err
	}
	resp, err := c.rpc.Campaign(ctx, c.name, id, "elected")
	if err != nil {
		end()
		_ = keeper.Close()
		c.revoke(ctx, id)
		return nil, err
	}
	leader := resp.Leader
	return &hold{
		key: string(leader.Key), token: leader.Rev, lease: id,
		commit: guarded(c.c, kv.Compare(kv.CreateRevision(string(leader.Key)), "=", leader.Rev)),
		done:   keeper.Done(), err: keeper.Err,
		unlock: func(ctx context.Context) error {
			defer end()
			return c.resign(ctx, leader, keeper)
		},
		knows:    func(error) bool { return true },
		proclaim: func(ctx context.Context, val string) error { _, err := c.rpc.Proclaim(ctx, leader, val); return err },
		denied: func(err error) bool {
			return errors.Is(err, election.ErrNotLeader) || errors.Is(err, rpctypes.ErrLeaseNotFound)
		},
	}, nil
}

func (c *rpcCandidate) resign(ctx context.Context, leader *v3electionpb.LeaderKey, keeper *lease.Keeper) error {
	_, err := c.rpc.Resign(ctx, leader)
	_ = keeper.Close()
	c.revoke(ctx, keeper.ID())
	return err
}

func (c *rpcCandidate) revoke(ctx context.Context, id lease.ID) {
	ctx, cancel := within(ctx, cleanupTime)
	defer cancel()
	_, _ = c.c.Revoke(ctx, id) // if this fails, its TTL ends it
}

// facadeCandidate campaigns with clientv3's Election.
type facadeCandidate struct{ facade[concurrency.Election] }

func (c *facadeCandidate) acquire(ctx context.Context) (*hold, error) {
	s, e := c.s, c.made
	if err := e.Campaign(ctx, "elected"); err != nil {
		return nil, err
	}
	key, rev := e.Key(), e.Rev()
	return &hold{
		key: key, token: rev, lease: s.Lease(),
		commit: guarded(s.Client(), kv.Compare(kv.CreateRevision(key), "=", rev)),
		done:   s.Done(), err: s.Native().Err, unlock: e.Resign,
		knows:    func(error) bool { return true },
		proclaim: e.Proclaim,
		denied:   func(err error) bool { return err == concurrency.ErrElectionNotLeader }, //nolint:errorlint // clientv3's callers compare so
	}, nil
}
