package lesson

import (
	"context"

	"github.com/getcd/getcd/kv"
)

// compareAndSwap lets two clients count up one key, first by reading and writing, then
// with a transaction.
func compareAndSwap(ctx context.Context, s *stage) error {
	anna, err := s.connect(ctx)
	if err != nil {
		return err
	}
	ben, err := s.connectSilently(ctx)
	if err != nil {
		return err
	}
	s.show("none")
	if _, err := anna.Put(ctx, "stock", "7"); err != nil {
		return err
	}

	s.say("Seven are in stock. Anna and Ben both read that.")
	read, err := anna.Get(ctx, "stock")
	if err != nil {
		return err
	}
	seen := read.Kvs[0].ModRevision
	s.say("Ben takes two: the stock is 5. Anna takes one, and puts 6 if nobody was faster.")
	if _, err := ben.Put(ctx, "stock", "5"); err != nil {
		return err
	}
	take := func(left string, seen int64) (*kv.TxnResponse, error) {
		return anna.Txn(ctx).
			If(kv.Compare(kv.ModRevision("stock"), "=", seen)).
			Then(kv.OpPut("stock", left)).
			Else(kv.OpGet("stock")).
			Commit()
	}
	s.show()
	late, err := take("6", seen)
	if err != nil {
		return err
	}

	now := late.Responses[0].GetResponseRange().Kvs[0]
	s.say("\nBen was. The answer has what is there: %s, of revision %d. Anna tries again.", now.Value, now.ModRevision)
	again, err := take("4", now.ModRevision)
	if err != nil {
		return err
	}
	s.say("\nsucceeded: %v", again.Succeeded)
	return nil
}
