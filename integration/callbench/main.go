package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/getcd/getcd/integration/cluster"
)

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
	flags.Func("members", "sizes of the `clusters` (1,3)", numbers(&cfg.members))
	flags.Func("callers", "how many `goroutines` call at a time (1,32,256)", numbers(&cfg.callers))
	flags.Func("ops", "put, get, or `both` (put,get)", chosen(&cfg.ops))
	flags.Func("clients", "the `clients` ("+strings.Join(cfg.modes, ",")+")", chosen(&cfg.modes))
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

// numbers and chosen replace a list by the flag's, which has commas.
func numbers(to *[]int) func(string) error {
	return func(s string) error {
		*to = nil
		for part := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(part)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is no positive number", part)
			}
			*to = append(*to, n)
		}
		return nil
	}
}

func chosen(to *[]string) func(string) error {
	return func(s string) error {
		all := *to
		*to = nil
		for part := range strings.SplitSeq(s, ",") {
			if !slices.Contains(all, part) {
				return fmt.Errorf("%q is none of %s", part, strings.Join(all, ", "))
			}
			*to = append(*to, part)
		}
		return nil
	}
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
	say(stdout, "%s, %d rounds of %v:\n\n", plural(size, "member"), cfg.rounds, cfg.during)
	say(stdout, "| op @ callers | client | ops/s | × raw | × clientv3 | CPU/op | members' CPU/op | allocs/op | bytes/op | ops/s of all rounds |\n")
	say(stdout, "|---|---|---:|---:|---:|---:|---:|---:|---:|---|\n")
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
	say(stdout, "\n")
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
			r, err := t.inProcess(ctx, stderr)
			if err != nil {
				return nil, fmt.Errorf("%s of %s by %d callers: %w", t.Op, t.Mode, t.Callers, err)
			}
			results[t.Mode] = append(results[t.Mode], r)
		}
	}
	return results, nil
}

// inProcess has a process of its own measure t.
func (t task) inProcess(ctx context.Context, stderr io.Writer) (result, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return result{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), taskEnv+"="+string(text))
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, err
	}
	var r result
	return r, json.Unmarshal(out, &r)
}

func (cfg config) write(w io.Writer, t task, results map[string][]result) {
	rate := func(r result) float64 { return r.PerSecond }
	ratio := func(mode, to string) string {
		if base := median(results[to], rate); base > 0 {
			return fmt.Sprintf("%.2f", median(results[mode], rate)/base)
		}
		return "–"
	}
	for _, mode := range cfg.modes {
		all := results[mode]
		var rates []string
		for _, r := range all {
			rates = append(rates, fmt.Sprintf("%.0f", r.PerSecond))
		}
		say(w, "| %s @%d | %s | %.0f | %s | %s | %v | %v | %.1f | %.0f | %s |\n", t.Op, t.Callers, mode,
			median(all, rate), ratio(mode, "raw"), ratio(mode, "clientv3"),
			short(median(all, func(r result) float64 { return float64(r.CPU) })),
			short(median(all, func(r result) float64 { return float64(r.Members) })),
			median(all, func(r result) float64 { return r.Allocs }),
			median(all, func(r result) float64 { return r.Bytes }), strings.Join(rates, " "))
	}
}

// say prints where an error could only be printed, too.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func short(d float64) time.Duration { return time.Duration(d).Round(100 * time.Nanosecond) }

// median is 0 for none.
func median(all []result, of func(result) float64) float64 {
	if len(all) == 0 {
		return 0
	}
	values := make([]float64, len(all))
	for i, r := range all {
		values[i] = of(r)
	}
	slices.SortFunc(values, cmp.Compare[float64])
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
