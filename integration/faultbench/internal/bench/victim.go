package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

// victim returns the member that the first sticky client uses. If there is no
// sticky client, it returns any member with the role.
func victim(ctx context.Context, c *cluster.Cluster, clients []dialed, role string) (*cluster.Member, error) {
	for _, d := range clients {
		s, ok := d.client.(sticky)
		if !ok {
			continue
		}
		for {
			if m := inUse(c, []dialed{d}); m != nil {
				return m, nil
			}
			// The client is moving between two members.
			if err := sleep(ctx, statusPace); err != nil {
				return nil, fmt.Errorf("bench: %s uses %q, which is not a member: %w", d.of.name, s.active(), err)
			}
		}
	}
	leader, err := c.Leader(ctx)
	if err != nil || role == roleLeader {
		return leader, err
	}
	return another(c, leader), nil
}

// inUse returns the member that the first sticky client uses, or nil.
func inUse(c *cluster.Cluster, clients []dialed) *cluster.Member {
	for _, d := range clients {
		s, ok := d.client.(sticky)
		if !ok {
			continue
		}
		endpoint := s.active()
		for _, m := range c.Members() {
			if m.Endpoint() == endpoint {
				return m
			}
		}
		return nil
	}
	return nil
}

// another returns the member after m.
func another(c *cluster.Cluster, m *cluster.Member) *cluster.Member {
	members := c.Members()
	for i := range members {
		if members[i] == m {
			return members[(i+1)%len(members)]
		}
	}
	return members[0]
}

// place gives the victim its role by moving the leadership. It returns false if
// the leadership had to be moved, which clients may notice.
func place(ctx context.Context, s *stage, v *cluster.Member, role string) (bool, error) {
	leader, err := s.cluster.Leader(ctx)
	if err != nil {
		return false, err
	}
	to := v
	if role != roleLeader {
		to = another(s.cluster, v)
	}
	if (leader == v) == (role == roleLeader) {
		return true, nil
	}
	if _, err := pb.NewMaintenanceClient(s.control(leader)).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: to.ID()}); err != nil {
		return false, fmt.Errorf("bench: moving the leadership from %s to %s: %w", leader.Name(), to.Name(), err)
	}
	return false, nil
}

// elections watches the members for new leaders, without using the links.
type elections struct {
	origin time.Time
	done   sync.WaitGroup
	cancel context.CancelFunc

	mu   sync.Mutex
	term uint64 // the latest term that is known to have a leader
	seen []report.Election
}

const (
	statusPace    = 10 * time.Millisecond
	statusTimeout = 500 * time.Millisecond
)

// watchElections asks every member for its status until close is called. It
// counts only leaders of terms after the current one.
func watchElections(ctx context.Context, st *stage, origin time.Time) (*elections, error) {
	e := &elections{origin: origin}
	members := make(map[string]pb.MaintenanceClient)
	for _, m := range st.cluster.Members() {
		members[m.Name()] = pb.NewMaintenanceClient(st.control(m))
		if m.Learner() {
			continue // nobody can log in there
		}
		s, err := members[m.Name()].Status(ctx, &pb.StatusRequest{})
		if err != nil {
			return nil, fmt.Errorf("bench: the status of %s: %w", m.Name(), err)
		}
		e.term = max(e.term, s.RaftTerm)
	}
	ctx, e.cancel = context.WithCancel(ctx)
	for name, maintenance := range members {
		e.done.Go(func() { e.watch(ctx, name, maintenance) })
	}
	return e, nil
}

func (e *elections) watch(ctx context.Context, name string, maintenance pb.MaintenanceClient) {
	tick := time.NewTicker(statusPace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		call, cancel := context.WithTimeout(ctx, statusTimeout)
		s, err := maintenance.Status(call, &pb.StatusRequest{})
		cancel()
		if err == nil && s.Leader == s.Header.GetMemberId() {
			e.leads(name, s.RaftTerm)
		}
	}
}

func (e *elections) leads(name string, term uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if term <= e.term {
		return
	}
	e.term = term
	e.seen = append(e.seen, report.Election{At: report.Seconds(time.Since(e.origin)), Leader: name, Term: term})
}

// close ends the watching and returns the elections since the start of the fault.
func (e *elections) close(fault time.Duration) []report.Election {
	e.cancel()
	e.done.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	var after []report.Election
	for _, one := range e.seen {
		if one.At -= report.Seconds(fault); one.At >= 0 {
			after = append(after, one)
		}
	}
	return after
}
