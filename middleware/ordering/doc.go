// Package ordering keeps reads from going back in time.
//
// A serializable read (kv.WithSerializable) is answered by one member from its own
// state, which may be older than that of the member that answered the read before.
// A KV of this package remembers the greatest revision that it has seen in any
// response, and does not return a read that is older:
//
//	store := ordering.NewKV(c, ordering.WithRetry(c)) // c is a client
//	resp, err := store.Get(ctx, "k", kv.WithSerializable())
//
// Such an answer is a *RegressionError; or, with WithRetry, the read goes to another
// member, and if need be to all of them again, until one has caught up or ctx ends;
// or WithViolation decides.
//
// What counts is what had been seen when the call began: calls that are under way at
// the same time may be answered in any order. Only reads are checked, and repeated:
// a Get, and a Txn that changes nothing. What the others' answers show counts as
// seen, so that reads see one's own writes. Linearizable reads are never behind; a
// cluster that was restored from a backup is, for all members, and then only a new
// KV helps.
package ordering
