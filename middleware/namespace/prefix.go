package namespace

import (
	"bytes"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/kv"
)

// space is a namespace, by its prefix. Its methods take what is inside to the
// outside (key, end, op, cmps) and back (strip…).
type space string

func (p space) key(key []byte) []byte {
	return append([]byte(p), key...)
}

// end takes a range end, in the protocol's form: empty for a single key, and "\x00"
// for no bound, which in the namespace is the end of the prefix.
func (p space) end(end []byte) []byte {
	switch {
	case len(end) == 0:
		return end
	case bytes.Equal(end, []byte{0}):
		return []byte(kv.GetPrefixRangeEnd(string(p)))
	default:
		return p.key(end)
	}
}

// op takes an operation. One that is wrong stays as it is, so that its error, of
// which it tells when it is used, is about what was given.
func (p space) op(op kv.Op) kv.Op {
	if op.IsTxn() {
		cmps, thenOps, elseOps := op.Txn()
		return kv.OpTxn(p.cmps(cmps), p.ops(thenOps), p.ops(elseOps))
	}
	if op.Err() != nil {
		return op
	}
	key, end := p.key(op.KeyBytes()), p.end(op.RangeBytes())
	op.WithKeyBytes(key)
	op.WithRangeBytes(end)
	return op
}

func (p space) ops(ops []kv.Op) []kv.Op {
	out := make([]kv.Op, len(ops))
	for i, op := range ops {
		out[i] = p.op(op)
	}
	return out
}

func (p space) cmps(cmps []kv.Cmp) []kv.Cmp {
	out := make([]kv.Cmp, len(cmps))
	for i := range cmps {
		if out[i] = cmps[i].Clone(); out[i].Err() == nil { // the program may have the message of its own
			c := out[i].GetCompare()
			c.Key, c.RangeEnd = p.key(c.Key), p.end(c.RangeEnd)
		}
	}
	return out
}

//go:noinline
func (p space) strip(key []byte) []byte {
	return bytes.TrimPrefix(key, []byte(p))
}

//go:noinline
func (p space) stripKV(k *mvccpb.KeyValue) {
	if k != nil {
		k.Key = p.strip(k.Key)
	}
}

func (p space) stripKVs(kvs []*mvccpb.KeyValue) {
	for _, k := range kvs {
		p.stripKV(k)
	}
}

func (p space) stripEvents(events []*mvccpb.Event) {
	for _, e := range events {
		p.stripKV(e.Kv)
		p.stripKV(e.PrevKv)
	}
}

// stripped is stripEvents of what other watches may be given too.
func (p space) stripped(events []*mvccpb.Event) []*mvccpb.Event {
	if len(events) == 0 {
		return events
	}
	out := make([]*mvccpb.Event, len(events))
	for i, e := range events {
		out[i] = p.strippedEvent(e)
	}
	return out
}

func (p space) strippedEvent(e *mvccpb.Event) *mvccpb.Event {
	return &mvccpb.Event{Type: e.Type, Kv: p.strippedKV(e.Kv), PrevKv: p.strippedKV(e.PrevKv)}
}

func (p space) strippedKV(k *mvccpb.KeyValue) *mvccpb.KeyValue {
	if k == nil {
		return nil
	}
	return &mvccpb.KeyValue{
		Key: p.strip(k.Key), Value: k.Value, Lease: k.Lease, Version: k.Version,
		CreateRevision: k.CreateRevision, ModRevision: k.ModRevision,
	}
}

func (p space) stripTxn(resp *pb.TxnResponse) {
	for _, r := range resp.GetResponses() {
		p.stripKVs(r.GetResponseRange().GetKvs())
		p.stripKV(r.GetResponsePut().GetPrevKv())
		p.stripKVs(r.GetResponseDeleteRange().GetPrevKvs())
		p.stripTxn(r.GetResponseTxn())
	}
}
