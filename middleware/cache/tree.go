package cache

import (
	"slices"
	"strings"
)

// maxNode is how many records or nodes a node has at most, and minNode how many it has at least,
// unless it is the root or was just split off for what comes last.
const (
	maxNode = 64
	minNode = maxNode / 4
)

// node is a part of a B+ tree of records. A tree that was published is never changed again: what
// a batch of changes touches is copied, once for each batch. So readers need no lock, and each of
// them sees one revision. The nil node is an empty tree.
type node struct {
	gen  uint64   // of the batch that has made it, and may change it
	size int      // records beneath
	recs []record // of a leaf, in the order of their keys
	kids []*node  // of others
	seps []string // keys of kids[i] are below seps[i], those of kids[i+1] are not
}

// child returns the number of the kid that has the key, if any has.
func (n *node) child(key string) int {
	lo, hi := 0, len(n.seps)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); n.seps[mid] > key {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// find returns the number of the first of a leaf's records that is not below key.
func (n *node) find(key string) (i int, ok bool) {
	lo, hi := 0, len(n.recs)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); keyOf(n.recs[mid]) < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(n.recs) && keyOf(n.recs[lo]) == key
}

// get returns a key's record.
func (n *node) get(key string) (record, bool) {
	if n == nil {
		return "", false
	}
	for n.kids != nil {
		n = n.kids[n.child(key)]
	}
	i, ok := n.find(key)
	if !ok {
		return "", false
	}
	return n.recs[i], true
}

// rank returns how many keys are below key.
func (n *node) rank(key string) int {
	if n == nil {
		return 0
	}
	below := 0
	for n.kids != nil {
		c := n.child(key)
		for _, kid := range n.kids[:c] {
			below += kid.size
		}
		n = n.kids[c]
	}
	i, _ := n.find(key)
	return below + i
}

// count returns how many keys are there.
func (n *node) count() int {
	if n == nil {
		return 0
	}
	return n.size
}

// from calls f with the records from key on, until it returns false.
func (n *node) from(key string, f func(record) bool) bool {
	if n == nil {
		return true
	}
	if n.kids == nil {
		i, _ := n.find(key)
		for _, r := range n.recs[i:] {
			if !f(r) {
				return false
			}
		}
		return true
	}
	for _, kid := range n.kids[n.child(key):] {
		if !kid.from(key, f) {
			return false
		}
	}
	return true
}

// editor makes one tree of another. Until the next call of begin it changes the nodes that it has made.
type editor struct {
	root *node
	gen  uint64
}

// begin begins another batch: what is there may be published, and is not changed any more.
func (e *editor) begin() { e.gen++ }

// put adds a record, and returns the one that it replaces; none if it is empty.
func (e *editor) put(r record) record {
	if e.root == nil {
		e.root = &node{gen: e.gen, size: 1, recs: []record{r}}
		return ""
	}
	root, was := e.insert(e.root, keyOf(r), r)
	if root.width() > maxNode {
		right, sep := e.split(root, true)
		root = &node{gen: e.gen, size: root.size + right.size, kids: []*node{root, right}, seps: []string{sep}}
	}
	e.root = root
	return was
}

func (n *node) width() int { return max(len(n.recs), len(n.kids)) }

// own returns a node that may be changed.
func (e *editor) own(n *node) *node {
	if n.gen == e.gen {
		return n
	}
	return &node{gen: e.gen, size: n.size, recs: slices.Clone(n.recs), kids: slices.Clone(n.kids), seps: slices.Clone(n.seps)}
}

// insert returns the node with the record, which may have become too wide.
func (e *editor) insert(n *node, key string, r record) (*node, record) {
	n = e.own(n)
	if n.kids == nil {
		i, ok := n.find(key)
		if ok {
			was := n.recs[i]
			n.recs[i] = r
			return n, was
		}
		n.recs = insertAt(n.recs, i, r)
		n.size++
		return n, ""
	}
	c := n.child(key)
	kid, was := e.insert(n.kids[c], key, r)
	n.kids[c] = kid
	if was == "" {
		n.size++
	}
	if kid.width() > maxNode {
		right, sep := e.split(kid, c == len(n.kids)-1)
		n.kids = insertAt(n.kids, c+1, right)
		n.seps = insertAt(n.seps, c, sep)
	}
	return n, was
}

// insertAt is slices.Insert, but grows by little: most of what the cache has are these slices.
func insertAt[T any](s []T, i int, v T) []T {
	if len(s) == cap(s) {
		grown := make([]T, len(s), min(len(s)+len(s)/8+4, max(len(s)+1, maxNode+1)))
		copy(grown, s)
		s = grown
	}
	s = s[:len(s)+1]
	copy(s[i+1:], s[i:])
	s[i] = v
	return s
}

// split cuts a node that is too wide, and returns its right part and the key between the two. If
// it is the last one of its parent, the keys may be coming in order, as those of a snapshot do:
// then the left part stays full.
func (e *editor) split(n *node, last bool) (right *node, sep string) {
	at := n.width() / 2
	if last {
		at = maxNode
	}
	right = &node{gen: e.gen}
	if n.kids == nil {
		right.recs = slices.Clone(n.recs[at:])
		n.recs = slices.Clone(n.recs[:at])
		right.size = len(right.recs)
		sep = between(keyOf(n.recs[at-1]), keyOf(right.recs[0]))
	} else {
		right.kids = slices.Clone(n.kids[at:])
		right.seps = slices.Clone(n.seps[at:])
		sep = n.seps[at-1]
		n.kids = slices.Clone(n.kids[:at])
		n.seps = slices.Clone(n.seps[:at-1])
		for _, kid := range right.kids {
			right.size += kid.size
		}
	}
	n.size -= right.size
	return right, sep
}

// between returns the shortest string that is above a and not above b, where a is below b. It is
// a copy, which does not keep b's record.
func between(a, b string) string {
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return strings.Clone(b[:i+1])
}

// remove takes a key out, and returns its record; none if it is empty.
func (e *editor) remove(key string) record {
	if _, ok := e.root.get(key); !ok {
		return ""
	}
	root, was := e.cut(e.root, key)
	for len(root.kids) == 1 {
		root = root.kids[0]
	}
	if root.size == 0 {
		root = nil
	}
	e.root = root
	return was
}

// cut returns the node without the key, which it has. It may have become too narrow.
func (e *editor) cut(n *node, key string) (*node, record) {
	n = e.own(n)
	n.size--
	if n.kids == nil {
		i, _ := n.find(key)
		was := n.recs[i]
		n.recs = slices.Delete(n.recs, i, i+1)
		return n, was
	}
	c := n.child(key)
	kid, was := e.cut(n.kids[c], key)
	n.kids[c] = kid
	if kid.width() < minNode && len(n.kids) > 1 {
		e.join(n, max(c-1, 0))
	}
	return n, was
}

// join makes one node of n's kids i and i+1, or two of equal width if one would be too wide.
func (e *editor) join(n *node, i int) {
	left, right := n.kids[i], n.kids[i+1]
	all := &node{gen: e.gen, size: left.size + right.size, recs: slices.Concat(left.recs, right.recs)}
	if left.kids != nil {
		all.kids = slices.Concat(left.kids, right.kids)
		all.seps = slices.Concat(left.seps, n.seps[i:i+1], right.seps)
	}
	if all.kids == nil {
		all.seps = nil
	}
	n.kids[i] = all
	if all.width() > maxNode*3/4 {
		n.kids[i+1], n.seps[i] = e.split(all, false)
		return
	}
	n.kids = slices.Delete(n.kids, i+1, i+2)
	n.seps = slices.Delete(n.seps, i, i+1)
}
