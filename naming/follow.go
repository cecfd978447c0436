package naming

import (
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/whole"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// Follow yields all endpoints in its first step, which is empty if there are
// none, and then each change of them, exactly once and in order. The changes of
// one transaction come in one step. If changes were lost, because the history was
// compacted for instance, one step has an Add for each endpoint that there is, changed
// or not, and a Delete for each one that is gone. Follow ends with ctx, or with an
// error that retrying cannot fix.
func (s *Service) Follow(ctx context.Context) iter.Seq2[[]Update, error] {
	return func(yield func([]Update, error) bool) {
		if err := misuse.Context(ctx, "naming: Follow"); err != nil {
			yield(nil, err)
			return
		}
		known, first := make(map[string]bool), true
		for u, err := range whole.Snapshots(s.client.Follow(ctx, s.prefix, kv.WithPrefix())) {
			if err != nil {
				yield(nil, err)
				return
			}
			updates := s.updates(u, known)
			if (first || len(updates) > 0) && !yield(updates, nil) {
				return
			}
			first = false
		}
	}
}

// updates converts a step of the keys' history into updates, and records which
// keys are known.
func (s *Service) updates(u watch.Update, known map[string]bool) []Update {
	var out []Update
	remove := func(key string) {
		if known[key] {
			delete(known, key)
			out = append(out, Update{Op: Delete, Key: key})
		}
	}
	put := func(key, value []byte) {
		e, ok := s.endpoint(key, value)
		if !ok {
			remove(string(key)) // the key no longer has an endpoint
			return
		}
		known[string(key)] = true
		out = append(out, Update{Op: Add, Key: string(key), Endpoint: e})
	}
	if u.Snapshot != nil { // the first snapshot, or one after a gap in the history
		gone := maps.Clone(known)
		for _, pair := range u.Snapshot.KVs {
			delete(gone, string(pair.GetKey()))
			put(pair.GetKey(), pair.GetValue())
		}
		for _, key := range slices.Sorted(maps.Keys(gone)) {
			remove(key)
		}
	}
	for _, e := range u.Events {
		if e.GetType() == watch.EventTypeDelete {
			remove(string(e.GetKv().GetKey()))
		} else {
			put(e.GetKv().GetKey(), e.GetKv().GetValue())
		}
	}
	return out
}
