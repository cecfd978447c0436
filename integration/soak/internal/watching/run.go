package watching

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/internal/measure"
	"github.com/getcd/getcd/watch"
)

// Config configures a run of the check.
type Config struct {
	// Seed determines all random decisions.
	Seed uint64
	// For is the time from the beginning until Stop is closed; consumers are
	// stuck for parts of it. It must be above 0.
	For time.Duration
	// Stop is closed when faults are over and every member is healthy again. Then
	// the last revisions are written, and every watch has to see them.
	Stop <-chan struct{}
	// Endpoints are the clients' endpoints. Nil means the members' endpoints.
	Endpoints []string
	// Apart prevents two watches of the same range. etcd's proxy combines these,
	// and then loses events of the watch that is behind (docs/reference/proxies.md).
	Apart bool
	// Middleware is the clients': a cache, which receives what is written whether or not
	// a watch takes it from there.
	Middleware []client.Middleware
	// Log, if not nil, gets lines about the progress.
	Log func(format string, args ...any)
}

const (
	smallWriters, bulkWriters = 4, 2

	lastWait = 90 * time.Second // for the watches to reach the last revision
	extra    = time.Second      // for events that arrive although none should
)

// run is one run of the check.
type run struct {
	cfg     Config
	c       *cluster.Cluster
	h       *history
	limits  limits
	hurry   atomic.Bool
	written atomic.Int64 // bytes of large values
	rand    *rand.Rand

	clients  []*client.Client
	names    *clientv3.Client
	closing  []func() error // in reverse order
	on       [services]service
	watchers []*watcher
	sieges   []*siege
	writers  []*writer

	mu         sync.Mutex
	violations []string
}

// complain records a violation. The first ones are recorded as text.
func (r *run) complain(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
	if len(r.violations) <= 20 {
		r.cfg.Log("watch: VIOLATION: %s", r.violations[len(r.violations)-1])
	}
}

// Run checks until Stop is closed, and then checks that everything has arrived.
// Violations are in the report. An error means that the check could not be
// carried out. Every client is closed when Run returns.
func Run(ctx context.Context, c *cluster.Cluster, cfg Config) (_ *Report, err error) {
	if cfg.For <= 0 || cfg.Stop == nil {
		return nil, errors.New("watching: want Config.For above 0, and Config.Stop")
	}
	if cfg.Log == nil {
		cfg.Log = func(string, ...any) {}
	}
	r := &run{cfg: cfg, c: c, rand: rand.New(rand.NewPCG(cfg.Seed, 3))}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.prepare(ctx); err != nil {
		return nil, fmt.Errorf("watching: %w", err)
	}
	report, err := r.do(ctx)
	if err != nil {
		return nil, fmt.Errorf("watching: %w", err)
	}
	return report, nil
}

