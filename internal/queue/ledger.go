package queue

import (
	"context"
	"sync"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// Ledger is what a session remembers of the keys that it has in queues, so that one put
// with the session's own lease is enough.
//
// A put whose answer was lost may be applied at any time, as long as its lease lives:
// also when nobody wants the key any more. A lease of its own would see to that by being
// revoked; here the key is looked after instead, until the session ends, and deleted
// when it comes. Those who want the key claim it, and while one does it is left alone.
// So it is with a key whose deletion has failed.
type Ledger struct {
	mu   sync.Mutex // guards what follows, and the accounts; a leaf
	keys map[string]*account
}

// account is what there is to know of a key.
type account struct {
	claims int
	doubt  bool          // a put may come yet
	stop   func()        // of who looks after the key; nil: nobody does
	ended  chan struct{} // closed when that one has ended
}

type ledgerKey struct{}

// WithLedger returns a context that has a new Ledger.
func WithLedger(ctx context.Context) context.Context {
	return context.WithValue(ctx, ledgerKey{}, &Ledger{keys: make(map[string]*account)})
}

// LedgerOf returns a session's ledger, and the context that ends with the session; nil
// if it has none.
func LedgerOf(session any) (*Ledger, context.Context) {
	s, ok := session.(interface{ Context() context.Context })
	if !ok {
		return nil, nil
	}
	ctx := s.Context()
	l, _ := ctx.Value(ledgerKey{}).(*Ledger)
	return l, ctx
}

// Claim says that the key is wanted. When it returns nobody looks after the key who
// could take one that is put from now on for one that nobody wants; one that is there
// already has to be written to be certain to stay.
func (l *Ledger) Claim(key string) {
	l.mu.Lock()
	a := l.keys[key]
	if a == nil {
		a = &account{}
		l.keys[key] = a
	}
	a.claims++
	stop, ended := a.stop, a.ended
	l.mu.Unlock()
	if stop != nil {
		stop()
		<-ended // what it waits for ends with it
	}
}

// Release ends a claim of the place's key. Unless there is another one, the key is
// deleted if it has the lease and either it was to be, which is left, or p.Doubt is set.
// Release returns when that has been done once, or ctx has ended; the rest goes on in
// the background, until life ends, which is the session's.
func (l *Ledger) Release(ctx, life context.Context, p *Place, id lease.ID, left bool) {
	l.mu.Lock()
	a := l.keys[p.Key]
	a.claims--
	a.doubt = a.doubt || p.Doubt
	if a.claims > 0 {
		l.mu.Unlock()
		return
	}
	if !a.doubt && !left || life.Err() != nil {
		delete(l.keys, p.Key)
		l.mu.Unlock()
		return
	}
	life, cancel := context.WithCancel(life)
	c := &caretaker{kv: p.KV, watch: p.Watcher.Watch, key: p.Key, id: id, once: !a.doubt, clean: make(chan struct{})}
	ended := make(chan struct{})
	a.stop, a.ended = cancel, ended
	l.mu.Unlock()
	go func() {
		defer close(ended)
		defer cancel()
		c.run(life)
		l.mu.Lock()
		defer l.mu.Unlock()
		a.stop = nil
		if a.claims == 0 {
			delete(l.keys, c.key)
		}
	}()
	select {
	case <-c.clean:
	case <-ended:
	case <-ctx.Done():
	}
}

// caretaker deletes a session's key that nobody wants.
type caretaker struct {
	kv    kv.KV
	watch func(ctx context.Context, key string, opts ...kv.OpOption) watch.WatchChan
	key   string
	id    lease.ID
	once  bool          // none is to come
	one   bool          // at most one is to come
	found bool          // one has come
	clean chan struct{} // closed when the key was not there
}

// run returns when ctx has ended, trying on is of no use, or, with once, the key is not
// there, or, with one, the one that was put has come and gone.
func (c *caretaker) run(ctx context.Context) {
	for failures, clean := 0, false; ; {
		rev, err := c.sweep(ctx)
		if err == nil && !clean {
			clean = true
			close(c.clean)
		}
		if err == nil && (c.once || c.one && c.found) {
			return
		}
		if err == nil && c.await(ctx, rev) {
			failures = 0
			continue
		}
		if ctx.Err() != nil || etcderr.Final(err) || !Pause(ctx, failures) {
			return
		}
		failures++
	}
}

// sweep deletes the key if it is there, and returns the revision at which it is not, or
// not the session's.
func (c *caretaker) sweep(ctx context.Context) (rev int64, err error) {
	for {
		resp, err := c.kv.Get(ctx, c.key)
		if err != nil {
			return 0, err
		}
		if len(resp.Kvs) == 0 || resp.Kvs[0].Lease != int64(c.id) {
			return resp.Header.GetRevision(), nil
		}
		c.found = true // whatever is answered to its deletion
		k := resp.Kvs[0]
		_, err = c.kv.Txn(ctx).
			If(kv.Compare(kv.CreateRevision(c.key), "=", k.CreateRevision), kv.Compare(kv.ModRevision(c.key), "=", k.ModRevision)).
			Then(kv.OpDelete(c.key)).
			Commit()
		if err != nil {
			return 0, err
		}
	}
}

// await reports whether something was put after a revision. It is false after a failure.
func (c *caretaker) await(ctx context.Context, rev int64) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for resp := range c.watch(ctx, c.key, kv.WithRev(rev+1), kv.WithFilterDelete()) {
		if len(resp.Events) > 0 {
			return true
		}
	}
	return false
}
