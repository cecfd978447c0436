package lesson

import (
	"context"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/kv"
)

// elections lets two candidates stand, and the leader resign.
func elections(ctx context.Context, s *stage) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	other, err := s.connectSilently(ctx)
	if err != nil {
		return err
	}
	annas, err := election.New(c.Conn(), "scheduler")
	if err != nil {
		return err
	}
	bens, err := election.New(other.Conn(), "scheduler")
	if err != nil {
		return err
	}

	s.say("Anna stands, and leads, since nobody else does. This is how she is put into the queue.")
	s.show("KV/Txn")
	if err := annas.Campaign(ctx, "anna:8080"); err != nil {
		return err
	}
	s.show("none")

	s.say("\nBen stands, too, and waits. Who leads? The oldest key below scheduler/.")
	stood := make(chan error, 1)
	go func() { stood <- bens.Campaign(ctx, "ben:8080") }()
	first := annas.Rev()
	queued := <-other.Watch(ctx, "scheduler/", kv.WithPrefix(), kv.WithRev(first+1))
	if err := queued.Err(); err != nil {
		return err
	}
	s.show("KV/Range")
	if _, err := annas.Leader(ctx); err != nil {
		return err
	}
	s.show("none")

	s.say("\nAnna tells that she has moved. Only the leader may.")
	s.show("KV/Txn")
	if err := annas.Proclaim(ctx, "anna:9090"); err != nil {
		return err
	}
	s.show("none")

	s.say("\nAnna resigns. Now Ben leads.")
	if err := annas.Resign(ctx); err != nil {
		return err
	}
	if err := <-stood; err != nil {
		return err
	}
	leader, err := bens.Leader(ctx)
	if err != nil {
		return err
	}
	s.say("Leader: %s. His token is greater than hers: %v", leader.Kvs[0].Value, bens.Rev() > first)
	return bens.Resign(ctx)
}
