package cas

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/ctxerr"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/kv"
)

// Store changes keys by compare-and-set. Make one with New. It is safe for concurrent use.
type Store struct {
	store  kv.KV
	prefix string // of the markers' keys

	mu   sync.Mutex
	free []marker
	made int
}

// marker is a Marker and its key. One call at a time has it.
type marker struct {
	*kv.Marker
	key string
}

// failures are the pauses after a request that was not applied.
var failures = backoff.Exponential{First: 20 * time.Millisecond, Max: 500 * time.Millisecond}

// New returns a Store over store. The keys of its markers begin with prefix, which must be this
// process's own, and must not be empty. Nothing is sent.
func New(store kv.KV, prefix string) (*Store, error) {
	if err := misuse.Nil("cas: New", "store", store); err != nil {
		return nil, err
	}
	if prefix == "" {
		return nil, misuse.Error(`cas: New: the prefix is empty; name one of this process's own, such as "cas/host-1/"`)
	}
	return &Store{store: store, prefix: prefix}, nil
}

// Result is what is known to have happened.
type Result struct {
	// Done reports that this call has changed the key. If it is false, the call has not
	// changed it, and never will.
	Done bool
	// Revision is the store's at which the key was changed, and so the mod revision of a key
	// that was created or replaced. If Done is false, it is that at which the key was found not
	// to be as it should. It is 0 if the answer to the change was lost and the revision could not
	// be read any more, since ctx had ended.
	Revision int64
	// Kv is the key as it was found, if Done is false; nil if it did not exist.
	Kv *mvccpb.KeyValue
}

// Create creates the key if it does not exist. The options are those of a Put, such as
// kv.WithLease.
func (s *Store) Create(ctx context.Context, key, value string, opts ...kv.OpOption) (Result, error) {
	if err := misuse.Options("cas: Create", opts); err != nil {
		return Result{}, err
	}
	return s.change(ctx, "Create", key, 0, kv.OpPut(key, value, opts...))
}

// Replace gives the key another value if its mod revision is still rev: if nobody has written to
// it since it was read. A rev of 0 creates it.
func (s *Store) Replace(ctx context.Context, key string, rev int64, value string, opts ...kv.OpOption) (Result, error) {
	if err := misuse.Options("cas: Replace", opts); err != nil {
		return Result{}, err
	}
	return s.change(ctx, "Replace", key, rev, kv.OpPut(key, value, opts...))
}

// Delete deletes the key if its mod revision is still rev, which must not be 0.
func (s *Store) Delete(ctx context.Context, key string, rev int64) (Result, error) {
	if rev == 0 {
		return Result{}, misuse.Error("cas: Delete: the mod revision is 0, which no key has")
	}
	return s.change(ctx, "Delete", key, rev, kv.OpDelete(key))
}

// rivals are the pauses of Modify after another client was quicker.
var rivals = backoff.Exponential{First: 5 * time.Millisecond, Max: 250 * time.Millisecond}

// Modify gives the key the value that f makes of what it is; of nil if it does not exist. When
// others change the key meanwhile, f is called again, so it must have no other effect. An error
// of f is returned as it is, and then nothing is changed. Without an error Done is true.
func (s *Store) Modify(ctx context.Context, key string, f func(now *mvccpb.KeyValue) (string, error), opts ...kv.OpOption) (Result, error) {
	if err := cmp.Or(misuse.Context(ctx, "cas: Modify"), misuse.Options("cas: Modify", opts)); err != nil {
		return Result{}, err
	}
	if f == nil {
		return Result{}, misuse.Error("cas: Modify: the function is nil")
	}
	resp, err := s.store.Get(ctx, key)
	if err != nil {
		return Result{}, newError("Modify", key, err)
	}
	var now *mvccpb.KeyValue
	if len(resp.Kvs) > 0 {
		now = resp.Kvs[0]
	}
	for n := 0; ; n++ {
		value, err := f(now)
		if err != nil {
			return Result{}, err
		}
		r, err := s.change(ctx, "Modify", key, now.GetModRevision(), kv.OpPut(key, value, opts...))
		if err != nil || r.Done {
			return r, err
		}
		if now = r.Kv; !backoff.Sleep(ctx, rivals.Pause(n)) {
			return Result{}, newError("Modify", key, fmt.Errorf("others have changed it each time: %w", ctxerr.Of(ctx)))
		}
	}
}

// change does op if the key's mod revision is rev, and finds out what has become of it.
func (s *Store) change(ctx context.Context, name, key string, rev int64, op kv.Op) (Result, error) {
	if err := misuse.Context(ctx, "cas: "+name); err != nil {
		return Result{}, err
	}
	m, err := s.take()
	if err != nil {
		return Result{}, newError(name, key, err)
	}
	defer s.give(m) // if its fate is open, it settles that before the next transaction
	for n := 0; ; n++ {
		resp, err := m.Txn(ctx, s.store).
			If(kv.Compare(kv.ModRevision(key), "=", rev)).
			Then(op).
			Else(kv.OpGet(key)).
			Commit()
		if err == nil {
			r := Result{Done: resp.Succeeded, Revision: resp.Header.GetRevision()}
			if now := resp.Responses[0].GetResponseRange().GetKvs(); !r.Done && len(now) > 0 {
				r.Kv = now[0]
			}
			return r, nil
		}
		if !etcderr.Ambiguous(err) {
			return Result{}, newError(name, key, err)
		}
		applied, unsettled := m.Settle(ctx)
		switch {
		case unsettled != nil:
			return Result{}, &Error{name, key, errors.Join(unsettled, err), true}
		case applied:
			return Result{Done: true, Revision: s.revision(ctx, m)}, nil
		case etcderr.Refused(etcderr.Code(err)), etcderr.FinalForCaller(err), !backoff.Sleep(ctx, failures.Pause(n)):
			return Result{}, newError(name, key, err)
		}
	}
}

// revision is that of m's last change, which was this call's; 0 if it can't be read.
func (s *Store) revision(ctx context.Context, m marker) int64 {
	resp, err := s.store.Get(ctx, m.key, kv.WithKeysOnly())
	if err != nil || len(resp.Kvs) == 0 {
		return 0
	}
	return resp.Kvs[0].ModRevision
}

// take returns a marker that nobody else has.
func (s *Store) take() (marker, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		m := s.free[n-1]
		s.free = s.free[:n-1]
		return m, nil
	}
	s.made++
	key := fmt.Sprintf("%s%04x", s.prefix, s.made)
	m, err := kv.NewMarker(s.store, key)
	return marker{m, key}, err
}

func (s *Store) give(m marker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, m)
}
