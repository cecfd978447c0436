package writing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/soak/internal/hostile"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/middleware/once"
)

// Config says how to check.
type Config struct {
	Endpoints []string
	Seed      uint64
	// Stop ends the last round. The cluster must be healthy then.
	Stop <-chan struct{}
	// Mangle, if not nil, breaks each transaction before it is sent, to show that the check
	// notices.
	Mangle func(*pb.TxnRequest)
	Log    func(format string, args ...any)
}

const (
	clients   = 2
	workers   = 8 // of all clients
	roundTime = 15 * time.Second
	patience  = time.Minute // of a write that has time
	hurry     = 300 * time.Millisecond
	pace      = 5 * time.Millisecond
	vandalism = 5 * time.Second // between deletions of slots
)

// Report is what was found.
type Report struct {
	Writes, Answered, Applied, Doubtful, Failed int
	Late                                        int // in doubt, and applied
	Lost, Copies                                int64
	Rounds                                      int
	Violations                                  []string
}

// String implements fmt.Stringer.
func (r Report) String() string {
	return fmt.Sprintf("once: %d writes in %d rounds: %d answered, %d known to be applied, %d in doubt, %d failed, of those that had little time; %d of those in doubt were applied\n"+
		"  %d answers were lost, %d copies sent later: %d violations\n",
		r.Writes, r.Rounds, r.Answered, r.Applied, r.Doubtful, r.Failed, r.Late, r.Lost, r.Copies, len(r.Violations))
}

// checker is one run.
type checker struct {
	cfg     Config
	plain   *client.Client // without once
	stubs   []pb.KVClient  // of the clients with it
	hostile []*hostile.Conn
	plans   []*plan
	journal journal
	judge   *judge
	seen    int64 // the history was read up to here
}

// Run checks until Stop is closed, or ctx ends.
func Run(ctx context.Context, cfg Config) (_ Report, err error) {
	c := &checker{cfg: cfg, judge: newJudge()}
	if c.plain, err = client.New(client.Config{Endpoints: cfg.Endpoints}); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, c.plain.Close()) }()
	for range clients {
		h := hostile.New(true, cfg.Mangle)
		cl, err := client.New(client.Config{Endpoints: cfg.Endpoints, Middleware: []client.Middleware{once.Of(slots), h.Over}})
		if err != nil {
			return Report{}, err
		}
		defer func() {
			h.Close()
			_ = cl.Close() // always nil
		}()
		c.hostile, c.stubs = append(c.hostile, h), append(c.stubs, pb.NewKVClient(cl.Conn()))
	}
	for i := range workers {
		c.plans = append(c.plans, &plan{Rand: rand.New(rand.NewPCG(cfg.Seed, uint64(i))), worker: i})
	}
	// The model begins with nothing.
	if _, err := c.plain.Delete(client.WithIdempotentWrites(ctx), root, kv.WithPrefix()); err != nil {
		return Report{}, err
	}
	if c.seen, err = c.stamp(ctx); err != nil {
		return Report{}, err
	}
	rounds := 0
	for stopped := false; !stopped; rounds++ {
		if stopped, err = c.round(ctx); err != nil {
			return Report{}, err
		}
	}
	return c.report(rounds), nil
}

func (c *checker) report(rounds int) Report {
	t := c.judge.tally
	r := Report{
		Writes: t[answered] + t[applied] + t[doubtful] + t[failed], Answered: t[answered], Applied: t[applied], Doubtful: t[doubtful], Failed: t[failed],
		Late: c.judge.late, Rounds: rounds, Violations: c.judge.violations,
	}
	for _, h := range c.hostile {
		lost, copies := h.Counts()
		r.Lost, r.Copies = r.Lost+lost, r.Copies+copies
	}
	return r
}

