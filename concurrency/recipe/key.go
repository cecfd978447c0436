package recipe

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// maker puts keys that were not there, so that one that is given up stays away.
// Every such request depends on the fence not having changed since a revision that
// its maker has seen; to change the fence refuses all that are under way.
type maker struct {
	c     Client
	s     Session // whose lease the keys have; nil for keys that stay
	fence string
	seen  atomic.Int64 // a revision of the store; the fence was not newer than it
}

func newMaker(c Client, s Session, name string) *maker {
	return &maker{c: c, s: s, fence: name + ".fence"}
}

// open is the comparison that a request depends on.
func (m *maker) open() kv.Cmp {
	return kv.Compare(kv.ModRevision(m.fence), "<", m.seen.Load()+1)
}

// put puts a key and returns its create revision; ErrKeyExists, if there is one
// with another value. After any error the key is not there, and will not be: if the
// cluster can't be reached for 3 s, one with a lease is deleted later (see free), and
// one without is an *UnsettledError.
func (m *maker) put(ctx context.Context, key, val string, id lease.ID) (int64, error) {
	doubt := false // a request may have been applied, or may yet be
	for failures := 0; ; failures++ {
		// A try after one in doubt changes the fence, whatever its answer is. The earlier
		// one is refused from then on: it can't bring the key back when it was deleted,
		// by whomever.
		var fence []kv.Op
		if doubt {
			fence = []kv.Op{kv.OpPut(m.fence, "")}
		}
		resp, err := m.c.Txn(ctx).
			If(kv.Compare(kv.CreateRevision(key), "=", 0), m.open()).
			Then(append([]kv.Op{kv.OpPut(key, val, kv.WithLease(id))}, fence...)...).
			Else(append([]kv.Op{kv.OpGet(key)}, fence...)...).
			Commit()
		if err == nil {
			doubt = false
			m.seen.Store(resp.Header.Revision)
			if resp.Succeeded {
				return resp.Header.Revision, nil
			}
			if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
				if string(kvs[0].Value) == val {
					return kvs[0].CreateRevision, nil // put by an earlier try
				}
				return 0, fmt.Errorf("%w: %q", ErrKeyExists, key)
			}
			continue // the fence was changed since
		}
		alarm, perhaps := etcderr.Alarmed(err), doubt || !refused(err)
		doubt = doubt || !alarm && perhaps // what an alarm has answered is not under way
		if ctx.Err() == nil && !alarm && !final(err) && queue.Pause(ctx, failures) {
			continue
		}
		unsettled := perhaps && m.withdraw(ctx, key, val, doubt) != nil && m.s == nil
		switch {
		case ctx.Err() != nil:
			err = ended(ctx, key)
		case alarm:
			err = certainly(key, err)
		case m.s != nil && etcderr.NotFound(err): // the session learns of it later
			err = fmt.Errorf("%w: %w", ErrSession, err)
		}
		if unsettled {
			err = &UnsettledError{Op: "Hold", Key: key, Err: err} // only a barrier has no session
		}
		return 0, err
	}
}

// ephemeral reports whether a key under prefix, as read with its lease, may stand for
// somebody who has put it with the lease of a session, as clientv3's recipes do, too.
// One deeper down does not, nor one that was put once, without a lease. What was put
// again may have been overwritten, by whomever, so it counts: it has stood for somebody
// who does not know.
func ephemeral(prefix string, k *mvccpb.KeyValue) bool {
	return !strings.Contains(string(k.Key[len(prefix):]), "/") && (k.Lease != 0 || k.Version > 1)
}

// withdraw deletes a key, if it was put, and refuses what may be under way to put it, if
// there is doubt. The error is free's.
func (m *maker) withdraw(ctx context.Context, key, val string, doubt bool) error {
	own, fence := []kv.Cmp{kv.Compare(kv.Value(key), "=", val)}, kv.OpPut(m.fence, "")
	return m.free(ctx, func(ctx context.Context) (err error) {
		if doubt {
			_, err = commit(ctx, m.c, own, []kv.Op{kv.OpDelete(key), fence}, []kv.Op{fence})
			if !etcderr.Alarmed(err) {
				return err
			}
		}
		// To delete takes no space, as the fence does.
		_, failed := commit(ctx, m.c, own, []kv.Op{kv.OpDelete(key)}, nil)
		return cmp.Or(err, failed)
	})
}

// remove deletes a key that was put, and no other of that name. It reports whether it
// was there. If the answer to a try was lost, a key that is gone counts as deleted by that,
// unless its session had ended before.
func (m *maker) remove(ctx context.Context, key string, rev int64) (bool, error) {
	alive := m.s.Err() == nil
	own := []kv.Cmp{kv.Compare(kv.CreateRevision(key), "=", rev)}
	var there bool // no named result: what free leaves running writes it after the return
	err := m.free(ctx, func(ctx context.Context) error {
		resp, doubt, err := commitKnowing(ctx, m.c, own, []kv.Op{kv.OpDelete(key)}, nil)
		if err == nil {
			there = resp.Succeeded || doubt && alive
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("recipe: deleting %q: %w", key, err)
	}
	return there, nil
}

// free does what frees a key, for which it has 3 s, whatever has become of
// ctx. When the cluster cannot be reached for that long, it returns the error and goes
// on in the background, for as long as the session lives: otherwise the key would
// stay, in the way of everybody, for as long.
func (m *maker) free(ctx context.Context, do func(context.Context) error) error {
	cctx, cancel := queue.Cleanup(ctx)
	defer cancel()
	err := do(cctx)
	if err == nil || m.s == nil || final(err) {
		return err
	}
	go func() { // ends with the session, if not before
		ctx, done := within(context.WithoutCancel(ctx), m.s)
		defer done()
		for failures := 0; etcderr.Alarmed(do(ctx)) && queue.Pause(ctx, failures); {
			failures++
		}
	}()
	return err
}
