package view_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/view"
	"github.com/getcd/getcd/watch"
)

// words are a value's terms. One may be there twice.
func words(_ string, value string) []string { return strings.Fields(value) }

// noBad decodes what has no "bad" in it.
func noBad(key string, value []byte) (string, error) {
	if strings.Contains(string(value), "bad") {
		return "", fmt.Errorf("%s is bad", key)
	}
	return string(value), nil
}

func TestByIndex(t *testing.T) {
	run(t, func(r *rig) {
		r.put("n/a", "red round")
		r.put("n/b", "red")
		asked := 0
		ctx, cancel := context.WithCancel(r.t.Context())
		v, err := view.New(ctx, r.client, "n/", view.Config[string]{
			Decode: noBad,
			Indexes: map[string]func(string, string) []string{
				"word": func(key, value string) []string { asked++; return words(key, value) },
				"last": func(key, _ string) []string { return []string{key[len(key)-1:]} },
			},
		}, kv.WithPrefix())
		if err != nil {
			r.t.Fatal(err)
		}
		defer func() { cancel(); <-v.Done() }()
		want := func(index, term string, keys ...string) {
			r.t.Helper()
			s, err := v.ByIndex(index, term)
			if err != nil {
				r.t.Fatal(err)
			}
			if diff := cmp.Diff(keys, slices.Sorted(maps.Keys(s.Values))); diff != "" {
				r.t.Errorf("%s %q (-want +got):\n%s", index, term, diff)
			}
			if s.Revision != v.Snapshot().Revision {
				r.t.Errorf("of revision %d, want %d", s.Revision, v.Snapshot().Revision)
			}
		}
		if s, err := v.ByIndex("word", "red"); err != nil || s.Revision == 0 && len(s.Values) > 0 {
			r.t.Errorf("before the first snapshot, or just after it: %+v, %v", s, err)
		}
		r.wantLog()
		want("word", "red", "n/a", "n/b")
		want("word", "round", "n/a")
		want("word", "square")
		want("last", "b", "n/b")

		before := asked
		r.put("n/a", "blue blue")
		r.put("n/b", "bad red") // the last good value is found
		r.put("n/c", "bad")
		r.wantLog()
		want("word", "red", "n/b")
		want("word", "blue", "n/a")
		want("word", "round")
		want("word", "bad")
		if asked != before+1 {
			r.t.Errorf("the function was called %d times for one good value", asked-before)
		}
		r.delete("n/a")
		r.delete("n/b")
		r.wantLog()
		want("word", "blue")
		want("word", "red")
		want("last", "b")

		if _, err := v.ByIndex("color", "red"); err == nil || err.Error() != `view: ByIndex: there is no index "color", but "last", "word"` {
			r.t.Errorf("an unknown index: got %v", err)
		}
	})
}

// After any history an index finds what looking at all values finds.
func TestByIndexFindsWhatIsThere(t *testing.T) {
	terms := []string{"a", "b", "c", "d"}
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 15))
		value := func() string {
			v := ""
			for range rnd.IntN(4) {
				v += terms[rnd.IntN(len(terms))] + " "
			}
			if rnd.IntN(6) == 0 {
				v += "bad"
			}
			return v
		}
		key := func() string { return "n/" + strconv.Itoa(rnd.IntN(6)) }
		var v *view.View[string]
		ready := make(chan struct{})
		wrong := ""
		check := func() {
			all := v.Snapshot().Values
			for _, term := range terms {
				want := make(map[string]string)
				for key, value := range all {
					if slices.Contains(strings.Fields(value), term) {
						want[key] = value
					}
				}
				got, err := v.ByIndex("word", term)
				if diff := cmp.Diff(want, got.Values); diff != "" || err != nil {
					wrong = fmt.Sprintf("%q (-want +got), error %v:\n%s", term, err, diff)
				}
			}
		}
		history := told(func(yield func(watch.Update, error) bool) {
			<-ready
			var revision int64
			for range 60 {
				revision++
				u := watch.Update{Revision: revision}
				if revision == 1 || rnd.IntN(15) == 0 {
					there := make(map[string]bool)
					for range rnd.IntN(5) {
						there[key()] = true
					}
					var cause error
					if rnd.IntN(2) == 0 {
						cause = watch.ErrRevisionRegressed
					}
					u = snapshot(cause, revision)
					for _, k := range slices.Sorted(maps.Keys(there)) {
						u.Snapshot.KVs = append(u.Snapshot.KVs, pair(k, value(), revision-int64(rnd.IntN(2))))
					}
				}
				for range rnd.IntN(4) {
					if u.Snapshot != nil {
						break
					}
					e := &watch.Event{Type: watch.EventTypePut, Kv: pair(key(), value(), revision)}
					if rnd.IntN(3) == 0 {
						e = &watch.Event{Type: watch.EventTypeDelete, Kv: pair(key(), "", revision)}
					}
					u.Events = append(u.Events, e)
				}
				if !yield(u, nil) {
					return
				}
				if check(); wrong != "" {
					return
				}
			}
		})
		var err error
		v, err = view.New(t.Context(), history, "n/", view.Config[string]{Decode: noBad, Indexes: map[string]func(string, string) []string{"word": words}}, kv.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		close(ready)
		<-v.Done()
		if wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
	}
}