// stamp writes the checker's own key, and returns the revision.
func (c *checker) stamp(ctx context.Context) (int64, error) {
	resp, err := c.plain.Put(client.WithIdempotentWrites(ctx), mark, "")
	if err != nil {
		return 0, fmt.Errorf("writing: %w", err)
	}
	return resp.Header.Revision, nil
}

// round lets the workers write for a while, and judges what they were told.
func (c *checker) round(ctx context.Context) (stopped bool, _ error) {
	working, enough := context.WithTimeout(ctx, roundTime)
	defer enough()
	var wg sync.WaitGroup
	for i, p := range c.plans {
		wg.Go(func() {
			for working.Err() == nil {
				c.journal.add(perform(ctx, c.stubs[i%clients], p))
				select {
				case <-working.Done():
				case <-time.After(pace):
				}
			}
		})
	}
	wg.Go(func() { c.vandalize(working) })
	select {
	case <-c.cfg.Stop:
		stopped = true
		enough()
	case <-working.Done():
	}
	wg.Wait()
	if ctx.Err() != nil {
		return true, ctx.Err()
	}
	end, err := c.stamp(ctx)
	if err != nil {
		return true, err
	}
	history, err := c.history(ctx, end)
	if err != nil {
		return true, err
	}
	c.judge.round(c.journal.take(), history)
	c.seen = end
	_, err = c.plain.Compact(ctx, end)
	return stopped, err
}

// perform makes one write.
func perform(ctx context.Context, kv pb.KVClient, p *plan) *write {
	w := p.next()
	limit := patience
	if w.hurried = p.one(8); w.hurried {
		limit = time.Duration(p.Int64N(int64(hurry)))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	switch req := w.req.(type) {
	case *pb.PutRequest:
		var r *pb.PutResponse
		r, w.err = kv.Put(ctx, req)
		w.reply, w.revision = r, r.GetHeader().GetRevision()
	case *pb.DeleteRangeRequest:
		var r *pb.DeleteRangeResponse
		r, w.err = kv.DeleteRange(ctx, req)
		w.reply, w.revision = r, r.GetHeader().GetRevision()
	case *pb.TxnRequest:
		var r *pb.TxnResponse
		r, w.err = kv.Txn(ctx, req)
		w.reply, w.revision = r, r.GetHeader().GetRevision()
	}
	if known, ok := errors.AsType[*once.AppliedError](w.err); ok {
		w.fate, w.revision = applied, known.Revision
	} else if w.err != nil {
		w.fate = failed
		if client.IsAmbiguous(w.err) {
			w.fate = doubtful
		}
	}
	return w
}

// history reads the store's changes since the last round, up to the checker's key.
func (c *checker) history(ctx context.Context, end int64) ([]*mvccpb.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var events []*mvccpb.Event
	for e, err := range c.plain.Events(ctx, "", kv.WithPrefix(), kv.WithRev(c.seen+1)) {
		if err != nil {
			return nil, fmt.Errorf("writing: reading the history: %w", err)
		}
		if e.Kv.ModRevision > end {
			break
		}
		events = append(events, e)
		if e.Kv.ModRevision == end && string(e.Kv.Key) == mark {
			break
		}
	}
	return events, ctx.Err()
}

// vandalize deletes a slot now and then, or revokes the lease of all slots of a writer.
func (c *checker) vandalize(ctx context.Context) {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(vandalism/2 + rand.N(vandalism)):
		}
		found, err := c.plain.Get(ctx, slots, kv.WithPrefix())
		if err != nil || len(found.Kvs) == 0 {
			continue
		}
		victim := found.Kvs[rand.IntN(len(found.Kvs))]
		if n%2 == 0 {
			_, err = c.plain.Delete(client.WithIdempotentWrites(ctx), string(victim.Key))
		} else {
			_, err = c.plain.Revoke(ctx, lease.ID(victim.Lease))
		}
		if err == nil && c.cfg.Log != nil {
			c.cfg.Log("once: slots of lease %x are gone", victim.Lease)
		}
	}
}
