package lesson

import (
	"context"
	"errors"
	"time"

	"github.com/getcd/getcd/kv"
)

// leases binds a key to a lease, renews the lease, and then stops renewing it.
func leases(ctx context.Context, s *stage) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}

	s.say("A lease is granted for 2 seconds. The client draws its ID.")
	granted, err := c.Grant(ctx, 2)
	if err != nil {
		return err
	}

	s.say("\nA key is put that belongs to the lease.")
	if _, err := c.Put(ctx, "online/anna", "yes", kv.WithLease(granted.ID)); err != nil {
		return err
	}
	s.show("none")
	watch := c.Watch(ctx, "online/anna")

	s.say("\nA second later the lease is renewed. That is one message on a stream, and one back.")
	time.Sleep(time.Second)
	s.show("Lease/LeaseKeepAlive")
	renewed := time.Now()
	if _, err := c.KeepAliveOnce(ctx, granted.ID); err != nil {
		return err
	}
	s.show("none")

	s.say("\nNobody renews it again. The server ends it, and deletes the key. A watch sees that.")
	s.show("Watch/Watch")
	ended := <-watch
	took := time.Since(renewed)
	if err := ended.Err(); err != nil {
		return err
	}
	if len(ended.Events) != 1 || took < 2*time.Second {
		return errors.New("the key went too early, or not alone")
	}
	s.say("\nIt went no earlier than 2 seconds after the last renewal.")

	s.show("none")
	_, err = c.KeepAliveOnce(ctx, granted.ID)
	s.say("\nTo renew it now: %v", err)
	return nil
}
