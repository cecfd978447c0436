package lesson

import (
	"context"

	"github.com/getcd/getcd/kv"
)

// watches sees a key change, loses the network, and sees what was missed.
func watches(ctx context.Context, s *stage) error {
	c, links, err := s.connectThroughLinks(ctx, s.tracer())
	if err != nil {
		return err
	}
	writer, err := s.connectSilently(ctx)
	if err != nil {
		return err
	}
	put := func(value string) error {
		_, err := writer.Put(ctx, "stock", value)
		return err
	}

	s.say("A watch asks for the changes of stock from revision 2 on. Somebody puts 7.")
	watch := c.Watch(ctx, "stock", kv.WithRev(2), kv.WithCreatedNotify())
	if created := <-watch; !created.Created {
		return created.Err()
	}
	if err := put("7"); err != nil {
		return err
	}
	first := <-watch
	if err := first.Err(); err != nil {
		return err
	}

	s.say("\nThe client's network is cut. Meanwhile 5 is put, then 4. Then a way to m2 is back.")
	for _, l := range links {
		if err := l.Cut(); err != nil {
			return err
		}
	}
	for _, value := range []string{"5", "4"} {
		if err := put(value); err != nil {
			return err
		}
	}
	if err := links[1].Heal(); err != nil {
		return err
	}
	missed := <-watch
	if err := missed.Err(); err != nil {
		return err
	}
	s.say("\nWhat the program saw:")
	for _, e := range append(first.Events, missed.Events...) {
		s.say("  revision %d: stock is %s", e.Kv.ModRevision, e.Kv.Value)
	}
	return nil
}
