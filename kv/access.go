package kv

// IsGet reports whether the operation is a Get.
func (op Op) IsGet() bool { return op.kind == opGet }

// IsPut reports whether the operation is a Put.
func (op Op) IsPut() bool { return op.kind == opPut }

// IsDelete reports whether the operation is a Delete.
func (op Op) IsDelete() bool { return op.kind == opDelete }

// IsTxn reports whether the operation is a transaction.
func (op Op) IsTxn() bool { return op.kind == opTxn }

// IsWatch reports whether OpWatch made the operation.
func (op Op) IsWatch() bool { return op.kind == opWatch }

// Txn returns a transaction's comparisons and its two lists of operations.
func (op Op) Txn() ([]Cmp, []Op, []Op) { return op.cmps, op.thenOps, op.elseOps }

// KeyBytes returns the key. Do not modify it.
func (op Op) KeyBytes() []byte { return op.key }

// WithKeyBytes sets the key. It does not change a range end that an option has
// set.
func (op *Op) WithKeyBytes(key []byte) { op.key = key }

// RangeBytes returns the range end in the protocol's form: nil for a single key,
// "\x00" for no upper bound. Do not modify it.
func (op Op) RangeBytes() []byte { return op.end }

// WithRangeBytes sets the range end, in the protocol's form.
func (op *Op) WithRangeBytes(end []byte) { op.end = end }

// ValueBytes returns a Put's value. Do not modify it.
func (op Op) ValueBytes() []byte { return op.val }

// WithValueBytes sets a Put's value.
func (op *Op) WithValueBytes(v []byte) { op.val = v }

// Rev returns WithRev's revision, or 0.
func (op Op) Rev() int64 { return op.rev }

// Limit returns WithLimit's limit, or 0.
func (op Op) Limit() int64 { return op.limit }

// LeaseID returns WithLease's lease, or 0.
func (op Op) LeaseID() LeaseID { return op.leaseID }

// IsSerializable reports whether WithSerializable is set.
func (op Op) IsSerializable() bool { return op.serializable }

// IsKeysOnly reports whether WithKeysOnly is set.
func (op Op) IsKeysOnly() bool { return op.keysOnly }

// IsCountOnly reports whether WithCountOnly is set.
func (op Op) IsCountOnly() bool { return op.countOnly }

// IsSortSet reports whether WithSort is set.
func (op Op) IsSortSet() bool { return op.sorted }

// IsSortOptionValid reports whether WithSort, if set, was given a valid target
// and a valid order.
func (op Op) IsSortOptionValid() bool { return op.sort.valid() }

// IsPrevKV reports whether WithPrevKV is set.
func (op Op) IsPrevKV() bool { return op.prevKV }

// IsProgressNotify reports whether WithProgressNotify is set.
func (op Op) IsProgressNotify() bool { return op.progressNotify }

// IsCreatedNotify reports whether WithCreatedNotify is set.
func (op Op) IsCreatedNotify() bool { return op.createdNotify }

// IsFilterPut reports whether WithFilterPut is set.
func (op Op) IsFilterPut() bool { return op.filterPut }

// IsFilterDelete reports whether WithFilterDelete is set.
func (op Op) IsFilterDelete() bool { return op.filterDelete }

// IsFragment reports whether WithFragment is set.
func (op Op) IsFragment() bool { return op.fragment }

// IsIgnoreValue reports whether WithIgnoreValue is set.
func (op Op) IsIgnoreValue() bool { return op.ignoreValue }

// IsIgnoreLease reports whether WithIgnoreLease is set.
func (op Op) IsIgnoreLease() bool { return op.ignoreLease }

// IsOptsWithPrefix reports whether WithPrefix is set.
func (op Op) IsOptsWithPrefix() bool { return op.by == byPrefix }

// IsOptsWithFromKey reports whether WithFromKey is set.
func (op Op) IsOptsWithFromKey() bool { return op.by == byFromKey }

// MinModRev returns WithMinModRev's revision, or 0.
func (op Op) MinModRev() int64 { return op.minModRev }

// MaxModRev returns WithMaxModRev's revision, or 0.
func (op Op) MaxModRev() int64 { return op.maxModRev }

// MinCreateRev returns WithMinCreateRev's revision, or 0.
func (op Op) MinCreateRev() int64 { return op.minCreateRev }

// MaxCreateRev returns WithMaxCreateRev's revision, or 0.
func (op Op) MaxCreateRev() int64 { return op.maxCreateRev }

// IsOptsWithPrefix reports whether WithPrefix is among opts.
func IsOptsWithPrefix(opts []OpOption) bool { return contains(opts, byPrefix) }

// IsOptsWithFromKey reports whether WithFromKey is among opts.
func IsOptsWithFromKey(opts []OpOption) bool { return contains(opts, byFromKey) }

// contains applies each option by itself, since together they might contradict
// each other.
func contains(opts []OpOption, want rangeBy) bool {
	for _, opt := range opts {
		var op Op
		if opt != nil {
			opt(&op)
		}
		if op.by == want {
			return true
		}
	}
	return false
}
