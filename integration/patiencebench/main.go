// Command patiencebench measures the costs and benefits of waiting for a silent
// member.
//
//	go run ./integration/patiencebench -patience 250ms,500ms,1s,2s,5s
//	go run ./integration/patiencebench -markdown docs/measurements/patience.md -json docs/measurements/patience.json
//
// While a client writes, it stalls either the member that the client uses, which
// is a follower or the leader, or all members, for different times (SIGSTOP,
// SIGCONT). The clients are getcd, with different patiences, and etcd's own
// client. For each of them it prints how many writes failed and how long the
// longest one took. The exit status is 1 if something could not be measured, and
// 2 if the flags are wrong.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
)

const (
	workers  = 8
	pace     = 20 * time.Millisecond
	warmUp   = time.Second
	recovery = 2 * time.Second
	deadline = 30 * time.Second
)

func main() {
	cluster.Main() // this program also runs the members of the cluster
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// options are the flags.
type options struct {
	patiences, stalls []time.Duration
	json, markdown    string
}

// Point is one measurement.
type Point struct {
	// Who stalled: "follower", "leader" or "all".
	Who    string  `json:"who"`
	Client string  `json:"client"`
	Stall  float64 `json:"stall_seconds"`
	OK     int     `json:"ok"`
	Failed int     `json:"failed"`
	// Longest is the duration of the longest write, including failed ones.
	Longest float64 `json:"longest_seconds"`
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "patiencebench:", err)
		return 2
	}
	points, err := measure(ctx, opts, stderr)
	table := markdown(points, opts.stalls)
	_, failed := io.WriteString(stdout, table)
	err = errors.Join(err, failed)
	if opts.markdown != "" {
		err = errors.Join(err, os.WriteFile(opts.markdown, []byte(table), 0o644))
	}
	if opts.json != "" {
		text, bad := json.MarshalIndent(points, "", "  ")
		err = errors.Join(err, bad, os.WriteFile(opts.json, append(text, '\n'), 0o644))
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "patiencebench:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	opts := options{
		patiences: []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second},
		stalls:    []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second, 15 * time.Second},
	}
	flags := flag.NewFlagSet("patiencebench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for name, into := range map[string]*[]time.Duration{"patience": &opts.patiences, "stalls": &opts.stalls} {
		flags.Func(name, "`durations`, separated by commas", func(s string) error {
			*into = nil
			for one := range strings.SplitSeq(s, ",") {
				d, err := time.ParseDuration(one)
				if err != nil || d <= 0 || d > time.Minute {
					return fmt.Errorf("%q is not a duration of up to 1m", one)
				}
				*into = append(*into, d)
			}
			return nil
		})
	}
	flags.StringVar(&opts.json, "json", "", "write the results to this `file`, as JSON")
	flags.StringVar(&opts.markdown, "markdown", "", "write the tables to this `file`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			flags.Usage()
			return opts, err
		}
		return opts, fmt.Errorf("%w (-help lists the flags)", err)
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("%q is no flag (-help lists them)", flags.Arg(0))
	}
	return opts, nil
}

// writer is a client: a function that puts, and one that returns the endpoint in
// use, if there is one.
type writer struct {
	name   string
	put    func(ctx context.Context, key, value string) error
	active func() string
	close  func() error
}

// withPatience is the only place that sets getcd's patience.
func withPatience(cfg client.Config, patience time.Duration) client.Config {
	cfg.WritePatience = patience
	return cfg
}

func dial(endpoints []string, patience time.Duration) (*writer, error) {
	if patience == 0 {
		c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
		if err != nil {
			return nil, err
		}
		return &writer{"clientv3", func(ctx context.Context, k, v string) error { _, err := c.Put(ctx, k, v); return err }, func() string { return "" }, c.Close}, nil
	}
	c, err := client.New(withPatience(client.Config{Endpoints: endpoints}, patience))
	if err != nil {
		return nil, err
	}
	active := func() string {
		for _, e := range c.Endpoints() {
			if e.Role == balancer.Active {
				return e.Address
			}
		}
		return ""
	}
	return &writer{"getcd, " + patience.String(), func(ctx context.Context, k, v string) error { _, err := c.Put(ctx, k, v); return err }, active, c.Close}, nil
}

