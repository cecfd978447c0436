package watching

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Key and Tagged make the keys and values that the check writes.
func Key(group, i int) string { return smallKey(group, i) }

// Tagged returns the value of a put.
func Tagged(writer, place uint8, seq uint32) string {
	return tag{writer: writer, place: place, seq: seq}.value(20)
}

// Store is a history for tests, with the compactions that were requested.
type Store struct {
	h       *history
	limits  limits
	read    *reader
	all     map[string]*mvccpb.KeyValue
	writers []*writer
}

// NewStore returns a history whose first revision is 2.
func NewStore() *Store {
	h := newHistory(newKeySet(), 1, 100)
	return &Store{h: h, read: &reader{h: h, state: make(map[int]change)}, all: make(map[string]*mvccpb.KeyValue)}
}

// Commit adds a revision that puts and deletes keys, and returns its events with
// the previous values.
func (s *Store) Commit(puts map[string]string, deletes ...string) ([]*mvccpb.Event, error) {
	rev := s.h.head() + 1
	var events []*mvccpb.Event
	var changed []*mvccpb.KeyValue
	for i := range s.h.keys {
		key := s.h.keys[i]
		value, ok := puts[key]
		if !ok {
			continue
		}
		kv := &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), CreateRevision: rev, ModRevision: rev, Version: 1}
		was := s.all[key]
		if was != nil {
			kv.CreateRevision, kv.Version = was.CreateRevision, was.Version+1
		}
		s.all[key] = kv
		changed = append(changed, kv)
		events = append(events, &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: kv, PrevKv: was})
	}
	for _, key := range deletes {
		events = append(events, &mvccpb.Event{
			Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: rev}, PrevKv: s.all[key],
		})
		delete(s.all, key)
	}
	changes, err := s.read.compare(rev, s.State(), changed)
	if err == nil {
		s.h.add(changes)
	}
	return events, err
}

// State returns the state of all keys.
func (s *Store) State() []*mvccpb.KeyValue {
	var kvs []*mvccpb.KeyValue
	for _, key := range s.h.keys {
		if kv := s.all[key]; kv != nil {
			kvs = append(kvs, kv)
		}
	}
	return kvs
}

// Compacted records that a compaction was requested.
func (s *Store) Compacted(rev int64) { s.limits.claim(rev) }

// Cursor is a watch's position in a history.
type Cursor struct{ c cursor }

// Watch returns the cursor of a watch of all small keys with previous values.
func (s *Store) Watch(from int64) *Cursor {
	lo, hi := s.h.keys.between(small, bulk)
	c := &Cursor{c: cursor{h: s.h, limits: &s.limits, sel: selection{lo: lo, hi: hi}, prevKV: true}}
	c.c.start(from)
	return c
}

// Response processes events that arrived together.
func (c *Cursor) Response(ctx context.Context, events []*mvccpb.Event) error {
	for _, e := range events {
		if err := c.c.event(ctx, e); err != nil {
			return err
		}
	}
	return c.c.whole()
}

// Progress processes a progress notification.
func (c *Cursor) Progress(ctx context.Context, rev int64) error { return c.c.progress(ctx, rev) }

// Compaction processes the end of a watch by a compaction.
func (c *Cursor) Compaction(ctx context.Context, where, at int64) error {
	return c.c.compacted(ctx, where, at)
}

// Snapshot processes a state that was read.
func (c *Cursor) Snapshot(ctx context.Context, rev int64, kvs []*mvccpb.KeyValue) error {
	return c.c.snapshot(ctx, rev, kvs)
}

// The outcomes of writes.
const (
	Acknowledged = acknowledged
	Ambiguous    = ambiguous
	Refused      = refused
)

// Wrote records a write of writer 0.
func (s *Store) Wrote(o outcome, rev int64, puts, deletes int32) {
	if s.writers == nil {
		s.writers = []*writer{{}}
	}
	w := s.writers[0]
	w.entries = append(w.entries, entry{rev: rev, puts: puts, deletes: deletes, outcome: o})
}

// Settle calls complain for every contradiction between writers and the history.
func (s *Store) Settle(complain func(format string, args ...any)) { settle(s.h, s.writers, complain) }

// Read compares a state with the last one in the history.
func (s *Store) Read(rev int64, all, changed []*mvccpb.KeyValue) error {
	_, err := s.read.compare(rev, all, changed)
	return err
}
