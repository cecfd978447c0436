package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/faultbench/internal/history"
	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// worker makes one call after another and records the results. One goroutine uses
// it; the results are read when that has ended.
type worker struct {
	client Client
	cfg    Config
	kind   kind
	key    string // the prefix of its keys
	shared string // the key that is watched
	index  int
	origin time.Time

	samples []report.Sample
	errors  []string

	// For calls: their number, the value that the key should have, and the
	// histories of keys.
	calls          int
	valueOf, value string
	ops            map[string][]history.Op

	// For a watch: where to continue, and which versions of the key were seen.
	watchFrom int64
	versions  []int64

	// For a watch of a resting key: the writes and the events.
	rests  *rests
	events []event

	// For a wait for a lock: a channel that is closed when the fault begins, and
	// a way to reach a member that it does not affect.
	begun   <-chan struct{}
	healthy func(begun bool) (pb.KVClient, pb.LeaseClient)

	// For a kept lease: the leases so far, and whether the last one was alive at
	// the end, according to control.
	control  func() pb.LeaseClient
	leases   []int64
	survived bool
}

// keptErrors is how many error texts a worker keeps.
const keptErrors = 3

// run makes calls until stop is closed.
func (w *worker) run(ctx context.Context, stop <-chan struct{}, pace, deadline time.Duration) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		select {
		case <-stop: // stop was closed during the last call
			return
		default:
		}
		start := w.now()
		err := w.once(ctx, stop, deadline)
		if err == nil && w.kind.follow != nil {
			continue // it records its own samples
		}
		sample := report.Sample{Start: start, End: w.now()}
		if err != nil {
			sample.Outcome = report.Failed
			if w.kind.writes && w.client.Ambiguous(err) {
				sample.Outcome = report.Ambiguous
			}
			if w.kind.follow != nil {
				sample.Start = sample.End // there was no fault until then
			}
			if len(w.errors) < keptErrors {
				w.errors = append(w.errors, err.Error())
			}
		}
		w.samples = append(w.samples, sample)
	}
}

// once makes one call. At the end, a single call that is in progress runs on
// until it returns or reaches its deadline. A long call ends at once.
func (w *worker) once(ctx context.Context, stop <-chan struct{}, deadline time.Duration) error {
	if w.kind.follow == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
		defer cancel()
		return w.kind.call(ctx, w)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.kind.follow(ctx, w) }()
	select {
	case err := <-ended:
		return err
	case <-stop:
		cancel()
		return <-ended
	}
}

// load is the work of one client with one kind of call.
type load struct {
	of      clientType
	kind    kind
	workers []*worker
}

// loads are the work of all clients in one cell.
type loads struct {
	cfg  Config
	all  []*load
	stop chan struct{}
	calm chan struct{} // closed when the single calls should end
	once sync.Once     // closes stop
	done sync.WaitGroup

	pause sync.Once // closes calm
	calls sync.WaitGroup

	watched bool               // there are writers
	cancel  context.CancelFunc // ends them
	writers sync.WaitGroup
}

// contenders is how many workers of a kind share a key during random faults. Each
// sees the others' writes, and its swaps may fail because of them.
const contenders = 2

// startLoads starts the work of every client with every kind. Every worker of a
// kind has its own key, except for contenders. Workers of the other kinds with
// the same number read or write the same key.
func startLoads(ctx context.Context, cfg Config, prefix string, s *stage, clients []dialed, kinds []kind, origin time.Time) (*loads, error) {
	resp, err := pb.NewKVClient(s.control(s.cluster.Members()[0])).Range(ctx, &pb.RangeRequest{Key: []byte(prefix)})
	if err != nil {
		return nil, fmt.Errorf("asking for the revision: %w", err)
	}
	sharers := 1
	if cfg.Random > 0 {
		sharers = contenders
	}
	l := &loads{cfg: cfg, stop: make(chan struct{}), calm: make(chan struct{})}
	// At the end, the first member may be another one than now.
	control := func() pb.LeaseClient { return pb.NewLeaseClient(s.control(s.cluster.Members()[0])) }
	resting := &rests{at: make(map[int64]time.Duration)}
	writing, cancel := context.WithCancel(ctx)
	l.cancel = cancel
	for _, c := range clients {
		for k, kind := range kinds {
			one := &load{of: c.of, kind: kind}
			for i := range cfg.Workers {
				one.workers = append(one.workers, &worker{
					client: c.client, cfg: cfg, kind: kind, origin: origin,
					index:  k*cfg.Workers + i,
					key:    fmt.Sprintf("%s/%s/%d", prefix, c.of.name, i/sharers),
					shared: prefix + "/watched",
					ops:    make(map[string][]history.Op),

					control:   control,
					rests:     resting,
					begun:     s.begun,
					healthy:   s.healthy,
					watchFrom: resp.Header.GetRevision() + 1,
				})
			}
			l.all = append(l.all, one)
		}
	}
	for _, one := range l.all {
		for _, w := range one.workers {
			stop, done := l.calm, &l.calls
			if w.kind.follow != nil {
				stop, done = l.stop, &l.done
			}
			done.Go(func() { w.run(ctx, stop, cfg.Pace, cfg.Deadline) })
		}
	}
	if slices.ContainsFunc(kinds, func(k kind) bool { return k.rests }) {
		l.watched = true
		l.writers.Go(func() { resting.write(writing, s, prefix+"/watched", origin) })
	}
	if slices.ContainsFunc(kinds, func(k kind) bool { return k.watches }) {
		l.watched = true
		for _, m := range s.cluster.Members() {
			kv := pb.NewKVClient(s.control(m))
			l.writers.Go(func() { keepWriting(writing, kv, prefix+"/watched") })
		}
	}
	return l, nil
}

