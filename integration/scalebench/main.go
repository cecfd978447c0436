package main

import (
	"bytes"
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

// program is this program's name, in errors and for its processes.
const program = "scalebench"

func main() {
	cluster.Main() // this program also runs the members of the cluster
	child()        // and the clients
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		measure.Say(os.Stderr, "%s: %v\n", program, err)
		os.Exit(1)
	}
}

// child measures, if this process is to.
func child() {
	measure.Child(program, func(ctx context.Context, t task, parent *measure.Parent) ([]figure, error) {
		return t.measured(ctx, parent)
	})
}

type config struct {
	rows, clients []string
	rounds        int
	scale         float64
	during        time.Duration
	long, list    bool
	markdown      string
}

func parse(args []string, stderr io.Writer) (config, error) {
	var all []string
	for _, r := range rows {
		all = append(all, r.name)
	}
	cfg := config{rows: append(slices.Clone(all), longRow.name), clients: clientNames()}
	chosen := chosenRows(&cfg.rows)
	cfg.rows = all
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("rows", "the `rows` to measure, with commas between them; fleet is all whose names begin so (all but long)", chosen)
	flags.Func("clients", "the `clients` ("+strings.Join(cfg.clients, ",")+")", measure.Chosen(&cfg.clients))
	flags.IntVar(&cfg.rounds, "rounds", 5, "how `often` to measure each of them")
	flags.Float64Var(&cfg.scale, "scale", 1, "the `part` of the leases, locks, watches and keys to take, up to 10")
	flags.DurationVar(&cfg.during, "for", 15*time.Second, "how long to measure what has no end of its own")
	flags.BoolVar(&cfg.long, "long", false, "measure the row long as well, once: it takes 10 minutes for each client at scale 1")
	flags.BoolVar(&cfg.list, "list", false, "list the rows, and do nothing")
	flags.StringVar(&cfg.markdown, "markdown", "", "write the page to this `file`, too")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	switch {
	case flags.NArg() > 0:
		return cfg, fmt.Errorf("%q is no flag", flags.Arg(0))
	case cfg.rounds < 1 || cfg.during <= 0:
		return cfg, fmt.Errorf("-rounds is %d and -for is %v: both must be positive", cfg.rounds, cfg.during)
	case !(cfg.scale > 0 && cfg.scale <= 10):
		return cfg, fmt.Errorf("-scale is %v: it must be more than 0 and at most 10", cfg.scale)
	}
	if cfg.long && !slices.Contains(cfg.rows, longRow.name) {
		cfg.rows = append(cfg.rows, longRow.name)
	}
	return cfg, nil
}

// chosenRows is measure.Chosen, with one name for all fleets.
func chosenRows(to *[]string) func(string) error {
	choose := measure.Chosen(to)
	return func(s string) error {
		parts := strings.Split(s, ",")
		for i, part := range parts {
			if part != "fleet" {
				continue
			}
			var names []string
			for _, r := range fleetRows {
				names = append(names, r.name)
			}
			parts[i] = strings.Join(names, ",")
		}
		return choose(strings.Join(parts, ","))
	}
}

func rowOf(name string) (row, error) {
	for _, r := range every() {
		if r.name == name {
			return r, nil
		}
	}
	return row{}, fmt.Errorf("there is no row %q", name)
}

// every returns all rows.
func every() []row { return append(slices.Clone(rows), longRow) }

// chosen returns the rows that the flags name.
func (cfg config) chosen() []row {
	return slices.DeleteFunc(every(), func(r row) bool { return !slices.Contains(cfg.rows, r.name) })
}

// measured is what has been found of a row: the figures of each round, by client.
type measured struct {
	row
	size   int
	rounds map[string][][]figure
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cfg, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if cfg.list {
		for _, r := range every() {
			measure.Say(stdout, "%-12s "+r.text+"\n", r.name, r.size)
		}
		return nil
	}
	var all []measured
	var s *stage
	for _, r := range cfg.chosen() {
		if s != nil && !s.fits(r) {
			err, s = s.close(), nil
		}
		if s == nil && err == nil {
			s, err = newStage(ctx, r, cfg)
		}
		if err != nil {
			break
		}
		var m measured
		if m, err = cfg.rowIn(ctx, s, r, stderr); err != nil {
			err = fmt.Errorf("%s: %w", r.name, err)
			break
		}
		all = append(all, m)
	}
	if s != nil {
		err = errors.Join(err, s.close())
	}
	var page bytes.Buffer
	cfg.write(&page, args, all)
	_, failed := stdout.Write(page.Bytes())
	if err = errors.Join(err, failed); err == nil && cfg.markdown != "" {
		err = os.WriteFile(cfg.markdown, page.Bytes(), 0o644)
	}
	return err
}

// rowIn measures all clients in turn, as often as there are rounds.
func (cfg config) rowIn(ctx context.Context, s *stage, r row, stderr io.Writer) (measured, error) {
	m := measured{row: r, rounds: make(map[string][][]figure)}
	rounds := cfg.rounds
	if r.once {
		rounds = 1
	}
	for round := range rounds {
		for i := range cfg.clients {
			client := cfg.clients[(round+i)%len(cfg.clients)]
			if !r.has(client) {
				continue
			}
			measure.Say(stderr, "%s: round %d of %d, %s\n", r.name, round+1, rounds, client)
			figures, err := s.run(ctx, r, client, stderr)
			if err != nil {
				return m, fmt.Errorf("%s: %w", client, err)
			}
			m.rounds[client] = append(m.rounds[client], figures)
		}
	}
	m.size = s.size
	return m, nil
}
