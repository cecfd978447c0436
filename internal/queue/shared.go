package queue

import (
	"context"
	"errors"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// Settled reports whether it is certain that the place has no key and gets none.
func (p *Place) Settled() bool { return p.gone || p.Rev == 0 && !p.Doubt }

// Forsake sees to it that nothing of a place with a shared lease stays, and returns when
// that is so or ctx has ended, which is to end with the lease. It closes clean when the
// key is not there.
//
// A key that was put is deleted, and no other: see Leave. One that may be put yet is
// deleted when it comes, and then none is to come.
func (p *Place) Forsake(ctx context.Context, id lease.ID, clean chan struct{}) {
	if p.Rev == 0 {
		c := &caretaker{kv: p.KV, watch: p.Watcher.Watch, key: p.Key, id: id, one: true, clean: clean}
		c.run(ctx)
		return
	}
	for failures := 0; ; failures++ {
		if err := p.Leave(ctx); err == nil || errors.Is(err, ErrDeleted) {
			close(clean)
			return
		}
		// What is final may be so for now: permissions come back.
		if !Pause(ctx, failures) {
			return
		}
	}
}

// together is how many places Missing looks at by one request, below etcd's limit for
// the operations of a transaction, 128 by default.
const together = 100

// Missing returns those of the places that are lost, many by one request. If a request
// fails it returns what it knows. A place that it may not look at is not lost.
func Missing(ctx context.Context, store kv.KV, places []*Place) ([]*Place, error) {
	var lost []*Place
	for len(places) > 0 {
		n := min(together, len(places))
		some, err := missing(ctx, store, places[:n])
		lost = append(lost, some...)
		if err != nil {
			return lost, err
		}
		places = places[n:]
	}
	return lost, nil
}

func missing(ctx context.Context, store kv.KV, places []*Place) ([]*Place, error) {
	guards := make([]kv.Cmp, len(places))
	for i, p := range places {
		guards[i] = p.Guard()
	}
	// Without a read etcd takes the comparisons for ones that need not be linearizable.
	read := kv.OpGet(places[0].Key, kv.WithCountOnly())
	resp, err := store.Txn(ctx).If(guards...).Then(read).Else(read).Commit()
	switch {
	case err == nil && resp.Succeeded:
		return nil, nil
	case err != nil && (ctx.Err() != nil || !etcderr.Final(err)):
		return nil, err
	case len(places) == 1 && err == nil:
		return places, nil
	case len(places) == 1:
		return nil, nil
	}
	// One of them is lost, or is in a range that the user may not read any more, or the
	// server takes fewer operations.
	half := len(places) / 2
	lost, err := missing(ctx, store, places[:half])
	if err != nil {
		return lost, err
	}
	more, err := missing(ctx, store, places[half:])
	return append(lost, more...), err
}
