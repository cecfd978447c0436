package clientv3

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/kv"
)

// Programs often use one list of options for a Get and the Watch that follows it.
// Package kv refuses options that do not apply to an operation. The options here
// are ignored wherever clientv3 ignores them.
type is = func(Op) bool

// notBy makes an option have no effect on the operations that ignore it.
func notBy(opt OpOption, ignored ...is) OpOption {
	return func(op *Op) {
		if !slices.ContainsFunc(ignored, func(f is) bool { return f(*op) }) {
			opt(op)
		}
	}
}

// atMost is amount for an upper bound of revisions. In a Get, a negative one leaves
// out all keys, and so does 1: the first change of a store has revision 2.
func atMost(opt func(int64) OpOption, rev int64, ignored ...is) OpOption {
	if rev >= 0 {
		return amount(opt, rev, ignored...)
	}
	return func(op *Op) {
		if op.IsGet() {
			opt(1)(op)
		} else {
			opt(rev)(op) // opt refuses it
		}
	}
}

// amount is an option whose zero value has no effect on the operations that
// ignore it. In a Get, a negative value counts as zero, as it does on the server
// for a limit, a revision and a lower bound.
func amount(opt func(int64) OpOption, n int64, ignored ...is) OpOption {
	switch {
	case n == 0:
		return notBy(opt(0), ignored...)
	case n > 0:
		return opt(n)
	}
	return func(op *Op) {
		if op.IsGet() {
			opt(0)(op)
		} else {
			opt(n)(op) // opt refuses it
		}
	}
}

// GetPrefixRangeEnd returns the end of the range of keys that begin with prefix. See kv.GetPrefixRangeEnd.
func GetPrefixRangeEnd(prefix string) string { return kv.GetPrefixRangeEnd(prefix) }

// IsOptsWithFromKey reports whether WithFromKey is among opts. See kv.IsOptsWithFromKey.
func IsOptsWithFromKey(opts []OpOption) bool { return kv.IsOptsWithFromKey(opts) }

// IsOptsWithPrefix reports whether WithPrefix is among opts. See kv.IsOptsWithPrefix.
func IsOptsWithPrefix(opts []OpOption) bool { return kv.IsOptsWithPrefix(opts) }

// Compare completes a comparison. See kv.Compare.
func Compare(cmp Cmp, result string, v any) Cmp { return kv.Compare(cmp, result, v) }

// CreateRevision compares the revision at which the key was created. See kv.CreateRevision.
func CreateRevision(key string) Cmp { return kv.CreateRevision(key) }

// FromCompare makes a Cmp of a protocol message. See kv.FromCompare.
func FromCompare(c *pb.Compare) Cmp { return kv.FromCompare(c) }

// LeaseValue compares the key's lease. See kv.LeaseValue.
func LeaseValue(key string) Cmp { return kv.LeaseValue(key) }

// ModRevision compares the revision at which the key was last changed. See kv.ModRevision.
func ModRevision(key string) Cmp { return kv.ModRevision(key) }

// Value compares the key's value. See kv.Value.
func Value(key string) Cmp { return kv.Value(key) }

// Version compares how many times the key was changed. See kv.Version.
func Version(key string) Cmp { return kv.Version(key) }

// OpCompact builds the operation that Compact sends. See kv.OpCompact.
func OpCompact(rev int64, opts ...CompactOption) CompactOp { return kv.OpCompact(rev, opts...) }

// WithCompactPhysical makes Compact wait until the history is removed from
// storage. See kv.WithCompactPhysical.
func WithCompactPhysical() CompactOption { return kv.WithCompactPhysical() }

// GetStreamToGetResponse reads a stream to its end and returns what Get would
// have returned. See kv.GetStreamToGetResponse.
func GetStreamToGetResponse(stream GetStreamChan) (*GetResponse, error) {
	return kv.GetStreamToGetResponse(stream)
}

// NewOp returns an Op without an operation. See kv.NewOp.
func NewOp() *Op { return kv.NewOp() }

