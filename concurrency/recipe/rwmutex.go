package recipe

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
)

// RWMutex is a lock that either one writer holds, or any number of readers. It is
// given in the order in which it was asked for, so that neither can keep the others
// waiting forever.
//
// Its methods are safe for concurrent use, but it stands for one holder: goroutines
// that compete need one each, of which several may have the same session. The lock
// is lost with the session, whose Done tells when.
type RWMutex struct {
	c    Client
	s    Session
	name string
	mk   *maker

	mu   sync.Mutex // guards what follows
	held *holding
	busy bool // a call is under way
}

// holding is a lock that is held, or waited for.
type holding struct {
	key   string
	rev   int64 // the key's create revision
	write bool
}

// NewRWMutex returns the lock called name, to be held with a session.
func NewRWMutex(c Client, s Session, name string) *RWMutex {
	return &RWMutex{c: c, s: s, name: name, mk: newMaker(c, s, name)}
}

// Lock waits until nobody else holds the lock and takes it for writing, or returns
// why it could not: the context's error, ErrSession, ErrLost when its place in the
// queue was taken away, ErrHeld on an RWMutex that is locked. After an error nothing
// of it is left on the cluster, for which it takes up to 3 s beyond ctx; if the
// cluster cannot be reached for those, its key is deleted in the background, as soon
// as it can.
func (m *RWMutex) Lock(ctx context.Context) error { return m.lock(ctx, true) }

// RLock is Lock for reading: it waits for writers alone, those that came before.
func (m *RWMutex) RLock(ctx context.Context) error { return m.lock(ctx, false) }

// Unlock frees a lock that Lock has taken. It has 3 s for that, whatever has become
// of ctx; an error means that the cluster could not be reached, and the lock is free
// as soon as it can, or when the session's lease has ended. ErrLost means that it was not held any more,
// ErrNotHeld that it never was.
func (m *RWMutex) Unlock(ctx context.Context) error { return m.unlock(ctx, true) }

// RUnlock is Unlock for a lock that RLock has taken.
func (m *RWMutex) RUnlock(ctx context.Context) error { return m.unlock(ctx, false) }

// Token is the fencing token of the lock that is held, 0 without one: the create
// revision of its key. A writer's is greater than those of all that held the lock
// before.
func (m *RWMutex) Token() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil {
		return 0
	}
	return m.held.rev
}

// Guard is the comparison that holds as long as the lock does, for transactions on
// the same cluster. Without a lock it is one that never holds.
func (m *RWMutex) Guard() kv.Cmp {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil {
		return queue.Never(m.name)
	}
	return kv.Compare(kv.CreateRevision(m.held.key), "=", m.held.rev)
}

func (m *RWMutex) lock(ctx context.Context, write bool) error {
	if err := usableIn(ctx, "Lock", m.c, m.s); err != nil {
		return err
	}
	m.mu.Lock()
	if m.busy || m.held != nil {
		m.mu.Unlock()
		return ErrHeld
	}
	m.busy = true
	m.mu.Unlock()

	h, err := m.acquire(ctx, write)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy, m.held = false, h
	return err
}

func (m *RWMutex) acquire(ctx context.Context, write bool) (*holding, error) {
	outer := ctx
	ctx, done := within(ctx, m.s)
	defer done()
	h := &holding{key: m.name + "/read/" + unique(), write: write}
	if write {
		h.key = m.name + "/write/" + unique()
	}
	var err error
	if h.rev, err = m.mk.put(ctx, h.key, "", m.s.ID()); err != nil {
		return nil, err
	}
	if err = m.wait(ctx, h); err == nil {
		return h, nil
	}
	_, _ = m.mk.remove(outer, h.key, h.rev) // failing that, it goes with the session
	if ctx.Err() != nil {
		err = ended(ctx, m.name)
	}
	return nil, err
}

// wait returns when no key is left that was made before, by a writer or, for a
// writer, by anybody.
func (m *RWMutex) wait(ctx context.Context, h *holding) error {
	before := []string{m.name + "/write/"}
	if h.write {
		before = append(before, m.name+"/read/")
	}
	for {
		rev, last, err := m.last(ctx, h, before)
		if err != nil || last == nil {
			return err
		}
		if err := waitChange(ctx, m.c, string(last.Key), rev, mvccpb.Event_DELETE); err != nil {
			return err
		}
	}
}

// last returns the youngest of the holders' keys that were made before, under any of
// the prefixes, or nil, and a revision at which it was there, and the own one.
func (m *RWMutex) last(ctx context.Context, h *holding, before []string) (rev int64, last *mvccpb.KeyValue, err error) {
	for limit := int64(1); ; limit *= 8 { // until none of others' keys is in the way
		ops := []kv.Op{kv.OpGet(h.key, kv.WithKeysOnly())}
		for _, prefix := range before {
			ops = append(ops, kv.OpGet(prefix, append(kv.WithLastCreate(), kv.WithMaxCreateRev(h.rev-1), kv.WithLimit(limit))...))
		}
		resp, err := commit(ctx, m.c, nil, ops, nil)
		if err != nil {
			return 0, nil, err
		}
		own := resp.Responses[0].GetResponseRange().Kvs
		if len(own) == 0 || own[0].CreateRevision != h.rev {
			return 0, nil, fmt.Errorf("%w: %q", ErrLost, h.key)
		}
		all := true
		for i, prefix := range before {
			found := resp.Responses[1+i].GetResponseRange()
			j := slices.IndexFunc(found.Kvs, func(k *mvccpb.KeyValue) bool { return ephemeral(prefix, k) })
			if j >= 0 && (last == nil || found.Kvs[j].CreateRevision > last.CreateRevision) {
				last = found.Kvs[j]
			}
			all = all && (j >= 0 || !found.More)
		}
		// Any one will do to wait for.
		if last != nil || all {
			return resp.Header.Revision, last, nil
		}
	}
}

func (m *RWMutex) unlock(ctx context.Context, write bool) error {
	if err := usableIn(ctx, "Unlock", m.c, m.s); err != nil {
		return err
	}
	m.mu.Lock()
	h := m.held
	if m.busy || h == nil || h.write != write {
		m.mu.Unlock()
		return ErrNotHeld
	}
	m.busy, m.held = true, nil
	m.mu.Unlock()

	there, err := m.mk.remove(ctx, h.key, h.rev)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy = false
	if err == nil && !there {
		err = fmt.Errorf("%w: %q", ErrLost, h.key)
	}
	return err
}
