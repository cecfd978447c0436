package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/faultbench/internal/report"
	"github.com/getcd/getcd/integration/proxy"
)

// cell is one fault applied to one role, with a selection of kinds.
type cell struct {
	cfg    Config
	fault  fault
	role   string // empty if the fault has no victim
	kinds  []kind
	prefix string // of the keys
	seed   uint64 // of all random decisions
}

// dialed is a connected client.
type dialed struct {
	of     clientType
	client Client
	count  *tally // nil if nothing is counted
}

func (c *cell) name() string {
	name := c.fault.name
	if c.role != "" {
		name += ", " + c.role
	}
	if c.cfg.Apart {
		name += ", " + c.kinds[0].name
	}
	return name
}

const (
	// patience is how long steps may take that no fault slows down.
	patience = time.Minute
	// placements is how many times the leadership may have to be moved until the
	// first sticky client stays with its member for a whole warm-up.
	placements = 10
	// lastEvents is how long after the last write a watch's event may arrive.
	lastEvents = time.Second
	// lastSlowEvents is the same for limited links, where events queue behind
	// data.
	lastSlowEvents = 15 * time.Second
)

// run measures. The cluster is healthy afterwards, unless run returns an error.
func (c *cell) run(ctx context.Context, cl *cluster.Cluster, to target) (_ *report.Cell, err error) {
	to.endpoints = cl.Endpoints()
	if err := c.limit(cl); err != nil {
		return nil, err
	}
	s := &stage{cluster: cl, target: to, faultTime: c.cfg.FaultTime, begun: make(chan struct{}), rand: rand.New(rand.NewPCG(c.seed, c.seed))}
	defer func() { err = errors.Join(err, c.close(ctx, s)) }()
	if c.fault.prepare != nil {
		if err := c.fault.prepare(ctx, s); err != nil {
			return nil, fmt.Errorf("preparing it: %w", err)
		}
	}
	clients, err := c.dial(ctx, s.target)
	defer func() {
		for _, d := range clients {
			err = errors.Join(err, d.client.Close())
		}
	}()
	if err != nil {
		return nil, err
	}

	origin := time.Now()
	s.origin = origin
	s.inUse = func() *cluster.Member { return inUse(cl, clients) }
	elected, err := watchElections(ctx, s, origin)
	if err != nil {
		return nil, err
	}
	defer elected.close(0)
	for _, d := range clients {
		if d.count != nil {
			d.count.reset()
		}
	}
	work, err := startLoads(ctx, c.cfg, c.prefix, s, clients, c.kinds, origin)
	if err != nil {
		return nil, err
	}
	defer work.end()

	switch chosen, err := c.settle(ctx, s, clients); {
	case err != nil:
		return nil, err
	case chosen != nil:
		s.victim = chosen
	}

	start := time.Since(origin)
	if err := c.fault.begin(ctx, s); err != nil {
		return nil, fmt.Errorf("doing it: %w", err)
	}
	close(s.begun)
	if err := s.wait(ctx, c.cfg.FaultTime-(time.Since(origin)-start)); err != nil {
		return nil, err
	}
	healed := time.Since(origin)
	repair, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.fault.end(repair, s); err != nil {
		return nil, fmt.Errorf("undoing it: %w", err)
	}
	if err := cl.WaitHealthy(repair); err != nil {
		return nil, fmt.Errorf("waiting for the cluster's recovery: %w", err)
	}
	if err := sleep(ctx, c.cfg.Recovery); err != nil {
		return nil, err
	}
	stopped := time.Since(origin)
	if work.quiet() {
		// An event that has not arrived by then is lost.
		last := lastEvents
		if c.cfg.Rate > 0 {
			work.still() // stop the data, so that events queued behind it can arrive
			last = lastSlowEvents
		}
		if err := sleep(ctx, last); err != nil {
			return nil, err
		}
	}
	work.end()
	// Before the last reads, restore the members.
	if err := c.close(ctx, s); err != nil {
		return nil, err
	}

	result := &report.Cell{
		Fault: c.fault.name, Text: c.fault.text, Role: c.role,
		Silent: c.fault.silent, Breaks: c.fault.breaks,
		Healed:    report.Seconds(healed - start),
		End:       report.Seconds(stopped - start),
		Elections: elected.close(start),
		Series:    work.series(start),
	}
	if c.cfg.Apart {
		result.Kind = c.kinds[0].name
	}
	for _, one := range s.mishaps {
		one.At, one.Until = one.At-report.Seconds(start), one.Until-report.Seconds(start)
		result.Mishaps = append(result.Mishaps, one)
	}
	if s.victim != nil {
		result.Victim = s.victim.Name()
	}
	for _, d := range clients {
		if d.count != nil {
			result.Costs = append(result.Costs, d.count.cost(d.of.name, work.made(d.of.name)))
		}
	}
	kv := pb.NewKVClient(s.control(cl.Members()[0]))
	result.Histories, err = work.verdicts(ctx, kv, origin)
	if err != nil {
		return nil, err
	}
	for i := range result.Series {
		series := &result.Series[i]
		if series.Remarks, err = work.all[i].remarks(ctx, kv); err != nil {
			return nil, err
		}
		row := report.Summarize(*series, stopped-start)
		row.Misses = result.Misses(*series, row)
		result.Rows = append(result.Rows, row)
	}
	result.Compare()
	return result, nil
}

