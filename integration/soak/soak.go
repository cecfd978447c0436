package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/soak/internal/chaos"
	"github.com/getcd/getcd/integration/soak/internal/coordination"
	"github.com/getcd/getcd/integration/soak/internal/swapping"
	"github.com/getcd/getcd/integration/soak/internal/watching"
	"github.com/getcd/getcd/integration/soak/internal/writing"
	"github.com/getcd/getcd/middleware/cache"
)

// options are the flags.
type options struct {
	lasting     time.Duration
	seed        uint64
	checks      []string
	faults      []string
	through     string        // one of ways, or empty
	least, most time.Duration // of faults and of healthy times; 0 means chaos's defaults
	log         func(format string, args ...any)
	mangle      func(*pb.TxnRequest) // writing.Config.Mangle; the tests'
}

// check is a checker. It works until stop is closed, when the cluster is healthy
// again, and then settles. It returns its figures as text, and a list of
// violations.
type check func(ctx context.Context, c *cluster.Cluster, endpoints []string, o options, stop <-chan struct{}) (text string, violations []string, err error)

func checks() map[string]check {
	return map[string]check{"watch": checkWatches, "cached": checkCached, "coordination": checkCoordination, "once": checkWrites, "cas": checkSwaps}
}

func checkWatches(ctx context.Context, c *cluster.Cluster, endpoints []string, o options, stop <-chan struct{}) (string, []string, error) {
	return watches(ctx, c, o, watching.Config{Endpoints: endpoints, Stop: stop})
}

// checkCached is checkWatches with clients that have a cache of the keys.
func checkCached(ctx context.Context, c *cluster.Cluster, endpoints []string, o options, stop <-chan struct{}) (string, []string, error) {
	return watches(ctx, c, o, watching.Config{Endpoints: endpoints, Stop: stop, Middleware: []client.Middleware{
		cache.Of([]string{watching.Prefix}, cache.WithWindow(2000, 8<<20)), // so that some watches are too late for it
	}})
}

func watches(ctx context.Context, c *cluster.Cluster, o options, cfg watching.Config) (string, []string, error) {
	cfg.Seed, cfg.For, cfg.Apart, cfg.Log = o.seed, o.lasting, o.through == grpcProxy, o.log
	report, err := watching.Run(ctx, c, cfg)
	if err != nil {
		return "", nil, err
	}
	return report.String(), report.Violations, nil
}

func checkWrites(ctx context.Context, _ *cluster.Cluster, endpoints []string, o options, stop <-chan struct{}) (string, []string, error) {
	report, err := writing.Run(ctx, writing.Config{Endpoints: endpoints, Seed: o.seed, Stop: stop, Mangle: o.mangle, Log: o.log})
	if err != nil {
		return "", nil, err
	}
	return report.String(), report.Violations, nil
}

func checkSwaps(ctx context.Context, _ *cluster.Cluster, endpoints []string, o options, stop <-chan struct{}) (string, []string, error) {
	report, err := swapping.Run(ctx, swapping.Config{Endpoints: endpoints, Seed: o.seed, Stop: stop})
	if err != nil {
		return "", nil, err
	}
	return report.String(), report.Violations, nil
}

func checkCoordination(ctx context.Context, c *cluster.Cluster, endpoints []string, o options, stop <-chan struct{}) (string, []string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(); <-ended }()
	outside := make([]grpc.ClientConnInterface, 0, len(c.Members()))
	for _, m := range c.Members() {
		outside = append(outside, m.Control())
	}
	report, err := coordination.Run(ctx, coordination.Config{Endpoints: endpoints, Outside: outside, Seed: o.seed, Compact: compactions, Log: o.log})
	if err != nil {
		return "", nil, err
	}
	return report.String(), report.Violations, nil
}

// soak runs the checks one after another, each on a separate cluster, so that
// they do not slow each other down. It returns the report, and an error if
// anything is wrong.
func soak(ctx context.Context, o options) (string, error) {
	for _, name := range o.checks {
		if checks()[name] == nil {
			return "", fmt.Errorf("soak: no check is called %q; there are cached, cas, coordination, once and watch", name)
		}
	}
	if o.through != "" && !slices.Contains(ways(), o.through) {
		return "", fmt.Errorf("soak: clients can't go through %q; there are %s", o.through, strings.Join(ways(), ", "))
	}
	var b strings.Builder
	var errs []error
	for _, name := range o.checks {
		text, err := one(ctx, o, checks()[name])
		b.WriteString(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("soak: %s: %w", name, err))
		}
	}
	return b.String(), errors.Join(errs...)
}

// one runs a check with random faults.
func one(ctx context.Context, o options, run check) (string, error) {
	c, err := cluster.Start(ctx, cluster.Config{
		Links: true,
		Flags: []string{"--watch-progress-notify-interval=2s", "--snapshot-count=2000"},
	})
	if err != nil {
		return "", err
	}
	p, err := startPassage(ctx, c, o)
	if err != nil {
		return "", errors.Join(err, c.Stop())
	}
	before := len(stacks())
	text, violations, events, err := through(ctx, c, p, o, run)
	errs := []error{err}
	if len(violations) > 0 {
		const shown = 20
		errs = append(errs, fmt.Errorf("%d violations, such as: %s", len(violations), strings.Join(violations[:min(shown, len(violations))], "\n")))
	}
	text = strings.TrimRight(text, "\n") + "\n" + summary(events) + p.summary(o.through)
	if err := leaked(before); err != nil {
		errs = append(errs, err)
	} else {
		text += fmt.Sprintf("goroutines: %d before the clients, no more after them\n", before)
	}
	return text, errors.Join(append(errs, p.stop(), c.Stop())...)
}

// through runs a check, and the faults until their time is over.
func through(ctx context.Context, c *cluster.Cluster, p *passage, o options, run check) (text string, violations []string, events []chaos.Event, _ error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop, done := make(chan struct{}), make(chan struct{})
	var failed error
	go func() {
		defer close(done)
		if text, violations, failed = run(ctx, c, p.endpoints(c), o, stop); failed != nil {
			cancel()
		}
	}()
	faulty, over := context.WithTimeout(ctx, o.lasting)
	disturbed := make(chan error, 1)
	go func() { disturbed <- p.disturb(ctx, faulty, o) }()
	events, err := chaos.Run(faulty, c, chaos.Config{Seed: o.seed, Least: o.least, Most: o.most, Log: o.log, Faults: o.faults})
	over()
	err = errors.Join(err, <-disturbed)
	if err != nil {
		cancel()
	}
	close(stop)
	<-done
	return text, violations, events, errors.Join(failed, err)
}

// summary counts the faults.
func summary(events []chaos.Event) string {
	count := make(map[string]int)
	var total time.Duration
	for _, e := range events {
		count[strings.TrimSpace(e.Fault+" "+e.Role)]++
		total += e.Ended.Sub(e.Began)
	}
	var parts []string
	for name, n := range count {
		parts = append(parts, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(parts)
	return fmt.Sprintf("faults: %d, %v in all: %s\n", len(events), total.Round(time.Second), strings.Join(parts, ", "))
}

// compactions is how often the history is compacted for checks that do not watch
// it.
const compactions = 2 * time.Second
