package leasing

import (
	"bytes"
	"context"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/kv"
)

// target is a key, or a range of keys, that an operation writes.
type target struct {
	key, end string // as the protocol has them
	bound    int64  // a leasing key that was created after it is in the way
}

func (t *target) has(key string) bool {
	if t.end == "" {
		return key == t.key
	}
	return key >= t.key && (t.end == "\x00" || key < t.end)
}

// leasing is the target among the leasing keys.
func (t *target) leasing(prefix string) (key, end string) {
	switch t.end {
	case "":
		return prefix + t.key, ""
	case "\x00":
		return prefix + t.key, kv.GetPrefixRangeEnd(prefix)
	default:
		return prefix + t.key, prefix + t.end
	}
}

// written adds what op may write, whichever way its comparisons go.
func written(to []*target, op kv.Op) []*target {
	switch {
	case op.IsPut() || op.IsDelete():
		t := &target{key: string(op.KeyBytes()), end: string(op.RangeBytes())}
		for _, other := range to {
			if other.key == t.key && other.end == t.end {
				return to
			}
		}
		return append(to, t)
	case op.IsTxn():
		_, thenOps, elseOps := op.Txn()
		for _, branch := range [][]kv.Op{thenOps, elseOps} {
			for _, o := range branch {
				to = written(to, o)
			}
		}
	}
	return to
}

// writing is a write under way. While it is, nothing that it may write is answered
// from memory.
type writing struct {
	op      kv.Op
	targets []*target
	lease   int64 // the session's; 0: there is none
	reads   []kv.Op
	busy    []covered
}

// covered is an entry whose key, or leasing key, may be written.
type covered struct {
	*entry
	lost   bool   // its leasing key
	before *state // what was known, if no other own write was under way; or nil
	turn   int    // begun, when the write began: as long as it stays, no other has begun
}

// cover notes that an entry's key may be written.
func (w *writing) cover(prefix string, e *entry) {
	key, leasing := false, false
	for _, t := range w.targets {
		key, leasing = key || t.has(e.key), leasing || t.has(prefix+e.key)
	}
	if key || leasing {
		before := e.current()
		e.writes++
		e.begun++
		w.busy = append(w.busy, covered{e, leasing, before, e.begun})
	}
}

// begin notes that a write is under way, until it is passed to finish.
func (c *cache) begin(op kv.Op, targets []*target) *writing {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &writing{op: op, targets: targets}
	if c.session != nil {
		w.lease = int64(c.session.ID())
	}
	c.writes[w] = struct{}{}
	if slices.ContainsFunc(targets, func(t *target) bool { return t.end != "" }) {
		for _, e := range c.entries {
			w.cover(c.prefix, e)
		}
	} else {
		for _, t := range targets {
			own, is := strings.CutPrefix(t.key, c.prefix)
			if e := c.entries[t.key]; e != nil {
				w.cover(c.prefix, e)
			}
			if e := c.entries[own]; e != nil && is {
				w.cover(c.prefix, e)
			}
		}
	}
	for _, t := range targets {
		e := c.entries[t.key]
		if e == nil || e.rev == 0 || t.end != "" {
			continue
		}
		t.bound = e.rev
		// What the key is afterward is read with the write. The value that was put
		// need not come back, nor the lease (which etcd 3.7 does not tell with the keys
		// alone), and what was deleted is not there. What guards a transaction is taken
		// off the operations that it may have.
		switch {
		case op.IsPut() && !op.IsIgnoreValue() && !op.IsIgnoreLease():
			w.reads = append(w.reads, kv.OpGet(t.key, kv.WithKeysOnly()))
		case op.IsPut(), op.IsTxn() && len(w.reads)+1 < max(len(targets), 2):
			w.reads = append(w.reads, kv.OpGet(t.key))
		}
	}
	return w
}