// OpDelete builds the operation that Delete sends. See kv.OpDelete.
func OpDelete(key string, opts ...OpOption) Op { return kv.OpDelete(key, opts...) }

// OpGet builds the operation that Get sends. See kv.OpGet.
func OpGet(key string, opts ...OpOption) Op { return kv.OpGet(key, opts...) }

// OpPut builds the operation that Put sends. See kv.OpPut.
func OpPut(key, val string, opts ...OpOption) Op { return kv.OpPut(key, val, opts...) }

// OpTxn builds a whole transaction as one operation. See kv.OpTxn.
func OpTxn(cmps []Cmp, thenOps []Op, elseOps []Op) Op { return kv.OpTxn(cmps, thenOps, elseOps) }

// OpWatch builds the operation that Watch uses. See kv.OpWatch.
func OpWatch(key string, opts ...OpOption) Op { return kv.OpWatch(key, opts...) }

// WithCountOnly makes Get return only the number of keys. See kv.WithCountOnly.
func WithCountOnly() OpOption { return kv.WithCountOnly() }

// WithCreatedNotify makes the first response of a watch confirm that the server
// has created it. See kv.WithCreatedNotify.
func WithCreatedNotify() OpOption { return notBy(kv.WithCreatedNotify(), Op.IsGet) }

// WithFilterDelete leaves out a watch's DELETE events. See kv.WithFilterDelete.
func WithFilterDelete() OpOption { return notBy(kv.WithFilterDelete(), Op.IsGet) }

// WithFilterPut leaves out a watch's PUT events. See kv.WithFilterPut.
func WithFilterPut() OpOption { return notBy(kv.WithFilterPut(), Op.IsGet) }

// WithFirstCreate makes Get return the key that was created first. See kv.WithFirstCreate.
func WithFirstCreate() []OpOption { return kv.WithFirstCreate() }

// WithFirstKey makes Get return the first key in key order. See kv.WithFirstKey.
func WithFirstKey() []OpOption { return kv.WithFirstKey() }

// WithFirstRev makes Get return the key whose last change is the oldest. See kv.WithFirstRev.
func WithFirstRev() []OpOption { return kv.WithFirstRev() }

// WithFragment lets the server split large responses. Watches reassemble them.
// See kv.WithFragment.
func WithFragment() OpOption { return notBy(kv.WithFragment(), Op.IsGet, Op.IsPut, Op.IsDelete) }

// WithFromKey selects key and all keys after it. In a watch, the later one of it and
// WithPrefix counts. See kv.WithFromKey.
func WithFromKey() OpOption {
	return func(op *Op) {
		if op.IsWatch() && op.IsOptsWithPrefix() {
			op.WithRangeBytes([]byte{0})
			return
		}
		kv.WithFromKey()(op)
	}
}

// WithIgnoreLease makes Put keep the key's lease. See kv.WithIgnoreLease.
func WithIgnoreLease() OpOption {
	return notBy(kv.WithIgnoreLease(), Op.IsGet, Op.IsDelete, Op.IsWatch)
}

// WithIgnoreValue makes Put keep the key's value. See kv.WithIgnoreValue.
func WithIgnoreValue() OpOption {
	return notBy(kv.WithIgnoreValue(), Op.IsGet, Op.IsDelete, Op.IsWatch)
}

// WithKeysOnly makes Get leave the values out. See kv.WithKeysOnly.
func WithKeysOnly() OpOption { return notBy(kv.WithKeysOnly(), Op.IsPut, Op.IsDelete, Op.IsWatch) }

// WithLastCreate makes Get return the key that was created last. See kv.WithLastCreate.
func WithLastCreate() []OpOption { return kv.WithLastCreate() }

// WithLastKey makes Get return the last key in key order. See kv.WithLastKey.
func WithLastKey() []OpOption { return kv.WithLastKey() }

