package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/slowbench/internal/bench"
)

func main() {
	cluster.Main() // this program also runs the members of the cluster
	bench.Main()   // and the clients that get little CPU
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

type options struct {
	list, check    bool
	json, markdown string
}

// run is the program. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, opts, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "slowbench:", err)
		return 2
	case opts.list:
		for _, c := range cfg.Chosen() {
			_, _ = fmt.Fprintln(stdout, c.Name())
		}
		return 0
	}
	cfg.Progress = stderr
	rep, err := bench.Run(ctx, cfg)
	if rep != nil {
		rep.Setup.Command = strings.Join(append([]string{"go run ./integration/slowbench"}, args...), " ")
		rep.Setup.Clientv3 = version("go.etcd.io/etcd/client/v3")
		err = errors.Join(err, write(rep, opts, stdout))
		if misses := rep.Misses(); opts.check && len(misses) > 0 {
			err = errors.Join(err, errors.New("missed:\n"+strings.Join(misses, "\n")))
		}
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "slowbench:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (bench.Config, options, error) {
	var cfg bench.Config
	var opts options
	flags := flag.NewFlagSet("slowbench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("run", "measure the cases whose names match this `regexp` (-list has them)", func(s string) (err error) {
		cfg.Match, err = regexp.Compile(s)
		return err
	})
	flags.BoolVar(&cfg.Quick, "quick", false, "a few cases, in about two minutes")
	flags.IntVar(&cfg.Count, "count", 1, "how `often` to measure each case, 1 to 100")
	flags.BoolVar(&opts.check, "check", false, "fail when getcd fails more calls than clientv3, or takes much longer")
	flags.BoolVar(&opts.list, "list", false, "list the cases, and do nothing")
	flags.StringVar(&opts.json, "json", "", "write the results to this `file`, as JSON")
	flags.StringVar(&opts.markdown, "markdown", "", "write the results to this `file`, as a page")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			flags.Usage()
			return cfg, opts, err
		}
		return cfg, opts, fmt.Errorf("%w (-help lists the flags)", err)
	}
	switch {
	case flags.NArg() > 0:
		return cfg, opts, fmt.Errorf("%q is no flag; -run takes a pattern of cases (-list has them)", flags.Arg(0))
	case cfg.Count < 1 || cfg.Count > 100:
		return cfg, opts, fmt.Errorf("-count is %d, want 1 to 100", cfg.Count)
	case len(cfg.Chosen()) == 0:
		return cfg, opts, errors.New("-run matches no case (-list has them; -quick leaves most out)")
	}
	return cfg, opts, nil
}

func write(rep *bench.Report, opts options, stdout io.Writer) error {
	errs := []error{rep.WriteText(stdout)}
	if opts.json != "" {
		errs = append(errs, create(opts.json, rep.WriteJSON))
	}
	if opts.markdown != "" {
		errs = append(errs, create(opts.markdown, rep.WriteMarkdown))
	}
	return errors.Join(errs...)
}

func create(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
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
