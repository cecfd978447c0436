package view_test

import (
	"fmt"
	"testing"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/view"
	"github.com/getcd/getcd/watch"
)

// A watcher may yield its snapshots in parts. A View takes all of them for one.
func TestSnapshotInParts(t *testing.T) {
	run(t, func(r *rig) {
		w := watch.New(r.cluster.Member(1).Conn(r.t), watch.WithParts())
		defer w.Close()
		const n = 25 // more than the fake sends in a part
		for i := range n {
			if _, err := r.Put(r.t.Context(), fmt.Sprintf("p/%02d", i), "value"); err != nil {
				r.t.Fatal(err)
			}
		}
		var calls [][]view.Change[int]
		v, err := view.New(r.t.Context(), w, "p/", view.Config[int]{
			Decode:   func(_ string, value []byte) (int, error) { return len(value), nil },
			OnChange: func(changes []view.Change[int]) { calls = append(calls, changes) },
		}, kv.WithPrefix())
		if err != nil {
			r.t.Fatal(err)
		}
		if err := v.WaitSync(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		if got := len(v.Snapshot().Values); got != n {
			r.t.Errorf("the view has %d keys, want %d", got, n)
		}
		if len(calls) != 1 || len(calls[0]) != n {
			r.t.Errorf("OnChange was told %d times, want once, with %d changes", len(calls), n)
		}
	})
}