// limit puts a bandwidth limit between each member and its clients.
func (c *cell) limit(cl *cluster.Cluster) error {
	if c.cfg.Rate == 0 {
		return nil
	}
	var errs []error
	for _, m := range cl.Members() {
		errs = append(errs, m.ClientLink().SetLine(proxy.NewLine(int64(c.cfg.Rate), int64(c.cfg.Rate))))
	}
	return errors.Join(errs...)
}

// close undoes what the stage has changed, even if ctx has ended.
func (c *cell) close(ctx context.Context, s *stage) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return s.close(ctx)
}

// dial connects the clients and waits until each has read something. If it fails,
// it returns the clients that must be closed.
func (c *cell) dial(ctx context.Context, to target) ([]dialed, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var clients []dialed
	for _, t := range clientTypes() {
		if !slices.Contains(c.cfg.Clients, t.name) {
			continue
		}
		if c.fault.counts {
			to.count = newTally()
		}
		client, err := t.dial(to)
		if err != nil {
			return clients, fmt.Errorf("dialling %s: %w", t.name, err)
		}
		clients = append(clients, dialed{of: t, client: client, count: to.count})
		if _, err := client.Get(ctx, c.prefix, false); err != nil {
			return clients, fmt.Errorf("the first read of %s: %w", t.name, err)
		}
	}
	return clients, nil
}

// settle warms the clients up. It returns the victim once it has had its role for
// a whole warm-up. Moving the leadership may make a client choose another member,
// but the victim must be the member that the client uses.
func (c *cell) settle(ctx context.Context, s *stage, clients []dialed) (*cluster.Member, error) {
	if c.fault.whole {
		return nil, sleep(ctx, c.cfg.WarmUp)
	}
	for range placements {
		wait, cancel := context.WithTimeout(ctx, patience)
		chosen, err := victim(wait, s.cluster, clients, c.role)
		if err == nil {
			_, err = place(wait, s, chosen, c.role)
		}
		cancel()
		if err != nil {
			return nil, err
		}
		if err := sleep(ctx, c.cfg.WarmUp); err != nil {
			return nil, err
		}
		wait, cancel = context.WithTimeout(ctx, patience)
		now, err := victim(wait, s.cluster, clients, c.role)
		there := false
		if err == nil && now == chosen {
			there, err = place(wait, s, now, c.role)
		}
		cancel()
		if err != nil {
			return nil, err
		}
		if there {
			return chosen, nil
		}
	}
	return nil, fmt.Errorf("no client stayed with a %s for a warm-up, in %d tries", c.role, placements)
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
