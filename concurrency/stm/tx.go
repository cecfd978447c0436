package stm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/kv"
)

// maxTxnOps is how many operations etcd takes in one transaction, unless it is
// configured otherwise (--max-txn-ops).
const maxTxnOps = 128

// snapshot is what is known of some keys, nil for those that do not exist.
type snapshot struct {
	rev  int64 // at which all of it was read
	keys map[string]*mvccpb.KeyValue
}

// tx is one call of the function, with its read set and its write set.
type tx struct {
	ctx   context.Context //nolint:containedctx // a tx lives within one call of Run
	store kv.KV
	level Isolation

	rev    int64                       // of the first read; 0 before
	known  map[string]*mvccpb.KeyValue // read, but not yet by the function
	reads  map[string]*mvccpb.KeyValue
	writes map[string]write
	order  []string // of writes, by the first one of each key

	failure   error // of a read: then nothing is committed, whatever the function returns
	compacted bool  // it is that the revision of the first read is gone
}

// write is a put or a deletion, to be done at commit.
type write struct {
	op  kv.Op
	val string
}

// unwound is what a failed read panics with, to end the function. Only tx.run,
// which is beneath it, sees it.
type unwound struct{}

func newTx(ctx context.Context, store kv.KV, level Isolation, known *snapshot) *tx {
	t := &tx{
		ctx: ctx, store: store, level: level,
		known:  make(map[string]*mvccpb.KeyValue),
		reads:  make(map[string]*mvccpb.KeyValue),
		writes: make(map[string]write),
	}
	if known != nil {
		t.rev, t.known = known.rev, known.keys
	}
	return t
}

func (t *tx) sealed() {}

// snapshots reports whether all reads are of one revision.
func (t *tx) snapshots() bool { return t.level <= Serializable }

// run calls the function, and returns its error, or that of the read that ended it.
func (t *tx) run(apply func(STM) error, prefetch []string) (err error) {
	if t.failure = t.fetch(prefetch); t.failure != nil {
		return t.failure
	}
	defer func() {
		if t.failure != nil {
			err = t.failure // also when the function has recovered from its end
		}
		if r := recover(); r != nil {
			if _, ours := r.(unwound); !ours {
				panic(r)
			}
		}
	}()
	return apply(t)
}

func (t *tx) Get(keys ...string) string {
	if len(keys) == 0 {
		return ""
	}
	if w, ok := t.writes[keys[0]]; ok && len(keys) == 1 {
		return w.val
	}
	t.read(keys)
	if w, ok := t.writes[keys[0]]; ok {
		return w.val
	}
	return string(t.reads[keys[0]].GetValue())
}

func (t *tx) Rev(key string) int64 {
	t.read([]string{key})
	return t.reads[key].GetModRevision()
}

func (t *tx) Put(key, val string, opts ...kv.OpOption) {
	t.write(key, write{op: kv.OpPut(key, val, opts...), val: val})
}

func (t *tx) Del(key string) { t.write(key, write{op: kv.OpDelete(key)}) }

func (t *tx) write(key string, w write) {
	if _, ok := t.writes[key]; !ok {
		t.order = append(t.order, key)
	}
	t.writes[key] = w
}

// read brings keys into the read set, or ends the function.
func (t *tx) read(keys []string) {
	if t.failure == nil {
		t.failure = t.fetch(keys)
	}
	if t.failure != nil {
		panic(unwound{})
	}
	for _, key := range keys {
		if _, ok := t.reads[key]; !ok {
			t.reads[key] = t.known[key]
		}
	}
}

// fetch gets to know keys, those that are not known yet: at the revision of the
// first read where the level asks for it, and else as they are.
func (t *tx) fetch(keys []string) error {
	var missing []string
	for _, key := range keys {
		_, read := t.reads[key]
		if _, known := t.known[key]; !read && !known && !slices.Contains(missing, key) {
			missing = append(missing, key)
		}
	}
	for chunk := range slices.Chunk(missing, maxTxnOps) {
		var at []kv.OpOption
		if t.snapshots() && t.rev != 0 {
			at = append(at, kv.WithRev(t.rev))
		}
		ops := make([]kv.Op, len(chunk))
		for i, key := range chunk {
			ops[i] = kv.OpGet(key, at...)
		}
		resp, err := t.store.Txn(t.ctx).Then(ops...).Commit()
		if err != nil {
			t.compacted = errors.Is(err, rpctypes.ErrCompacted) || errors.Is(rpctypes.Error(err), rpctypes.ErrCompacted)
			return fmt.Errorf("stm: reading %q: %w", chunk, err)
		}
		if t.rev == 0 {
			t.rev = resp.Header.Revision
		}
		note(t.known, chunk, resp)
	}
	return nil
}

// note takes the answers to the gets of keys.
func note(known map[string]*mvccpb.KeyValue, keys []string, resp *kv.TxnResponse) {
	for i, key := range keys {
		known[key] = nil
		if kvs := resp.Responses[i].GetResponseRange().GetKvs(); len(kvs) > 0 {
			known[key] = kvs[0]
		}
	}
}

// readKeys are the keys of the read set, in a fixed order.
func (t *tx) readKeys() []string {
	keys := make([]string, 0, len(t.reads))
	for key := range t.reads {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// commit sends the transaction. When its comparisons do not hold it brings back
// what the function has read, as it is now.
func (t *tx) commit() (*kv.TxnResponse, error) {
	var (
		cmps    []kv.Cmp
		writes  []kv.Op
		refresh []kv.Op
	)
	if t.level != ReadCommitted {
		for _, key := range t.readKeys() {
			cmps = append(cmps, kv.Compare(kv.ModRevision(key), "=", t.reads[key].GetModRevision()))
			refresh = append(refresh, kv.OpGet(key))
		}
	}
	for _, key := range t.order {
		writes = append(writes, t.writes[key].op)
		// What was read is compared already; and without a first read there is
		// nothing to be newer than.
		if _, read := t.reads[key]; t.level == SerializableSnapshot && !read && t.rev != 0 {
			cmps = append(cmps, kv.Compare(kv.ModRevision(key), "<", t.rev+1))
		}
	}
	resp, err := t.store.Txn(t.ctx).If(cmps...).Then(writes...).Else(refresh...).Commit()
	if err != nil {
		return nil, &CommitError{Err: err, ambiguous: len(writes) > 0 && etcderr.Ambiguous(err)}
	}
	return resp, nil
}

// refreshed is what a commit that met a conflict has brought back.
func (t *tx) refreshed(resp *kv.TxnResponse) *snapshot {
	s := &snapshot{rev: resp.Header.Revision, keys: make(map[string]*mvccpb.KeyValue, len(t.reads))}
	note(s.keys, t.readKeys(), resp)
	return s
}
