package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// cell is one fault done to one role, with one choice of kinds.
type cell struct {
	cfg    Config
	fault  fault
	role   string // empty when the fault has no victim
	kinds  []kind
	prefix string // of the keys
}

// dialled is a client at work.
type dialled struct {
	of     clientType
	client Client
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
	// patience is how long steps may take that no fault slows.
	patience = time.Minute
	// placements is how often the leadership may have to be moved until the
	// first sticky client has stayed where it was for a whole warm-up.
	placements = 10
)

// run measures. It leaves a healthy cluster behind, unless it returns an error.
func (c *cell) run(ctx context.Context, cl *cluster.Cluster) (_ *report.Cell, err error) {
	clients, err := c.dial(ctx, cl)
	defer func() {
		for _, d := range clients {
			err = errors.Join(err, d.client.Close())
		}
	}()
	if err != nil {
		return nil, err
	}

	origin := time.Now()
	elected, err := watchElections(ctx, cl, origin)
	if err != nil {
		return nil, err
	}
	defer elected.close(0)
	work := startLoads(ctx, c.cfg, c.prefix, clients, c.kinds, origin)
	defer work.end()

	s := &stage{cluster: cl}
	if s.victim, err = c.settle(ctx, cl, clients); err != nil {
		return nil, err
	}

	start := time.Since(origin)
	if err := c.fault.begin(ctx, s); err != nil {
		return nil, fmt.Errorf("doing it: %w", err)
	}
	if err := sleep(ctx, c.cfg.FaultTime-(time.Since(origin)-start)); err != nil {
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
	work.end()

	result := &report.Cell{
		Fault: c.fault.name, Text: c.fault.text, Role: c.role,
		Healed:    report.Seconds(healed - start),
		End:       report.Seconds(stopped - start),
		Elections: elected.close(start),
		Series:    work.series(start),
	}
	if c.cfg.Apart {
		result.Kind = c.kinds[0].name
	}
	if s.victim != nil && !c.fault.whole {
		result.Victim = s.victim.Name()
	}
	for _, series := range result.Series {
		row := report.Summarize(series, stopped-start)
		row.Misses = result.Misses(series, row)
		result.Rows = append(result.Rows, row)
	}
	if !slices.ContainsFunc(c.kinds, func(k kind) bool { return k.writes }) {
		return result, nil
	}
	result.Histories, err = work.verdicts(ctx, pb.NewKVClient(cl.Members()[0].Control()), origin)
	return result, err
}

// dial connects the clients, and waits until each has read something. When it
// fails it returns those that are to be closed.
func (c *cell) dial(ctx context.Context, cl *cluster.Cluster) ([]dialled, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var clients []dialled
	for _, t := range clientTypes() {
		if !slices.Contains(c.cfg.Clients, t.name) {
			continue
		}
		client, err := t.dial(target{endpoints: cl.Endpoints()})
		if err != nil {
			return clients, fmt.Errorf("dialling %s: %w", t.name, err)
		}
		clients = append(clients, dialled{of: t, client: client})
		if _, err := client.Get(ctx, c.prefix, false); err != nil {
			return clients, fmt.Errorf("the first read of %s: %w", t.name, err)
		}
	}
	return clients, nil
}

// settle warms the clients up, and returns the victim when it has had its role
// for as long as the warm-up takes. Moving the leadership may make a client
// choose another member, and the victim is to be the one that it uses.
func (c *cell) settle(ctx context.Context, cl *cluster.Cluster, clients []dialled) (*cluster.Member, error) {
	for range placements {
		wait, cancel := context.WithTimeout(ctx, patience)
		chosen, err := victim(wait, cl, clients, c.role)
		if err == nil {
			_, err = place(wait, cl, chosen, c.role)
		}
		cancel()
		if err != nil {
			return nil, err
		}
		if err := sleep(ctx, c.cfg.WarmUp); err != nil {
			return nil, err
		}
		wait, cancel = context.WithTimeout(ctx, patience)
		now, err := victim(wait, cl, clients, c.role)
		there := false
		if err == nil && now == chosen {
			there, err = place(wait, cl, now, c.role)
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

// sleep waits for d, or less when ctx ends.
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
