// Command table prints the table of docs/reference/proxies.md: it compares how getcd and
// etcd's own client behave when members fail behind HAProxy and nginx.
//
//	go run ./integration/frontproxy/table
//
// It takes no arguments and about five minutes. It exits with status 1 if
// something could not be measured, for example because HAProxy or nginx is
// missing.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/frontproxy"
)

func main() {
	cluster.Main() // this program also runs the members of the cluster
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, frontproxy.Kinds(), faults(), os.Stdout)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

// fault is applied to each member in turn.
type fault struct {
	name    string
	lasting time.Duration
	begin   func(*cluster.Member) error
	mend    func(context.Context, *cluster.Member) error
}

// healthy is the time before a fault, and after the last one.
const healthy = time.Second

// A member stalls for less, and for more, than getcd's patience with a write (2
// s).
func faults() []fault {
	goOn := func(_ context.Context, m *cluster.Member) error { return m.Continue() }
	return []fault{
		{"killed for 2 s", 2 * time.Second, (*cluster.Member).Kill, func(ctx context.Context, m *cluster.Member) error { return m.Restart(ctx) }},
		{"stalled for 1.5 s", 1500 * time.Millisecond, (*cluster.Member).Pause, goOn},
		{"stalled for 5 s", 5 * time.Second, (*cluster.Member).Pause, goOn},
		{"cut from its peers for 2 s", 2 * time.Second, (*cluster.Member).CutPeers, func(_ context.Context, m *cluster.Member) error { return m.HealPeers() }},
	}
}

func run(ctx context.Context, kinds []frontproxy.Kind, faults []fault, out io.Writer) (err error) {
	c, err := cluster.Start(ctx, cluster.Config{Links: true, ElectionTimeout: 500 * time.Millisecond, HeartbeatInterval: 50 * time.Millisecond})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	direct, err := client.Dial(ctx, client.Config{Endpoints: c.Endpoints()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, direct.Close()) }()
	_, _ = fmt.Fprint(out, "| proxy | the members are | client | puts | ambiguous | failed | applied twice | reads failed | longest without a put | longest without a read |\n",
		"|---|---|---|---|---|---|---|---|---|---|\n")
	for _, kind := range kinds {
		for _, f := range faults {
			if err := measure(ctx, c, direct, kind, f, out); err != nil {
				return fmt.Errorf("%s, %s: %w", kind, f.name, err)
			}
		}
	}
	return nil
}

// measure applies one fault behind one proxy, and prints a row for each client.
func measure(ctx context.Context, c *cluster.Cluster, direct *client.Client, kind frontproxy.Kind, f fault, out io.Writer) (err error) {
	p, err := frontproxy.Start(ctx, frontproxy.Config{Kind: kind, Targets: c.Endpoints()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	var loads []*load
	defer func() {
		for _, l := range loads {
			err = errors.Join(err, l.stop())
		}
	}()
	for _, of := range clients() {
		l, err := startLoad(ctx, of, p.Address(), strings.ReplaceAll(fmt.Sprintf("%s/%s/%s/", kind, f.name, of.name), " ", "-"))
		if err != nil {
			return err
		}
		loads = append(loads, l)
	}
	for _, m := range c.Members() { // the client is using one of them
		time.Sleep(healthy / 2)
		if err := f.begin(m); err != nil {
			return err
		}
		time.Sleep(f.lasting)
		if err := errors.Join(f.mend(ctx, m), c.WaitHealthy(ctx)); err != nil {
			return err
		}
	}
	time.Sleep(healthy)
	for _, l := range loads {
		_ = l.stop() // stop returns its error again later
		twice, err := l.judge(ctx, direct)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "| %s | %s | %s | %d | %s | %d | %d | %d | %.2f s | %.2f s |\n", kind, f.name, l.of.name,
			l.puts.ok, l.of.doubts(l.doubts), l.puts.failed, twice, l.reads.failed, l.puts.gap.Seconds(), l.reads.gap.Seconds())
	}
	return nil
}
