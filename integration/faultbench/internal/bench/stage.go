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

// stage is where a fault happens. It is used by one goroutine, but for control,
// which anybody may call.
type stage struct {
	cluster *cluster.Cluster
	victim  *cluster.Member   // the member that the fault hits; nil when it hits all
	target  target            // what the clients are told; a fault's prepare may change it
	dns     *dnsserver.Server // which publish started

	mu       sync.Mutex // guards controls
	controls map[*cluster.Member]*authorized

	begun     chan struct{} // closed at the fault's first moment
	faultTime time.Duration
	origin    time.Time
	rand      *rand.Rand             // what chance decides
	inUse     func() *cluster.Member // which the first sticky client uses now, nil when there is none
	mishaps   []report.Mishap        // what was done, for who has halted it

	halt   func() error // ends what during has begun
	broken chan error   // has what ended it before; nil when nothing was begun
	undo   []func(context.Context) error
}

// healthy reaches a member that the fault does not hit. Until it has begun that is any.
func (s *stage) healthy(begun bool) (pb.KVClient, pb.LeaseClient) {
	m := s.cluster.Members()[0]
	if begun && m == s.victim {
		m = another(s.cluster, m)
	}
	control := s.control(m)
	return pb.NewKVClient(control), pb.NewLeaseClient(control)
}

// atEnd has f called when the measurement is over, the latest first.
func (s *stage) atEnd(f func(context.Context) error) { s.undo = append(s.undo, f) }

// close undoes what was prepared, and ends what goes on. Calls after the first do
// nothing.
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

// wait waits for d, or less when ctx ends or what goes on beside breaks.
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

// during runs f beside the measurement, from now until halt is called, or else
// until close. That waits for f and returns its error, unless f only says that it
// was ended.
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
