package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/internal/measure"
)

// name is this program's, in errors and for its processes.
const name = "callbench"

// child measures, if this process is to.
func child() {
	measure.Child(name, func(ctx context.Context, t task, _ *measure.Parent) (result, error) { return t.measure(ctx) })
}

func main() {
	cluster.Main() // this program also runs the members of the cluster
	child()        // and the clients
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "callbench:", err)
		os.Exit(1)
	}
}

type config struct {
	members, callers []int
	ops, modes       []string
	rounds           int
	during           time.Duration
	profile          string
}

func parse(args []string, stderr io.Writer) (config, error) {
	cfg := config{members: []int{1, 3}, callers: []int{1, 32, 256}, ops: []string{"put", "get"}, modes: modeNames()}
	flags := flag.NewFlagSet("callbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("members", "sizes of the `clusters` (1,3)", measure.Numbers(&cfg.members))
	flags.Func("callers", "how many `goroutines` call at a time (1,32,256)", measure.Numbers(&cfg.callers))
	flags.Func("ops", "put, get, or `both` (put,get)", measure.Chosen(&cfg.ops))
	flags.Func("clients", "the `clients` ("+strings.Join(cfg.modes, ",")+")", measure.Chosen(&cfg.modes))
	flags.IntVar(&cfg.rounds, "rounds", 5, "how `often` to measure each of them")
	flags.DurationVar(&cfg.during, "for", 2*time.Second, "how long to measure, after a third as long to warm up")
	flags.StringVar(&cfg.profile, "profile", "", "keep the CPU profiles of the last round in files whose names begin with this `prefix`")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	switch {
	case flags.NArg() > 0:
		return cfg, fmt.Errorf("%q is no flag", flags.Arg(0))
	case cfg.rounds < 1 || cfg.during <= 0:
		return cfg, fmt.Errorf("-rounds is %d and -for is %v: both must be positive", cfg.rounds, cfg.during)
	}
	return cfg, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cfg, err := parse(args, stderr)
	if err != nil {
		return err
	}
	for _, size := range cfg.members {
		if err := cfg.against(ctx, size, stdout, stderr); err != nil {
			return err
		}
	}
	return nil
}

// against measures everything against one cluster.
func (cfg config) against(ctx context.Context, size int, stdout, stderr io.Writer) (err error) {
	c, err := cluster.Start(ctx, cluster.Config{Size: size})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	measure.Say(stdout, "%s, %d rounds of %v:\n\n", measure.Plural(size, "member"), cfg.rounds, cfg.during)
	measure.Say(stdout, "| op @ callers | client | ops/s | × raw | × clientv3 | CPU/op | members' CPU/op | allocs/op | bytes/op | ops/s of all rounds |\n")
	measure.Say(stdout, "|---|---|---:|---:|---:|---:|---:|---:|---:|---|\n")
	for _, op := range cfg.ops {
		for _, callers := range cfg.callers {
			t := task{Op: op, Callers: callers, Endpoints: c.Endpoints(), For: cfg.during}
			for _, m := range c.Members() {
				t.Members = append(t.Members, m.PID())
			}
			results, err := cfg.rows(ctx, t, stderr)
			if err != nil {
				return err
			}
			cfg.write(stdout, t, results)
		}
	}
	measure.Say(stdout, "\n")
	return nil
}

// rows measures all clients in turn, as often as there are rounds.
func (cfg config) rows(ctx context.Context, t task, stderr io.Writer) (map[string][]result, error) {
	results := make(map[string][]result)
	endpoints := t.Endpoints
	for round := range cfg.rounds {
		first := round % len(endpoints) // the raw stub's member: the leader in its turn
		t.Endpoints = slices.Concat(endpoints[first:], endpoints[:first])
		for i := range cfg.modes {
			t.Mode = cfg.modes[(round+i)%len(cfg.modes)]
			if t.Profile = ""; cfg.profile != "" && round == cfg.rounds-1 {
				t.Profile = fmt.Sprintf("%s%s-%s-%d.pprof", cfg.profile, t.Mode, t.Op, t.Callers)
			}
			r, err := measure.Process[task, result](ctx, name, t, stderr, nil)
			if err != nil {
				return nil, fmt.Errorf("%s of %s by %d callers: %w", t.Op, t.Mode, t.Callers, err)
			}
			results[t.Mode] = append(results[t.Mode], r)
		}
	}
	return results, nil
}

func (cfg config) write(w io.Writer, t task, results map[string][]result) {
	rate := func(r result) float64 { return r.PerSecond }
	ratio := func(mode, to string) string {
		if base := measure.Median(results[to], rate); base > 0 {
			return fmt.Sprintf("%.2f", measure.Median(results[mode], rate)/base)
		}
		return "–"
	}
	for _, mode := range cfg.modes {
		all := results[mode]
		var rates []string
		for _, r := range all {
			rates = append(rates, fmt.Sprintf("%.0f", r.PerSecond))
		}
		measure.Say(w, "| %s @%d | %s | %.0f | %s | %s | %v | %v | %.1f | %.0f | %s |\n", t.Op, t.Callers, mode,
			measure.Median(all, rate), ratio(mode, "raw"), ratio(mode, "clientv3"),
			short(measure.Median(all, func(r result) float64 { return float64(r.CPU) })),
			short(measure.Median(all, func(r result) float64 { return float64(r.Members) })),
			measure.Median(all, func(r result) float64 { return r.Allocs }),
			measure.Median(all, func(r result) float64 { return r.Bytes }), strings.Join(rates, " "))
	}
}

func short(d float64) time.Duration { return time.Duration(d).Round(100 * time.Nanosecond) }
