package bench

import (
	"context"

	"github.com/getcd/getcd/integration/cluster"
)

// Faults that change the membership.

// addLearner makes a learner the victim, and one of the endpoints. Etcd must not be
// asked to remove it twice, so that its end is in two places: dismiss, and the
// stage's end if that was not reached.
func addLearner(ctx context.Context, s *stage) error {
	m, err := s.cluster.AddLearner(ctx, s.control(s.cluster.Members()[0]), 0)
	if err != nil {
		return err
	}
	s.victim = m
	s.target.endpoints = s.cluster.Endpoints()
	s.atEnd(func(ctx context.Context) error { return dismiss(ctx, s) })
	return nil
}

// promoteLater breaks all connections to the other members, once, so that whoever
// has one to the learner is left with it; and makes the learner a voter after a
// while.
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
	// Not to be told whether it was done would leave it to be found out.
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

// replace is what comes after dismiss: a new member takes the place of the victim,
// under its endpoint.
func replace(ctx context.Context, s *stage) error {
	via := s.control(others(s, s.victim)[0])
	m, err := s.cluster.AddLearner(ctx, via, uint16(s.victim.Port()))
	if err != nil {
		return err
	}
	return m.Promote(ctx, via)
}

// others are the members that m is not.
func others(s *stage, m *cluster.Member) []*cluster.Member {
	var all []*cluster.Member
	for _, one := range s.cluster.Members() {
		if one != m {
			all = append(all, one)
		}
	}
	return all
}
