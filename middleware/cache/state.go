package cache

import (
	"slices"
	"sort"
	"strings"
)

// state is what a cached prefix is known to have at a revision, and what has changed shortly
// before. It is never changed: a reader takes the present one, and is done with locks.
type state struct {
	rev    int64   // every change up to it is in
	floor  int64   // the oldest revision that can be read; changes are known from the next one on
	root   *node   // at rev
	events []event // all changes after floor, in order
}

// event is a change of a key.
type event struct {
	rev  int64
	rec  record // of a deletion, one with the key and the mod revision
	prev record // before; empty if there was none
	del  bool
}

// after returns the changes after a revision that is not below floor.
func (st *state) after(rev int64) []event {
	return st.events[sort.Search(len(st.events), func(i int) bool { return st.events[i].rev > rev }):]
}

// span is the keys of a request: from key to below end, or to the last one if there is no end.
type span struct {
	key, end string
	endless  bool
}

// spanOf is the range that the protocol writes as key and end (rpc.proto, RangeRequest.range_end).
func spanOf(key, end []byte) span {
	switch {
	case len(end) == 0:
		return span{key: string(key), end: string(key) + "\x00"}
	case len(end) == 1 && end[0] == 0:
		return span{key: string(key), endless: true}
	}
	return span{key: string(key), end: string(end)}
}

func (s span) contains(key string) bool { return key >= s.key && (s.endless || key < s.end) }

// view is the keys at a revision: a tree, and what was different then.
type view struct {
	root *node
	over []overlaid // in the order of keys
}

// overlaid is a key that has changed since.
type overlaid struct {
	key string
	rec record // then; empty if it was not there
}

// at is the view of the keys of a span, at a revision from floor to rev.
func (st *state) at(rev int64, keys span) view {
	v := view{root: st.root}
	if rev >= st.rev {
		return v
	}
	then := make(map[string]record)
	for _, e := range slices.Backward(st.after(rev)) {
		if key := keyOf(e.rec); keys.contains(key) {
			then[key] = e.prev // the earliest change comes last, and knows what was before
		}
	}
	for key, rec := range then {
		v.over = append(v.over, overlaid{key, rec})
	}
	slices.SortFunc(v.over, func(a, b overlaid) int { return strings.Compare(a.key, b.key) })
	return v
}

func (v view) get(key string) (record, bool) {
	if i, ok := slices.BinarySearchFunc(v.over, key, func(o overlaid, key string) int { return strings.Compare(o.key, key) }); ok {
		return v.over[i].rec, v.over[i].rec != ""
	}
	return v.root.get(key)
}

// count returns how many keys of the span there are, which is that of the view.
func (v view) count(keys span) int {
	n := v.root.count() - v.root.rank(keys.key)
	if !keys.endless {
		n = max(0, v.root.rank(keys.end)-v.root.rank(keys.key))
	}
	for _, o := range v.over {
		if _, now := v.root.get(o.key); now {
			n--
		}
		if o.rec != "" {
			n++
		}
	}
	return n
}

// each calls f with the records of the span, which is that of the view, until it returns false.
func (v view) each(keys span, f func(record) bool) {
	over := v.over
	// flush has f see what was there before key, which is not in the tree.
	flush := func(below func(string) bool) bool {
		for len(over) > 0 && below(over[0].key) {
			rec := over[0].rec
			over = over[1:]
			if rec != "" && !f(rec) {
				return false
			}
		}
		return true
	}
	v.root.from(keys.key, func(r record) bool {
		key := keyOf(r)
		if !keys.contains(key) {
			return false
		}
		if len(over) > 0 {
			if !flush(func(k string) bool { return k < key }) {
				over = nil
				return false
			}
			if len(over) > 0 && over[0].key == key {
				rec := over[0].rec
				over = over[1:]
				if rec == "" {
					return true
				}
				r = rec
			}
		}
		if !f(r) {
			over = nil
			return false
		}
		return true
	})
	flush(func(string) bool { return true })
}
