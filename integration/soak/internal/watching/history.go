package watching

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// change is what a revision has done to one key.
type change struct {
	rev, version, create, lease int64
	sum                         uint64 // of the value
	tag                         tag
	key                         uint16
	deleted                     bool
}

// selection says which changes a watch should see.
type selection struct {
	lo, hi           int // indices of keys
	noPuts, noDelete bool
}

func (s selection) has(c *change) bool {
	if int(c.key) < s.lo || int(c.key) >= s.hi {
		return false
	}
	return c.deleted && !s.noDelete || !c.deleted && !s.noPuts
}

// history has the changes of every revision that was read so far. It allocates
// its memory at the beginning, so that measurements of the heap are not
// distorted. It is safe for concurrent use.
type history struct {
	keys keySet
	seed maphash.Seed
	base int64 // the revision before the first

	mu       sync.RWMutex
	changes  []change   // in the order of revisions and keys
	first    []uint32   // first[i] is the index of the first change of revision base+1+i
	byKey    [][]uint32 // for each key, indices of changes
	advanced chan struct{}
}

func newHistory(keys keySet, base int64, room int) *history {
	h := &history{
		keys: keys, seed: maphash.MakeSeed(), base: base, advanced: make(chan struct{}),
		changes: make([]change, 0, room), first: make([]uint32, 1, room), byKey: make([][]uint32, len(keys)),
	}
	for i := range h.byKey {
		h.byKey[i] = make([]uint32, 0, 4*room/len(keys))
	}
	return h
}

// add appends the changes of the next revision.
func (h *history) add(changes []change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		h.byKey[c.key] = append(h.byKey[c.key], uint32(len(h.changes)))
		h.changes = append(h.changes, c)
	}
	h.first = append(h.first, uint32(len(h.changes)))
	close(h.advanced)
	h.advanced = make(chan struct{})
}

// head returns the last known revision.
func (h *history) head() int64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.headLocked()
}

func (h *history) headLocked() int64 { return h.base + int64(len(h.first)) - 1 }

// unread is how long a revision that a server has mentioned may stay unread. It
// is longer than any outage.
const unread = 90 * time.Second

// wait waits until a revision is known.
func (h *history) wait(ctx context.Context, rev int64) error {
	var late <-chan time.Time
	for {
		h.mu.RLock()
		head, advanced := h.headLocked(), h.advanced
		h.mu.RUnlock()
		if head >= rev {
			return nil
		}
		if late == nil {
			timer := time.NewTimer(unread)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return fmt.Errorf("revision %d is not there after %v; the last that could be read is %d", rev, unread, head)
		}
	}
}

// of returns the selected changes of a known revision.
func (h *history) of(rev int64, s selection) []change {
	h.mu.RLock()
	defer h.mu.RUnlock()
	i := rev - h.base - 1
	if i < 0 || i+1 >= int64(len(h.first)) {
		return nil
	}
	var found []change
	for _, c := range h.changes[h.first[i]:h.first[i+1]] {
		if s.has(&c) {
			found = append(found, c)
		}
	}
	return found
}

// next returns the first revision in [from, to] with a selected change, or 0 if
// there is none.
func (h *history) next(from, to int64, s selection) int64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	from, to = max(from, h.base+1), min(to, h.headLocked())
	if from > to {
		return 0
	}
	for i := h.first[from-h.base-1]; i < h.first[to-h.base]; i++ {
		if s.has(&h.changes[i]) {
			return h.changes[i].rev
		}
	}
	return 0
}

// last returns the last revision with a selected change, or 0 if there is none.
func (h *history) last(s selection) int64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, c := range slices.Backward(h.changes) {
		if s.has(&c) {
			return c.rev
		}
	}
	return 0
}

// at returns the state of a key at a revision: its last change up to it.
func (h *history) at(key int, rev int64) (change, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	list := h.byKey[key]
	i, _ := slices.BinarySearchFunc(list, rev+1, func(i uint32, rev int64) int { return int(h.changes[i].rev - rev) })
	if i == 0 {
		return change{}, false
	}
	c := h.changes[list[i-1]]
	return c, !c.deleted
}

// same reports how a key-value pair differs from the result of a put. It returns
// nil if it does not.
func (h *history) same(c *change, kv *mvccpb.KeyValue) error {
	if string(kv.Key) != h.keys[c.key] || kv.ModRevision != c.rev || kv.Version != c.version ||
		kv.CreateRevision != c.create || kv.Lease != c.lease {
		return fmt.Errorf("got %s at revision %d, version %d, created at %d, lease %x; want %s at %d, %d, %d, %x",
			kv.Key, kv.ModRevision, kv.Version, kv.CreateRevision, kv.Lease, h.keys[c.key], c.rev, c.version, c.create, c.lease)
	}
	if sum := maphash.Bytes(h.seed, kv.Value); sum != c.sum {
		return fmt.Errorf("got another value of %s at revision %d than the store has", kv.Key, c.rev)
	}
	return nil
}