// quiet stops the writes for watches, and reports whether there were any.
func (l *loads) quiet() bool {
	l.cancel()
	l.writers.Wait()
	return l.watched
}

// still ends all single calls.
func (l *loads) still() {
	l.pause.Do(func() { close(l.calm) })
	l.calls.Wait()
}

// end stops the work and waits for the calls in progress.
func (l *loads) end() {
	l.quiet()
	l.still()
	l.once.Do(func() { close(l.stop) })
	l.done.Wait()
}

// series returns the calls of each load, with times relative to the start of the
// fault.
func (l *loads) series(fault time.Duration) []report.Series {
	var all []report.Series
	for _, one := range l.all {
		s := report.Series{Client: one.of.name, Kind: one.kind.name, Write: one.kind.writes, Marks: one.of.marks, Held: one.of.held, Sure: one.of.sure, Prompt: one.of.prompt, Alone: one.kind.alone}
		for _, w := range one.workers {
			calls := slices.Clone(w.samples)
			for i := range calls {
				calls[i].Start -= fault
				calls[i].End -= fault
				if calls[i].Outcome == report.Ambiguous && !one.of.marks {
					calls[i].Outcome = report.Failed
				}
			}
			s.Workers = append(s.Workers, calls)
			for _, text := range w.errors {
				if len(s.Errors) < keptErrors && !slices.Contains(s.Errors, text) {
					s.Errors = append(s.Errors, text)
				}
			}
		}
		all = append(all, s)
	}
	return all
}

// remarks reports on the workers at the end.
func (l *load) remarks(ctx context.Context, kv pb.KVClient) (report.Remarks, error) {
	if l.kind.remark == nil {
		return report.Remarks{}, nil
	}
	return l.kind.remark(ctx, kv, l.workers)
}

// checkTime limits the search for a violation in the history of one key.
const checkTime = 20 * time.Second

// verdicts checks each client's history. It includes a last read of every key,
// made by kv and not through the client.
func (l *loads) verdicts(ctx context.Context, kv pb.KVClient, origin time.Time) ([]report.History, error) {
	var verdicts []report.History
	keys := make(map[string]*history.Key)
	var order []string // the clients' keys, client after client
	owner := make(map[string]string)
	writers := make(map[string]bool)
	for _, one := range l.all {
		for _, w := range one.workers {
			for _, name := range slices.Sorted(maps.Keys(w.ops)) {
				k := keys[name]
				if k == nil {
					k = &history.Key{Name: name}
					keys[name] = k
					order = append(order, name)
					owner[name] = one.of.name
				}
				k.Ops = append(k.Ops, w.ops[name]...)
			}
			writers[one.of.name] = writers[one.of.name] || one.kind.writes && !one.of.repeats
		}
	}
	for _, name := range order {
		if !writers[owner[name]] {
			continue // nothing to check
		}
		k := keys[name]
		last := history.Op{Kind: history.Read, Call: time.Since(origin)}
		resp, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte(name)})
		if err != nil {
			return nil, fmt.Errorf("bench: the last read of %s: %w", name, err)
		}
		last.Return = time.Since(origin)
		if len(resp.Kvs) > 0 {
			last.Got, k.Version = l.cfg.short(string(resp.Kvs[0].Value)), resp.Kvs[0].Version
		}
		k.Ops = append(k.Ops, last)

		if len(verdicts) == 0 || verdicts[len(verdicts)-1].Client != owner[name] {
			verdicts = append(verdicts, report.History{Client: owner[name]})
		}
		v := &verdicts[len(verdicts)-1]
		v.Keys++
		v.Ops += len(k.Ops)
		v.Unknown += k.Unknown()
		switch result := k.Check(checkTime); {
		case result.Violation != "":
			v.Violations = append(v.Violations, result.Violation)
		case result.Undecided:
			v.Undecided = append(v.Undecided, name)
		}
	}
	return verdicts, nil
}
