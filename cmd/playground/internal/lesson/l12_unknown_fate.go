package lesson

import (
	"context"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/proxy"
	"github.com/getcd/getcd/kv"
)

// unknownFate loses the answer to a write, then a write, and shows that the client can't
// tell which. Then it writes so that this does not matter.
func unknownFate(ctx context.Context, s *stage) error {
	witness, err := s.connectSilently(ctx)
	if err != nil {
		return err
	}
	if _, err := witness.Put(ctx, "balance", "100"); err != nil {
		return err
	}

	s.show("KV/Put")
	s.say("The balance is 100, of revision 2. Anna puts 90. The answer is lost with her connection.")
	err = s.putAndLose(ctx, func(l *proxy.Link) error { return l.SetDelay(0, time.Minute) }, func() error {
		applied := <-witness.Watch(ctx, "balance", kv.WithRev(3))
		return applied.Err()
	})
	if err != nil {
		return err
	}
	if err := s.look(ctx, witness); err != nil {
		return err
	}

	s.say("\nAgain: the balance is put back to 100, and Anna puts 90. This time the request is lost.")
	back, err := witness.Put(ctx, "balance", "100")
	if err != nil {
		return err
	}
	err = s.putAndLose(ctx, (*proxy.Link).Blackhole, func() error { time.Sleep(200 * time.Millisecond); return nil })
	if err != nil {
		return err
	}
	if err := s.look(ctx, witness); err != nil {
		return err
	}

	s.say("\nTo send it again is safe if it says what it takes for granted: a balance of revision %d.", back.Header.Revision)
	for range 2 {
		again, err := witness.Txn(ctx).
			If(kv.Compare(kv.ModRevision("balance"), "=", back.Header.Revision)).
			Then(kv.OpPut("balance", "90")).
			Commit()
		if err != nil {
			return err
		}
		s.say("  succeeded: %v", again.Succeeded)
	}
	return s.look(ctx, witness)
}

// putAndLose puts 90 over a link of its own that has a fault, and breaks the connection
// when sent has returned.
func (s *stage) putAndLose(ctx context.Context, fault func(*proxy.Link) error, sent func() error) error {
	links, err := s.cluster.Links()
	if err != nil {
		return err
	}
	s.closers = append(s.closers, links.Close)
	cfg := s.config()
	cfg.Endpoints, cfg.Trace = links.Endpoints()[:1], s.tracer()
	s.screen.names.replace(cfg.Endpoints[0], "m1:2379")
	c, err := s.dial(ctx, cfg)
	if err != nil {
		return err
	}
	if _, err := c.Get(ctx, "balance"); err != nil { // the client has seen that m1 serves
		return err
	}
	if err := fault(links[0]); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		_, err := c.Put(ctx, "balance", "90")
		failed <- err
	}()
	if err := sent(); err != nil {
		return err
	}
	if err := links[0].Cut(); err != nil {
		return err
	}
	err = <-failed
	s.say("Anna's program has an error, and client.IsAmbiguous(err) is %v.", client.IsAmbiguous(err))
	return nil
}

// look tells what the balance is.
func (s *stage) look(ctx context.Context, c *client.Client) error {
	got, err := c.Get(ctx, "balance")
	if err != nil {
		return err
	}
	s.say("The balance is %s, of revision %d.", got.Kvs[0].Value, got.Kvs[0].ModRevision)
	return nil
}
