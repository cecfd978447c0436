package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
)

// site is the environment of one fault.
type site struct {
	cluster *cluster.Cluster
	victim  *cluster.Member // nil if the fault affects the whole cluster
	rand    *rand.Rand      // for random decisions within the fault
}

// fault is a fault and its repair.
type fault struct {
	name string
	// weight is its relative frequency.
	weight int
	// whole says that it affects no particular member.
	whole bool
	// most, if not 0, limits its duration.
	most time.Duration
	// begin starts it, and end undoes it. Run itself restarts killed members and
	// heals links, whatever end does.
	begin func(context.Context, *site) error
	end   func(context.Context, *site) error
}

// slowest is the maximum delay of a slow link in each direction.
const slowest = 300 * time.Millisecond

// longestOutage limits the time in which no write can succeed.
const longestOutage = 3 * time.Second

func faults() []fault {
	return []fault{
		{
			name: "kill", weight: 6, // SIGKILL, and a restart on the same port
			begin: func(_ context.Context, s *site) error { return s.victim.Kill() },
			end:   func(ctx context.Context, s *site) error { return s.victim.Restart(ctx) },
		},
		{
			name: "pause", weight: 4, // SIGSTOP: the member hangs, but its connections stay
			begin: func(_ context.Context, s *site) error { return s.victim.Pause() },
			end:   func(_ context.Context, s *site) error { return s.victim.Continue() },
		},
		{
			name: "cut", weight: 4, // connections with its peers are reset and refused
			begin: func(_ context.Context, s *site) error { return s.victim.CutPeers() },
			end:   heal,
		},
		{
			name: "isolate", weight: 2, // nothing passes between it and its peers
			begin: func(_ context.Context, s *site) error { return s.victim.BlackholePeers() },
			end:   heal,
		},
		{
			name: "blackhole", weight: 4, // nothing passes between it and its clients
			begin: func(_ context.Context, s *site) error { return s.victim.ClientLink().Blackhole() },
			end:   heal,
		},
		{
			name: "poweroff", weight: 2, // nothing passes between it and anybody
			begin: func(_ context.Context, s *site) error {
				return errors.Join(s.victim.ClientLink().Blackhole(), s.victim.BlackholePeers())
			},
			end: heal,
		},
		{
			name: "refuse", weight: 2, // its clients' connections are reset and refused
			begin: func(_ context.Context, s *site) error { return s.victim.ClientLink().Cut() },
			end:   heal,
		},
		{
			name: "reset", weight: 3, whole: true, most: time.Second, // all clients' connections are reset once
			begin: func(_ context.Context, s *site) error {
				var errs []error
				for _, m := range s.cluster.Members() {
					errs = append(errs, m.ClientLink().Reset())
				}
				return errors.Join(errs...)
			},
			end: heal,
		},
		{
			name: "slow", weight: 3, // bytes between it and its clients are delayed
			begin: func(_ context.Context, s *site) error {
				return s.victim.ClientLink().SetDelay(s.delay(), s.delay())
			},
			end: heal,
		},
		{
			name: "slow-peers", weight: 2, // bytes between it and its peers are delayed
			begin: func(_ context.Context, s *site) error {
				late := s.delay() / 4 // well below an election timeout
				var errs []error
				for _, peer := range s.cluster.Members() {
					if peer != s.victim {
						errs = append(errs,
							s.cluster.PeerLink(s.victim, peer).SetDelay(late, 0),
							s.cluster.PeerLink(peer, s.victim).SetDelay(late, 0))
					}
				}
				return errors.Join(errs...)
			},
			end: heal,
		},
		{
			name: "move-leader", weight: 4, most: time.Second, // the victim becomes the leader
			begin: moveLeader,
			end:   heal,
		},
		{
			name: "outage", weight: 1, whole: true, most: longestOutage, // a majority is killed
			begin: func(_ context.Context, s *site) error {
				members := slices.Clone(s.cluster.Members())
				s.rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
				var errs []error
				for _, m := range members[:len(members)/2+1] {
					errs = append(errs, m.Kill())
				}
				return errors.Join(errs...)
			},
			end: func(ctx context.Context, s *site) error { return s.cluster.Restart(ctx) },
		},
		{
			name: "restart-all", weight: 1, whole: true, most: time.Second, // all are killed and started at once
			begin: func(ctx context.Context, s *site) error {
				return errors.Join(s.cluster.Kill(), s.cluster.Restart(ctx))
			},
			end: heal,
		},
	}
}

// heal removes the faults of all links.
func heal(_ context.Context, s *site) error { return s.cluster.Heal() }

// delay returns the delay of a slow link.
func (s *site) delay() time.Duration { return time.Duration(s.rand.Int64N(int64(slowest))) }

// moveLeader transfers the leadership to the victim or, if the victim already
// leads, to the next member. It is no failure if the leader refuses, or has
// changed meanwhile: the fault only has to disturb the cluster.
func moveLeader(ctx context.Context, s *site) error {
	leader, err := s.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	members := s.cluster.Members()
	to := s.victim
	if to == leader {
		to = members[(slices.Index(members, leader)+1)%len(members)]
	}
	call, cancel := context.WithTimeout(ctx, longestOutage)
	defer cancel()
	_, _ = pb.NewMaintenanceClient(leader.Control()).MoveLeader(call, &pb.MoveLeaderRequest{TargetID: to.ID()})
	return ctx.Err()
}

// choose returns the faults with these names, or all if there are no names.
func choose(names []string) ([]fault, error) {
	all := faults()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []fault
	for _, name := range names {
		i := slices.IndexFunc(all, func(f fault) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("chaos: no fault is called %q; there are %s", name, strings.Join(Names(), ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// Names returns the names of all faults, for Config.Faults.
func Names() []string {
	var names []string
	for _, f := range faults() {
		names = append(names, f.name)
	}
	return names
}
