package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/client"
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
		l, err := startLocal(ctx, r)
		if err != nil {
			return 0, 0, err
		}
		s.local, s.dial = l, l.dial
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
	local  *local         // nil on the user's cluster
	client *client.Client // nil until it is connected
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
		s.local.close()
	}
}
