package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/getcd/getcd/integration/cluster"
)

// Config says which faults happen, for how long, and how they are drawn.
type Config struct {
	// Seed determines all random decisions.
	Seed uint64
	// Least and Most are the bounds for the duration of each fault, and of each
	// healthy time after it. Zero means 500 ms and 6 s.
	Least, Most time.Duration
	// Log, if not nil, gets a line at the start of each fault.
	Log func(format string, args ...any)
	// Faults are the names of the possible faults (see Names). Nil means all.
	Faults []string
}

// Event is one fault that has happened.
type Event struct {
	Fault string
	// Member is the affected member, and Role its role ("leader" or "follower")
	// at the start of the fault. Both are empty if the fault affected the whole
	// cluster.
	Member, Role string
	// Began and Ended are the times when it started and when the cluster was
	// healthy again.
	Began, Ended time.Time
}

// patience is how long the cluster may take to become healthy after a fault.
const patience = time.Minute

func (cfg Config) validate() (Config, []fault, error) {
	if cfg.Least == 0 && cfg.Most == 0 {
		cfg.Least, cfg.Most = 500*time.Millisecond, 6*time.Second
	}
	if cfg.Least < 0 || cfg.Most < cfg.Least {
		return cfg, nil, fmt.Errorf("chaos: Least is %v and Most is %v; want 0 or more, and Most not below Least", cfg.Least, cfg.Most)
	}
	if cfg.Log == nil {
		cfg.Log = func(string, ...any) {}
	}
	among, err := choose(cfg.Faults)
	return cfg, among, err
}

// draw has the random decisions about one fault. All of them are drawn, even if
// they are not used, so that later ones depend only on the seed.
type draw struct {
	fault          fault
	leader         bool // the victim is the leader
	index          int  // which of the followers is the victim
	lasting, pause time.Duration
	seed           uint64 // for random decisions within the fault
}

func newDraw(among []fault, r *rand.Rand, cfg Config, members int) draw {
	between := func() time.Duration { return cfg.Least + time.Duration(r.Int64N(int64(cfg.Most-cfg.Least)+1)) }
	total := 0
	for _, f := range among {
		total += f.weight
	}
	at, i := r.IntN(total), 0
	for at >= among[i].weight {
		at -= among[i].weight
		i++
	}
	d := draw{fault: among[i], leader: r.IntN(2) == 0, index: r.IntN(members), lasting: between(), pause: between(), seed: r.Uint64()}
	if d.fault.most > 0 {
		d.lasting = min(d.lasting, d.fault.most)
	}
	return d
}

// Run applies one random fault after another, with healthy times between them,
// until ctx ends, and leaves the cluster healed. It returns the events. It
// returns an error only if a fault could not be applied or undone, not for the
// end of ctx. The cluster needs Links and at least three members. Nobody else may
// apply faults to it meanwhile.
func Run(ctx context.Context, c *cluster.Cluster, cfg Config) ([]Event, error) {
	cfg, among, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	if n := len(c.Members()); n < 3 || c.Members()[0].ClientLink() == nil {
		return nil, fmt.Errorf("chaos: got a cluster of %d members; want 3 or more, and cluster.Config.Links", n)
	}
	r := rand.New(rand.NewPCG(cfg.Seed, cfg.Seed))
	var events []Event
	for i := 1; ctx.Err() == nil; i++ {
		d := newDraw(among, r, cfg, len(c.Members()))
		event, err := d.do(ctx, c, cfg.Log)
		if event != nil {
			events = append(events, *event)
		}
		if err != nil {
			return events, fmt.Errorf("chaos: fault %d of seed %d, %s: %w", i, cfg.Seed, d.fault.name, err)
		}
		sleep(ctx, d.pause)
	}
	return events, nil
}

// do applies one fault, and undoes it even if ctx ends meanwhile.
func (d draw) do(ctx context.Context, c *cluster.Cluster, log func(string, ...any)) (*Event, error) {
	s := &site{cluster: c, rand: rand.New(rand.NewPCG(d.seed, d.seed))}
	event := &Event{Fault: d.fault.name}
	if !d.fault.whole {
		leader, err := c.Leader(ctx)
		if err != nil {
			return nil, ended(ctx, err)
		}
		s.victim, event.Role = leader, "leader"
		if !d.leader {
			followers := slices.DeleteFunc(slices.Clone(c.Members()), func(m *cluster.Member) bool { return m == leader })
			s.victim, event.Role = followers[d.index%len(followers)], "follower"
		}
		event.Member = s.victim.Name()
	}
	event.Began = time.Now()
	log("%s %s %s for %v, then %v without", event.Fault, event.Member, event.Role, d.lasting.Round(time.Millisecond), d.pause.Round(time.Millisecond))
	failed := ended(ctx, d.fault.begin(ctx, s))
	if failed == nil {
		sleep(ctx, d.lasting)
	}
	repair, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	failed = errors.Join(failed, d.fault.end(repair, s), c.Heal(), restart(repair, c), c.WaitHealthy(repair))
	event.Ended = time.Now()
	return event, failed
}

// restart starts the members that are not running, such as those that were killed
// when a context ended.
func restart(ctx context.Context, c *cluster.Cluster) error {
	if !slices.ContainsFunc(c.Members(), func(m *cluster.Member) bool { return !m.Running() }) {
		return nil
	}
	return c.Restart(ctx)
}

// ended returns err, or nil if err only says that ctx has ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
