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

// Settle is how long the keys of a repeated transaction are not deleted. It is
// longer than a member waits for a proposal before it reports an unknown outcome
// (5 s and two election timeouts). It is no guarantee: a member that stops with a
// proposal and resumes after more than this time may still pass it to the leader.
const Settle = 10 * time.Second

// change is one key's new value, or its deletion.
type change struct {
	key, value string
	deleted    bool
}

// writer applies changes to the destination, one transaction at a time and each
// one once. Only one goroutine may use it.
type writer struct {
	kv   kv.KV
	warn func(string)

	// seen is a revision of the destination that is not below any of the writer's
	// own writes. It is 0 while it is unknown.
	seen int64
	// unguarded says that the user may write to the destination but not read it.
	unguarded bool
	// doubtful maps the keys of repeated transactions to the times from which
	// they may be deleted.
	doubtful map[string]time.Time
}

// commit applies changes as one transaction and returns when it is certain that
// they are applied.
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
	doubt := false // an earlier attempt may have been applied
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
		case err == nil: // another program has written; our changes are newer
			w.seen = r.Header.GetRevision()
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, rpctypes.ErrNoSpace): // this is not temporary
			return failed(err)
		case client.IsAmbiguous(err):
			doubt = true
			if !backoff.Sleep(ctx, pauses.Pause(try)) {
				return ctx.Err()
			}
		case errors.Is(err, rpctypes.ErrPermissionDenied):
			w.goUnguarded()
		case errors.Is(err, rpctypes.ErrRequestTooLarge):
			// Without the guard, whatever fit at the source fits here.
			return w.commitUnguarded(ctx, changes)
		default:
			return failed(err)
		}
	}
}

// commitUnguarded applies changes without checking the current state.
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

// look reads the destination's revision.
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

// guard holds as long as no key in changes has been written since revision seen.
// (It does not use a range of keys, since the server would read all of it.)
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

// applied reports whether the state that the guard found is the result of
// changes: of all of them, at one revision.
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

// doubt records that a late transaction may still be applied.
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

// settle waits until no late transaction can bring back keys that changes
// deletes.
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
