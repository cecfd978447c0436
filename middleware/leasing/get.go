package leasing

import (
	"bytes"
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// acquisitions bounds how often a leasing key is asked for at a time: more than once
// only where one of one's own is in the way.
const acquisitions = 3

// get answers from memory, or asks the cluster and remembers.
func (l *KV) get(ctx context.Context, op kv.Op) (kv.OpResponse, error) {
	own := bytes.HasPrefix(op.KeyBytes(), []byte(l.prefix)) // those who write leasing keys ask no owner
	if own || len(op.RangeBytes()) > 0 || op.Rev() != 0 || ctx.Err() != nil {
		return l.ask(ctx, op)
	}
	resp, s, e := l.cache.get(op)
	switch {
	case resp != nil:
		// If the session lives now it did when resp was looked up, and resp was
		// right at that moment, which lies in this call.
		if s.Err() == nil {
			return (*kv.GetResponse)(resp).OpResponse(), nil
		}
	case e != nil && s != nil:
		if st, header := l.acquire(ctx, s, e); st != nil {
			return (*kv.GetResponse)(st.answer(op, header)).OpResponse(), nil
		}
		// A Get of the cluster, which is repeated where a write is not.
	case e != nil:
		return l.refresh(ctx, e, op)
	}
	return l.ask(ctx, op)
}

// acquire reads a key, and owns it if nobody else does. It returns nil if the key
// could not be read so.
func (l *KV) acquire(ctx context.Context, s *session.Session, e *entry) (*state, *pb.ResponseHeader) {
	leasingKey := l.prefix + e.key
	for range acquisitions {
		resp, err := l.store.Txn(ctx).
			If(kv.Compare(kv.CreateRevision(leasingKey), "=", 0), kv.Compare(kv.LeaseValue(e.key), "=", lease.NoLease)).
			Then(kv.OpGet(e.key), kv.OpPut(leasingKey, "", kv.WithLease(s.ID()))).
			Else(kv.OpGet(e.key), kv.OpGet(leasingKey)).
			Commit()
		if err != nil {
			break
		}
		l.cache.note(resp.Header)
		st := read(resp.Responses[0].GetResponseRange().GetKvs(), resp.Header.GetRevision())
		if resp.Succeeded {
			l.cache.own(e, resp.Header.GetRevision(), st)
			return st, resp.Header
		}
		own := resp.Responses[1].GetResponseRange().GetKvs()
		if len(own) == 0 || own[0].GetLease() != int64(s.ID()) {
			l.cache.leave(e)
			return st, resp.Header
		}
		// It is one's own, of an acquisition or a write whose fate was unknown. Writes
		// of then may still come and would find it as they expect it: make another.
		if err := l.each(ctx, own, kv.OpDelete); err != nil {
			break
		}
	}
	l.cache.leave(e)
	return nil, nil
}

// refresh reads a key that is owned.
func (l *KV) refresh(ctx context.Context, e *entry, op kv.Op) (kv.OpResponse, error) {
	resp, err := l.store.Get(ctx, e.key)
	if err != nil {
		return kv.OpResponse{}, err
	}
	l.cache.note(resp.Header)
	st := read(resp.Kvs, resp.Header.GetRevision())
	l.cache.learn(e, st)
	return (*kv.GetResponse)(st.answer(op, resp.Header)).OpResponse(), nil
}

// read is the state of a key that was read at a revision.
func read(pairs []*mvccpb.KeyValue, rev int64) *state {
	st := &state{rev: rev}
	if len(pairs) > 0 {
		st.pair = pairs[0]
	}
	return st
}