func (r *run) close() error {
	var errs []error
	for _, f := range slices.Backward(r.closing) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

func (r *run) chance() *rand.Rand { return rand.New(rand.NewPCG(r.rand.Uint64(), r.rand.Uint64())) }

// endpoints returns the clients' endpoints.
func (r *run) endpoints() []string {
	if r.cfg.Endpoints != nil {
		return r.cfg.Endpoints
	}
	return r.c.Endpoints()
}

func (r *run) client(opts ...grpc.DialOption) (*client.Client, error) {
	cl, err := client.New(client.Config{Endpoints: r.endpoints(), DialOptions: opts, Middleware: r.cfg.Middleware})
	if err != nil {
		return nil, err
	}
	r.closing = append(r.closing, cl.Close)
	return cl, nil
}

// prepare makes the clients, writers and watches.
func (r *run) prepare(ctx context.Context) error {
	start, err := r.revision(ctx)
	if err != nil {
		return err
	}
	room := 1000*int(r.cfg.For/time.Second) + 10_000
	r.h = newHistory(newKeySet(), start, room)
	r.limits.attempted.Store(start)
	for i := range services {
		cl, err := r.client()
		if err != nil {
			return err
		}
		r.clients = append(r.clients, cl)
		w := watch.New(cl.Conn())
		if i == narrow {
			w = watch.New(cl.Conn(), watch.WithBuffer(64, 256<<10))
		}
		if i < byNames {
			r.closing = append(r.closing, w.Close)
			r.on[i] = service{Watcher: w, kv: cl}
		}
	}
	if r.names, err = clientv3.NewWith(clientv3.Config{Endpoints: r.endpoints()}, func(n *client.Config) { n.Middleware = r.cfg.Middleware }); err != nil { //nolint:contextcheck // it outlives the preparation
		return err
	}
	r.closing = append(r.closing, r.names.Close)
	r.on[byNames] = service{facade: r.names, kv: r.clients[byNames]}
	for _, p := range plan() {
		r.add(p.spec, r.on[p.on])
	}
	return r.prepareSieges()
}

// revision returns the store's revision from a linearizable read.
func (r *run) revision(ctx context.Context) (int64, error) {
	for i := 0; ; i++ {
		m := r.c.Members()[i%len(r.c.Members())]
		call, cancel := context.WithTimeout(ctx, readTime)
		resp, err := pb.NewKVClient(m.Control()).Range(call, &pb.RangeRequest{Key: []byte(Prefix)})
		cancel()
		switch {
		case err == nil && resp.Count == 0:
			return resp.Header.Revision, nil
		case err == nil:
			return 0, fmt.Errorf("there are keys below %s already", Prefix)
		case ctx.Err() != nil:
			return 0, err
		}
		pause(ctx, idle)
	}
}

// add adds a watch.
func (r *run) add(s spec, on service) *watcher {
	end := s.end
	if end == "" {
		end = s.key + "\x00"
	}
	sel := selection{noPuts: s.noPuts, noDelete: s.noDeletes}
	sel.lo, sel.hi = r.h.keys.between(s.key, end)
	s.apart, s.cached = r.cfg.Apart, len(r.cfg.Middleware) > 0
	w := &watcher{spec: s, service: on, rand: r.chance(), hurry: &r.hurry}
	w.cur = cursor{h: r.h, limits: &r.limits, sel: sel, prevKV: s.prevKV}
	r.watchers = append(r.watchers, w)
	return w
}

// prepareSieges plans one stuck consumer at the beginning, while nothing that it
// has not seen is compacted, and one later without this protection.
func (r *run) prepareSieges() error {
	least := int64(6 << 20)
	if r.cfg.For >= 4*time.Minute {
		least = much + fill
	}
	for i, s := range []*siege{
		{name: "stuck channel", hold: true, from: r.cfg.For / 20, until: r.cfg.For * 6 / 20, latest: r.cfg.For * 12 / 20},
		{name: "stuck responses", from: r.cfg.For * 8 / 20, until: r.cfg.For * 16 / 20, latest: r.cfg.For * 18 / 20},
	} {
		s.in, s.least = &measure.Received{}, least
		cl, err := r.client(grpc.WithStatsHandler(s.in))
		if err != nil {
			return err
		}
		by := []api{byChannel, byResponses}[i]
		s.w = r.add(prefix(bulk).with(s.name, by, func(p *spec) { p.gate = newGate() }), service{Watcher: cl, kv: r.clients[0]})
		r.sieges = append(r.sieges, s)
	}
	return nil
}

// do runs everything.
func (r *run) do(ctx context.Context) (*Report, error) {
	began := time.Now()
	report := &Report{Watches: len(r.watchers)}
	running, halt := context.WithCancel(ctx) // for reading and watching
	defer halt()
	var reading, watching, writing sync.WaitGroup
	defer func() { halt(); writing.Wait(); watching.Wait(); reading.Wait() }()

	read := &reader{members: r.c.Members(), h: r.h, rand: r.chance(), state: make(map[int]change)}
	reading.Go(func() {
		if err := read.run(running); err != nil {
			r.complain("%v", err)
			halt()
		}
	})
	for _, w := range r.watchers {
		watching.Go(func() {
			if err := w.run(running); err != nil {
				r.complain("%v", err)
				w.seen.Store(failed)
			}
		})
	}
	load, enough := context.WithCancel(running)
	defer enough()
	compact := r.startLoad(load, &writing)
	besieged := make([]Stuck, len(r.sieges))
	for i, s := range r.sieges {
		writing.Go(func() {
			var err error
			if besieged[i], err = s.run(load, began, &r.written, &r.limits, r.h.head); err != nil {
				r.complain("%v", err)
			}
			r.cfg.Log("watch: %v", besieged[i])
		})
	}
	r.narrate(running, began)
	enough()
	writing.Wait()
	r.hurry.Store(true)
	if err := running.Err(); err != nil {
		return nil, fmt.Errorf("it was ended early: %w (%v)", err, r.violations)
	}
	if err := r.arrive(running, report); err != nil {
		return nil, err
	}
	halt()
	watching.Wait()
	reading.Wait()
	for _, s := range besieged {
		for _, wrong := range s.judge() {
			r.complain("%s", wrong)
		}
	}
	report.Stuck, report.Compactions = besieged, compact.count
	r.sum(report)
	return report, nil
}

// startLoad starts the writers and the compactor, until load ends.
func (r *run) startLoad(load context.Context, writing *sync.WaitGroup) *compactor {
	add := func(pace time.Duration, run func(*writer, context.Context)) {
		id := len(r.writers)
		w := &writer{id: uint8(id), cl: r.clients[id%3], rand: r.chance(), pace: pace, bytes: &r.written}
		r.writers = append(r.writers, w)
		if run != nil {
			writing.Go(func() { run(w, load) })
		}
	}
	for range smallWriters {
		add(40*time.Millisecond, (*writer).runSmall)
	}
	for range bulkWriters {
		add(20*time.Millisecond, (*writer).runBulk)
	}
	add(150*time.Millisecond, (*writer).runLeased)
	add(0, nil) // the writer of the last revisions
	scale := min(1, r.cfg.For.Minutes()/5)
	compact := &compactor{
		kv: r.clients[byNames], h: r.h, limits: &r.limits, rand: r.chance(),
		least: time.Duration(scale * float64(time.Second)), most: time.Duration(scale * float64(8*time.Second)),
	}
	writing.Go(func() { compact.run(load) })
	writing.Go(func() {
		for load.Err() == nil {
			for range 30 {
				_ = r.on[calm].RequestProgress(load)
				pause(load, idle)
			}
			for _, on := range r.on[:calm] {
				_ = on.RequestProgress(load) // it ends with the load
			}
		}
	})
	return compact
}

// narrate logs the progress from time to time, until Stop.
func (r *run) narrate(ctx context.Context, began time.Time) {
	ticker := time.NewTicker(max(r.cfg.For/20, 5*time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			head, least := r.h.head(), int64(0)
			for _, w := range r.watchers {
				if seen := w.seen.Load(); w.gate == nil && !w.hop && (least == 0 || seen < least) {
					least = seen
				}
			}
			r.cfg.Log("watch: %v, revision %d, the slowest watch at %d, compacted at %d, %s of large values",
				time.Since(began).Round(time.Second), head, least, r.limits.done.Load(), mib(r.written.Load()))
		case <-r.cfg.Stop:
			return
		case <-ctx.Done():
			return
		}
	}
}

// failed is the seen revision of a watch that has failed.
const failed = int64(1) << 62

// arrive writes the last revisions and waits until every watch has seen its last.
func (r *run) arrive(ctx context.Context, report *Report) error {
	ctx, cancel := context.WithTimeout(ctx, lastWait)
	defer cancel()
	last := r.writers[len(r.writers)-1]
	if err := last.finish(ctx, r.h.keys); err != nil {
		return err
	}
	end := last.entries[len(last.entries)-1].rev
	if err := r.h.wait(ctx, end); err != nil {
		return fmt.Errorf("reading up to revision %d: %w", end, err)
	}
	from := time.Now()
	for _, w := range r.watchers {
		want := r.h.last(w.cur.sel)
		await(ctx, func() bool { return w.seen.Load() > want })
		if seen := w.seen.Load(); seen <= want {
			r.complain("%s: got no further than revision %d in %v, want %d", w.name, seen-1, lastWait, want)
		}
	}
	report.Arrival = time.Since(from)
	pause(ctx, extra)
	return nil
}
