package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"

	"github.com/getcd/getcd/integration/cluster"
)

// Config says what to measure. The zero value means everything, once.
type Config struct {
	// Match, if not nil, selects cases by their names.
	Match *regexp.Regexp
	// Quick selects only the cases of the quick run.
	Quick bool
	// Count is how many times each case is measured. 0 means once.
	Count int
	// Progress gets a line for each case. Nil means no output.
	Progress io.Writer
}

// Chosen returns the cases that cfg selects.
func (cfg Config) Chosen() []Case {
	return slices.DeleteFunc(Cases(), func(c Case) bool {
		return cfg.Quick && !c.Quick || cfg.Match != nil && !cfg.Match.MatchString(c.Name())
	})
}

// Run measures. If it returns an error, the report has what was measured before.
func Run(ctx context.Context, cfg Config) (_ *Report, err error) {
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	cases := cfg.Chosen()
	if len(cases) == 0 {
		return nil, errors.New("no case is chosen")
	}
	c, err := cluster.Start(ctx, cluster.Config{
		Links:      true,
		QuotaBytes: 8 << 30,
		// Members keep the entries between snapshots in memory. Keep few of them,
		// since they are large.
		Flags: []string{"--snapshot-count=200", "--snapshot-catchup-entries=200"},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	p := place{c}
	if err := p.fill(ctx, cases); err != nil {
		return nil, err
	}
	rep := &Report{Setup: Setup{Etcd: c.Version(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU()}}
	for i, one := range cases {
		_, _ = fmt.Fprintf(cfg.Progress, "%d of %d: %s\n", i+1, len(cases), one.Name())
		row := Row{Case: one.Name(), Timed: one.timed(), Lasting: one.For > 0, Results: make(map[string][]Result)}
		for n := range max(cfg.Count, 1) {
			clients := slices.Clone(one.clients())
			if n%2 == 1 {
				slices.Reverse(clients)
			}
			for _, name := range clients {
				result, err := p.measure(ctx, name, one)
				if err != nil {
					return rep, fmt.Errorf("%s, %s: %w", one.Name(), name, err)
				}
				row.Results[name] = append(row.Results[name], result)
			}
		}
		row.judge()
		rep.Rows = append(rep.Rows, row)
	}
	return rep, nil
}
