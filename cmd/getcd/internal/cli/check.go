package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/cmd/getcd/internal/check"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/cmd/getcd/internal/progress"
	"github.com/getcd/getcd/kv"
)

func (a *app) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check <subcommand>",
		Short:   "Check how much the cluster can take",
		GroupID: groupUtility,
	}
	cmd.AddCommand(a.checkPerfCommand(), a.checkDatascaleCommand())
	return cmd
}

// checkFlags are the flags of the check commands.
type checkFlags struct {
	load, prefix    string
	compact, defrag bool
}

func (f *checkFlags) register(fs *pflag.FlagSet, prefix, loads string) {
	fs.StringVar(&f.load, "load", "s", loads)
	fs.StringVar(&f.prefix, "prefix", prefix, "what the keys begin with that are put, and deleted in the end")
	fs.BoolVar(&f.compact, "auto-compact", false, "compact the history in the end")
	fs.BoolVar(&f.defrag, "auto-defrag", false, "defragment the endpoints in the end")
}

func (a *app) checkPerfCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "perf [options]",
		Short: "Check that the cluster takes a number of puts in each second",
		Long: `Put keys for a minute, and check that the cluster takes nine tenths of the load,
none in more than 500 ms, and with a standard deviation of at most 100 ms.

An interrupt ends it early: what there is then counts.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			load, ok := check.PerfLoad(f.load)
			if !ok {
				return badLoad(f.load)
			}
			return a.checkPerf(cmd, &f, load)
		},
	}
	f.register(cmd.Flags(), "/etcdctl-check-perf/",
		"load: s(mall), 150 puts per second by 50 clients; m(edium), 1000 by 200; l(arge), 8000 by 500; xl or xLarge, 15000 by 1000")
	complete(cmd, "load", "small", "medium", "large", "xLarge")
	return cmd
}

func (a *app) checkDatascaleCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "datascale [options]",
		Short: "Check how much memory a member needs for a number of keys",
		Long: `Put a number of keys, and show by how much the memory of the first endpoint's
member has grown. It is told by the endpoint's /metrics.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			load, ok := check.ScaleLoad(f.load)
			if !ok {
				return badLoad(f.load)
			}
			return a.checkDatascale(cmd, &f, load)
		},
	}
	f.register(cmd.Flags(), "/etcdctl-check-datascale/",
		"load: s(mall), 10000 keys by 50 clients; m(edium), 100000 by 200; l(arge), 1000000 by 500; xl or xLarge, 3000000 by 1000")
	complete(cmd, "load", "small", "medium", "large", "xLarge")
	return cmd
}

func badLoad(name string) error {
	return exit.Errorf(exit.BadFeature, "unknown load %q for --load: use s(mall), m(edium), l(arge), or xl or xLarge", name)
}

// checker is one check.
type checker struct {
	*checkFlags

	settings *settings
	clients  []*session
	puts     []check.Putter
}

// newChecker makes the clients and sees that nobody's keys are in the way. Close it.
func (a *app) newChecker(cmd *cobra.Command, f *checkFlags, clients int) (_ *checker, err error) {
	s, err := a.settings(cmd)
	if err != nil {
		return nil, err
	}
	p, err := output.New(output.Options{Format: s.flags.writeOut, Out: s.Out, Err: s.Err})
	if err != nil { // the report looks the same in all formats
		return nil, exit.With(exit.BadFeature, err)
	}
	c := &checker{checkFlags: f, settings: s}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	for range clients {
		one, err := s.connect(cmd.Context(), p)
		if err != nil {
			return nil, err
		}
		c.clients = append(c.clients, one)
		c.puts = append(c.puts, func(ctx context.Context, key, value string) error {
			_, err := one.Put(ctx, key, value)
			return err
		})
	}
	ctx, cancel := c.first().timeout(cmd.Context())
	defer cancel()
	r, err := c.first().Get(ctx, f.prefix, kv.WithPrefix(), kv.WithLimit(1))
	if err != nil {
		return nil, err
	}
	if len(r.Kvs) > 0 {
		return nil, exit.Errorf(exit.InvalidInput, "there are keys that start with %q: delete them first, with 'getcd del --prefix %s', or choose another --prefix", f.prefix, f.prefix)
	}
	return c, nil
}

func (c *checker) first() *session { return c.clients[0] }

func (c *checker) close() {
	for _, one := range c.clients {
		one.close()
	}
}

// cleanupTimeout bounds each step of cleaning up.
const cleanupTimeout = 30 * time.Second