// WithLastRev makes Get return the most recently changed key. See kv.WithLastRev.
func WithLastRev() []OpOption { return kv.WithLastRev() }

// WithLease attaches the key of a Put to a lease. See kv.WithLease.
func WithLease(leaseID LeaseID) OpOption {
	if leaseID == NoLease {
		return notBy(kv.WithLease(NoLease), Op.IsGet, Op.IsDelete, Op.IsWatch)
	}
	return notBy(kv.WithLease(leaseID), Op.IsGet)
}

// WithLimit makes Get return at most n keys. 0 means no limit. See kv.WithLimit.
func WithLimit(n int64) OpOption { return amount(kv.WithLimit, n, Op.IsPut, Op.IsDelete, Op.IsWatch) }

// WithMaxCreateRev leaves out keys that were created after rev. See kv.WithMaxCreateRev.
func WithMaxCreateRev(rev int64) OpOption {
	return atMost(kv.WithMaxCreateRev, rev, Op.IsPut, Op.IsDelete, Op.IsWatch)
}

// WithMaxModRev leaves out keys that were last changed after rev. See kv.WithMaxModRev.
func WithMaxModRev(rev int64) OpOption {
	return atMost(kv.WithMaxModRev, rev, Op.IsPut, Op.IsDelete, Op.IsWatch)
}

// WithMinCreateRev leaves out keys that were created before rev. See kv.WithMinCreateRev.
func WithMinCreateRev(rev int64) OpOption {
	return amount(kv.WithMinCreateRev, rev, Op.IsPut, Op.IsDelete, Op.IsWatch)
}

// WithMinModRev leaves out keys that were last changed before rev. See kv.WithMinModRev.
func WithMinModRev(rev int64) OpOption {
	return amount(kv.WithMinModRev, rev, Op.IsPut, Op.IsDelete, Op.IsWatch)
}

// WithPrefix selects all keys that begin with key. In a watch, the later one of it and
// WithFromKey counts. See kv.WithPrefix.
func WithPrefix() OpOption {
	return func(op *Op) {
		if op.IsWatch() && op.IsOptsWithFromKey() {
			op.WithRangeBytes([]byte(GetPrefixRangeEnd(string(op.KeyBytes()))))
			return
		}
		kv.WithPrefix()(op)
	}
}

// WithPrevKV requests the previous key-value pairs. See kv.WithPrevKV.
func WithPrevKV() OpOption { return notBy(kv.WithPrevKV(), Op.IsGet) }

// WithProgressNotify makes the server report its revision to a quiet watch. See
// kv.WithProgressNotify.
func WithProgressNotify() OpOption {
	return notBy(kv.WithProgressNotify(), Op.IsGet, Op.IsPut, Op.IsDelete)
}

// WithRange selects the keys in [key, endKey). If two options set a range, the
// later one wins, except that WithPrefix and WithFromKey exclude each other in a Get
// and a Delete. See kv.WithRange.
func WithRange(endKey string) OpOption {
	return func(op *Op) {
		if op.IsPut() || op.IsTxn() {
			kv.WithRange(endKey)(op) // kv.WithRange refuses it
			return
		}
		if op.IsGet() || op.IsDelete() {
			// A range that ends before it begins has no keys, like one that ends
			// where it begins. Package kv refuses it.
			if key := string(op.KeyBytes()); endKey != "" && endKey != "\x00" && endKey < key {
				endKey = key
			}
		}
		op.WithRangeBytes([]byte(endKey))
	}
}

// WithRev sets the revision to read at, or to watch from. See kv.WithRev.
func WithRev(rev int64) OpOption { return amount(kv.WithRev, rev, Op.IsPut, Op.IsDelete) }

// WithSerializable lets the member answer from its own state. See kv.WithSerializable.
func WithSerializable() OpOption { return kv.WithSerializable() }

// WithSort sets the order in which Get returns keys. See kv.WithSort.
func WithSort(target SortTarget, order SortOrder) OpOption { return kv.WithSort(target, order) }
