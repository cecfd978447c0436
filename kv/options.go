package kv

import (
	"bytes"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// OpOption is an option of an operation. Each option says which operations it
// applies to; using it with another operation is a *UsageError. If an option is
// given twice, the later value wins, but an operation can have only one range
// end. An option must not keep the Op, which serves others afterward.
type OpOption func(*Op)

// applies reports whether the option may be applied. An Op without an operation
// (NewOp) takes every option.
func (op *Op) applies(option string, to opKind) bool {
	if op.kind == 0 || op.kind&to != 0 {
		return true
	}
	op.misuse(option, "it applies to "+to.String()+"; leave it out", nil)
	return false
}

// setInt64 is an option whose value is a number that is not negative.
//
//go:noinline
func setInt64(option string, to opKind, field func(*Op) *int64, n int64) OpOption {
	return func(op *Op) {
		if !op.applies(option, to) {
			return
		}
		if n < 0 {
			op.misuse(option, fmt.Sprintf("it is %d; it must not be negative, and 0 means none", n), nil)
			return
		}
		*field(op) = n
	}
}

// WithLimit makes Get return at most n keys and set More if there are others. 0
// means no limit. Count is still the number of keys in the whole range.
func WithLimit(n int64) OpOption {
	return setInt64("WithLimit", opGet, func(op *Op) *int64 { return &op.limit }, n)
}

// WithRev makes Get read the store as it was at revision rev. Get returns
// rpctypes.ErrCompacted if that revision was compacted, and rpctypes.ErrFutureRev
// if the store has not reached it. 0 means the latest revision.
//
// WithRev makes a watch begin with the changes of revision rev, which may be in
// the past or in the future. 0 means that the watch begins when the server
// creates it.
//
//go:noinline
func WithRev(rev int64) OpOption { // many call it, and inlined each call would be a closure of its own
	return setInt64("WithRev", opGet|opWatch, func(op *Op) *int64 { return &op.rev }, rev)
}

// WithMinModRev makes Get leave out keys that were last changed before rev. 0
// means no bound. None of the four revision filters affects Count.
func WithMinModRev(rev int64) OpOption {
	return setInt64("WithMinModRev", opGet, func(op *Op) *int64 { return &op.minModRev }, rev)
}

// WithMaxModRev makes Get leave out keys that were last changed after rev. 0
// means no bound.
func WithMaxModRev(rev int64) OpOption {
	return setInt64("WithMaxModRev", opGet, func(op *Op) *int64 { return &op.maxModRev }, rev)
}

// WithMinCreateRev makes Get leave out keys that were created before rev. 0
// means no bound.
func WithMinCreateRev(rev int64) OpOption {
	return setInt64("WithMinCreateRev", opGet, func(op *Op) *int64 { return &op.minCreateRev }, rev)
}

// WithMaxCreateRev makes Get leave out keys that were created after rev. 0 means
// no bound.
func WithMaxCreateRev(rev int64) OpOption {
	return setInt64("WithMaxCreateRev", opGet, func(op *Op) *int64 { return &op.maxCreateRev }, rev)
}

// SortTarget is the property that WithSort sorts by.
type SortTarget int

// The sort targets, as RangeRequest.SortTarget numbers them.
const (
	SortByKey SortTarget = iota
	SortByVersion
	SortByCreateRevision
	SortByModRevision
	SortByValue
)

// SortOrder is the direction in which WithSort sorts.
type SortOrder int

// The sort orders, as RangeRequest.SortOrder numbers them. SortNone is the
// server's default order: by key, or ascending if there is another target.
const (
	SortNone SortOrder = iota
	SortAscend
	SortDescend
)

// SortOption is a target and an order. The zero value is the server's default
// order.
type SortOption struct {
	// Target is what to sort by.
	Target SortTarget
	// Order is the direction. SortNone leaves it to the server.
	Order SortOrder
}

func (s SortOption) valid() bool {
	return SortByKey <= s.Target && s.Target <= SortByValue && SortNone <= s.Order && s.Order <= SortDescend
}

// order is the order that the server is asked for. The default order is the same as ascending by
// key, and only for that does etcd before 3.7 stop at the limit.
func (s SortOption) order() pb.RangeRequest_SortOrder {
	if s.Target == SortByKey && s.Order == SortAscend {
		return pb.RangeRequest_NONE
	}
	return pb.RangeRequest_SortOrder(s.Order)
}

// WithSort sets the order in which Get returns keys. Without it, they are in
// ascending order by key, and that is also how the server is asked for SortByKey with
// SortAscend: for any other order etcd before 3.7 reads the whole range, whatever the limit.
// For another target give an explicit order together with a limit: the server then sorts all
// keys before it applies the limit. With SortNone, etcd 3.7 sorts only the first limit+1 keys.
func WithSort(target SortTarget, order SortOrder) OpOption {
	return func(op *Op) {
		if !op.applies("WithSort", opGet) {
			return
		}
		op.sort, op.sorted = SortOption{target, order}, true
		if !op.sort.valid() {
			op.misuse("WithSort", fmt.Sprintf(
				"there is no target %d with order %d; use SortByKey to SortByValue, and SortNone, SortAscend or SortDescend", target, order),
				rpctypes.ErrInvalidSortOption)
		}
	}
}

// WithSerializable lets the member answer a Get from its own state. That is
// faster and works without a leader, but the answer may be out of date. Without
// it, reads are linearizable: they see every write that was acknowledged before
// them.
func WithSerializable() OpOption {
	return func(op *Op) {
		if op.applies("WithSerializable", opGet) {
			op.serializable = true
		}
	}
}

// WithKeysOnly makes Get leave the values out.
func WithKeysOnly() OpOption {
	return func(op *Op) {
		if op.applies("WithKeysOnly", opGet) {
			op.keysOnly = true
		}
	}
}

// WithCountOnly makes Get return only Count, the number of keys in the range. No
// limit or filter affects it.
func WithCountOnly() OpOption {
	return func(op *Op) {
		if op.applies("WithCountOnly", opGet) {
			op.countOnly = true
		}
	}
}

// WithLease attaches the key of a Put to a lease. When the lease ends, the key is
// deleted. A Put without WithLease detaches the key from its previous lease. An
// unknown lease is rpctypes.ErrLeaseNotFound.
func WithLease(id LeaseID) OpOption {
	return func(op *Op) {
		if op.applies("WithLease", opPut) {
			op.leaseID = id
		}
	}
}

// WithIgnoreValue makes Put keep the key's current value; the value argument must
// be empty. If the key does not exist, the error is rpctypes.ErrKeyNotFound.
func WithIgnoreValue() OpOption {
	return func(op *Op) {
		if op.applies("WithIgnoreValue", opPut) {
			op.ignoreValue = true
		}
	}
}

// WithIgnoreLease makes Put keep the key's current lease. It cannot be combined
// with WithLease. If the key does not exist, the error is
// rpctypes.ErrKeyNotFound.
func WithIgnoreLease() OpOption {
	return func(op *Op) {
		if op.applies("WithIgnoreLease", opPut) {
			op.ignoreLease = true
		}
	}
}

// WithPrevKV makes Put and Delete return the previous key-value pairs. A watch's
// events then carry the previous pair, unless it was compacted.
func WithPrevKV() OpOption {
	return func(op *Op) {
		if op.applies("WithPrevKV", opPut|opDelete|opWatch) {
			op.prevKV = true
		}
	}
}

// toInfinity is the range end that means no upper bound, and zeroKey is the
// smallest key. Both are "\x00". Neither is ever written to.
var (
	toInfinity = []byte{0}
	zeroKey    = []byte{0}
)

// rangeOnce reports whether an option may set the Op's range end.
func (op *Op) rangeOnce(by rangeBy) bool {
	if !op.applies(by.String(), opGet|opDelete|opWatch) {
		return false
	}
	if op.by != byNothing && op.by != by {
		op.misuse(by.String(), op.by.String()+" is already set; an operation has one range, so choose one of the two", nil)
		return false
	}
	return true
}

// WithRange makes Get, Delete or a watch apply to the keys in [key, end). In the
// protocol, an end of "" means the single key, and "\x00" means no upper bound.
// An end before the key is an error.
func WithRange(end string) OpOption {
	return func(op *Op) {
		if !op.rangeOnce(byRange) {
			return
		}
		if op.by == byRange && string(op.end) != end {
			op.misuse("WithRange", fmt.Sprintf("WithRange(%q) is already set; an operation has one range", op.end), nil)
			return
		}
		op.by, op.end = byRange, []byte(end)
	}
}

// WithPrefix makes Get, Delete or a watch apply to all keys that begin with key,
// or to all keys if key is empty.
func WithPrefix() OpOption {
	return func(op *Op) {
		if !op.rangeOnce(byPrefix) || op.by == byPrefix {
			return
		}
		op.by = byPrefix
		if len(op.key) == 0 {
			op.key, op.end = zeroKey, toInfinity
			return
		}
		op.end = prefixEnd(op.key)
	}
}

// WithFromKey makes Get, Delete or a watch apply to key and all keys after it in
// byte order, or to all keys if key is empty.
func WithFromKey() OpOption {
	return func(op *Op) {
		if !op.rangeOnce(byFromKey) {
			return
		}
		op.by, op.end = byFromKey, toInfinity
		if len(op.key) == 0 {
			op.key = zeroKey
		}
	}
}

// GetPrefixRangeEnd returns the end of the range of keys that begin with prefix:
// Get(ctx, prefix, WithRange(GetPrefixRangeEnd(prefix))) is the same as Get(ctx,
// prefix, WithPrefix()). It returns "\x00", which means no upper bound, if no key
// can follow that range: for the empty prefix, and for a prefix of 0xff bytes
// alone.
func GetPrefixRangeEnd(prefix string) string { return string(prefixEnd([]byte(prefix))) }

// prefixEnd returns the smallest key greater than all keys with the prefix. A
// trailing byte of 0xff has no successor, so prefixEnd drops such bytes and
// increments the byte before them.
func prefixEnd(prefix []byte) []byte {
	for i, last := range slices.Backward(prefix) {
		if last < 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return toInfinity
}

// Each of the following six options selects one of the keys that begin with Get's
// key.

// WithFirstKey makes Get return the first key in key order.
func WithFirstKey() []OpOption { return oneOf(SortByKey, SortAscend) }

// WithLastKey makes Get return the last key in key order.
func WithLastKey() []OpOption { return oneOf(SortByKey, SortDescend) }

// WithFirstRev makes Get return the key whose last change is the oldest.
func WithFirstRev() []OpOption { return oneOf(SortByModRevision, SortAscend) }

// WithLastRev makes Get return the most recently changed key.
func WithLastRev() []OpOption { return oneOf(SortByModRevision, SortDescend) }

// WithFirstCreate makes Get return the key that was created first.
func WithFirstCreate() []OpOption { return oneOf(SortByCreateRevision, SortAscend) }

// WithLastCreate makes Get return the key that was created last.
func WithLastCreate() []OpOption { return oneOf(SortByCreateRevision, SortDescend) }

func oneOf(target SortTarget, order SortOrder) []OpOption {
	return []OpOption{WithPrefix(), WithSort(target, order), WithLimit(1)}
}
