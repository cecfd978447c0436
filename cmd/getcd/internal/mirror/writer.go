package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/kv"
)

// Settle is how long after a transaction had to be repeated its keys are not
// deleted. It is longer than a member waits for a proposal before it answers that it
// does not know (5 s and two election timeouts), and no proof: one that is stopped with a
// proposal, and goes on after longer than this, may hand it to the leader then.
const Settle = 10 * time.Second

// change is one key's new value, or its end.
type change struct {
	key, value string
	deleted    bool
}

// writer applies changes to the destination, one transaction at a time and each
// one once. It is for one goroutine.
type writer struct {
	kv   kv.KV
	warn func(string)

	// seen is a revision of the destination that is not below any of the writer's
	// own writes; 0 until it is known.
	seen int64
	// unguarded says that the destination lets us write, but not read.
	unguarded bool
	// doubtful has the keys of transactions that were repeated, until they settle.
	doubtful map[string]time.Time
}

// commit applies changes as one transaction and returns when that is certain.
func (w *writer) commit(ctx context.Context, changes []change) error {
	if err := w.settle(ctx, changes); err != nil {
		return err
	}
	if w.seen == 0 && !w.unguarded {
		if err := w.look(ctx, changes[0].key); err != nil {
			return err
		}
	}
	pauses := backoff.Exponential{First: 50 * time.Millisecond, Max: time.Second}
	doubt := false // an earlier try may have been applied
	for try := 0; ; try++ {
		if w.unguarded {
			return w.commitUnguarded(ctx, changes)
		}
		r, err := w.kv.Txn(ctx).If(w.guard(changes)...).Then(writes(changes)...).Else(reads(changes)...).Commit()
		switch {
		case err == nil && (r.Succeeded || doubt && w.applied(r, changes)):
			w.seen = r.Header.GetRevision()
			if doubt {
				w.doubt(changes)
			}
			return nil
		case err == nil: // somebody else has written; what we write is newer
			w.seen = r.Header.GetRevision()
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, rpctypes.ErrNoSpace): // it is no passing trouble
			return failed(err)
		case client.IsAmbiguous(err):
			doubt = true
			if !backoff.Sleep(ctx, pauses.Pause(try)) {
				return ctx.Err()
			}
		case errors.Is(err, rpctypes.ErrPermissionDenied):
			w.goUnguarded()
		case errors.Is(err, rpctypes.ErrRequestTooLarge):
			// What fitted at the source fits here without the guard.
			return w.commitUnguarded(ctx, changes)
		default:
			return failed(err)
		}
	}
}

// commitUnguarded applies changes without looking at what is there.
func (w *writer) commitUnguarded(ctx context.Context, changes []change) error {
	r, err := w.kv.Txn(ctx).Then(writes(changes)...).Commit()
	if err != nil {
		return failed(err)
	}
	if w.seen > 0 {
		w.seen = r.Header.GetRevision()
	}
	return nil
}

func failed(err error) error { return fmt.Errorf("cannot write to the destination: %w", err) }

// look asks the destination for its revision.
func (w *writer) look(ctx context.Context, key string) error {
	r, err := w.kv.Get(ctx, key, kv.WithCountOnly())
	switch {
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		w.goUnguarded()
		return nil
	case err != nil:
		return fmt.Errorf("cannot read the destination: %w", err)
	}
	w.seen = r.Header.GetRevision()
	return nil
}

func (w *writer) goUnguarded() {
	w.unguarded = true
	w.warn("the destination's user may not read what it writes: the mirror will end when the fate of a change is unknown")
}

// guard holds as long as no key of changes has been written since revision seen.
// (It is no range of keys: the server would go through all of it.)
func (w *writer) guard(changes []change) []kv.Cmp {
	cmps := make([]kv.Cmp, len(changes))
	for i, c := range changes {
		cmps[i] = kv.Compare(kv.ModRevision(c.key), "<", w.seen+1)
	}
	return cmps
}

func writes(changes []change) []kv.Op {
	ops := make([]kv.Op, len(changes))
	for i, c := range changes {
		if c.deleted {
			ops[i] = kv.OpDelete(c.key)
		} else {
			ops[i] = kv.OpPut(c.key, c.value)
		}
	}
	return ops
}

func reads(changes []change) []kv.Op {
	ops := make([]kv.Op, len(changes))
	for i, c := range changes {
		ops[i] = kv.OpGet(c.key)
	}
	return ops
}

// applied reports whether what the guard has found is what changes would have
// left behind: all of them, by one revision.
func (w *writer) applied(r *kv.TxnResponse, changes []change) bool {
	var rev int64
	for i, c := range changes {
		pairs := r.Responses[i].GetResponseRange().GetKvs()
		switch {
		case c.deleted && len(pairs) > 0, !c.deleted && len(pairs) == 0:
			return false
		case c.deleted:
			continue
		}
		if p := pairs[0]; string(p.GetValue()) != c.value || rev != 0 && p.GetModRevision() != rev {
			return false
		}
		rev = pairs[0].GetModRevision()
	}
	return rev > w.seen
}

// doubt remembers that a transaction which is late may still come.
func (w *writer) doubt(changes []change) {
	if w.doubtful == nil {
		w.doubtful = make(map[string]time.Time)
	}
	for _, c := range changes {
		if !c.deleted {
			w.doubtful[c.key] = time.Now().Add(Settle)
		}
	}
}

// settle waits until no late transaction can bring back what changes delete.
func (w *writer) settle(ctx context.Context, changes []change) error {
	if len(w.doubtful) == 0 {
		return nil
	}
	now := time.Now()
	var until time.Time
	for _, c := range changes {
		if t := w.doubtful[c.key]; c.deleted && t.After(until) {
			until = t
		}
	}
	for key, t := range w.doubtful {
		if !t.After(now) || !t.After(until) {
			delete(w.doubtful, key)
		}
	}
	if !backoff.Sleep(ctx, until.Sub(now)) {
		return ctx.Err()
	}
	return nil
}
