package view

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/whole"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// Follower is where a View learns of its keys: a *client.Client or a watch.Watcher, or
// anything else that follows keys as they do.
type Follower interface {
	// Follow is watch.Watcher's: a snapshot, and then what changes.
	Follow(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[watch.Update, error]
}

// Config is what a View does with keys and values. Only Decode is needed. The functions are
// called one at a time, on one goroutine: the next step of the history waits for them.
type Config[T any] struct {
	// Decode makes a T of a key and its value. It may keep the value's bytes. An error
	// means that the value is bad.
	Decode func(key string, value []byte) (T, error)
	// OnChange is told what one step of the history has changed: all changes of a
	// transaction are in one call, and those of several in a row may be. The first call
	// has what the first snapshot has, and there is none for an empty one. The View has
	// the new values by then.
	OnChange func(changes []Change[T])
	// OnBad is told of each value that could not be decoded. The error is a
	// *DecodeError. It is called before OnChange.
	OnBad func(err error)
	// Indexes find keys by what their values say: see ByIndex. The function of each
	// name returns the terms under which a key is found, of any number. It is called
	// once for each good value.
	Indexes map[string]func(key string, value T) []string
}

// JSON is a Decode for values in JSON. As json.Unmarshal it ignores fields that T does not have,
// so a misspelled one is not bad; StrictJSON refuses them. A Decode of your own can also begin
// with defaults, and refuse what is out of bounds.
func JSON[T any](_ string, value []byte) (T, error) {
	var v T
	err := json.Unmarshal(value, &v)
	return v, err
}

// StrictJSON is JSON, but a field that T does not have makes a value bad, and so does anything
// after the value.
func StrictJSON[T any](_ string, value []byte) (T, error) {
	var v T
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, errors.New("there is something after the JSON value")
	}
	return v, nil
}

// Change is what has become of a key.
type Change[T any] struct {
	// Key is the whole key.
	Key string
	// Old is the last good value before, if there was one: Had.
	Old T
	Had bool
	// New is the present value, unless the key was deleted.
	New     T
	Deleted bool
}

// Snapshot is a copy of a View at a revision.
type Snapshot[T any] struct {
	// Values are the last good values by their keys.
	Values map[string]T
	// Revision is the store's, up to which all changes are in: see watch.Update. It is
	// 0 before the first sync.
	Revision int64
}

// DecodeError is a value that could not be decoded.
type DecodeError struct {
	// Key has the value since Revision.
	Key      string
	Revision int64
	// Err is Decode's.
	Err error
}

// Error implements error.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("view: the value of %q, of revision %d, is bad: %v", e.Key, e.Revision, e.Err)
}

// Unwrap returns Err.
func (e *DecodeError) Unwrap() error { return e.Err }

// View has the present values of some keys. It is safe for concurrent use. Its memory is
// that of the keys and values that are there, and of one step of the history.
type View[T any] struct {
	cfg    Config[T]
	synced chan struct{} // closed with the first snapshot
	done   chan struct{} // closed when it has ended

	indexes []*index[T] // guarded by mu, but for their names and functions

	mu       sync.RWMutex // guards what follows
	entries  shrinking[entry[T]]
	revision int64
	err      error // why it has ended
}

// entry is a key that is there.
type entry[T any] struct {
	value T
	good  bool         // there is a value
	bad   *DecodeError // of the present value; nil if that is good
	mod   int64        // the present value's revision
	terms [][]string   // of value, for each index; nil without indexes
}

