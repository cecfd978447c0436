package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// The timing of random faults.
const (
	randomLeast = 500 * time.Millisecond
	randomMost  = 6 * time.Second
	// randomRepair is how long a repair may take: a restarted member replays its
	// log and catches up, which takes minutes if the values are large.
	randomRepair = 5 * time.Minute
)

// randomly combines many faults into one: it applies each to a random member,
// with healthy times between them. The seed determines everything.
func randomly(among []fault, seed uint64) fault {
	return ongoing(fault{
		name: "random", text: fmt.Sprintf("random faults of random members, one after the other; seed %d", seed), whole: true, breaks: true,
		prepare: func(ctx context.Context, s *stage) error {
			for _, f := range among {
				if f.prepare == nil {
					continue
				}
				if err := f.prepare(ctx, s); err != nil {
					return fmt.Errorf("preparing %s: %w", f.name, err)
				}
			}
			return nil
		},
	}, func(ctx context.Context, s *stage) error {
		return mishaps(ctx, s, among, rand.New(rand.NewPCG(seed, seed)))
	})
}

// random returns the faults that cfg chooses and that may be combined.
func random(cfg Config) []fault {
	return slices.DeleteFunc(faults(), func(f fault) bool {
		return f.lone || f.missing != "" || !slices.Contains(cfg.Faults, f.name)
	})
}

// draw has the random decisions about one mishap. All of them are drawn, even if
// they are not used, so that later ones depend only on the seed.
type draw struct {
	fault    fault
	role     int // an index into the roles
	index    int // which of several members
	lasting  time.Duration
	pause    time.Duration
	seed     uint64 // for random decisions within the fault
	sequence int
}

// The roles that a random victim can have.
const (
	drawnFollower = iota
	drawnLeader
	drawnInUse // the member that the first sticky client uses
	drawnRoles
)

func newDraw(among []fault, r *rand.Rand, members, sequence int) draw {
	return draw{
		fault:    among[r.IntN(len(among))],
		role:     r.IntN(drawnRoles),
		index:    r.IntN(members - 1),
		lasting:  randomLeast + time.Duration(r.Int64N(int64(randomMost-randomLeast))),
		pause:    randomLeast + time.Duration(r.Int64N(int64(randomMost-randomLeast))),
		seed:     r.Uint64(),
		sequence: sequence,
	}
}

// victim returns the member that the draw selects, and its current role.
func (d draw) victim(ctx context.Context, s *stage) (*cluster.Member, string, error) {
	leader, err := s.cluster.Leader(ctx)
	if err != nil {
		return nil, "", err
	}
	chosen := leader
	switch {
	case d.role == drawnInUse && s.inUse != nil && s.inUse() != nil:
		chosen = s.inUse()
	case d.role != drawnLeader:
		followers := slices.DeleteFunc(s.cluster.Members(), func(m *cluster.Member) bool { return m == leader })
		chosen = followers[d.index%len(followers)]
	}
	if chosen == leader {
		return chosen, roleLeader, nil
	}
	return chosen, roleFollower, nil
}

// mishaps applies one fault after another until ctx ends.
func mishaps(ctx context.Context, s *stage, among []fault, r *rand.Rand) error {
	for i := 0; ; i++ {
		d := newDraw(among, r, len(s.cluster.Members()), i)
		one, err := d.do(ctx, s)
		if one != nil {
			s.mishaps = append(s.mishaps, *one)
		}
		if err != nil {
			return err
		}
		if err := sleep(ctx, d.pause); err != nil {
			return err
		}
	}
}

// do applies one fault, and repairs it even if ctx ends meanwhile.
func (d draw) do(ctx context.Context, s *stage) (*report.Mishap, error) {
	at := &stage{cluster: s.cluster, target: s.target, inUse: s.inUse, faultTime: d.lasting, rand: rand.New(rand.NewPCG(d.seed, d.seed))}
	one := report.Mishap{Fault: d.fault.name}
	if !d.fault.whole {
		var err error
		if at.victim, one.Role, err = d.victim(ctx, s); err != nil {
			return nil, err
		}
		one.Member = at.victim.Name()
	}
	one.At = report.Seconds(time.Since(s.origin))
	if err := d.fault.begin(ctx, at); err != nil {
		return nil, fmt.Errorf("random fault %d, %s: %w", d.sequence, d.fault.name, err)
	}
	err := sleep(ctx, d.lasting)
	repair, cancel := context.WithTimeout(context.WithoutCancel(ctx), randomRepair)
	defer cancel()
	one.Until = report.Seconds(time.Since(s.origin))
	if failed := errors.Join(d.fault.end(repair, at), at.close(repair), s.cluster.WaitHealthy(repair)); failed != nil {
		return &one, fmt.Errorf("undoing random fault %d, %s: %w", d.sequence, d.fault.name, failed)
	}
	return &one, err
}
