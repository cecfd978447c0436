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
	// Endpoints are the members' endpoints.
	Endpoints []string
	// Outside has a connection to each member that faults do not affect, such as
	// cluster.Member.Control. The inspection from outside uses the first one that
	// answers. Empty means a client of the Endpoints.
	Outside []grpc.ClientConnInterface
	// Seed determines the random decisions here, but not the order of events.
	Seed uint64
	// Settle limits the final inspection, during which everything that had a
	// lease must disappear. 0 means one minute.
	Settle time.Duration
	// Compact is how often the history is compacted, except for a random number
	// of the last revisions. 0 means never, for callers that compact it
	// themselves or need all of it.
	Compact time.Duration
	// Prefix is the prefix of all keys. Empty means "coordination/".
	Prefix string
	// Parts are the names of the parts to run (see Parts). Nil means all.
	Parts []string
	// Log, if not nil, gets a line for noteworthy events.
	Log func(format string, args ...any)
}

// parts returns what Run does concurrently until its context ends.
func parts() map[string]func(context.Context, *soak) {
	return map[string]func(context.Context, *soak){
		"locks":     locks,
		"rwlocks":   rwlocks,
		"elections": elections,
		"queues":    queues,
		"counters":  counters,
		"markers":   markers,
		"barriers":  barriers,
	}
}

// Parts returns the names of the parts of Run.
func Parts() []string {
	return []string{"locks", "rwlocks", "elections", "queues", "counters", "markers", "barriers"}
}

// soak is one Run.
type soak struct {
	cfg     Config
	clients []*client.Client
	facades []*clientv3.Client
	outside *outside
	orphans inspector
	late    func(who string) // logs that a worker has ended late

	mu     sync.Mutex // guards the fields below
	report Report
	known  map[string]bool // violations that were already reported
}

// Run works until ctx ends. It then inspects the store from outside and returns
// its findings. An error means that it could not work or inspect; violations are
// in Report.Violations.
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
	// Goroutines inherit the label, which distinguishes leaked ones from other
	// goroutines in this process.
	pprof.Do(ctx, pprof.Labels(goroutineLabel, label), func(ctx context.Context) {
		err = s.run(ctx, context.WithoutCancel(ctx))
	})
	if left := goroutinesLeft(label); left != "" {
		s.violate("goroutines are left after everything was closed:\n%s", left)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report, err
}

// run works until ctx ends, and then settles with the context whole.
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

// lateAfter is how long after the end of Run's context workers usually end, at
// the latest.
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

// random returns a source of random numbers for one worker.
func (s *soak) random(worker string, n int) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, b := range []byte(worker) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(s.cfg.Seed, h+uint64(n)))
}

// count updates the figures.
func (s *soak) count(f func(*Report)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.report)
}

// mostViolations keeps a report readable.
const mostViolations = 50

// violate records a violation.
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

// pause waits for d or until ctx ends, and reports whether ctx has not ended.
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

// between returns a random duration.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)+1))
}
