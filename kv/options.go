package kv

import (
	"bytes"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// OpOption is an option of an operation. Each one says which operations it
// applies to; with another it is a *UsageError. Given twice, the later value
// counts, except that an operation has one range end.
type OpOption func(*Op)

// applies reports whether the option may be applied. An Op that is not an
// operation yet (NewOp) takes every option.
func (op *Op) applies(option string, to opKind) bool {
	if op.kind == 0 || op.kind&to != 0 {
		return true
	}
	op.misuse(option, "it applies to "+to.String()+"; leave it out", nil)
	return false
}

// setInt64 is an option that is a number from 0 on.
func setInt64(option string, to opKind, field func(*Op) *int64, n int64) OpOption {
	return func(op *Op) {
		if !op.applies(option, to) {
			return
		}
		if n < 0 {
			op.misuse(option, fmt.Sprintf("it is %d; it must be 0, which means none, or more", n), nil)
			return
		}
		*field(op) = n
	}
}

// WithLimit makes Get return at most n keys, and say in More whether there are
// others. 0 means no limit. Count is still that of the whole range.
func WithLimit(n int64) OpOption {
	return setInt64("WithLimit", opGet, func(op *Op) *int64 { return &op.limit }, n)
}

// WithRev makes Get read the store as it was at revision rev: with
// rpctypes.ErrCompacted when that has been compacted, and rpctypes.ErrFutureRev
// when it has not been reached. 0 means now.
//
// It makes a watch begin with the changes of revision rev, which may be in the
// past or in the future; 0 means from when the server makes the watch.
func WithRev(rev int64) OpOption {
	return setInt64("WithRev", opGet|opWatch, func(op *Op) *int64 { return &op.rev }, rev)
}

// WithMinModRev makes Get leave out keys that were last changed before rev. 0
// means no bound. Count is unaffected, as with all four of these filters.
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

// SortTarget is what WithSort sorts by.
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
// server's own order: by key, or ascending when there is another target.
const (
	SortNone SortOrder = iota
	SortAscend
	SortDescend
)

// SortOption is a target and an order. The zero value is the server's own order.
type SortOption struct {
	Target SortTarget
	Order  SortOrder
}

func (s SortOption) valid() bool {
	return SortByKey <= s.Target && s.Target <= SortByValue && SortNone <= s.Order && s.Order <= SortDescend
}

// WithSort sets the order in which Get returns keys; without it they come by
// key, ascending. The server sorts before it applies a limit, provided that there
// is an order: of a target with SortNone, etcd 3.7 sorts no more keys than one
// above the limit, so give both.
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
// faster, and works without a leader, but may be out of date. Without it, reads
// are linearizable: they see every write that was acknowledged before them.
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

// WithCountOnly makes Get return Count alone, the number of keys in the range,
// which no limit or filter affects.
func WithCountOnly() OpOption {
	return func(op *Op) {
		if op.applies("WithCountOnly", opGet) {
			op.countOnly = true
		}
	}
}

// WithLease attaches the key of a Put to a lease, with which it is deleted. A Put
// without it detaches the key from the lease that it had. An unknown lease is
// rpctypes.ErrLeaseNotFound.
func WithLease(id LeaseID) OpOption {
	return func(op *Op) {
		if op.applies("WithLease", opPut) {
			op.leaseID = id
		}
	}
}

// WithIgnoreValue makes Put keep the key's present value; the value given must
// be empty. A key that does not exist is rpctypes.ErrKeyNotFound.
func WithIgnoreValue() OpOption {
	return func(op *Op) {
		if op.applies("WithIgnoreValue", opPut) {
			op.ignoreValue = true
		}
	}
}

// WithIgnoreLease makes Put keep the key's present lease; it excludes WithLease.
// A key that does not exist is rpctypes.ErrKeyNotFound.
func WithIgnoreLease() OpOption {
	return func(op *Op) {
		if op.applies("WithIgnoreLease", opPut) {
			op.ignoreLease = true
		}
	}
}

// WithPrevKV makes Put and Delete return what was there before, and a watch's
// events carry it, unless it has been compacted.
func WithPrevKV() OpOption {
	return func(op *Op) {
		if op.applies("WithPrevKV", opPut|opDelete|opWatch) {
			op.prevKV = true
		}
	}
}

// toInfinity is the range end that means no bound, and zeroKey the smallest key.
// Both are "\x00", and are never written to.
var (
	toInfinity = []byte{0}
	zeroKey    = []byte{0}
)

// rangeOnce reports whether the Op may get its range end from an option.
func (op *Op) rangeOnce(by rangeBy) bool {
	if !op.applies(by.String(), opGet|opDelete|opWatch) {
		return false
	}
	if op.by != byNothing && op.by != by {
		op.misuse(by.String(), "there is "+op.by.String()+" already; an operation has one range, choose one of the two", nil)
		return false
	}
	return true
}

// WithRange makes Get, Delete or a watch work on the keys in [key, end). An end of "" is
// the protocol's way to say one key, and "\x00" that there is no end; an end
// before the key is an error.
func WithRange(end string) OpOption {
	return func(op *Op) {
		if !op.rangeOnce(byRange) {
			return
		}
		if op.by == byRange && string(op.end) != end {
			op.misuse("WithRange", fmt.Sprintf("there is WithRange(%q) already; an operation has one range", op.end), nil)
			return
		}
		op.by, op.end = byRange, []byte(end)
	}
}

// WithPrefix makes Get, Delete or a watch work on the keys that begin with key: on all
// keys when it is empty.
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

// WithFromKey makes Get, Delete or a watch work on the keys from key on, in the order of
// their bytes: on all keys when it is empty.
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
// Get(ctx, prefix, WithRange(GetPrefixRangeEnd(prefix))) is the same as
// Get(ctx, prefix, WithPrefix()). It is "\x00", no bound, when no key can follow
// those: for the empty prefix and for bytes of 0xff alone.
func GetPrefixRangeEnd(prefix string) string { return string(prefixEnd([]byte(prefix))) }

// prefixEnd is the smallest key greater than all keys with the prefix: a last
// byte of 0xff has no successor, so such bytes go, and the one before is raised.
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

// The following six choose one key among those that begin with Get's key.

// WithFirstKey makes Get return the first key by name.
func WithFirstKey() []OpOption { return oneOf(SortByKey, SortAscend) }

// WithLastKey makes Get return the last key by name.
func WithLastKey() []OpOption { return oneOf(SortByKey, SortDescend) }

// WithFirstRev makes Get return the key whose last change is the oldest.
func WithFirstRev() []OpOption { return oneOf(SortByModRevision, SortAscend) }

// WithLastRev makes Get return the key that was changed last.
func WithLastRev() []OpOption { return oneOf(SortByModRevision, SortDescend) }

// WithFirstCreate makes Get return the key that was created first.
func WithFirstCreate() []OpOption { return oneOf(SortByCreateRevision, SortAscend) }

// WithLastCreate makes Get return the key that was created last.
func WithLastCreate() []OpOption { return oneOf(SortByCreateRevision, SortDescend) }

func oneOf(target SortTarget, order SortOrder) []OpOption {
	return []OpOption{WithPrefix(), WithSort(target, order), WithLimit(1)}
}
