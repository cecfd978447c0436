package election

import (
	"context"
	"errors"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// candidacy is one try to lead, from its lease to its end. An Election makes a
// new one for each.
type candidacy struct {
	e      *Election
	leases lease.Lease

	lease   Session  // the one that the key ends with: the Election's, or a keeper of first
	first   lease.ID // made for this candidacy, to put the key with; NoLease: the session's will do
	place   queue.Place
	resumed bool // rather than run

	// Of a session that looks after its keys: what it knows of them, and its life; nil
	// of another.
	ledger  *queue.Ledger
	session context.Context //nolint:containedctx // the session's lifecycle
	claimed bool            // the key
	left    bool            // it could not be deleted

	// life ends when the leadership can no longer be proven or is given up, with
	// the reason as its cause. All that the candidacy does, it does in this
	// context.
	life context.Context //nolint:containedctx // the candidacy's lifecycle
	end  context.CancelCauseFunc
	wg   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	mod     int64      // the key's last known mod revision; 0 for unknown
	header  *pb.ResponseHeader
	spent   bool // first is revoked
	guarded bool // the key is watched, or need not be any more
}

// newCandidacy returns a candidacy whose life ends with ctx until it is detached.
func (e *Election) newCandidacy(ctx context.Context) (c *candidacy, detach func() bool) {
	c = &candidacy{e: e, leases: e.leases}
	if c.leases == nil {
		c.leases = lease.New(e.cc)
	}
	c.place = queue.Place{KV: e.kv, Watcher: e.watcher, Leases: c.leases, Prefix: e.prefix, TTL: e.ttl}
	if c.place.Watcher == nil {
		c.place.Watcher = watch.New(e.cc)
	}
	c.ledger, c.session = queue.LedgerOf(e.session)
	c.life, c.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return c, context.AfterFunc(ctx, func() { c.end(context.Cause(ctx)) })
}

// run gets the lease, queues, and waits until the candidate leads, if it is to wait.
// Whatever it returns but nil, drop must be called.
func (c *candidacy) run(val string, wait bool) error {
	c.lease = c.e.session
	if c.lease != nil {
		if err := c.lease.Err(); err != nil {
			c.end(lost(c.e.name, err))
			return err
		}
	}
	if c.ledger == nil {
		var err error
		if c.first, err = lease.GrantNew(c.life, c.leases, int64(c.e.ttl/time.Second)); err != nil {
			return err
		}
	}
	if c.lease == nil {
		keeper, err := c.leases.Keep(c.life, c.first)
		if err != nil {
			return err
		}
		c.lease = keeper
	}
	c.heedSession()
	c.place.Key = queue.Key(c.e.prefix, c.lease.ID())
	with := c.first
	if c.ledger != nil {
		c.claim()
		with = c.lease.ID()
	}
	taken, err := c.place.Take(c.life, val, with)
	if err != nil {
		if c.ledger != nil && etcderr.NotFound(err) {
			c.end(lost(c.e.name, err))
		}
		return err
	}
	c.note(taken.Own.ModRevision, taken.Header)
	if err := c.adopt(taken, val); err != nil {
		return err
	}
	if wait {
		return c.place.Wait(c.life)
	}
	first, err := c.place.First(c.life)
	if err == nil && !first {
		err = ErrContended
	}
	return err
}

// claim says that the key is wanted, until release.
func (c *candidacy) claim() {
	c.ledger.Claim(c.place.Key)
	c.claimed = true
}

// heedSession ends the candidacy with its session.
func (c *candidacy) heedSession() {
	done := c.lease.Done()
	if done == nil {
		return
	}
	c.wg.Go(func() {
		select {
		case <-done:
			c.end(lost(c.e.name, c.lease.Err()))
		case <-c.life.Done():
		}
	})
}

// adopt hands the key to the session's lease, with the value, unless that is so
// already. The request can only change the key that is there, so a straggler
// cannot bring it back. The first lease has then done its duty; with it goes what
// may still be under way to put the key.
func (c *candidacy) adopt(taken queue.Taken, val string) error {
	// One that was there is always written, if it may be another candidacy's of the
	// same session: what still wants to delete that one's depends on it.
	adopted := taken.Own.Lease == int64(c.lease.ID()) && (taken.New || c.own() && string(taken.Own.Value) == val)
	for failures := 0; !adopted; failures++ {
		err := c.put(c.life, val)
		if adopted = err == nil; adopted {
			break
		}
		if etcderr.NotFound(err) && !c.own() {
			c.end(lost(c.e.name, err))
		}
		if c.life.Err() != nil || etcderr.Final(err) || etcderr.NotFound(err) || errors.Is(err, queue.ErrDeleted) || !queue.Pause(c.life, failures) {
			return err
		}
	}
	if !c.own() && c.first != lease.NoLease {
		c.spend()
	}
	return nil
}

// spend revokes the first lease in the background.
func (c *candidacy) spend() {
	c.wg.Go(func() {
		if c.revoke(c.life) == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.spent = true
		}
	})
}

