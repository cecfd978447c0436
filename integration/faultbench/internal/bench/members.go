package bench

import (
	"context"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
)

// These faults change the membership.

// addLearner makes a learner the victim and adds it to the endpoints. etcd must
// not be asked twice to remove it, so it ends in one of two places: in dismiss,
// or at the end of the stage if dismiss was not reached.
func addLearner(ctx context.Context, s *stage) error {
	m, err := s.addLearner(ctx, s.cluster.Members()[0], 0)
	if err != nil {
		return err
	}
	s.victim = m
	s.target.endpoints = s.cluster.Endpoints()
	s.atEnd(func(ctx context.Context) error { return dismiss(ctx, s) })
	return nil
}

// addLearner adds a learner through a member, and returns when it serves. Meanwhile it writes: a
// member that begins with a snapshot of more than 5,000 entries takes itself for too far behind to
// say so, until another entry comes (etcdserver/v3_server.go, processInternalRaftRequestOnce).
func (s *stage) addLearner(ctx context.Context, via *cluster.Member, port uint16) (*cluster.Member, error) {
	writing, enough := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		kv := pb.NewKVClient(s.control(via))
		for sleep(writing, 100*time.Millisecond) == nil {
			_, _ = kv.Put(writing, &pb.PutRequest{Key: []byte("learner")})
		}
	})
	defer wg.Wait()
	defer enough()
	return s.cluster.AddLearner(ctx, s.control(via), port)
}

// promoteLater breaks all connections to the other members once, so that a client
// with a connection to the learner has only that left. After a while it makes the
// learner a voter.
func promoteLater(ctx context.Context, s *stage) error {
	for _, m := range s.cluster.Members() {
		if m == s.victim {
			continue
		}
		if err := m.ClientLink().Reset(); err != nil {
			return err
		}
	}
	if err := sleep(ctx, s.faultTime/2); err != nil {
		return err
	}
	// If the response were lost, it would be unknown whether the member was
	// promoted.
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return s.victim.Promote(whole, s.control(others(s, s.victim)[0]))
}

// dismiss removes the victim, if it is still there.
func dismiss(ctx context.Context, s *stage) error {
	if s.cluster.Member(s.victim.Name()) == nil {
		return nil
	}
	return s.victim.Remove(ctx, s.control(others(s, s.victim)[0]))
}

// replace adds a new member after dismiss, at the victim's endpoint.
func replace(ctx context.Context, s *stage) error {
	via := s.control(others(s, s.victim)[0])
	m, err := s.addLearner(ctx, others(s, s.victim)[0], uint16(s.victim.Port()))
	if err != nil {
		return err
	}
	return m.Promote(ctx, via)
}

// others returns all members but m.
func others(s *stage, m *cluster.Member) []*cluster.Member {
	var all []*cluster.Member
	for _, one := range s.cluster.Members() {
		if one != m {
			all = append(all, one)
		}
	}
	return all
}
