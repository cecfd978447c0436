package election

import (
	"context"
	"errors"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/holder"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// candidacy is one try to lead, from its lease to its end. An Election makes a
// new one for each. Its own lease, if it has one, puts the key; the key ends with the
// session's, or with the own one if there is no session.
type candidacy struct {
	*holder.Holder
	e     *Election
	val   string
	wait  bool    // for other candidates
	lease Session // the one that the key ends with

	// Of a session that looks after its keys: what it knows of them, and its life; nil
	// of another.
	ledger  *queue.Ledger
	session context.Context //nolint:containedctx // the session's lifecycle
	claimed bool            // the key
	left    bool            // it could not be deleted

	turn *pb.ResponseHeader // of the answer that gave the turn; nil if that was the one to the put

	mu     sync.Mutex // guards what follows
	mod    int64      // the key's last known mod revision; 0 for unknown
	header *pb.ResponseHeader
}

func (e *Election) newCandidacy(h *holder.Holder) *candidacy {
	c := &candidacy{Holder: h, e: e}
	c.ledger, c.session = queue.LedgerOf(e.cfg.session)
	return c
}

// Run implements holder.Try: it gets the lease, queues, and waits until the candidate
// leads, if it is to wait.
func (c *candidacy) Run() error {
	if s := c.e.cfg.session; s != nil {
		c.lease = s
		c.SetLease(s)
		if err := s.Err(); err != nil {
			_ = c.Lost(err)
			return err
		}
	}
	if c.ledger == nil {
		if err := c.Grant(); err != nil {
			return err
		}
	}
	if c.lease == nil {
		keeper, err := c.Keep()
		if err != nil {
			return err
		}
		c.lease = keeper
	}
	c.WatchLease()
	c.Place.Key = queue.Key(c.Place.Prefix, c.lease.ID())
	with := c.OwnLease()
	if c.ledger != nil {
		c.claim()
		with = c.lease.ID()
	}
	taken, err := c.Place.Take(c.Context(), c.val, with)
	if err != nil {
		if c.ledger != nil && etcderr.NotFound(err) {
			_ = c.Lost(err)
		}
		return err
	}
	c.note(taken.Own.ModRevision, taken.Header)
	if err := c.adopt(taken, c.val); err != nil {
		return err
	}
	if err := c.AwaitTurn(c.wait); err != nil {
		return err
	}
	c.turn = c.Place.Looked // before anybody watches the key, and looks again
	return nil
}

// claim says that the key is wanted, until release.
func (c *candidacy) claim() {
	c.ledger.Claim(c.Place.Key)
	c.claimed = true
}

// adopt hands the key to the session's lease, with the value, unless that is so
// already. The request can only change the key that is there, so a straggler
// cannot bring it back. The own lease has then done its duty; with it goes what
// may still be under way to put the key.
func (c *candidacy) adopt(taken queue.Taken, val string) error {
	// One that was there is always written, if it may be another candidacy's of the
	// same session: what still wants to delete that one's depends on it.
	adopted := taken.Own.Lease == int64(c.lease.ID()) && (taken.New || c.ownsKey() && string(taken.Own.Value) == val)
	for failures := 0; !adopted; failures++ {
		err := c.put(c.Context(), val)
		if adopted = err == nil; adopted {
			break
		}
		if etcderr.NotFound(err) && !c.ownsKey() {
			_ = c.Lost(err)
		}
		if c.Context().Err() != nil || etcderr.FinalForCaller(err) || etcderr.NotFound(err) || errors.Is(err, queue.ErrDeleted) || !queue.Pause(c.Context(), failures) {
			return err
		}
	}
	if !c.ownsKey() {
		c.Go(func() { _ = c.Revoke(c.Context()) })
	}
	return nil
}

// put writes the value, and the session's lease, to the key, which must be the
// one that this candidacy has, and not have been written since: so a put that
// comes late cannot undo one that was made after it. queue.ErrDeleted means that the
// key is gone.
func (c *candidacy) put(ctx context.Context, val string) error {
	for {
		mod := c.lastMod()
		resp, err := c.Place.KV.Txn(ctx).
			If(c.Place.Guard(), kv.Compare(kv.ModRevision(c.Place.Key), "=", mod)).
			Then(kv.OpPut(c.Place.Key, val, kv.WithLease(c.lease.ID()))).
			Else(kv.OpGet(c.Place.Key)).
			Commit()
		if err != nil {
			return err
		}
		if resp.Succeeded {
			c.note(resp.Header.Revision, resp.Header)
			return nil
		}
		kvs := resp.Responses[0].GetResponseRange().Kvs
		if len(kvs) == 0 || kvs[0].CreateRevision != c.Place.Rev {
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
	if err := c.Err(); err != nil {
		return err
	}
	err := c.put(ctx, val)
	if errors.Is(err, queue.ErrDeleted) || etcderr.NotFound(err) {
		err = c.Lost(err)
	}
	return err
}

// resign gives up a leadership.
func (c *candidacy) resign(ctx context.Context) (*pb.ResponseHeader, error) {
	c.End(ErrResigned)
	ctx, cancel := queue.Cleanup(ctx)
	defer cancel()
	header, err := c.remove(ctx)
	if c.release(ctx) == nil && c.ownsKey() {
		err = nil // the key went with its lease
	}
	return header, err
}

// Drop implements holder.Try.
func (c *candidacy) Drop(ctx context.Context, reason error) error {
	c.End(reason)
	ctx, cancel := queue.Cleanup(ctx)
	defer cancel()
	var err error
	if c.Place.Rev != 0 && !c.ownsKey() { // without a revision the key can only have the own lease
		_, err = c.remove(ctx)
	}
	return errors.Join(err, c.release(ctx))
}

// release revokes the own lease, if that may still matter, or leaves the key to the
// session, and waits for every goroutine of the candidacy's.
func (c *candidacy) release(ctx context.Context) error {
	err := c.Revoke(ctx)
	c.Wait()
	if c.claimed {
		c.claimed = false
		place := c.Place
		if c.e.cfg.Watcher == nil {
			place.Watcher = watch.New(c.e.cfg.Conn) // which rests when it is not used
		}
		c.ledger.Release(ctx, c.session, &place, c.lease.ID(), c.left)
	}
	c.Close()
	return err
}

// ownsKey reports whether the key ends with a lease of the candidacy's, rather than
// with a session's.
func (c *candidacy) ownsKey() bool { return c.e.cfg.session == nil }

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