// finish takes what a write has done. After an error it may still be applied, as long
// as the leasing keys are what they are: their entries go, so that they are made anew.
func (c *cache) finish(w *writing, resp *kv.TxnResponse, err error) {
	states := make(map[string]*state, len(w.reads))
	if err == nil {
		rev := resp.Header.GetRevision()
		for i, op := range w.reads {
			st := read(resp.Responses[i+1].GetResponseRange().GetKvs(), rev)
			if st.pair != nil && op.IsKeysOnly() {
				st.pair.Value, st.pair.Lease = bytes.Clone(w.op.ValueBytes()), int64(w.op.LeaseID())
			}
			states[string(op.KeyBytes())] = st
		}
		c.note(resp.Header)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.writes, w)
	for _, e := range w.busy {
		e.writes--
		if err != nil || e.lost {
			c.dropLocked(e.entry)
			continue
		}
		e.floor = max(e.floor, resp.Header.GetRevision())
		st := states[e.key]
		switch {
		case w.op.IsDelete():
			st = &state{rev: resp.Header.GetRevision()}
		case st == nil && e.before != nil && e.begun == e.turn:
			// Not all that a large transaction may write can be read with it. What it
			// has written follows from what the key was: nobody else writes it.
			st = e.before.after(e.key, w.op, resp.Responses[0], resp.Header.GetRevision())
		}
		if st != nil {
			e.learn(st)
		}
		if e.known != nil && e.known.rev < e.floor {
			e.known = nil
		}
	}
}

// write applies op when nobody else owns what it writes.
func (l *KV) write(ctx context.Context, op kv.Op, targets []*target) (kv.OpResponse, error) {
	w := l.cache.begin(op, targets)
	resp, err := l.guarded(ctx, w)
	l.cache.finish(w, resp, err)
	if err != nil {
		return kv.OpResponse{}, err
	}
	return outcome(resp), nil
}

func (l *KV) guarded(ctx context.Context, w *writing) (*kv.TxnResponse, error) {
	then := append([]kv.Op{w.op}, w.reads...)
	for {
		guards := make([]kv.Cmp, len(w.targets))
		lists := make([]kv.Op, len(w.targets))
		for i, t := range w.targets {
			key, end := t.leasing(l.prefix)
			guards[i], lists[i] = kv.Compare(kv.CreateRevision(key), "<", t.bound+1), kv.OpGet(key)
			if end != "" {
				guards[i], lists[i] = guards[i].WithRange(end), kv.OpGet(key, kv.WithRange(end))
			}
		}
		resp, err := l.store.Txn(ctx).If(guards...).Then(then...).Else(lists...).Commit()
		if err != nil || resp.Succeeded {
			return resp, err
		}
		for i, t := range w.targets {
			var others []*mvccpb.KeyValue
			for _, pair := range resp.Responses[i].GetResponseRange().GetKvs() {
				// One's own is no obstacle: what it stands for is covered.
				if w.lease == 0 || pair.GetLease() != w.lease {
					others = append(others, pair)
				}
			}
			if err := l.demand(ctx, t, others); err != nil {
				return nil, err
			}
			// What was there is gone now, or one's own; what has come since is not.
			t.bound = resp.Header.GetRevision()
		}
	}
}

// outcome is the answer to the first operation of a guarded transaction.
func outcome(resp *kv.TxnResponse) kv.OpResponse {
	switch r := resp.Responses[0].GetResponse().(type) {
	case *pb.ResponseOp_ResponsePut:
		r.ResponsePut.Header = resp.Header
		return (*kv.PutResponse)(r.ResponsePut).OpResponse()
	case *pb.ResponseOp_ResponseDeleteRange:
		r.ResponseDeleteRange.Header = resp.Header
		return (*kv.DeleteResponse)(r.ResponseDeleteRange).OpResponse()
	case *pb.ResponseOp_ResponseTxn:
		r.ResponseTxn.Header = resp.Header
		return (*kv.TxnResponse)(r.ResponseTxn).OpResponse()
	default:
		return kv.OpResponse{}
	}
}