// New returns a View of a key, or of a range of keys by the options of a watch, such as
// kv.WithPrefix. It waits for nothing: WaitSync does. The View ends with ctx, or with an
// error that retrying cannot fix, such as rpctypes.ErrPermissionDenied; it has nothing
// to close. After the end of ctx, Done tells when its goroutine has ended.
//
// What cannot be right is an error: a Config without Decode, an index without a function, and
// options that leave out events.
func New[T any](ctx context.Context, f Follower, key string, cfg Config[T], opts ...kv.OpOption) (*View[T], error) {
	if err := misuse.Context(ctx, "view: New"); err != nil {
		return nil, err
	}
	if err := misuse.Nil("view: New", "follower", f); err != nil {
		return nil, err
	}
	if err := misuse.Options("view: New", opts); err != nil {
		return nil, err
	}
	op := kv.OpWatch(key, opts...)
	if err := op.Err(); err != nil {
		return nil, fmt.Errorf("view: New: %w", err)
	}
	switch {
	case cfg.Decode == nil:
		return nil, misuse.Error("view: New: Config.Decode is nil; use JSON, or a function of your own")
	case op.Rev() != 0 || op.IsCreatedNotify():
		return nil, misuse.Error("view: New: a view begins with the present state, and WaitSync tells when; leave WithRev and WithCreatedNotify out")
	case op.IsFilterPut() || op.IsFilterDelete():
		return nil, misuse.Error("view: New: WithFilterPut and WithFilterDelete leave out what a view has to see; leave them out")
	}
	v := &View[T]{cfg: cfg, synced: make(chan struct{}), done: make(chan struct{})}
	for _, name := range slices.Sorted(maps.Keys(cfg.Indexes)) {
		if cfg.Indexes[name] == nil {
			return nil, misuse.Error(fmt.Sprintf("view: New: the function of index %q is nil", name))
		}
		v.indexes = append(v.indexes, &index[T]{name: name, terms: cfg.Indexes[name]})
	}
	go func() {
		defer close(v.done)
		err := v.follow(ctx, whole.Snapshots(f.Follow(ctx, key, opts...)))
		v.mu.Lock()
		defer v.mu.Unlock()
		v.err = err
	}()
	return v, nil
}

// WaitSync waits until the View has taken its first snapshot, and OnChange has returned
// from it. It returns ctx's cause when that ends first, and Err when the View does. While
// no member can be reached it waits; client.WaitReady tells why that is.
func (v *View[T]) WaitSync(ctx context.Context) error {
	if err := misuse.Context(ctx, "view: WaitSync"); err != nil {
		return err
	}
	select {
	case <-v.synced:
		return nil
	case <-v.done:
		select {
		case <-v.synced:
			return nil
		default:
			return v.Err()
		}
	case <-ctx.Done():
		return fmt.Errorf("view: the first snapshot: %w", ctxerr.Of(ctx))
	}
}

// Get returns the last good value of a key. ok is false if the key is not there, never
// had a good value, or is not one of the View's. All callers get the same T: what it
// refers to must not be changed.
func (v *View[T]) Get(key string) (value T, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	e := v.entries.m[key]
	return e.value, e.good
}

// Snapshot returns all values as they were at one revision. The map is a copy.
func (v *View[T]) Snapshot() Snapshot[T] {
	v.mu.RLock()
	defer v.mu.RUnlock()
	s := Snapshot[T]{Values: make(map[string]T, len(v.entries.m)), Revision: v.revision}
	for key, e := range v.entries.m {
		if e.good {
			s.Values[key] = e.value
		}
	}
	return s
}

// Bad returns the keys whose present values could not be decoded, and why. It is empty
// when all is well.
func (v *View[T]) Bad() map[string]*DecodeError {
	v.mu.RLock()
	defer v.mu.RUnlock()
	bad := make(map[string]*DecodeError)
	for key, e := range v.entries.m {
		if e.bad != nil {
			bad[key] = e.bad
		}
	}
	return bad
}

// Done closes when the View has ended, and its last callback has returned. The values stay
// as they were.
func (v *View[T]) Done() <-chan struct{} { return v.done }

// Err is nil while the View follows its keys, and then why it does not: the context's cause,
// or an error that retrying cannot fix.
func (v *View[T]) Err() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.err
}

