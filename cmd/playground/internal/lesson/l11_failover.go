package lesson

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// failover shows the attempts of two calls: a read of a member that stands still, and a
// write to one that has lost the others.
func failover(ctx context.Context, s *stage) error {
	if err := readElsewhere(ctx, s); err != nil {
		return err
	}
	return writeElsewhere(ctx, s)
}

func readElsewhere(ctx context.Context, s *stage) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.screen.titlesOnly(true)
	s.say("The client uses m1. One read, as usual:")
	if _, err := c.Get(ctx, "foo"); err != nil {
		return err
	}

	s.say("\nm1 stands still: its connections are open, and it answers nothing. One more read:")
	if err := s.member(1).Pause(); err != nil {
		return err
	}
	if _, err := c.Get(ctx, "foo"); err != nil {
		return err
	}
	s.flush()
	time.Sleep(time.Second) // the client finds out that m1 answers nothing else, either

	s.say("\nA second later, a read and a write:")
	if _, err := c.Get(ctx, "foo"); err != nil {
		return err
	}
	if _, err := c.Put(ctx, "foo", "bar"); err != nil {
		return err
	}
	s.flush()
	if err := s.member(1).Continue(); err != nil {
		return err
	}
	return s.cluster.Members.WaitHealthy(ctx)
}

func writeElsewhere(ctx context.Context, s *stage) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	if _, err := c.Get(ctx, "foo"); err != nil {
		return err
	}
	s.say("\nA new client uses m1, too. m1 is cut off from m2 and m3. A second later it knows that it has no leader.")
	if err := s.member(1).CutPeers(); err != nil {
		return err
	}
	if err := s.leaderless(ctx, 1); err != nil {
		return err
	}
	s.say("One write:")
	if _, err := c.Put(ctx, "foo", "baz"); err != nil {
		return err
	}
	s.say("\nAnd one more:")
	if _, err := c.Put(ctx, "foo", "qux"); err != nil {
		return err
	}
	return nil
}

// leaderless waits until the n-th member knows that it has no leader.
func (s *stage) leaderless(ctx context.Context, n int) error {
	for ctx.Err() == nil {
		st, err := pb.NewMaintenanceClient(s.member(n).Control()).Status(ctx, &pb.StatusRequest{})
		if err != nil {
			return err
		}
		if st.Leader == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return ctx.Err()
}
