package lesson

import (
	"context"

	"github.com/getcd/getcd/kv"
)

// ranges reads several keys at once: by prefix, and page by page.
func ranges(ctx context.Context, s *stage) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.show("none")
	for _, key := range []string{"wax", "web1", "web2", "web3", "wed"} {
		if _, err := c.Put(ctx, key, "up"); err != nil {
			return err
		}
	}

	s.say("The store has wax, web1, web2, web3 and wed. A prefix is a range: all keys from web")
	s.say("to wec, without wec. Two at a time, and only the keys:")
	s.show()
	page := []kv.OpOption{kv.WithLimit(2), kv.WithKeysOnly()}
	first, err := c.Get(ctx, "web", append(page, kv.WithPrefix())...)
	if err != nil {
		return err
	}

	last := string(first.Kvs[len(first.Kvs)-1].Key)
	s.say("\nThere are %d, and more to come. The next page begins behind %s, at the same revision.", first.Count, last)
	page = append(page, kv.WithRange("wec"), kv.WithRev(first.Header.Revision))
	if _, err := c.Get(ctx, last+"\x00", page...); err != nil {
		return err
	}

	s.say("\nA range end of one zero byte is no end: all keys from web3 on, counted only.")
	if _, err := c.Get(ctx, "web3", kv.WithFromKey(), kv.WithCountOnly()); err != nil {
		return err
	}
	return nil
}
