package lesson

import (
	"context"
	"fmt"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

// printer is something that a lock protects, and that is no part of etcd. It remembers
// the newest token it has seen.
type printer struct {
	newest int64
	out    []string
}

func (p *printer) print(token int64, text string) string {
	if token < p.newest {
		return fmt.Sprintf("refused: token %d is older than %d", token, p.newest)
	}
	p.newest = token
	p.out = append(p.out, text)
	return "done"
}

// fencing lets a holder sleep through the loss of its lock, and write after it wakes up.
func fencing(ctx context.Context, s *stage) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.show("none")
	annas, err := lock.New(c.Conn(), "printer")
	if err != nil {
		return err
	}
	if err := annas.Lock(ctx); err != nil {
		return err
	}
	token, guard := annas.Token(), annas.Guard()
	s.say("Anna gets the lock. Her key is %s, her token %d. Then her machine freezes.", annas.Key(), token)

	s.say("The cluster ends her lease. Here an operator revokes it, which takes no time.")
	held, err := c.Get(ctx, annas.Key())
	if err != nil {
		return err
	}
	if _, err := c.Revoke(ctx, lease.ID(held.Kvs[0].Lease)); err != nil {
		return err
	}
	bens, err := lock.New(c.Conn(), "printer")
	if err != nil {
		return err
	}
	if err := bens.Lock(ctx); err != nil {
		return err
	}
	s.say("Ben gets the lock. His token is %d.", bens.Token())

	p := &printer{}
	s.say("\nA store that compares tokens:")
	s.say("Ben prints:  %s", p.print(bens.Token(), "Ben's"))
	s.say("Anna wakes up, and prints:  %s", p.print(token, "Anna's"))

	s.say("\nIn etcd, a transaction compares: Anna's key, as she made it, must be there.")
	s.show("KV/Txn")
	late, err := c.Txn(ctx).If(guard).Then(kv.OpPut("printed", "Anna's")).Commit()
	if err != nil {
		return err
	}
	s.say("\nsucceeded: %v. And what the lock says itself, before it sends anything:", late.Succeeded)
	s.show("none")
	<-annas.Done() // its watch has told it
	_, err = annas.Txn(ctx).Then(kv.OpPut("printed", "Anna's")).Commit()
	s.say("%v", err)
	return bens.Unlock(ctx)
}
