package lesson

import (
	"context"

	"github.com/getcd/getcd/kv"
)

// revisions shows how each change moves the revision of the store by one, and reads the
// past.
func revisions(ctx context.Context, s *stage) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}

	s.say("The first change of a new store makes revision 2. This is all of a header.")
	s.screen.wholeHeaders(true)
	if _, err := c.Put(ctx, "color", "red"); err != nil {
		return err
	}
	s.flush()
	s.screen.wholeHeaders(false)

	s.say("\nEach change moves the store, and not the key, by one revision.")
	s.show("none")
	if _, err := c.Put(ctx, "shape", "round"); err != nil {
		return err
	}
	blue, err := c.Put(ctx, "color", "blue")
	if err != nil {
		return err
	}
	s.say("put shape, then color again: the store is at revision %d", blue.Header.Revision)

	s.say("\nA key tells when it was made, when it changed last, and how often it was put.")
	s.show()
	if _, err := c.Get(ctx, "color"); err != nil {
		return err
	}

	s.say("\nThe past can be read: color as it was at revision 2.")
	if _, err := c.Get(ctx, "color", kv.WithRev(2)); err != nil {
		return err
	}

	s.say("\nUntil it is compacted.")
	s.show("none")
	if _, err := c.Compact(ctx, blue.Header.Revision); err != nil {
		return err
	}
	_, err = c.Get(ctx, "color", kv.WithRev(2))
	s.say("get color at revision 2: %v", err)
	return nil
}
