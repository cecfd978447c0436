package leasing

import (
	"errors"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// revoked is the value of a leasing key that its owner is to give up.
const revoked = "REVOKE"

// reacquire is how long a key that others want is left to them.
const reacquire = 2 * time.Second

// cache is what is owned and known. What is in it is right while its session lives.
type cache struct {
	prefix string // read-only

	mu      sync.Mutex // a leaf
	session *session.Session
	entries map[string]*entry
	writes  map[*writing]struct{} // under way
	later   map[string]time.Time  // when keys may be asked for again
	swept   time.Time             // when later was cleaned
	// seen is the header with the highest revision of this session, 0 until there is one.
	// It is never changed. At that revision everything that is known is still as it is
	// known to be: nobody else can have written it, and of own writes nothing is known
	// before they end.
	seen *pb.ResponseHeader
}

// entry is a key that is owned, or about to be. It belongs to the cache's mutex.
type entry struct {
	key    string
	rev    int64  // the leasing key's create revision; 0: not known yet
	gone   int64  // a leasing key that was created before it is lost
	floor  int64  // the revision of the last own write that was applied
	writes int    // own writes under way
	begun  int    // own writes, ever
	known  *state // nil: to be read
}

// learn takes a state unless it is older than what is known, or than a write. A key
// with a lease is not remembered: it goes without asking.
func (e *entry) learn(st *state) {
	if st.rev < e.floor || e.known != nil && st.rev < e.known.rev {
		return
	}
	e.known = st
	if st.pair.GetLease() != int64(lease.NoLease) {
		e.known = nil
	}
}

// current is what may be answered now, or nil.
func (e *entry) current() *state {
	if e == nil || e.writes > 0 {
		return nil
	}
	return e.known
}

func (c *cache) init(prefix string) {
	c.prefix = prefix
	c.entries = make(map[string]*entry)
	c.writes = make(map[*writing]struct{})
	c.later = make(map[string]time.Time)
	c.seen = &pb.ResponseHeader{}
}

// use begins anew with a session, or with none. Between two sessions the cluster may have been
// restored, and revisions of another history mean nothing.
func (c *cache) use(s *session.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.entries, c.seen = s, make(map[string]*entry), &pb.ResponseHeader{}
}

// note remembers a header if it is the latest.
func (c *cache) note(h *pb.ResponseHeader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noteLocked(h)
}

func (c *cache) noteLocked(h *pb.ResponseHeader) {
	if h.GetRevision() > c.seen.GetRevision() {
		c.seen = copied(h)
	}
}

// get looks a key up. An answer comes with the session that must still live, an entry
// without a session is to be read anew, and one with a session to be acquired by the
// caller, who alone has it. Nothing at all is to be asked of the cluster.
func (c *cache) get(op kv.Op) (*pb.RangeResponse, *session.Session, *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		return nil, nil, nil
	}
	key := string(op.KeyBytes())
	e := c.entries[key]
	if st := e.current(); st != nil {
		return st.answer(op, copied(c.seen)), c.session, nil
	}
	switch {
	case op.IsSerializable():
		return nil, nil, nil
	case e == nil && time.Now().Before(c.later[key]):
		return nil, nil, nil
	case e == nil:
		e = &entry{key: key}
		c.entries[key] = e
		for w := range c.writes {
			w.cover(c.prefix, e) // what is read may be old when it arrives
		}
		return nil, c.session, e
	case e.rev == 0:
		return nil, nil, nil // somebody else acquires it
	default:
		return nil, nil, e
	}
}

// own completes an acquisition, unless the key was given up or lost meanwhile.
func (c *cache) own(e *entry, rev int64, st *state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if rev < e.gone { // what has ended it was faster than the answer
		c.dropLocked(e)
		return
	}
	e.rev = rev
	e.learn(st)
}

// learn takes what was read of a key, which may have been given up meanwhile.
func (c *cache) learn(e *entry, st *state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.learn(st)
}

// leave leaves a key to others for a while.
func (c *cache) leave(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(e)
	c.waitLocked(e.key)
}

func (c *cache) dropLocked(e *entry) {
	if c.entries[e.key] == e {
		delete(c.entries, e.key)
	}
}

// waitLocked notes that a key is not to be asked for, for a while.
func (c *cache) waitLocked(key string) {
	now := time.Now()
	if now.Sub(c.swept) > reacquire {
		c.swept = now
		for k, at := range c.later {
			if !now.Before(at) {
				delete(c.later, k)
			}
		}
	}
	c.later[key] = now.Add(reacquire)
}

// heed forgets what others want, which it returns, and what is not owned any more.
func (c *cache) heed(id lease.ID, u watch.Update) (wanted []*mvccpb.KeyValue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	revoke := func(pair *mvccpb.KeyValue) {
		if pair.GetLease() != int64(id) || string(pair.GetValue()) != revoked {
			return
		}
		key := c.target(pair)
		c.loseLocked(key, pair.GetCreateRevision()+1)
		c.waitLocked(key)
		wanted = append(wanted, pair)
	}
	if snap := u.Snapshot; snap != nil {
		c.compareLocked(id, snap)
		c.noteLocked(snap.Header)
		for _, pair := range snap.KVs {
			revoke(pair)
		}
	}
	for _, event := range u.Events {
		pair := event.GetKv()
		if event.GetType() == watch.EventTypePut {
			revoke(pair)
		} else {
			c.loseLocked(c.target(pair), pair.GetModRevision())
		}
	}
	if u.Revision > c.seen.GetRevision() {
		c.seen = copied(c.seen)
		c.seen.Revision = u.Revision
	}
	return wanted
}

// loseLocked forgets a key if its leasing key was created before a revision.
func (c *cache) loseLocked(key string, before int64) {
	e := c.entries[key]
	if e == nil {
		return
	}
	e.gone = max(e.gone, before)
	if e.rev != 0 && e.rev < e.gone {
		delete(c.entries, key)
	}
}

// compareLocked forgets what a snapshot, which comes where events are missing, does
// not prove to be owned.
func (c *cache) compareLocked(id lease.ID, snap *watch.Snapshot) {
	if errors.Is(snap.Cause, watch.ErrClusterChanged) || errors.Is(snap.Cause, watch.ErrRevisionRegressed) {
		clear(c.entries)
		c.seen = copied(snap.Header)
		return
	}
	owned := make(map[string]int64)
	for _, pair := range snap.KVs {
		if pair.GetLease() == int64(id) {
			owned[c.target(pair)] = pair.GetCreateRevision()
		}
	}
	for key, e := range c.entries {
		if e.rev <= snap.Header.GetRevision() && (e.rev == 0 || owned[key] != e.rev) {
			delete(c.entries, key)
		}
	}
}

// target is the key that a leasing key stands for.
func (c *cache) target(leasing *mvccpb.KeyValue) string {
	return string(leasing.GetKey()[len(c.prefix):])
}
