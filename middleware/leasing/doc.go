// Package leasing answers linearizable reads of single keys from memory, for as long
// as no other client can change them.
//
//	l, err := leasing.New(ctx, c, c, c, "leasing/") // c is a client
//	defer l.Close(ctx)
//	resp, err := l.Get(ctx, "config") // asks the cluster
//	resp, err = l.Get(ctx, "config")  // answers at once
//
// # The protocol
//
// Who reads a key takes ownership of it: a leasing key, whose name is the prefix and
// the key's, that lives with the owner's session. Only the owner may have the key's
// value in memory. Who wants to write a key that somebody else owns puts REVOKE into
// the leasing key; the owner, which watches the prefix, forgets the value and deletes
// the leasing key, and only when there is none, or one's own, does a write succeed: it
// is a transaction that compares the leasing key's create revision. An owner that is
// gone loses its leasing keys when its lease ends; whoever wants to write waits so
// long. A key that was given up, or that somebody else owns, is not asked for again
// for two seconds.
//
// That is the protocol of clientv3's package of this name, and clients of either can
// share a prefix. The protocol asks of its users that
//
//   - every writer of a key keeps to it: a plain Put past it is not noticed,
//   - nobody else writes keys that begin with the prefix,
//   - no two owners share a lease (session.WithLease),
//   - who is authorized by roles may read and write the whole prefix.
//
// Keys that are attached to a lease are not kept in memory, since nobody asks before
// they expire. Nothing else bounds the memory: every key that is read and not written
// by others stays in it.
//
// # When an answer comes from memory
//
// A Get of one key does, and a transaction whose comparisons, and the operations of
// whose branch, need nothing else, while
//
//   - the session is proven to live, by this process's own clock (package lease), so
//     that a process that was cut off, or frozen, stops before others may write,
//   - no write of this client's to the key is under way.
//
// Its header has the highest revision that the KV has seen with its session. Revisions
// never go back, unless the cluster was restored from a backup. A write of the owner's
// own reads the key back in the same transaction. After a write whose fate is unknown,
// which may still be applied at any time, the leasing key is made anew: the old write's
// comparison fails from then on.
//
// Everything else, and everything while there is no session, is asked of the cluster.
// A transaction that writes is nested in the one that guards it, which takes as many
// off the operations that the server allows it (128 by default) as it names keys to
// write: at most 64 can be written.
package leasing
