package lesson

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

// fiveSteps gets a lock by hand, and lets its holder lose the network: once with numbers
// that do not fit together, and once with numbers that do.
func fiveSteps(ctx context.Context, s *stage) error {
	if err := byHand(ctx, s); err != nil {
		return err
	}
	const ttl = 2 * time.Second
	for _, n := range []struct{ heartbeat, timeout time.Duration }{
		{time.Second, time.Second},
		{200 * time.Millisecond, 200 * time.Millisecond},
	} {
		cfg := lock.Config{TTL: ttl, Heartbeat: n.heartbeat, RequestTimeout: n.timeout, Retries: 2}
		s.say("\nttl %v, retries 2, heartbeat %v, request timeout %v: the holder gives up after %v.", ttl, n.heartbeat, n.timeout, cfg.GiveUp())
		if err := loseNetwork(ctx, s, cfg); err != nil {
			return err
		}
		if err := cfg.Validate(); err != nil {
			s.say("lock.NewLocker refuses these numbers: %v", err)
		}
	}
	return nil
}

// byHand gets a lock and frees it, one RPC for each step.
func byHand(ctx context.Context, s *stage) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.say("Step 1: a lease.")
	granted, err := c.Grant(ctx, 8)
	if err != nil {
		return err
	}
	s.say("\nStep 2: the lock. Step 3: its key comes back, so we hold it.")
	held, err := lock.NewService(c.Conn()).Lock(ctx, "job", granted.ID)
	if err != nil {
		return err
	}
	s.say("\nStep 4, again and again: the heartbeat. (Not shown; it is that of lesson 5.)")
	s.say("\nIn the end: unlock, and revoke the lease.")
	if _, err := lock.NewService(c.Conn()).Unlock(ctx, string(held.Key)); err != nil {
		return err
	}
	_, err = c.Revoke(ctx, granted.ID)
	s.show("none")
	return err
}

// loseNetwork lets Anna get the lock and lose her network, while Ben waits for it, and
// tells what happens first: that she gives up, or that he gets it.
func loseNetwork(ctx context.Context, s *stage, cfg lock.Config) error {
	annas, links, err := s.connectThroughLinks(ctx, nil)
	if err != nil {
		return err
	}
	bens, err := s.connectSilently(ctx)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("job-%v", cfg.Heartbeat)
	granted, err := annas.Grant(ctx, int64(cfg.TTL/time.Second))
	if err != nil {
		return err
	}
	if _, err := lock.NewService(annas.Conn()).Lock(ctx, name, granted.ID); err != nil {
		return err
	}
	waiter, err := lock.NewLocker(bens.Conn(), lock.Config{
		TTL: cfg.TTL, Heartbeat: 100 * time.Millisecond, RequestTimeout: 300 * time.Millisecond, RetryInterval: 100 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	var bensLock *lock.Held
	got, gaveUp := make(chan error, 1), make(chan struct{})
	go func() {
		var err error
		bensLock, err = waiter.Lock(ctx, name)
		got <- err
	}()
	if err := links.Blackhole(); err != nil {
		return err
	}
	go func() {
		defer close(gaveUp)
		holdNaively(ctx, annas, granted.ID, cfg)
	}()
	select {
	case err = <-got:
		s.say("  Ben has the lock. Anna does not know, and works on.")
		<-gaveUp
		s.say("  Anna gives up.")
	case <-gaveUp:
		s.say("  Anna gives up, and stops her work.")
		err = <-got
		s.say("  Ben has the lock.")
	}
	if err != nil {
		return err
	}
	return bensLock.Unlock(ctx)
}

// holdNaively is step 4 of a program that counts failures. It returns when it gives up.
func holdNaively(ctx context.Context, c *client.Client, id lease.ID, cfg lock.Config) {
	for failures := 0; failures <= cfg.Retries; {
		time.Sleep(cfg.Heartbeat)
		renewal, cancel := context.WithTimeout(ctx, cfg.RequestTimeout)
		_, err := c.KeepAliveOnce(renewal, id)
		cancel()
		switch {
		case errors.Is(err, context.Canceled):
			return
		case err != nil:
			failures++
		default:
			failures = 0
		}
	}
}
