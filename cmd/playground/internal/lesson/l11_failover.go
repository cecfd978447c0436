package lesson

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// failover shows the attempts of two calls: a read of a member that is frozen, and a
// write to one that has lost the others.
func failover(ctx context.Context, s *stage) error {
	if err := readElsewhere(ctx, s); err != nil {
		return err
	}
	return writeElsewhere(ctx, s)
}

func readElsewhere(ctx context.Context, s *stage) error {
	c, err := s.connectToAll(ctx)
	if err != nil {
		return err
	}
	s.screen.titlesOnly(true)
	s.say("The client uses m1. One read, as usual:")
	if _, err := c.Get(ctx, "foo"); err != nil {
		return err
	}

	s.say("\nm1 is frozen: its connections stay open, and it answers nothing. One more read:")
	if err := s.m1().Pause(); err != nil {
		return err
	}
	if _, err := c.Get(ctx, "foo"); err != nil {
		return err
	}
	s.flush()
	err = until(ctx, func() (bool, error) { return s.active(c) != s.m1().Endpoint(), nil })
	if err != nil {
		return err
	}

	s.say("\nSoon the client finds out that m1 answers nothing else, either. A read and a write:")
	if _, err := c.Get(ctx, "foo"); err != nil {
		return err
	}
	if _, err := c.Put(ctx, "foo", "bar"); err != nil {
		return err
	}
	s.flush()
	if err := s.m1().Continue(); err != nil {
		return err
	}
	return s.cluster.Members.WaitHealthy(ctx)
}

func writeElsewhere(ctx context.Context, s *stage) error {
	c, err := s.connectToAll(ctx)
	if err != nil {
		return err
	}
	s.say("\nm1 runs again. A new client reads from it:")
	if _, err := c.Get(ctx, "foo"); err != nil {
		return err
	}
	s.say("\nNow m1 is cut off from m2 and m3. Soon it knows that it has no leader.")
	if err := s.m1().CutPeers(); err != nil {
		return err
	}
	err = until(ctx, func() (bool, error) {
		m1, err := pb.NewMaintenanceClient(s.m1().Control()).Status(ctx, &pb.StatusRequest{})
		return m1.GetLeader() == 0, err
	})
	if err != nil {
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

// until waits until what done asks for has come.
func until(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
