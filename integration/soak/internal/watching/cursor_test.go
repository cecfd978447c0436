package watching_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/integration/soak/internal/watching"
)

// store has four revisions: 2 puts two keys, 3 puts one of them again, 4 deletes
// the other and puts a third, and 5 changes none of them.
func store(t *testing.T) (*watching.Store, map[int64][]*mvccpb.Event) {
	t.Helper()
	s := watching.NewStore()
	a, b, c := watching.Key(0, 0), watching.Key(1, 3), watching.Key(2, 7)
	events := make(map[int64][]*mvccpb.Event)
	for i, puts := range []map[string]string{
		{a: watching.Tagged(0, 0, 0), b: watching.Tagged(0, 1, 0)},
		{a: watching.Tagged(0, 0, 1)},
		{c: watching.Tagged(0, 0, 2)},
		{},
	} {
		var deletes []string
		if i == 2 {
			deletes = []string{b}
		}
		made, err := s.Commit(puts, deletes...)
		if err != nil {
			t.Fatal(err)
		}
		events[int64(2+i)] = made
	}
	return s, events
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// changed returns a copy of an event, modified by change.
func changed(e *mvccpb.Event, change func(*mvccpb.Event)) []*mvccpb.Event {
	e = proto.CloneOf(e)
	change(e)
	return []*mvccpb.Event{e}
}

// TestCursor checks that violations are found, and that correct behavior is
// accepted.
func TestCursor(t *testing.T) {
	type steps = []func(context.Context, *watching.Cursor) error
	events := func(list []*mvccpb.Event) func(context.Context, *watching.Cursor) error {
		return func(ctx context.Context, c *watching.Cursor) error { return c.Response(ctx, list) }
	}
	progress := func(rev int64) func(context.Context, *watching.Cursor) error {
		return func(ctx context.Context, c *watching.Cursor) error { return c.Progress(ctx, rev) }
	}
	compaction := func(where, at int64) func(context.Context, *watching.Cursor) error {
		return func(ctx context.Context, c *watching.Cursor) error { return c.Compaction(ctx, where, at) }
	}
	s, e := store(t)
	state := s.State()
	snapshot := func(rev int64, kvs []*mvccpb.KeyValue) func(context.Context, *watching.Cursor) error {
		return func(ctx context.Context, c *watching.Cursor) error { return c.Snapshot(ctx, rev, kvs) }
	}
	s.Compacted(4)
	reversed := slices.Clone(e[2])
	slices.Reverse(reversed)
	for _, test := range []struct {
		name  string
		from  int64
		steps steps
		want  string // the last step's error; empty for none
	}{
		{"each revision", 2, steps{events(e[2]), events(e[3]), events(e[4]), progress(5)}, ""},
		{"revisions together", 2, steps{events(slices.Concat(e[2], e[3], e[4]))}, ""},
		{"from a later one", 4, steps{events(e[4])}, ""},
		{"progress early", 2, steps{events(e[2]), progress(2), events(e[3])}, ""},
		{"compacted", 2, steps{events(e[2]), compaction(3, 4)}, ""},
		{"compacted, not told where", 2, steps{events(e[2]), compaction(3, 0)}, ""},
		{"a snapshot", 2, steps{snapshot(5, state)}, ""},
		{"no previous value of a compacted revision", 3, steps{events(changed(e[3][0], func(e *mvccpb.Event) { e.PrevKv = nil }))}, ""},

		{"a revision twice", 2, steps{events(e[2]), events(e[2])}, "twice, or out of order"},
		{"an event twice", 2, steps{events(append(slices.Clone(e[2]), e[2][0]))}, "twice, or out of order"},
		{"an event twice within", 2, steps{events([]*mvccpb.Event{e[2][0], e[2][0]})}, "no such change, or only one"},
		{"out of order", 2, steps{events(e[3])}, "revision 2 is missing"},
		{"a gap", 2, steps{events(e[2]), events(e[4])}, "revision 3 is missing"},
		{"half a revision", 2, steps{events(e[2][:1])}, "revision 2 is not whole"},
		{"out of order within", 2, steps{events(reversed)}, "after its put 1"},
		{"half a revision, then another", 2, steps{events(slices.Concat(e[2][:1], e[3]))}, "revision 2 is not whole"},
		{"before its beginning", 3, steps{events(e[2])}, "twice, or out of order"},
		{"progress over what is missing", 2, steps{events(e[2]), progress(3)}, "revision 3 is missing"},
		{"an event after progress", 2, steps{events(e[2]), events(e[3]), progress(3), events(e[3])}, "twice, or out of order"},
		{"a revision that there is not", 5, steps{progress(9)}, "deadline exceeded"},
		{"another value", 2, steps{events(changed(e[2][0], func(e *mvccpb.Event) { e.Kv.Value = []byte("other") }))}, "another value"},
		{"another version", 2, steps{events(changed(e[2][0], func(e *mvccpb.Event) { e.Kv.Version++ }))}, "version 2"},
		{"a deletion as a put", 4, steps{events(changed(e[4][1], func(e *mvccpb.Event) { e.Type = mvccpb.Event_PUT }))}, "the contrary"},
		{"another previous value", 3, steps{events(changed(e[3][0], func(e *mvccpb.Event) { e.PrevKv.Value = []byte("other") }))}, "the previous value"},
		{"a previous value too many", 2, steps{events(changed(e[2][0], func(e *mvccpb.Event) { e.PrevKv = e.Kv }))}, "want none"},
		{"a key that nobody writes", 2, steps{events(changed(e[2][0], func(e *mvccpb.Event) { e.Kv.Key = []byte("other") }))}, "no such change"},
		{"compacted too early", 2, steps{compaction(3, 4)}, "revision 2 is missing"},
		{"compacted for no reason", 5, steps{compaction(5, 4)}, "want at most 4"},
		{"compacted above what was asked for", 2, steps{events(e[2]), compaction(3, 5)}, "want at most 4"},
		{"compacted where it does not matter", 2, steps{events(e[2]), compaction(3, 3)}, "does not hinder"},
		{"compacted behind", 4, steps{compaction(3, 4)}, "want 4 or later"},
		{"a snapshot without a key", 2, steps{snapshot(5, state[1:])}, "the state at revision 5"},
		{"a snapshot without the last key", 2, steps{snapshot(5, state[:1])}, "is without"},
		{"a snapshot of another revision", 2, steps{snapshot(3, state)}, "the state at revision 3"},
		{"a snapshot with a key too many", 2, steps{snapshot(5, append(slices.Clone(state), state[0]))}, "has 3 keys"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := s.Watch(test.from)
			for i, step := range test.steps {
				err := step(soon(t), c)
				want := ""
				if i == len(test.steps)-1 {
					want = test.want
				}
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Fatalf("step %d: got %v, want %q", i+1, err, want)
				}
			}
		})
	}
}