var roles = []string{"follower", "leader", "all"}

// measure stalls every role for every time, with each client in turn.
func measure(ctx context.Context, opts options, progress io.Writer) (points []Point, err error) {
	c, err := cluster.Start(ctx, cluster.Config{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	for _, who := range roles {
		for _, stall := range opts.stalls {
			_, _ = fmt.Fprintf(progress, "%s, %v\n", who, stall)
			for _, patience := range append([]time.Duration{0}, opts.patiences...) {
				p, err := one(ctx, c, who, stall, patience)
				if err != nil {
					return points, fmt.Errorf("%s, %v: %w", who, stall, err)
				}
				points = append(points, p)
			}
		}
	}
	return points, nil
}

func one(ctx context.Context, c *cluster.Cluster, who string, stall, patience time.Duration) (p Point, err error) {
	if err := c.WaitHealthy(ctx); err != nil {
		return p, err
	}
	w, err := dial(c.Endpoints(), patience)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	p = Point{Who: who, Client: w.name, Stall: stall.Seconds()}
	victims, err := choose(ctx, c, w, who)
	if err != nil {
		return p, err
	}

	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		done = make(chan struct{})
	)
	for i := range workers {
		wg.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				call, cancel := context.WithTimeout(ctx, deadline)
				start := time.Now()
				err := w.put(call, fmt.Sprintf("patience/%d", i), "v")
				cancel()
				mu.Lock()
				p.Longest = max(p.Longest, time.Since(start).Seconds())
				if err == nil {
					p.OK++
				} else {
					p.Failed++
				}
				mu.Unlock()
			}
		})
	}
	err = hang(ctx, victims, stall)
	close(done)
	wg.Wait()
	return p, err
}

// choose returns the members to stall. It moves the leadership if necessary.
func choose(ctx context.Context, c *cluster.Cluster, w *writer, who string) ([]*cluster.Member, error) {
	members := c.Members()
	if who == "all" {
		return members, w.put(ctx, "patience/first", "v")
	}
	for {
		if err := w.put(ctx, "patience/first", "v"); err != nil {
			return nil, err
		}
		victim := 0
		for i, m := range members {
			if m.Endpoint() == w.active() {
				victim = i
			}
		}
		leader, err := c.Leader(ctx)
		if err != nil {
			return nil, err
		}
		if (leader == members[victim]) == (who == "leader") {
			return members[victim : victim+1], nil
		}
		to := members[victim]
		if who == "follower" {
			to = members[(victim+1)%len(members)]
		}
		if _, err := pb.NewMaintenanceClient(leader.Control()).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: to.ID()}); err != nil {
			return nil, fmt.Errorf("moving the leadership: %w", err)
		}
		if err := sleep(ctx, time.Second); err != nil { // the client may move, too
			return nil, err
		}
	}
}

func hang(ctx context.Context, victims []*cluster.Member, stall time.Duration) error {
	if err := sleep(ctx, warmUp); err != nil {
		return err
	}
	var errs []error
	for _, m := range victims {
		errs = append(errs, m.Pause())
	}
	errs = append(errs, sleep(ctx, stall))
	for _, m := range victims {
		errs = append(errs, m.Continue())
	}
	return errors.Join(append(errs, sleep(ctx, recovery))...)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// markdown returns a table for each role, with a row for each client and a column
// for each stall.
func markdown(points []Point, stalls []time.Duration) string {
	var b strings.Builder
	b.WriteString("Failed writes / longest write, by how long the member stalls:\n")
	for _, who := range roles {
		fmt.Fprintf(&b, "\n| %s |", who)
		for _, s := range stalls {
			fmt.Fprintf(&b, " %v |", s)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(stalls)) + "\n")
		var order []string
		rows := make(map[string]string)
		for _, p := range points {
			if p.Who != who {
				continue
			}
			if _, ok := rows[p.Client]; !ok {
				order = append(order, p.Client)
			}
			rows[p.Client] += fmt.Sprintf(" %d / %.2f s |", p.Failed, p.Longest)
		}
		for _, name := range order {
			fmt.Fprintf(&b, "| %s |%s\n", name, rows[name])
		}
	}
	return b.String()
}
