package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
)

const (
	settle   = 5 * time.Second  // before the fault
	recovery = 10 * time.Second // after it
	patience = 25 * time.Second // for a program to end
)

// sample is one operation of a program, successful or not.
type sample struct {
	Kind         string
	Began, Ended time.Time
	Err          string
	Twice        int // operations that were applied more often than the program knows
}

// recorder collects samples. It is safe for concurrent use.
type recorder struct {
	mu      sync.Mutex
	samples []sample
}

func (r *recorder) add(s sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, s)
}

func (r *recorder) did(kind string, began time.Time, err error) {
	s := sample{Kind: kind, Began: began, Ended: time.Now()}
	if err != nil {
		s.Err = err.Error()
	}
	r.add(s)
}

// load runs a program until ctx ends, and returns when it has ended.
type load func(ctx context.Context, s *stage, binary string) error

// stage is the cluster on which a program works.
type stage struct {
	*recorder

	cluster *cluster.Cluster
	avoid   atomic.Pointer[cluster.Member] // the victim, set before the fault
}

// fault makes a member unavailable, and brings it back.
type fault struct {
	name       string
	begin, end func(context.Context, *cluster.Member) error
}

var faults = []fault{
	{
		"kill", func(_ context.Context, m *cluster.Member) error { return m.Kill() },
		func(ctx context.Context, m *cluster.Member) error { return m.Restart(ctx) },
	},
	{
		"sigstop", func(_ context.Context, m *cluster.Member) error { return m.Pause() },
		func(_ context.Context, m *cluster.Member) error { return m.Continue() },
	},
	{
		"blackhole", func(_ context.Context, m *cluster.Member) error { return m.ClientLink().Blackhole() },
		func(_ context.Context, m *cluster.Member) error { return m.ClientLink().Heal() },
	},
}

// play runs a program on a new cluster during a fault. It returns the samples,
// and the times when the fault began and when the recovery ended.
func play(ctx context.Context, p program, binary string, f fault, lasts time.Duration) (_ []sample, begun, over time.Time, err error) {
	c, err := cluster.Start(ctx, cluster.Config{Links: true})
	if err != nil {
		return nil, begun, over, err
	}
	defer func() { _ = c.Stop() }() // return the first error instead
	s := &stage{recorder: &recorder{}, cluster: c}
	working, finish := context.WithCancel(ctx)
	defer finish()
	ended := make(chan error, 1)
	go func() { ended <- p.load(working, s, binary) }()
	if err := sleep(ctx, settle); err != nil {
		return nil, begun, over, err
	}
	victim, err := s.victim(ctx)
	if err != nil {
		return nil, begun, over, err
	}
	s.avoid.Store(victim)
	if err := sleep(ctx, time.Second); err != nil { // so that writes through it have finished
		return nil, begun, over, err
	}
	begun = time.Now()
	if err := f.begin(ctx, victim); err != nil {
		return nil, begun, over, err
	}
	if err := sleep(ctx, lasts); err != nil {
		return nil, begun, over, err
	}
	if err := f.end(ctx, victim); err != nil {
		return nil, begun, over, err
	}
	if err := sleep(ctx, recovery); err != nil {
		return nil, begun, over, err
	}
	over = time.Now()
	finish()
	select {
	case err = <-ended:
	case <-time.After(2 * patience):
		err = fmt.Errorf("%s does not end", p.name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.samples, begun, over, err
}

// victim returns the follower that handles most of the program's reads, so that
// the fault causes no election.
func (s *stage) victim(ctx context.Context) (*cluster.Member, error) {
	members := s.cluster.Members()
	before := make([]int64, len(members))
	for i, m := range members {
		before[i] = m.ClientLink().Stats().FromTarget
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	var victim *cluster.Member
	most := int64(-1)
	for i, m := range members {
		if n := m.ClientLink().Stats().FromTarget - before[i]; n > most {
			victim, most = m, n
		}
	}
	leader, err := s.cluster.Leader(ctx)
	if err != nil || leader != victim {
		return victim, err
	}
	others := slices.DeleteFunc(members, func(m *cluster.Member) bool { return m == leader })
	if _, err := pb.NewMaintenanceClient(leader.Control()).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: others[0].ID()}); err != nil {
		return nil, err
	}
	return victim, sleep(ctx, time.Second)
}

// put writes for the harness, through a member that faults do not affect.
func (s *stage) put(ctx context.Context, key, value string) error {
	members := s.cluster.Members()
	writer := members[0]
	if writer == s.avoid.Load() {
		writer = members[1]
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := pb.NewKVClient(writer.Control()).Put(ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
