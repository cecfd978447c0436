// Package once makes each write happen exactly once. A Put, DeleteRange or Txn on its connection
// is applied once, or returns an error that says for certain that it was not, as long as a quorum
// of the members comes back before its context ends.
//
//	c, err := client.New(client.Config{
//		Endpoints:  endpoints,
//		Middleware: []client.Middleware{once.Of("once/")},
//	})
//	_, err = c.Put(ctx, "k", "v") // survives the loss of its member, and of its answer
//
// Everything that stands on the client's connection has it: kv, the transactions of locks and
// software transactional memory, a leasing cache, generated stubs. A program written for
// clientv3 gets it by one line:
//
//	cli, err := clientv3.NewWith(cfg, func(n *client.Config) {
//		n.Middleware = []client.Middleware{once.Of("once/")}
//	})
//
// # How
//
// A Conn is a writer. It owns slots: keys under the prefix, bound to a lease of its own. A write
// has one slot to itself while it is under way. It travels in a transaction:
//
//	If   the slot's mod revision is r
//	Then what the caller wants; put the slot
//	Else get the slot
//
// When no answer comes within 100 ms, or the connection is lost, the same transaction is sent
// again, to another member. A copy that comes after another one was applied takes the Else
// branch, which shows the slot. Then the answer is made up from the store's history: the revision
// of the write is the slot's mod revision, the branch that a transaction took is in the slot's
// value, and everything else is read at the revision before.
//
// # Why it is right
//
//  1. Of all copies of a write at most one is applied. They all need the slot's mod revision to
//     be r. The first one that is applied changes it. A key's mod revision is the store's
//     revision at its last change, which only grows, so it is never r again: not when the slot
//     is used again, not when the lease ends and the slot is deleted, and not when somebody
//     deletes it or makes it once more. So it does not matter how late a copy comes, through
//     which member, or what has become of its writer.
//  2. Only the write puts its slot while it has it. So a slot with a later mod revision and a
//     value shows that the write was applied, and at which revision. (A late copy of the
//     transaction that made the slot could make it again after a deletion. It puts no value.)
//  3. If only one copy was sent, and it finds the slot gone, the write was not applied. Otherwise
//     the slot has a history. Its first change after r is found by binary search. It is a put with
//     a value if the write was applied, and anything else if it was not, and never will be. If the
//     change was compacted, the write is ambiguous, unless the oldest revision that is left shows
//     the put.
//  4. A refusal of one copy says nothing of the others. When one was in doubt, a transaction
//     deletes the slot if its mod revision is still r. If it does, the refusal is true of all
//     copies. If not, 2 or 3 applies.
//  5. A write whose context ends in doubt is ambiguous. Its slot is deleted and never used again.
//     When it is deleted, no copy will be applied any more.
//
// A cluster that is restored from a snapshot goes back in time, revisions included: this holds
// only for one history.
//
// # What is different
//
//   - The answer to a write has a new revision even if the write changes nothing, since the slot
//     is put. Watchers of the whole store see the slots.
//   - A transaction may have one operation less than the server permits (127 at its default of
//     128), and two less (126) in each branch if it has comparisons or an Else branch.
//   - Put and delete operations on keys with the slots' prefix are refused, and so are deletions
//     of ranges that include it, such as of all keys. Reads and comparisons are not.
//   - While the cluster has no space left, deletions are refused as well as puts (NOSPACE): use
//     a connection without once to make room.
//   - A user needs a role that may read and write the slots' prefix. The error says so if there
//     is none.
//   - When the answer was lost and what it takes to make it up was compacted, or may not be
//     read by the user, the error is an *AppliedError. It has the revision. A program written
//     for clientv3 gets rpctypes.ErrTimeout.
//   - client.Config.CallTimeout and FailFast do not limit the wait for a slot, which only a
//     new writer, or one with too few, has to make.
//   - A lost answer with a large range is read again, as large.
//
// A namespace may lie above or below. All other requests pass through as they are: reads, read-only
// transactions, compactions, leases, watches, users, members, and the RPCs of the Lock and
// Election services, which write by themselves.
//
// # What it costs
//
// One small key more in each transaction, and no round trip. One caller alone makes about a tenth
// fewer Puts in a second on etcd's generated stub when it sends the smallest transaction that is
// applied only once, instead of a Put, since the server has a comparison and a second key to do;
// package once comes within a tenth of that (integration/callbench). The first write also grants the
// lease and makes the first eight slots. There are as many slots as writes are under way, at most
// DefaultSlots; when there are none left, twice as many are made in the background. Slots go with
// Close, which the client's Close calls, and after a crash with their lease. The lease is
// kept in the background. When it has ended all the same, the next write begins another one.
package once
