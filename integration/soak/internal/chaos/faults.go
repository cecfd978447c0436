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

// site is where one fault happens.
type site struct {
	cluster *cluster.Cluster
	victim  *cluster.Member // nil when the fault is the whole cluster's
	rand    *rand.Rand      // what chance decides within the fault
}

// fault is something that goes wrong, and its repair.
type fault struct {
	name string
	// weight is how often it is drawn, compared with the others.
	weight int
	// whole says that it hits no member in particular.
	whole bool
	// most, if not 0, bounds how long it lasts.
	most time.Duration
	// begin does it, end undoes it. A member that was killed is started again by
	// Run itself, and links are healed by it, whatever end does.
	begin func(context.Context, *site) error
	end   func(context.Context, *site) error
}

// slowest is the longest delay that a slow link has, in each direction.
const slowest = 300 * time.Millisecond

// longestOutage bounds the time in which no write can succeed.
const longestOutage = 3 * time.Second

func faults() []fault {
	return []fault{
		{
			name: "kill", weight: 6, // SIGKILL, and a restart on the same port
			begin: func(_ context.Context, s *site) error { return s.victim.Kill() },
			end:   func(ctx context.Context, s *site) error { return s.victim.Restart(ctx) },
		},
		{
			name: "pause", weight: 4, // SIGSTOP: the member hangs, its connections stay
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
			name: "slow", weight: 3, // what passes between it and its clients is late
			begin: func(_ context.Context, s *site) error {
				return s.victim.ClientLink().SetDelay(s.delay(), s.delay())
			},
			end: heal,
		},
		{
			name: "slow-peers", weight: 2, // what passes between it and its peers is late
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
			name: "move-leader", weight: 4, most: time.Second, // the victim is made the leader
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
			name: "restart-all", weight: 1, whole: true, most: time.Second, // all are killed, and started at once
			begin: func(ctx context.Context, s *site) error {
				return errors.Join(s.cluster.Kill(), s.cluster.Restart(ctx))
			},
			end: heal,
		},
	}
}

// heal undoes what was done to links.
func heal(_ context.Context, s *site) error { return s.cluster.Heal() }

// delay is how late a slow link is.
func (s *site) delay() time.Duration { return time.Duration(s.rand.Int64N(int64(slowest))) }

// moveLeader hands the leadership to the victim; when that leads already, to the next
// member. The leader may refuse, or be another one meanwhile: that is no failure of
// the fault, which is only there to disturb.
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

// choose returns the faults with those names; all when there are none.
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

// Names returns the names of all faults: what Config.Faults may have.
func Names() []string {
	var names []string
	for _, f := range faults() {
		names = append(names, f.name)
	}
	return names
}
