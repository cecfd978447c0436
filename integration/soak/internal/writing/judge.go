package writing

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// judge holds what workers were told against the store's history, round after round.
type judge struct {
	model      *model
	violations []string

	open      map[id]*write    // in doubt, and not seen so far; of all rounds
	deletions map[int]int      // the same of deletions, which can't be recognized: how many, by worker
	all       map[id]*write    // of this round
	claims    map[int64]*write // by revision
	seen      map[id]int64     // of this round
	tally     map[fate]int     // of all rounds
	late      int              // writes in doubt that were applied
}

func newJudge() *judge {
	return &judge{model: newModel(), open: make(map[id]*write), deletions: make(map[int]int), tally: make(map[fate]int)}
}

func (j *judge) wrong(format string, args ...any) {
	if len(j.violations) < 100 {
		j.violations = append(j.violations, fmt.Sprintf(format, args...))
	}
}

// round judges a round's writes by its history, in which the events of a revision follow one
// another.
func (j *judge) round(writes []*write, history []*mvccpb.Event) {
	j.all, j.claims, j.seen = make(map[id]*write), make(map[int64]*write), make(map[id]int64)
	for _, w := range writes {
		j.all[w.id] = w
		j.tally[w.fate]++
		switch w.fate {
		case answered, applied:
			if other := j.claims[w.revision]; other != nil {
				j.wrong("%v and %v were both told of revision %d", w.id, other.id, w.revision)
			}
			j.claims[w.revision] = w
		case doubtful:
			if w.deletes() {
				j.deletions[w.id.worker]++
			} else {
				j.open[w.id] = w
			}
		case failed:
		}
		if w.fate != answered && !w.hurried {
			j.wrong("%v has failed though it had time: %v", w.id, w.err)
		}
	}
	for len(history) > 0 {
		rev := history[0].GetKv().GetModRevision()
		n := slices.IndexFunc(history, func(e *mvccpb.Event) bool { return e.GetKv().GetModRevision() != rev })
		if n < 0 {
			n = len(history)
		}
		j.revision(rev, history[:n])
		history = history[n:]
	}
	for _, rev := range slices.Sorted(maps.Keys(j.claims)) {
		j.wrong("%v was told of revision %d, which is not in the history: it is lost", j.claims[rev].id, rev)
	}
}

// revision judges the events of one.
func (j *judge) revision(rev int64, events []*mvccpb.Event) {
	var changes []*mvccpb.Event // by workers
	advanced := 0
	for _, e := range events {
		switch key := string(e.GetKv().GetKey()); {
		case strings.HasPrefix(key, root):
			changes = append(changes, e)
		case strings.HasPrefix(key, slots) && e.GetType() == mvccpb.Event_PUT && len(e.GetKv().GetValue()) > 0:
			advanced++
		}
	}
	w := j.claims[rev]
	delete(j.claims, rev)
	if w == nil {
		j.unclaimed(rev, changes)
		for _, e := range changes {
			j.model.change(e)
		}
		return
	}
	if advanced != 1 {
		j.wrong("%v at revision %d has advanced %d slots, want one", w.id, rev, advanced)
	}
	j.once(w, rev)
	want := j.model.do(w.req, rev)
	if w.fate == answered {
		j.same(w, want)
	}
	for _, e := range changes {
		key := e.GetKv().GetKey()
		if !j.model.touched[string(key)] || !proto.Equal(present(e), j.model.keys[string(key)]) {
			j.wrong("%v at revision %d: the store has %v, and the write would make it %v", w.id, rev, e, j.model.keys[string(key)])
			j.model.change(e)
		}
	}
	if len(changes) != len(j.model.touched) {
		j.wrong("%v at revision %d has changed %d keys, want %d", w.id, rev, len(changes), len(j.model.touched))
	}
}

// present is the key after an event; nil if it was deleted.
func present(e *mvccpb.Event) *mvccpb.KeyValue {
	if e.GetType() == mvccpb.Event_DELETE {
		return nil
	}
	return e.GetKv()
}

// same compares an answer with the model's.
func (j *judge) same(w *write, want proto.Message) {
	got := proto.Clone(w.reply)
	switch r := got.(type) {
	case *pb.PutResponse:
		r.Header = nil
	case *pb.DeleteRangeResponse:
		r.Header = nil
	case *pb.TxnResponse:
		r.Header = nil
	}
	if !proto.Equal(got, want) {
		j.wrong("%v at revision %d was answered\n%v\nand should have been\n%v", w.id, w.revision, got, want)
	}
}

// once notes that w was applied.
func (j *judge) once(w *write, rev int64) {
	if at, before := j.seen[w.id]; before {
		j.wrong("%v was applied twice, at revisions %d and %d", w.id, at, rev)
	}
	j.seen[w.id] = rev
}

// unclaimed judges changes that nobody was told of: they must be those of a write in doubt.
func (j *judge) unclaimed(rev int64, changes []*mvccpb.Event) {
	if len(changes) == 0 {
		return // the slots' own
	}
	ids := make(map[id]bool)
	for _, e := range changes {
		if i, ok := idOf(e.GetKv().GetValue()); ok && e.GetType() == mvccpb.Event_PUT {
			ids[i] = true
		}
	}
	switch len(ids) {
	case 0:
		j.deletion(rev, changes)
		return
	case 1:
	default:
		j.wrong("revision %d has changes of %d writes", rev, len(ids))
		return
	}
	for i := range ids {
		w := j.all[i]
		switch {
		case j.open[i] != nil:
			delete(j.open, i)
			j.seen[i] = rev
			j.late++
		case w == nil:
			j.wrong("%v, of an earlier round, was applied again, at revision %d", i, rev)
		case w.fate == failed:
			j.wrong("%v was applied, at revision %d, though it has failed for certain: %v", i, rev, w.err)
		default:
			j.wrong("%v was applied twice, at revisions %d and %d", i, w.revision, rev)
		}
	}
}

// deletion judges a revision with deletions alone.
func (j *judge) deletion(rev int64, changes []*mvccpb.Event) {
	for worker := range j.deletions {
		if bytes.HasPrefix(changes[0].GetKv().GetKey(), own(worker, 0)[:len(own(worker, 0))-1]) && j.deletions[worker] > 0 {
			j.deletions[worker]--
			j.late++
			return
		}
	}
	j.wrong("at revision %d %q was deleted, by no write that is in doubt", rev, changes[0].GetKv().GetKey())
}
