package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/getcd/getcd/integration/cluster"
)

func main() {
	cluster.Main() // this program also runs the members of the cluster
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := perform(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "programs:", err)
		os.Exit(1)
	}
}

func perform(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("programs", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("only", "", "the `programs` to run, separated by commas; all if empty")
	which := flags.String("faults", "kill,sigstop,blackhole", "what is done to the member, separated by commas")
	lasts := flags.Duration("for", 15*time.Second, "how long a fault lasts")
	output := flags.String("o", "", "the `file` to write, - for standard output; docs/measurements/programs.md if empty")
	dir := flags.String("dir", "", "the `directory` of the copies, which stay there; a temporary one if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(programs, *only, func(p program) string { return p.name })
	if err != nil {
		return err
	}
	done, err := choose(faults, *which, func(f fault) string { return f.name })
	if err != nil {
		return err
	}
	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "programs-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(*dir) }() // if this fails, the system cleans up
	}
	w, err := newWorkshop(ctx, *dir)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(stderr, format+"\n", args...) } // only the report matters
	var rows []row
	for _, p := range chosen {
		say("%s: fetching, moving, building", p.name)
		theirs, ours, err := w.build(ctx, p)
		if err != nil {
			return err
		}
		for _, f := range done {
			both := make([]map[string]cell, 2)
			for i, binary := range []string{theirs, ours} {
				samples, begun, over, err := play(ctx, p, binary, f, *lasts)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", filepath.Base(binary), f.name, err)
				}
				both[i] = assess(samples, begun, over)
				for _, kind := range slices.Sorted(maps.Keys(both[i])) {
					c := both[i][kind]
					say("%s, %s: %s: %v; %s", filepath.Base(binary), f.name, kind, c, c.Error)
				}
			}
			for _, kind := range slices.Sorted(maps.Keys(both[1])) {
				rows = append(rows, row{p.name, f.name, kind, both[0][kind], both[1][kind]})
			}
		}
	}
	return report(*output, stdout, w, *lasts, chosen, rows)
}

func report(output string, stdout io.Writer, w *workshop, lasts time.Duration, chosen []program, rows []row) error {
	version := w.versions[shared[0]]
	if output == "-" {
		return write(stdout, version, lasts, chosen, rows)
	}
	if output == "" {
		output = filepath.Join(w.repository, "docs", "measurements", "programs.md")
	}
	f, err := os.Create(output)
	if err != nil {
		return err
	}
	return errors.Join(write(f, version, lasts, chosen, rows), f.Close())
}

// choose returns the elements whose names are listed, or all for an empty list.
func choose[T any](all []T, list string, name func(T) string) ([]T, error) {
	if list == "" {
		return all, nil
	}
	var out []T
	for wanted := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(one T) bool { return name(one) == wanted })
		if i < 0 {
			return nil, fmt.Errorf("%q is none of those that there are", wanted)
		}
		out = append(out, all[i])
	}
	return out, nil
}
