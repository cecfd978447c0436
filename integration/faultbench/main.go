package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/faultbench/internal/bench"
	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

func main() {
	cluster.Main() // this program also runs the members of the cluster
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// options are the flags for the output.
type options struct {
	list, check bool
	json, svg   string
	markdown    string
}

// run is the program. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, opts, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "faultbench:", err)
		return 2
	case opts.list:
		if _, err := io.WriteString(stdout, list()); err != nil {
			return 1
		}
		return 0
	}
	cfg.Progress = stderr
	rep, err := bench.Run(ctx, cfg)
	if rep != nil {
		rep.Setup.Command = strings.Join(append([]string{"go run ./integration/faultbench"}, args...), " ")
		rep.Setup.Clientv3 = version("go.etcd.io/etcd/client/v3")
		err = errors.Join(err, write(rep, opts, stdout), judge(rep, opts.check))
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "faultbench:", err)
		return 1
	}
	return 0
}

// parse parses the flags. The flag package has already printed its errors.
func parse(args []string, stderr io.Writer) (bench.Config, options, error) {
	var cfg bench.Config
	var opts options
	flags := flag.NewFlagSet("faultbench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	names := func(name, usage string, into *[]string) {
		flags.Func(name, usage+", separated by commas; all unless given", func(s string) error {
			*into = strings.Split(s, ",")
			return nil
		})
	}
	names("clients", "`names` of the clients", &cfg.Clients)
	names("faults", "`names` of the faults", &cfg.Faults)
	names("kinds", "`names` of the kinds of calls", &cfg.Kinds)
	names("roles", "`names` of the victim's roles", &cfg.Roles)
	flags.DurationVar(&cfg.FaultTime, "fault-time", 0, "how `long` a fault lasts (default 15s)")
	flags.DurationVar(&cfg.WarmUp, "warm-up", 0, "how `long` the clients work before a fault (default 2s)")
	flags.DurationVar(&cfg.Recovery, "recovery", 0, "how `long` they work after its repair (default 3s)")
	flags.DurationVar(&cfg.ElectionTimeout, "election-timeout", 0, "etcd's election `timeout` (default 1s)")
	flags.IntVar(&cfg.Size, "size", 0, "the `number` of members, 3 to 9 (default 3)")
	flags.DurationVar(&cfg.Random, "random", 0, "do random ones of the faults, one after the other, for so `long`")
	flags.Uint64Var(&cfg.Seed, "seed", 0, "the `number` that decides what chance decides; a random one unless given")
	flags.Func("value", "the `sizes` of the values that put writes, such as 100KB-1MB (default a few bytes)", func(s string) (err error) {
		cfg.LeastValue, cfg.MostValue, err = bench.ParseRange(s)
		return err
	})
	flags.Func("rate", "how many `bytes` a second pass between each member and its clients, such as 5MB/s (default no limit)", func(s string) (err error) {
		cfg.Rate, err = bench.ParseBytes(strings.TrimSuffix(s, "/s"))
		return err
	})
	flags.DurationVar(&cfg.Deadline, "deadline", 0, "how `long` a call may take (default 5s)")
	flags.BoolVar(&cfg.Secure, "secure", false, "TLS, and users with passwords")
	flags.BoolVar(&cfg.Apart, "apart", false, "a fault of its own for each kind of call")
	flags.BoolVar(&opts.check, "check", false, "fail when getcd does not keep its bounds")
	flags.BoolVar(&opts.list, "list", false, "list the clients, faults, kinds and roles, and do nothing")
	flags.StringVar(&opts.json, "json", "", "write the results to this `file`, as JSON")
	flags.StringVar(&opts.markdown, "markdown", "", "write the results to this `file`, as a page that refers to those of -json and -svg")
	flags.StringVar(&opts.svg, "svg", "", "draw a timeline of each fault into this `directory`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			flags.Usage()
			return cfg, opts, err
		}
		return cfg, opts, fmt.Errorf("%w (-help lists the flags)", err)
	}
	if flags.NArg() > 0 {
		return cfg, opts, fmt.Errorf("%q is no flag; -faults, -clients, -kinds and -roles take names (-list has them)", flags.Arg(0))
	}
	if err := cfg.Validate(); err != nil {
		return cfg, opts, fmt.Errorf("%w (-list has all names)", err)
	}
	return cfg, opts, nil
}

func list() string {
	var b strings.Builder
	all := bench.List()
	for _, one := range []struct {
		flag    string
		choices []bench.Choice
	}{
		{"clients", all.Clients},
		{"faults", all.Faults},
		{"kinds", all.Kinds},
		{"roles", all.Roles},
	} {
		fmt.Fprintf(&b, "-%s\n", one.flag)
		for _, c := range one.choices {
			missing := ""
			if c.Missing != "" {
				missing = " [not here: " + c.Missing + "]"
			}
			fmt.Fprintf(&b, "  %-15s %s%s\n", c.Name, c.Text, missing)
		}
	}
	return b.String()
}

// write writes the results as the flags say.
func write(rep *report.Report, opts options, stdout io.Writer) error {
	errs := []error{rep.WriteText(stdout)}
	if opts.json != "" {
		errs = append(errs, create(opts.json, rep.WriteJSON))
	}
	if opts.svg != "" && len(rep.Cells) > 0 {
		errs = append(errs, os.MkdirAll(opts.svg, 0o755))
		for i := range rep.Cells {
			cell := &rep.Cells[i]
			errs = append(errs, create(filepath.Join(opts.svg, cell.Name()+".svg"), cell.WriteSVG))
		}
	}
	if opts.markdown != "" {
		page, err := opts.page()
		errs = append(errs, err, create(opts.markdown, func(w io.Writer) error { return rep.WriteMarkdown(w, page) }))
	}
	return errors.Join(errs...)
}

// page returns what the page refers to, relative to the page.
func (o options) page() (report.Page, error) {
	var p report.Page
	for _, one := range []struct {
		name string
		to   *string
	}{{o.json, &p.JSON}, {o.svg, &p.Pictures}} {
		if one.name == "" {
			continue
		}
		from, err := filepath.Abs(filepath.Dir(o.markdown))
		if err != nil {
			return p, err
		}
		target, err := filepath.Abs(one.name)
		if err != nil {
			return p, err
		}
		relative, err := filepath.Rel(from, target)
		if err != nil {
			return p, fmt.Errorf("-markdown can't refer to %s: %w", one.name, err)
		}
		*one.to = filepath.ToSlash(relative)
	}
	return p, nil
}

// version returns the version of a module in this program, or an empty string if
// it is unknown.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}

func create(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// judge returns an error for results that must not occur.
func judge(rep *report.Report, check bool) error {
	var errs []error
	for i := range rep.Cells {
		cell := &rep.Cells[i]
		for _, h := range cell.Histories {
			if len(h.Violations) > 0 {
				errs = append(errs, fmt.Errorf("%s: the history of %s is not linearizable", cell.Name(), h.Client))
			}
		}
		for _, r := range cell.Rows {
			if check && len(r.Misses) > 0 {
				errs = append(errs, fmt.Errorf("%s: %s, %s: %s", cell.Name(), r.Client, r.Kind, strings.Join(r.Misses, "; ")))
			}
		}
	}
	return errors.Join(errs...)
}
