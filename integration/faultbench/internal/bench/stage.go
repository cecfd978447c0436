package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/dnsserver"
	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// stage is the environment of a fault. One goroutine uses it, except for control,
// which is safe for concurrent use.
type stage struct {
	cluster *cluster.Cluster
	victim  *cluster.Member   // the member that the fault affects; nil if it affects all
	target  target            // what the clients are told; a fault's prepare may change it
	dns     *dnsserver.Server // started by publish

	mu       sync.Mutex // guards controls
	controls map[*cluster.Member]*authorized

	begun     chan struct{} // closed when the fault begins
	faultTime time.Duration
	origin    time.Time
	rand      *rand.Rand             // for all random decisions
	inUse     func() *cluster.Member // returns the member that the first sticky client uses, or nil
	mishaps   []report.Mishap        // the mishaps so far, to read after halt

	halt   func() error // ends what during has started
	broken chan error   // has the error of what during has started; nil if nothing was started
	undo   []func(context.Context) error
}

// healthy returns connections to a member that the fault does not affect. Before
// it begins, that is any member.
func (s *stage) healthy(begun bool) (pb.KVClient, pb.LeaseClient) {
	m := s.cluster.Members()[0]
	if begun && m == s.victim {
		m = another(s.cluster, m)
	}
	control := s.control(m)
	return pb.NewKVClient(control), pb.NewLeaseClient(control)
}

// atEnd registers f to be called when the measurement is over, in reverse order.
func (s *stage) atEnd(f func(context.Context) error) { s.undo = append(s.undo, f) }

// close undoes what was prepared and ends what during has started. Further calls
// do nothing.
func (s *stage) close(ctx context.Context) error {
	var errs []error
	for len(s.undo) > 0 {
		last := len(s.undo) - 1
		f := s.undo[last]
		s.undo = s.undo[:last]
		errs = append(errs, f(ctx))
	}
	return errors.Join(errs...)
}

// wait waits for d, or until ctx ends or the function of during fails.
func (s *stage) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-s.broken:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// during runs f concurrently with the measurement, until halt or close is called.
// These wait for f and return its error, unless that only says that f was ended.
func (s *stage) during(ctx context.Context, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	broken := make(chan error, 1)
	s.broken = broken
	var ended error
	go func() {
		defer close(done)
		if err := f(ctx); err != nil && !errors.Is(err, context.Canceled) {
			ended = fmt.Errorf("beside the measurement: %w", err)
			broken <- ended
		}
	}()
	s.halt = sync.OnceValue(func() error {
		cancel()
		<-done
		return ended
	})
	s.atEnd(func(context.Context) error { return s.halt() })
}