// say prints a line of the report.
func (c *checker) say(format string, args ...any) { say(c.settings.Out, format, args...) }

func (a *app) checkPerf(cmd *cobra.Command, f *checkFlags, load check.Load) error {
	c, err := a.newChecker(cmd, f, load.Clients)
	if err != nil {
		return err
	}
	defer c.close()
	stats := c.runFor(cmd.Context(), load)

	ctx := context.WithoutCancel(cmd.Context()) // what was put is to go in any case
	if rev, err := c.clean(ctx, cleanupTimeout); err != nil {
		c.say("FAIL: Cleanup failed during key deletion: ERROR(%v)\n", err)
	} else if err := c.shrink(ctx, rev); err != nil {
		return err
	}
	ok, err := stats.Perf(a.Out, load.Rate)
	if err == nil && !ok {
		err = &exit.Error{Code: exit.Failure} // the report says why
	}
	return err
}

// runFor runs a load that takes a known time, or until a signal.
func (c *checker) runFor(ctx context.Context, load check.Load) check.Stats {
	ctx, stop := untilSignal(ctx)
	defer stop(nil)
	bar := progress.Start(c.settings.Err, int64(load.Duration/time.Second), progress.Items)
	defer bar.Finish()
	shown := make(chan struct{})
	defer func() { <-shown }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(shown)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				bar.Add(1)
			case <-ctx.Done():
				return
			}
		}
	}()
	return load.Run(ctx, c.puts, c.prefix, nil)
}

func (a *app) checkDatascale(cmd *cobra.Command, f *checkFlags, load check.Load) error {
	c, err := a.newChecker(cmd, f, load.Clients)
	if err != nil {
		return err
	}
	defer c.close()
	before, err := c.memory(cmd.Context(), "before")
	if err != nil {
		return err
	}
	c.say("Start data scale check for work load [%d key-value pairs, %d bytes per key-value, %d concurrent clients].\n",
		load.Puts, load.KeySize+load.ValueSize, load.Clients)
	ctx, stop := untilSignal(cmd.Context())
	stats := c.runAll(ctx, load)
	stop(nil)

	clean := context.WithoutCancel(cmd.Context())
	grown, memoryErr := c.memory(clean, "after")
	grown -= before
	rev, err := c.clean(clean, 0) // of millions of keys, who knows how long that takes
	if err := firstOf(outcome(ctx, nil), memoryErr, err); err != nil {
		return err
	}
	if err := c.shrink(clean, rev); err != nil {
		return err
	}
	ok, err := stats.Scale(a.Out, grown)
	if err == nil && !ok {
		err = &exit.Error{Code: exit.Failure} // the report says why
	}
	return err
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// runAll runs a load that is a number of puts.
func (c *checker) runAll(ctx context.Context, load check.Load) check.Stats {
	bar := progress.Start(c.settings.Err, int64(load.Puts), progress.Items)
	defer bar.Finish()
	return load.Run(ctx, c.puts, c.prefix, func() { bar.Add(1) })
}

// clean deletes what was put and returns the revision. No limit means no limit.
func (c *checker) clean(ctx context.Context, limit time.Duration) (rev int64, err error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	r, err := c.first().Delete(ctx, c.prefix, kv.WithPrefix())
	if err != nil {
		return 0, err
	}
	return r.Header.GetRevision(), nil
}

// shrink compacts the history before rev and defragments the endpoints, as far as
// the flags ask for it.
func (c *checker) shrink(ctx context.Context, rev int64) error {
	if c.compact {
		c.say("Compacting with revision %d\n", rev)
		ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
		defer cancel()
		if _, err := c.first().Compact(ctx, rev, kv.WithCompactPhysical()); err != nil {
			return err
		}
		c.say("Compacted with revision %d\n", rev)
	}
	if !c.defrag {
		return nil
	}
	probes, err := c.settings.probes(ctx, false)
	if err != nil {
		return err
	}
	for _, p := range probes {
		c.say("Defragmenting %q\n", p.name)
		if err := c.defragment(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		c.say("Defragmented %q\n", p.name)
	}
	return nil
}

func (c *checker) defragment(ctx context.Context, p probe) error {
	one, err := c.settings.dialProbe(ctx, p)
	if err != nil {
		return err
	}
	defer func() { _ = one.Close() }() // has no error to return
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	_, err = pb.NewMaintenanceClient(one.Conn()).Defragment(ctx, &pb.DefragmentRequest{})
	return err
}
