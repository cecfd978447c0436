package etcdtest

import (
	"bytes"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// store is the replicated state of the whole cluster: the multi-version keys
// and the leases that they hang on. Key-values that are in it are never changed
// again, so that they may be marshalled without the lock.
type store struct {
	mu sync.Mutex // guards everything below

	rev        int64
	compactRev int64 // -1 until the first compaction, as in etcd
	// history has each key's versions, oldest first. A deletion is a key-value
	// without a version (Version 0).
	history map[string][]*mvccpb.KeyValue
	// events is what watchers read, in the order of revisions, from compactRev on.
	events []*mvccpb.Event
	// waiters are told about every new revision: capacity-1 channels.
	waiters map[chan struct{}]struct{}

	leases map[int64]*lease
	timers sync.WaitGroup // pending and running expirations
	closed bool
}

func newStore() *store {
	return &store{
		rev:        1, // an empty etcd is at revision 1
		compactRev: -1,
		history:    make(map[string][]*mvccpb.KeyValue),
		waiters:    make(map[chan struct{}]struct{}),
		leases:     make(map[int64]*lease),
	}
}

// keyRange is [key, end) as the protocol writes it: without an end it is the one
// key, and an end of "\x00" is no bound.
type keyRange struct{ key, end []byte }

func (r keyRange) single() bool    { return len(r.end) == 0 }
func (r keyRange) unbounded() bool { return len(r.end) == 1 && r.end[0] == 0 }

func (r keyRange) contains(key string) bool {
	switch {
	case r.single():
		return key == string(r.key)
	case r.unbounded():
		return key >= string(r.key)
	}
	return key >= string(r.key) && key < string(r.end)
}

// subscribe returns a channel that has a token whenever the revision may have
// changed since it was last received from.
func (s *store) subscribe() chan struct{} {
	ch := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiters[ch] = struct{}{}
	return ch
}

func (s *store) unsubscribe(ch chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiters, ch)
}

func (s *store) revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rev
}

// atLocked is key's value at rev, or nil.
func (s *store) atLocked(key string, rev int64) *mvccpb.KeyValue {
	for _, kv := range slices.Backward(s.history[key]) {
		if kv.ModRevision > rev {
			continue
		}
		if kv.Version == 0 {
			return nil
		}
		return kv
	}
	return nil
}

// rangeLocked lists the live keys of r at rev, in the order of their names.
func (s *store) rangeLocked(r keyRange, rev int64) []*mvccpb.KeyValue {
	if r.single() {
		if kv := s.atLocked(string(r.key), rev); kv != nil {
			return []*mvccpb.KeyValue{kv}
		}
		return nil
	}
	var kvs []*mvccpb.KeyValue
	for key := range s.history {
		if !r.contains(key) {
			continue
		}
		if kv := s.atLocked(key, rev); kv != nil {
			kvs = append(kvs, kv)
		}
	}
	slices.SortFunc(kvs, func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) })
	return kvs
}

// checkRevLocked says whether the store can be read at rev; 0 or less is now.
func (s *store) checkRevLocked(rev int64) error {
	switch {
	case rev <= 0:
		return nil
	case rev > s.rev:
		return rpctypes.ErrGRPCFutureRev
	case rev < s.compactRev:
		return rpctypes.ErrGRPCCompacted
	}
	return nil
}

// compact forgets what is superseded at rev: everything older than the version
// that each key had at rev.
func (s *store) compact(rev int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rev <= s.compactRev {
		return rpctypes.ErrGRPCCompacted
	}
	if rev > s.rev {
		return rpctypes.ErrGRPCFutureRev
	}
	s.compactRev = rev
	for key, kvs := range s.history {
		first := 0
		for i, kv := range kvs {
			if kv.ModRevision <= rev {
				first = i
			}
		}
		if last := kvs[first]; last.Version == 0 && last.ModRevision <= rev {
			first++ // the key was gone by then
		}
		if first == len(kvs) {
			delete(s.history, key)
		} else {
			s.history[key] = slices.Clone(kvs[first:])
		}
	}
	s.events = slices.DeleteFunc(s.events, func(e *mvccpb.Event) bool { return e.Kv.ModRevision < rev })
	s.wakeLocked() // watchers that are still below rev have to be told
	return nil
}

func (s *store) wakeLocked() {
	for ch := range s.waiters {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// eventsLocked returns the events of r from revision `from` on.
func (s *store) eventsLocked(r keyRange, from int64) []*mvccpb.Event {
	start, _ := slices.BinarySearchFunc(s.events, from, func(e *mvccpb.Event, rev int64) int {
		return int(e.Kv.ModRevision - rev)
	})
	var found []*mvccpb.Event
	for _, e := range s.events[start:] {
		if r.contains(string(e.Kv.Key)) {
			found = append(found, e)
		}
	}
	return found
}

// write is one transaction's changes. They all carry the next revision, and are
// visible to its own reads before commit. The caller holds store.mu from begin
// to commit; there is no roll-back, so it checks first and writes then.
type write struct {
	s       *store
	rev     int64
	changed bool
}

func (s *store) beginLocked() *write { return &write{s: s, rev: s.rev + 1} }

func (w *write) put(key, value []byte, leaseID int64) {
	name := string(key)
	next := &mvccpb.KeyValue{
		Key: key, Value: value, Lease: leaseID,
		CreateRevision: w.rev, ModRevision: w.rev, Version: 1,
	}
	if prev := w.s.atLocked(name, w.rev); prev != nil {
		next.CreateRevision = prev.CreateRevision
		next.Version = prev.Version + 1
		w.s.detachLocked(prev.Lease, name)
	}
	w.s.attachLocked(leaseID, name)
	w.append(mvccpb.Event_PUT, next)
}

// delete removes the keys of r and returns how many there were.
func (w *write) delete(r keyRange) int64 {
	kvs := w.s.rangeLocked(r, w.rev)
	for _, kv := range kvs {
		w.s.detachLocked(kv.Lease, string(kv.Key))
		w.append(mvccpb.Event_DELETE, &mvccpb.KeyValue{Key: kv.Key, ModRevision: w.rev})
	}
	return int64(len(kvs))
}

func (w *write) append(kind mvccpb.Event_EventType, kv *mvccpb.KeyValue) {
	w.changed = true
	key := string(kv.Key)
	w.s.history[key] = append(w.s.history[key], kv)
	w.s.events = append(w.s.events, &mvccpb.Event{Type: kind, Kv: kv})
}

// visibleRev is the revision that a response inside the transaction names.
func (w *write) visibleRev() int64 {
	if w.changed {
		return w.rev
	}
	return w.s.rev
}

// commit makes the changes the newest revision. Without changes the revision
// stays, as in etcd.
func (w *write) commit() {
	if w.changed {
		w.s.rev = w.rev
		w.s.wakeLocked()
	}
}
