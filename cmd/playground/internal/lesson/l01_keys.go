package lesson

import (
	"context"

	"github.com/getcd/getcd/client"
)

// keysAndBytes puts a key and gets it, and shows the bytes of both.
func keysAndBytes(ctx context.Context, s *stage) error {
	cfg := s.config()
	cfg.Trace = s.tracer() // this line makes the protocol visible
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // has no error to return

	s.say("A put sends a key and a value. Both are bytes.")
	if _, err := c.Put(ctx, "foo", "bar"); err != nil {
		return err
	}

	s.say("\nA get names the key.")
	got, err := c.Get(ctx, "foo")
	if err != nil {
		return err
	}
	s.say("\nThe program has %q.", got.Kvs[0].Value)

	s.say("\nBytes need not be text, and a value may be empty. The key must not be.")
	if _, err := c.Put(ctx, "\x00\xff", ""); err != nil {
		return err
	}
	_, err = c.Put(ctx, "", "bar")
	s.say("\nThe empty key: %v", err)
	return nil
}
