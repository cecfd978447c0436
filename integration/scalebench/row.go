package main

import (
	"context"
	"runtime"
	"runtime/metrics"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/integration/internal/measure"
)

// row is one kind of work.
type row struct {
	name string
	// text says what is done, with %d for the size.
	text string
	// size is how many leases, locks and so on there are at scale 1, or, if it is fixed, at
	// every scale.
	size  int
	fixed bool
	// members is the size of the cluster.
	members int
	// lasts is how long it takes at scale 1, if that is not for the flags to say.
	lasts time.Duration
	// secure means that clients log in.
	secure bool
	// once means that one round is enough.
	once bool
	// clients are those that can do it; nil means all.
	clients []string
	// notes explain the figures.
	notes string
	// prepare runs in the parent before each measurement.
	prepare func(ctx context.Context, s *stage) error
	// measure runs in the client's process.
	measure func(ctx context.Context, w *work) error
	// during runs in the parent when the client's process is ready.
	during func(ctx context.Context, s *stage, say func(string) error) error
	// after runs in the parent after each measurement.
	after func(ctx context.Context, s *stage) error
}

// has reports whether the client can do it.
func (r row) has(client string) bool { return r.clients == nil || slices.Contains(r.clients, client) }

// task is what one process measures.
type task struct {
	Row, Client string
	Size        int
	For         time.Duration
	Endpoints   []string
	User        string
	Password    string
}

// figure is something that was measured.
type figure struct {
	Name  string
	Value float64
	Unit  string
	// Main figures are in the first table.
	Main bool
	// More is better, rather than less.
	More bool
}

// work is a measurement under way.
type work struct {
	task
	peer
	wire    *wire
	parent  *measure.Parent
	figures []figure
}

func (t task) settings(opts ...grpc.DialOption) settings {
	return settings{endpoints: t.Endpoints, user: t.User, password: t.Password, options: opts}
}

func (w *work) add(name string, value float64, unit string) *figure {
	w.figures = append(w.figures, figure{Name: name, Value: value, Unit: unit})
	return &w.figures[len(w.figures)-1]
}

func (f *figure) main() *figure { f.Main = true; return f }
func (f *figure) more()         { f.More = true }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measured runs the row's part in this process.
func (t task) measured(ctx context.Context, parent *measure.Parent) (_ []figure, err error) {
	w := &work{task: t, wire: new(wire), parent: parent}
	if w.peer, err = dial(t.Client, t.settings(grpc.WithStatsHandler(w.wire))); err != nil {
		return nil, err
	}
	defer func() {
		if bad := w.close(); err == nil {
			err = bad
		}
	}()
	r, err := rowOf(t.Row)
	if err != nil {
		return nil, err
	}
	most := watchMost()
	before, begin := measure.CPU(), time.Now()
	err = r.measure(ctx, w)
	took, used := time.Since(begin), measure.CPU()-before
	heap, goroutines := most()
	w.add("all of it took", took.Seconds(), "s")
	w.add("CPU for all of it", used.Seconds(), "s")
	w.add("largest heap", heap/(1<<20), "MiB")
	w.add("most goroutines", goroutines, "")
	return w.figures, err
}

// watchMost watches the heap and the number of goroutines until most is called.
func watchMost() (most func() (heap, goroutines float64)) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/sched/goroutines:goroutines"},
	}
	var heap, goroutines uint64
	look := func() {
		metrics.Read(samples)
		heap = max(heap, samples[0].Value.Uint64()+samples[1].Value.Uint64())
		goroutines = max(goroutines, samples[2].Value.Uint64())
	}
	look()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				look()
			}
		}
	}()
	return func() (float64, float64) {
		close(stop)
		<-stopped
		look()
		return float64(heap), float64(goroutines)
	}
}

// memory is what the heap and the stacks hold after a collection.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse) //nolint:gosec // not that much
}

// grown reports what one of many takes, since before.
func (w *work) grown(before int64, goroutines int, n int) {
	w.add("memory each (heap and stacks)", float64(memory()-before)/float64(n)/1024, "KiB").main()
	w.add("goroutines each", float64(runtime.NumGoroutine()-goroutines)/float64(n), "")
}

// quantile returns the q-th quantile of sorted durations, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return milliseconds(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))])
}
