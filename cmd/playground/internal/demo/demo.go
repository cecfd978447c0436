package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/playground/internal/local"
	"github.com/getcd/getcd/integration/cluster"
)

// Options say what the demo is to run on.
type Options struct {
	// Out is where the demo tells what happens.
	Out io.Writer
	// Dial makes a client of the user's cluster. Nil means that the demo starts
	// a cluster of its own.
	Dial func(ctx context.Context) (*client.Client, error)
}

// Run runs the demo and returns how many of its steps passed and failed. An
// error means that it could not begin. It ends early, with all that it started
// ended, when ctx does.
func Run(ctx context.Context, o Options) (passed, failed int, err error) {
	r := &report{out: o.Out}
	start := time.Now()
	before := goleak.IgnoreCurrent()
	s := &stage{report: r, dial: o.Dial, prefix: "demo/"}
	if o.Dial == nil {
		r.line("getcd demo: three etcd members, each its own process, and a DNS server, on loopback.")
		if err := s.startLocal(ctx); err != nil {
			return 0, 0, err
		}
	} else {
		s.prefix = fmt.Sprintf("getcd-demo/%d/", start.UnixNano())
		r.line("getcd demo, on your cluster. Keys are put below %q, and removed. Nothing is broken.", s.prefix)
	}
	s.run(ctx)
	s.close(context.WithoutCancel(ctx)) // after an interruption too
	// The last step must not be missed out for an interruption: it is about it.
	r.step(context.WithoutCancel(ctx), "Close everything: no goroutine is left", func(context.Context) error {
		return goleak.Find(before)
	})
	r.line("\nThe demo took %v.", round(time.Since(start)))
	r.line("%d passed, %d failed", r.passed, r.failed)
	return r.passed, r.failed, nil
}

// stage is what the steps play on.
type stage struct {
	*report

	prefix string // of all keys; never empty
	dial   func(ctx context.Context) (*client.Client, error)
	local  *local.Cluster // nil on the user's cluster
	client *client.Client // nil until it is connected
}

// startLocal starts the demo's own cluster.
func (s *stage) startLocal(ctx context.Context) error {
	start := time.Now()
	l, err := local.Start(ctx, cluster.Config{})
	if err != nil {
		return err
	}
	s.local = l
	s.dial = func(ctx context.Context) (*client.Client, error) {
		return client.Dial(ctx, client.Config{Endpoints: []string{l.URI()}})
	}
	for _, m := range l.Members.Members() {
		s.say("%s: process %d on %s", m.Name(), m.PID(), m.Endpoint())
	}
	s.say("DNS server on %s", l.DNS.Addr())
	s.say("ready in %v", round(time.Since(start)))
	return nil
}

func (s *stage) run(ctx context.Context) {
	title := "Connect"
	if s.local != nil {
		title = "Discover the cluster through DNS SRV records"
	}
	s.step(ctx, title, s.connect)
	if s.client == nil {
		return // there is nothing to show
	}
	s.step(ctx, "Put and get", s.putAndGet)
	s.step(ctx, "Get by prefix", s.getPrefix)
	s.step(ctx, "Transaction: compare and swap", s.transaction)
	s.step(ctx, "Delete", s.remove)
	s.step(ctx, "Two clients contend for a lock: the fencing tokens grow", s.contend)
	s.step(ctx, "Lose a lock: its holder learns it before another gets it", s.loseLock)
	s.step(ctx, "SIGKILL the active member under load", s.killActive)
	s.step(ctx, "Move all members to other ports while the SRV records change", s.moveAll)
}

// close ends the client and the cluster.
func (s *stage) close(ctx context.Context) {
	if s.client != nil {
		if s.local == nil {
			s.sweep(ctx)
		}
		_ = s.client.Close() // has no error to return
	}
	if s.local != nil {
		if err := s.local.Close(); err != nil {
			s.say("stopping the cluster: %v", err)
		}
	}
}
