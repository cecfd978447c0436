package batch

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// order has the writes that wait or are under way. Those of one key follow each other as
// they came, and so do those of a key and of a range that contains it. So no two that are
// under way at the same time, let alone in one transaction, have a key in common: etcd
// refuses such a transaction (api/v3rpc/key.go, checkIntervals).
//
// It is guarded by conn.mu.
type order struct {
	seed   maphash.Seed
	keys   map[uint64]*call // by the key's hash: the last of the writes of one key. Keys with one hash wait for each other in vain, as seldom as that is
	ranges []*call          // of ranges, in order
	number uint64
	ready  []*call // see removeLocked
}

// place is a write's in the order.
type place struct {
	key, end   []byte // the caller's, who waits; end is empty for a single key
	hash       uint64
	number     uint64
	prev, next *call // of the same key
	blocked    int   // how many earlier ones there are: for a range all of its keys, for a key only ranges
}

func (p *place) ranged() bool { return len(p.end) != 0 }

// contains reports whether a range has the key. The end "\x00" is none (etcdserver/txn/delete.go, mkGteRange).
func (p *place) contains(key []byte) bool {
	return bytes.Compare(key, p.key) >= 0 && (len(p.end) == 1 && p.end[0] == 0 || bytes.Compare(key, p.end) < 0)
}

// overlaps reports whether two places, of which one is a range, have a key in common.
func overlaps(a, b *place) bool {
	switch {
	case !a.ranged():
		return b.contains(a.key)
	case !b.ranged():
		return a.contains(b.key)
	default:
		return a.contains(b.key) || b.contains(a.key)
	}
}

// addLocked gives a its place, and reports whether it need not wait.
func (o *order) addLocked(a *call, key, end []byte) (ready bool) {
	o.number++
	p := &a.place
	p.key, p.end, p.number = key, end, o.number
	for _, r := range o.ranges {
		if overlaps(p, &r.place) {
			p.blocked++
		}
	}
	if p.ranged() {
		for _, last := range o.keys {
			for k := last; k != nil; k = k.place.prev {
				if p.contains(k.place.key) {
					p.blocked++
				}
			}
		}
		o.ranges = append(o.ranges, a)
		return p.blocked == 0
	}
	p.hash = maphash.Bytes(o.seed, key)
	if last := o.keys[p.hash]; last != nil {
		p.prev, last.place.next = last, a
	}
	o.keys[p.hash] = a
	return p.prev == nil && p.blocked == 0
}

// removeLocked takes a out, and returns those whose turn has come. They are valid until the
// next call.
func (o *order) removeLocked(a *call) []*call {
	p := &a.place
	clear(o.ready)
	o.ready = o.ready[:0]
	if p.ranged() {
		o.ranges = slices.DeleteFunc(o.ranges, func(r *call) bool { return r == a })
		for _, last := range o.keys {
			for k := last; k != nil; k = k.place.prev {
				o.unblockLocked(k, p)
			}
		}
	} else {
		if next := p.next; next != nil {
			if next.place.prev = p.prev; p.prev == nil && next.place.blocked == 0 {
				o.ready = append(o.ready, next)
			}
		} else if p.prev != nil {
			o.keys[p.hash] = p.prev
		} else {
			delete(o.keys, p.hash)
		}
		if p.prev != nil {
			p.prev.place.next = p.next
		}
	}
	for _, r := range o.ranges {
		o.unblockLocked(r, p)
	}
	a.place = place{}
	return o.ready
}

// unblockLocked says to one that p, of which one is a range, is gone.
func (o *order) unblockLocked(a *call, p *place) {
	if a.place.number < p.number || !overlaps(&a.place, p) {
		return
	}
	if a.place.blocked--; a.place.blocked == 0 && a.place.prev == nil {
		o.ready = append(o.ready, a)
	}
}