// put writes the value, and the session's lease, to the key, which must be the
// one that this candidacy has, and not have been written since: so a put that
// comes late cannot undo one that was made after it. queue.ErrDeleted means that the
// key is gone.
func (c *candidacy) put(ctx context.Context, val string) error {
	for {
		mod := c.lastMod()
		resp, err := c.e.kv.Txn(ctx).
			If(c.place.Guard(), kv.Compare(kv.ModRevision(c.place.Key), "=", mod)).
			Then(kv.OpPut(c.place.Key, val, kv.WithLease(c.lease.ID()))).
			Else(kv.OpGet(c.place.Key)).
			Commit()
		if err != nil {
			return err
		}
		if resp.Succeeded {
			c.note(resp.Header.Revision, resp.Header)
			return nil
		}
		kvs := resp.Responses[0].GetResponseRange().Kvs
		if len(kvs) == 0 || kvs[0].CreateRevision != c.place.Rev {
			return queue.ErrDeleted
		}
		c.note(kvs[0].ModRevision, resp.Header)
		if mod != 0 && string(kvs[0].Value) == val && kvs[0].Lease == int64(c.lease.ID()) {
			return nil // an earlier try of this put, or another's just now
		}
	}
}

// proclaim is put by a leader.
func (c *candidacy) proclaim(ctx context.Context, val string) error {
	if err := c.err(); err != nil {
		return err
	}
	err := c.put(ctx, val)
	if errors.Is(err, queue.ErrDeleted) || etcderr.NotFound(err) {
		err = lost(c.e.name, err)
		c.end(err)
	}
	return err
}

// proclaimAgain is a leader's Campaign. It reports whether the leadership turned
// out to be lost, and otherwise sets err.
func (c *candidacy) proclaimAgain(ctx context.Context, val string, err *error) bool {
	switch *err = c.proclaim(ctx, val); {
	case *err == nil:
		return false
	case errors.Is(*err, ErrNotLeader):
		return true
	default:
		return false
	}
}

// resign gives up a leadership.
func (c *candidacy) resign(ctx context.Context) (*pb.ResponseHeader, error) {
	c.end(ErrResigned)
	ctx, cancel := queue.Cleanup(ctx)
	defer cancel()
	header, err := c.remove(ctx)
	if c.release(ctx) == nil && c.own() {
		err = nil // the key went with its lease
	}
	return header, err
}

// drop ends the candidacy for the given reason and frees what it has on the
// cluster, within 3 s. It waits for every goroutine.
func (c *candidacy) drop(ctx context.Context, cause error) error {
	c.end(cause)
	ctx, cancel := queue.Cleanup(ctx)
	defer cancel()
	var err error
	if c.place.Rev != 0 && !c.own() { // without a revision the key can only have the first lease
		_, err = c.remove(ctx)
	}
	return errors.Join(err, c.release(ctx))
}

// release revokes the first lease, if that may still matter, or leaves the key to the
// session, and waits for every goroutine of the candidacy's.
func (c *candidacy) release(ctx context.Context) error {
	c.mu.Lock()
	c.guarded = true // nothing is to be added to wg any more
	revocable := c.first != lease.NoLease && !c.spent
	c.mu.Unlock()
	var err error
	if revocable {
		err = c.revoke(ctx)
	}
	c.wg.Wait()
	if c.claimed {
		c.claimed = false
		place := c.place
		if c.e.watcher == nil {
			place.Watcher = watch.New(c.e.cc) // which rests when it is not used
		}
		c.ledger.Release(ctx, c.session, &place, c.lease.ID(), c.left)
	}
	if c.e.leases == nil {
		_ = c.leases.Close()
	}
	if c.e.watcher == nil {
		_ = c.place.Watcher.Close()
	}
	return err
}

// own reports whether the key ends with a lease of the candidacy's, rather than
// with a session's.
func (c *candidacy) own() bool { return c.e.session == nil }

// err is why the candidacy is over, or nil.
func (c *candidacy) err() error {
	if err := c.lease.Err(); err != nil {
		c.end(lost(c.e.name, err)) // unless it has ended already
	}
	return context.Cause(c.life)
}

// note remembers what an answer has told of the key.
func (c *candidacy) note(mod int64, header *pb.ResponseHeader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mod >= c.mod {
		c.mod, c.header = mod, header
	}
}

func (c *candidacy) lastMod() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mod
}

func (c *candidacy) proposal() *pb.ResponseHeader {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.header
}

// guard watches over the key of a leader, from the first time that somebody wants
// to know: a leader that only proclaims and resigns need not be told.
func (c *candidacy) guard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.guarded || c.life.Err() != nil {
		return
	}
	c.guarded = true
	if c.resumed {
		c.heedSession()
	}
	c.wg.Go(func() {
		err := c.place.Hold(c.life)
		if errors.Is(err, queue.ErrDeleted) {
			c.end(lost(c.e.name, err))
		}
		// Anything else leaves it to the lease: whose lives, leads.
	})
}
