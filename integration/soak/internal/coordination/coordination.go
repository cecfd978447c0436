package coordination

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/pprof"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
)

// Config says what to work on.
type Config struct {
	// Endpoints are the members'.
	Endpoints []string
	// Outside are connections that faults do not reach, one for each member, such as
	// cluster.Member.Control's. The look from outside is done with the first that
	// answers. Empty means a client of the Endpoints.
	Outside []grpc.ClientConnInterface
	// Seed decides what chance decides here, but for the order of events.
	Seed uint64
	// Settle bounds the look at the end, in which all that had a lease must go.
	// 0 means one minute.
	Settle time.Duration
	// Compact is how often history is compacted, all but the last revisions, whose
	// number is random too; 0 means never, for when somebody else does, or depends on
	// it not being done.
	Compact time.Duration
	// Prefix is what all keys begin with; empty means "coordination/".
	Prefix string
	// Parts are the names of those that run (see Parts); nil means all.
	Parts []string
	// Log, if not nil, gets a line for whatever is noteworthy.
	Log func(format string, args ...any)
}

// parts are what Run does at the same time, until its context ends.
func parts() map[string]func(context.Context, *soak) {
	return map[string]func(context.Context, *soak){
		"locks":     locks,
		"rwlocks":   rwlocks,
		"elections": elections,
		"queues":    queues,
		"counters":  counters,
		"barriers":  barriers,
	}
}

// Parts returns the names of what Run does.
func Parts() []string {
	return []string{"locks", "rwlocks", "elections", "queues", "counters", "barriers"}
}

// soak is one Run.
type soak struct {
	cfg     Config
	clients []*client.Client
	facades []*clientv3.Client
	outside *outside
	orphans inspector
	late    func(who string) // logs that a worker has ended late

	mu     sync.Mutex // guards what follows
	report Report
	known  map[string]bool // violations that were reported
}

// Run works until ctx ends, then settles, looks at the store from outside, and returns
// what it has found. An error means that it could not work or look; what is wrong with
// what it found is in Report.Violations.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if cfg.Log == nil {
		cfg.Log = func(string, ...any) {}
	}
	if cfg.Settle == 0 {
		cfg.Settle = time.Minute
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "coordination/"
	}
	all := parts()
	for _, name := range cfg.Parts {
		if all[name] == nil {
			return Report{}, fmt.Errorf("coordination: Config.Parts: there is no part %q; there are %q", name, Parts())
		}
	}
	if cfg.Parts == nil {
		cfg.Parts = Parts()
	}
	s := &soak{cfg: cfg, known: make(map[string]bool)}
	label := fmt.Sprintf("%s%d", cfg.Prefix, time.Now().UnixNano())
	var err error
	// Goroutines inherit the label, so that what is left of them can be told from
	// those of others in this process.
	pprof.Do(context.WithoutCancel(ctx), pprof.Labels(goroutineLabel, label), func(whole context.Context) {
		err = s.run(ctx, whole)
	})
	if left := goroutinesLeft(label); left != "" {
		s.violate("goroutines are left after everything was closed:\n%s", left)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report, err
}

// run works with ctx, and settles with whole.
func (s *soak) run(ctx, whole context.Context) error {
	began := time.Now()
	if err := s.dial(); err != nil { //nolint:contextcheck // clients live until they are closed
		return errors.Join(err, s.close())
	}
	var over time.Time
	stopped := make(chan struct{})
	detach := context.AfterFunc(ctx, func() { over = time.Now(); close(stopped) })
	defer detach()
	s.late = func(who string) {
		<-stopped
		if d := time.Since(over); d > lateAfter {
			s.cfg.Log("coordination: %s ended %v after the end", who, d.Round(time.Millisecond))
		}
	}
	all := parts()
	var workers, watchers sync.WaitGroup
	watching, stop := context.WithCancel(whole)
	defer stop()
	watchers.Go(func() { s.orphans.run(watching, s) })
	watchers.Go(func() { s.revokeAtRandom(ctx) })
	watchers.Go(func() { s.compact(ctx) })
	for _, name := range s.cfg.Parts {
		workers.Go(func() {
			all[name](ctx, s)
			s.late(name)
		})
	}
	workers.Wait()
	stop()
	watchers.Wait()
	s.count(func(r *Report) { r.Lasted = time.Since(began) })
	err := s.settle(whole)
	return errors.Join(err, s.close())
}

// lateAfter is how long after Run's context workers usually end at the latest.
const lateAfter = 5 * time.Second

const (
	clientsEach = 3
	facadesEach = 2
)

func (s *soak) dial() error {
	for range clientsEach {
		c, err := client.New(client.Config{Endpoints: s.cfg.Endpoints})
		if err != nil {
			return err
		}
		s.clients = append(s.clients, c)
	}
	for range facadesEach {
		c, err := clientv3.New(clientv3.Config{Endpoints: s.cfg.Endpoints})
		if err != nil {
			return err
		}
		s.facades = append(s.facades, c)
	}
	conns := s.cfg.Outside
	if len(conns) == 0 {
		conns = []grpc.ClientConnInterface{s.clients[0].Conn()}
	}
	s.outside = newOutside(conns)
	return nil
}

func (s *soak) close() error {
	var errs []error
	for _, c := range s.clients {
		errs = append(errs, c.Close())
	}
	for _, c := range s.facades {
		errs = append(errs, c.Close())
	}
	if s.outside != nil {
		s.outside.close()
	}
	return errors.Join(errs...)
}

// random is a source for one worker.
func (s *soak) random(worker string, n int) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, b := range []byte(worker) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(s.cfg.Seed, h+uint64(n)))
}

// count changes the figures.
func (s *soak) count(f func(*Report)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.report)
}

// mostViolations keeps a report readable.
const mostViolations = 50

// violate notes that something is wrong.
func (s *soak) violate(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.mu.Lock()
	fresh := !s.known[text] && len(s.report.Violations) < mostViolations
	s.known[text] = true
	if fresh {
		s.report.Violations = append(s.report.Violations, text)
	}
	s.mu.Unlock()
	if fresh {
		s.cfg.Log("coordination: VIOLATION: %s", text)
	}
}

// pause waits, or until ctx ends, and reports whether ctx lives.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// between is a random time.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)+1))
}