// follow applies the history until it ends, and returns why.
func (v *View[T]) follow(ctx context.Context, history iter.Seq2[watch.Update, error]) error {
	first := true
	for u, err := range history {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		v.step(u).tell(&v.cfg)
		if first {
			first = false
			close(v.synced)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errEnded
}

// errEnded is why a View ends whose Follower does, without a reason.
var errEnded = errors.New("view: the follower has ended without an error")

// step decodes an update and applies it as a whole.
func (v *View[T]) step(u watch.Update) *step[T] {
	s := &step[T]{
		decode: v.cfg.Decode, before: v.entries.m,
		after: make(map[string]entry[T]), fresh: make(map[string]bool), seen: make(map[string]bool),
	}
	if u.Snapshot != nil {
		s.snapshot(u.Snapshot)
	}
	for _, e := range u.Events {
		if e.GetType() == watch.EventTypeDelete {
			s.remove(string(e.GetKv().GetKey()))
		} else {
			s.put(e.GetKv())
		}
	}
	s.index(v.indexes)
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, key := range s.order {
		if change := s.change(key); change != nil {
			s.changes = append(s.changes, *change)
		}
		was := s.before[key]
		is, there := s.after[key]
		if there {
			v.entries.put(key, is)
		} else {
			v.entries.remove(key)
		}
		for i, x := range v.indexes {
			x.move(key, was.of(i), is.of(i))
		}
	}
	v.revision = u.Revision
	return s
}

// step is one update on its way into a View.
type step[T any] struct {
	decode  func(string, []byte) (T, error)
	before  map[string]entry[T] // the view's, which this goroutine alone writes
	after   map[string]entry[T] // of the keys in order that are there
	fresh   map[string]bool     // those of them with a good value of this step's
	order   []string            // the keys that the step is about
	seen    map[string]bool     // the keys in order
	changes []Change[T]
	bad     []*DecodeError
}

// current is a key as this step has left it so far.
func (s *step[T]) current(key string) (entry[T], bool) {
	if s.seen[key] {
		e, there := s.after[key]
		return e, there
	}
	e, there := s.before[key]
	return e, there
}

func (s *step[T]) note(key string) {
	if !s.seen[key] {
		s.seen[key] = true
		s.order = append(s.order, key)
	}
}

// put decodes a value. A bad one leaves the last good one in its place.
func (s *step[T]) put(p *mvccpb.KeyValue) {
	key := string(p.GetKey())
	e, _ := s.current(key)
	e.mod, e.bad = p.GetModRevision(), nil
	value, err := s.decode(key, p.GetValue())
	if err == nil {
		e.value, e.good = value, true
		s.fresh[key] = true
	} else {
		e.bad = &DecodeError{Key: key, Revision: e.mod, Err: err}
		s.bad = append(s.bad, e.bad)
	}
	s.note(key)
	s.after[key] = e
}

// index asks for the terms of the step's good values.
func (s *step[T]) index(indexes []*index[T]) {
	if len(indexes) == 0 {
		return
	}
	for key := range s.fresh {
		e := s.after[key]
		e.terms = make([][]string, len(indexes))
		for i, x := range indexes {
			e.terms[i] = slices.Clone(x.terms(key, e.value))
		}
		s.after[key] = e
	}
}

func (s *step[T]) remove(key string) {
	s.note(key)
	delete(s.after, key)
	delete(s.fresh, key)
}

// snapshot replaces everything. What was not changed since is not decoded again, unless
// the history is another one: then the same revision may be of another value.
func (s *step[T]) snapshot(snap *watch.Snapshot) {
	same := !errors.Is(snap.Cause, watch.ErrClusterChanged) && !errors.Is(snap.Cause, watch.ErrRevisionRegressed)
	there := make(map[string]bool, len(snap.KVs))
	for _, p := range snap.KVs {
		key := string(p.GetKey())
		there[key] = true
		if e, known := s.before[key]; !known || !same || e.mod != p.GetModRevision() {
			s.put(p)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.before)) {
		if !there[key] {
			s.remove(key)
		}
	}
}

// change is what the step does to a key, if users can see it.
func (s *step[T]) change(key string) *Change[T] {
	was := s.before[key]
	is := s.after[key]
	switch {
	case s.fresh[key]:
		return &Change[T]{Key: key, Old: was.value, Had: was.good, New: is.value}
	case was.good && !is.good:
		return &Change[T]{Key: key, Old: was.value, Had: true, Deleted: true}
	}
	return nil
}

// tell calls the user's functions.
func (s *step[T]) tell(cfg *Config[T]) {
	if cfg.OnBad != nil {
		for _, err := range s.bad {
			cfg.OnBad(err)
		}
	}
	if cfg.OnChange != nil && len(s.changes) > 0 {
		cfg.OnChange(s.changes)
	}
}
