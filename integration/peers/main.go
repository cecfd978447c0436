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
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/getcd/getcd/integration/cluster"
)

func main() {
	cluster.Main() // this program also runs the member for the suites that expect one
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		say(os.Stderr, "peers: %v\n", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// say prints to w. It ignores errors, since there is nowhere to report them.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// settings are the values of the flags.
type settings struct {
	suites   []string
	sides    []string
	match    *regexp.Regexp
	limit    time.Duration
	tries    int
	parallel int
	short    bool
	page     string
}

func parse(args []string) (*settings, error) {
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	var names, usual []string
	for _, s := range suites {
		names = append(names, s.name)
		if !s.apart {
			usual = append(usual, s.name)
		}
	}
	chosen := fs.String("suite", strings.Join(usual, ","), "the suites to run, with commas between them: "+strings.Join(names, ", "))
	sides := fs.String("sides", original+","+getcd, "the clients to run them on")
	match := fs.String("run", ".", "run the tests whose names match this regular expression; subtests cannot be chosen")
	set := &settings{}
	fs.DurationVar(&set.limit, "limit", time.Minute, "how long a test may take")
	fs.IntVar(&set.tries, "tries", 2, "how often a test that fails is run, on either side")
	fs.IntVar(&set.parallel, "parallel", 2, "how many tests run at a time")
	fs.BoolVar(&set.short, "short", false, "run the packages that fit into 15 minutes, on getcd; on clientv3 only what fails there")
	fs.StringVar(&set.page, "markdown", "", "write the result to this file as Markdown, too")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	set.suites, set.sides = strings.Split(*chosen, ","), strings.Split(*sides, ",")
	for _, s := range set.suites {
		if !slices.Contains(names, s) {
			return nil, fmt.Errorf("-suite %s: there are %s", s, strings.Join(names, ", "))
		}
	}
	for _, s := range set.sides {
		if s != original && s != getcd {
			return nil, fmt.Errorf("-sides %s: there are %s and %s", s, original, getcd)
		}
	}
	if set.tries < 1 || set.parallel < 1 || set.limit <= 0 {
		return nil, errors.New("-tries, -parallel and -limit must be positive")
	}
	var err error
	if set.match, err = regexp.Compile(*match); err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	return set, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	set, err := parse(args)
	if err != nil {
		return err
	}
	repo, err := goCommand(ctx, "", "list", "-m", "-f", "{{.Dir}}", "github.com/getcd/getcd")
	if err != nil {
		return err
	}
	root := strings.TrimSpace(string(repo))
	r := &report{started: time.Now(), settings: set}
	for i := range suites {
		if s := &suites[i]; slices.Contains(set.suites, s.name) && (!set.short || len(s.short) > 0) {
			res, err := measure(ctx, out, set, s, root)
			if err != nil {
				return err
			}
			r.results = append(r.results, res)
			r.took = time.Since(r.started)
			if set.page == "" {
				continue
			}
			// Write after each suite, since each takes a long time.
			if err := r.write(set.page); err != nil {
				return err
			}
		}
	}
	r.print(out)
	if n := len(r.regressions()); n > 0 {
		return fmt.Errorf("%d tests pass on clientv3 and not on getcd", n)
	}
	return nil
}

// result is the result of one suite on both sides.
type result struct {
	suite *suite
	pairs []*pair
}

// measure runs one suite.
func measure(ctx context.Context, out io.Writer, set *settings, s *suite, root string) (*result, error) {
	m := &measurement{
		settings: set, suite: s, out: out, root: root, packages: s.packages,
		trees: make(map[string]*tree), logs: make(map[string]*logFile),
	}
	defer m.close()
	sides := set.sides
	if set.short {
		m.packages, sides = s.short, []string{getcd}
	}
	for _, side := range sides {
		if err := m.build(ctx, side); err != nil {
			return nil, err
		}
	}
	res := &result{suite: s}
	for _, pkg := range m.packages {
		names, err := m.trees[sides[0]].program(pkg).list(ctx, set.match) // the same on the other side
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			res.pairs = append(res.pairs, &pair{pkg: pkg, test: name, sides: make(map[string]outcome)})
		}
	}
	m.run(ctx, res.pairs, sides)
	if !set.short {
		return res, context.Cause(ctx)
	}
	left := slices.DeleteFunc(slices.Clone(res.pairs), func(p *pair) bool { return p.sides[getcd].verdict == passed })
	if len(left) > 0 {
		if err := m.build(ctx, original); err != nil {
			return nil, err
		}
		m.run(ctx, left, []string{original})
	}
	return res, context.Cause(ctx)
}

// measurement is a running suite.
type measurement struct {
	*settings
	suite    *suite
	root     string
	packages []string
	trees    map[string]*tree    // by side
	logs     map[string]*logFile // by side

	mu  sync.Mutex
	out io.Writer // guarded by mu while tests run
}

// build prepares one side.
func (m *measurement) build(ctx context.Context, side string) error {
	work := filepath.Join(m.root, "bin", "peers")
	say(m.out, "== %s %s on %s: building\n", m.suite.module, m.suite.version, side)
	t, err := prepare(ctx, m.suite, side, m.root, work, m.packages)
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(work, m.suite.name, side+".log"))
	if err != nil {
		return err
	}
	m.trees[side], m.logs[side] = t, &logFile{file: file}
	return nil
}

func (m *measurement) close() {
	for _, l := range m.logs {
		_ = l.file.Close() // the log is for reading at leisure
	}
}

// run runs tests, each on the given sides, and reports each when it has run.
func (m *measurement) run(ctx context.Context, pairs []*pair, sides []string) {
	parallel := m.parallel
	if m.suite.alone || m.suite.port != 0 {
		parallel = 1
	}
	each(parallel, len(pairs), func(i int) {
		p := pairs[i] // only this call uses it
		for _, side := range sides {
			p.sides[side] = m.trees[side].program(p.pkg).run(ctx, p.test, m.limit, m.tries, m.logs[side])
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		p.print(m.out, sides)
	})
}

// each calls f with 0 to n-1, with the given number of concurrent calls, and
// returns after the last.
func each(parallel, n int, f func(int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// print reports one test as soon as it has run.
func (p *pair) print(out io.Writer, sides []string) {
	say(out, "%s", p.name())
	for _, side := range sides {
		o := p.sides[side]
		say(out, "  %s: %s %v", side, o.verdict, o.took)
		if o.tries > 1 {
			say(out, " (%d tries)", o.tries)
		}
	}
	say(out, "\n")
	for _, side := range sides {
		if o := p.sides[side]; o.verdict == failed || o.verdict == hung {
			say(out, "    %s: %s\n", side, o.why)
			for _, sub := range leaves(slices.Sorted(maps.Keys(o.subs))) {
				if o.subs[sub] == failed {
					say(out, "    %s: %s failed\n", side, sub)
				}
			}
		}
	}
}

// leaves removes the tests that have subtests, and sorts the rest.
func leaves(names []string) []string {
	slices.Sort(names)
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(names, func(other string) bool { return strings.HasPrefix(other, name+"/") })
	})
}
