package view

import (
	"fmt"
	"maps"
	"strings"

	"github.com/getcd/getcd/internal/misuse"
)

// ByIndex returns the keys for whose values the index's function in Config.Indexes has returned
// the term, with these values, as they were at one revision. The map is a copy. ByIndex takes
// time for the keys that it returns, and not for the others. There may be no key with the term;
// an index that Config does not have is an error.
func (v *View[T]) ByIndex(index, term string) (Snapshot[T], error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var names []string
	for _, x := range v.indexes {
		if x.name != index {
			names = append(names, fmt.Sprintf("%q", x.name))
			continue
		}
		with := x.keys.m[term]
		s := Snapshot[T]{Values: make(map[string]T, with.size()), Revision: v.revision}
		if with != nil {
			for key := range with.m {
				s.Values[key] = v.entries.m[key].value
			}
		}
		return s, nil
	}
	if len(names) == 0 {
		return Snapshot[T]{}, misuse.Error(fmt.Sprintf("view: ByIndex: there is no index %q: Config.Indexes is empty", index))
	}
	return Snapshot[T]{}, misuse.Error(fmt.Sprintf("view: ByIndex: there is no index %q, but %s", index, strings.Join(names, ", ")))
}

// index is the keys of the good values by a function's terms.
type index[T any] struct {
	name  string
	terms func(key string, value T) []string
	keys  shrinking[*shrinking[struct{}]] // by term
}

// of returns the value's terms in an index, by its number.
func (e entry[T]) of(i int) []string {
	if !e.good || e.terms == nil {
		return nil
	}
	return e.terms[i]
}

// move finds a key under other terms from now on.
func (x *index[T]) move(key string, was, is []string) {
	for _, term := range was {
		if with := x.keys.m[term]; with != nil { // the function may have named a term twice
			if with.remove(key); with.size() == 0 {
				x.keys.remove(term)
			}
		}
	}
	for _, term := range is {
		with := x.keys.m[term]
		if with == nil {
			with = new(shrinking[struct{}])
			x.keys.put(term, with)
		}
		with.put(key, struct{}{})
	}
}

// shrinking is a map that gives memory back when most of its keys are gone, which Go's never do.
type shrinking[V any] struct {
	m    map[string]V
	most int // keys that m has had
}

func (s *shrinking[V]) size() int {
	if s == nil {
		return 0
	}
	return len(s.m)
}

func (s *shrinking[V]) put(key string, v V) {
	if s.m == nil {
		s.m = make(map[string]V)
	}
	s.m[key] = v
	s.most = max(s.most, len(s.m))
}

func (s *shrinking[V]) remove(key string) {
	delete(s.m, key)
	if s.most >= 1024 && len(s.m) < s.most/4 {
		fewer := make(map[string]V, len(s.m))
		maps.Copy(fewer, s.m)
		s.m, s.most = fewer, len(fewer)
	}
}