// TestPreviousValueIsWanted checks that a missing previous value is found if it
// was not compacted.
func TestPreviousValueIsWanted(t *testing.T) {
	s, e := store(t)
	err := s.Watch(3).Response(soon(t), changed(e[3][0], func(e *mvccpb.Event) { e.PrevKv = nil }))
	if err == nil || !strings.Contains(err.Error(), "got no previous value") {
		t.Errorf("got %v, want that there is no previous value", err)
	}
}

// TestSettle finds contradictions between writers and the history.
func TestSettle(t *testing.T) {
	type writes = func(*watching.Store)
	for name, test := range map[string]struct {
		writes writes
		want   string
	}{
		"all acknowledged": {func(s *watching.Store) {
			s.Wrote(watching.Acknowledged, 2, 2, 0)
			s.Wrote(watching.Acknowledged, 3, 1, 0)
			s.Wrote(watching.Acknowledged, 4, 1, 1)
		}, ""},
		"in doubt": {func(s *watching.Store) {
			s.Wrote(watching.Ambiguous, 0, 2, 0)
			s.Wrote(watching.Ambiguous, 0, 1, 0)
			s.Wrote(watching.Acknowledged, 4, 1, 1)
			s.Wrote(watching.Ambiguous, 0, 1, 0)
			s.Wrote(watching.Refused, 0, 1, 0)
		}, ""},
		"refused and applied": {func(s *watching.Store) {
			s.Wrote(watching.Acknowledged, 2, 2, 0)
			s.Wrote(watching.Refused, 0, 1, 0)
			s.Wrote(watching.Acknowledged, 4, 1, 1)
		}, "was refused for certain, and applied at revision 3"},
		"acknowledged and lost": {func(s *watching.Store) {
			s.Wrote(watching.Acknowledged, 2, 2, 0)
			s.Wrote(watching.Acknowledged, 3, 1, 0)
			s.Wrote(watching.Acknowledged, 4, 1, 1)
			s.Wrote(watching.Acknowledged, 5, 1, 0)
		}, "acknowledged at revision 5"},
		"half of it": {func(s *watching.Store) {
			s.Wrote(watching.Acknowledged, 2, 3, 0)
			s.Wrote(watching.Acknowledged, 3, 1, 0)
			s.Wrote(watching.Acknowledged, 4, 1, 1)
		}, "want 3"},
		"another revision": {func(s *watching.Store) {
			s.Wrote(watching.Acknowledged, 2, 2, 0)
			s.Wrote(watching.Acknowledged, 4, 1, 0)
			s.Wrote(watching.Acknowledged, 4, 1, 1)
		}, "acknowledged at revision 4"},
		"nobody's": {func(s *watching.Store) {
			s.Wrote(watching.Acknowledged, 2, 2, 0)
			s.Wrote(watching.Acknowledged, 3, 1, 0)
		}, "which there is not"},
		"twice": {func(s *watching.Store) {
			s.Wrote(watching.Acknowledged, 2, 2, 0)
			s.Wrote(watching.Ambiguous, 0, 1, 0)
			s.Wrote(watching.Acknowledged, 4, 1, 1)
			if _, err := s.Commit(map[string]string{watching.Key(0, 5): watching.Tagged(0, 0, 1)}); err != nil {
				panic(err)
			}
		}, "applied twice, at revisions 3 and 6"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := store(t)
			test.writes(s)
			var found []string
			s.Settle(func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) })
			if got := strings.Join(found, "\n"); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestReader checks that a store that contradicts itself is noticed.
func TestReader(t *testing.T) {
	s, _ := store(t)
	state := s.State()
	vary := func(change func(*mvccpb.KeyValue)) []*mvccpb.KeyValue {
		kv := proto.CloneOf(state[0])
		change(kv)
		return []*mvccpb.KeyValue{kv}
	}
	for want, kvs := range map[string][]*mvccpb.KeyValue{
		"has version 4":       vary(func(kv *mvccpb.KeyValue) { kv.ModRevision, kv.Version = 6, 4 }),
		"nobody writes":       vary(func(kv *mvccpb.KeyValue) { kv.Key = []byte("watching/other") }),
		"changed at 2":        vary(func(kv *mvccpb.KeyValue) { kv.ModRevision = 2 }),
		"created at 6, after": vary(func(kv *mvccpb.KeyValue) { kv.ModRevision, kv.CreateRevision, kv.Version = 6, 6, 3 }),
	} {
		if err := s.Read(6, kvs, kvs); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
