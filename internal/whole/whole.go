// Package whole puts the parts of snapshots together (watch.WithParts), for those who take a
// snapshot for all that there is.
package whole

import (
	"iter"

	"github.com/getcd/getcd/watch"
)

// Snapshots returns the history with each snapshot as one Update. One that another one replaces
// before it is complete is left out.
func Snapshots(history iter.Seq2[watch.Update, error]) iter.Seq2[watch.Update, error] {
	return func(yield func(watch.Update, error) bool) {
		var parts *watch.Snapshot // those that have come of one that is not complete
		for u, err := range history {
			if s := u.Snapshot; s != nil && (s.More || s.Part > 0) {
				if s.Part == 0 || parts == nil {
					parts = &watch.Snapshot{Header: s.Header, Cause: s.Cause}
				}
				parts.KVs = append(parts.KVs, s.KVs...)
				if s.More {
					continue
				}
				u.Snapshot, parts = parts, nil
			}
			if !yield(u, err) {
				return
			}
		}
	}
}
