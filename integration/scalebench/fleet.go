package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/getcd/getcd/resolver"
)

const (
	tickKey  = "scalebench/fleet/tick"
	tickTime = 200 * time.Millisecond // from one change of the key to the next
	late     = time.Second            // a client without news, or without an answer, for as long is not well
	pace     = time.Second            // from one read of a client to its next
	patience = 5 * time.Second        // of a read
	fleetTTL = 30                     // of a client's lease, in seconds
)

// fleet is many clients. Each watches a key that changes all the time, keeps a lease, and
// reads once a second. When the parent says so, something happens to the cluster.
func fleet(ctx context.Context, w *work) (err error) {
	h := &herd{dial: func(ctx context.Context, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}}
	f := newFlock(w.task, h)
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.start(ctx); err != nil {
		return err
	}
	if err := w.parent.Ready(); err != nil {
		return err
	}
	if _, err := w.parent.Next(); err != nil {
		return err
	}
	h.mark()
	f.mark()
	if _, err := w.parent.Next(); !errors.Is(err, io.EOF) {
		return errors.Join(err, errors.New("the parent has not ended"))
	}
	f.report(w)
	h.report(w)
	return nil
}

// flock is the clients of a fleet.
type flock struct {
	task
	herd *herd
	// spread is the time within which clients begin, at random; 0 means that they begin as
	// fast as they can. In virtual time that would be all at once.
	spread   time.Duration
	resolver resolver.Options
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex // guards what is below
	members []*member
}

// member is a client of a fleet, and guarded by the fleet's mu.
type member struct {
	peer
	lost   <-chan struct{}
	fault  time.Time     // zero before
	news   time.Time     // when the watch had its last event
	well   time.Duration // after the fault, when it was last found to be unwell
	failed int           // reads
	ended  int           // watches
}

func newFlock(t task, h *herd) *flock { return &flock{task: t, herd: h} }

// start makes all clients, and returns when all have what they need.
func (f *flock) start(ctx context.Context) error {
	ctx, f.cancel = context.WithCancel(ctx)
	if f.spread > 0 {
		return each(ctx, f.Size, f.Size, func(_ context.Context, _ int) error {
			_ = wait(ctx, rand.N(f.spread))
			return f.one(ctx)
		})
	}
	return each(ctx, f.Size, 16, func(_ context.Context, _ int) error { return f.one(ctx) })
}

func (f *flock) one(ctx context.Context) error {
	settings := f.settings(f.herd.options()...)
	settings.resolver = f.resolver
	p, err := dial(f.Client, settings)
	if err != nil {
		return err
	}
	m := &member{peer: p}
	f.mu.Lock()
	f.members = append(f.members, m)
	f.mu.Unlock()
	if m.lost, err = p.keep(ctx, fleetTTL); err != nil {
		return err
	}
	watch := p.watch(ctx, tickKey, false)
	_ = watch.made() // follow mends what is wrong
	f.running.Go(func() { f.follow(ctx, m, watch) })
	f.running.Go(func() { f.read(ctx, m) })
	return nil
}

// follow notes each gap in the news. A watch that ends is made again, as a program would:
// etcd refuses a watch whose token the member has not heard of yet, and clientv3 passes
// that on.
func (f *flock) follow(ctx context.Context, m *member, watch watching) {
	for {
		_, err := watch.next()
		if err != nil {
			if wait(ctx, tickTime) != nil {
				return
			}
			watch = m.watch(ctx, tickKey, false)
			_ = watch.made() // next says the same
		}
		f.mu.Lock()
		now := time.Now()
		switch {
		case err != nil && !m.fault.IsZero():
			m.ended++
		case err == nil:
			if now.Sub(m.news) >= late {
				m.unwell(now)
			}
			m.news = now
		}
		f.mu.Unlock()
	}
}

// read reads once in a while, beginning anywhere in it.
func (f *flock) read(ctx context.Context, m *member) {
	if wait(ctx, rand.N(pace)) != nil {
		return
	}
	for ctx.Err() == nil {
		begin := time.Now()
		call, cancel := context.WithTimeout(ctx, patience)
		_, err := m.get(call, tickKey)
		cancel()
		f.mu.Lock()
		now := time.Now()
		if ctx.Err() == nil && (err != nil || now.Sub(begin) >= late) {
			m.unwell(now)
			if err != nil && !m.fault.IsZero() {
				m.failed++
			}
		}
		f.mu.Unlock()
		_ = wait(ctx, pace-time.Since(begin))
	}
}

func (m *member) unwell(now time.Time) {
	if !m.fault.IsZero() {
		m.well = now.Sub(m.fault)
	}
}

// mark is the moment of the fault.
func (f *flock) mark() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		m.fault = time.Now()
		m.news = m.fault
	}
}

// report adds when the clients were well again.
func (f *flock) report(w *work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var well []time.Duration
	unwell, failed, ended, lost := 0, 0, 0, make([]<-chan struct{}, len(f.members))
	for i, m := range f.members {
		failed += m.failed
		ended += m.ended
		lost[i] = m.lost
		if time.Since(m.news) >= 2*late {
			unwell++
			m.unwell(time.Now())
		}
		well = append(well, m.well)
	}
	slices.Sort(well)
	w.add("half of the clients well again after the fault", quantile(well, 0.5)/1000, "s")
	w.add("last client well again after the fault", quantile(well, 1)/1000, "s").main()
	w.add("reads failed", float64(failed), "").main()
	w.add("watches ended", float64(ended), "").main()
	w.add("clients that are not well at the end", float64(unwell), "")
	w.add("leases lost", float64(closed(lost)), "")
}

// close ends all clients, and returns the first failure of those.
func (f *flock) close() error {
	if f.cancel != nil {
		f.cancel()
	}
	f.mu.Lock()
	members := slices.Clone(f.members)
	f.mu.Unlock()
	var mu sync.Mutex
	var errs []error
	var closing sync.WaitGroup
	for _, m := range members {
		closing.Go(func() {
			if err := m.close(); err != nil && !errors.Is(err, context.Canceled) {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	closing.Wait()
	f.running.Wait()
	return errors.Join(errs...)
}
