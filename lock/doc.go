// Package lock holds locks on an etcd cluster. It has three ways. [New] makes the first,
// which is the one to use:
//
//   - [Mutex] needs only the key-value, lease and watch services. It has a fencing token,
//     guarded transactions and TryLock, serves waiters in order, learns when its key is
//     deleted, and leaves no key behind.
//   - [Locker] runs five steps on top of etcd's lock service: grant, lock, hold by
//     heartbeat, try again, unlock. It refuses a configuration with which two could hold
//     the lock at once. What it gets has a fencing token and guarded transactions.
//   - [Service] is etcd's lock service (v3lockpb.Lock): two RPCs, request out,
//     response in.
//
// # What a lock can promise
//
// A lock in a distributed system is a lease: who does not renew it loses it, and
// another one gets it. What a holder can have is to know in time. Locks of this
// package therefore have a Done channel, which closes when the lock can no
// longer be proven to be held, and before the cluster can give it to another
// one. Work that is under way then must stop. Context is the same as a context, and
// [Mutex.Run] does all of it:
//
//	err := m.Run(ctx, func(ctx context.Context) error {
//		return work(ctx) // ctx ends when the lock is lost
//	})
//
// "Must stop" is a promise of the holder, and a holder that is frozen (a paused
// virtual machine, a suspended laptop) cannot keep it: it learns of the loss when it
// goes on, and what it had begun goes on, too (package lease says what its clock sees).
// And the cluster can break its own (package lease tells how a leader that was
// stopped may revoke a lease too early). What is right even then is to let the
// resource decide. Token grows with every acquisition by anyone, so that a
// store can refuse a token older than the newest it has seen; and when the store
// is the same etcd cluster, Txn makes each write conditional on the lock.
//
// # After a restore
//
// Tokens are revisions of the cluster's store, and grow as long as that does. A
// cluster that is restored from a snapshot goes on from the snapshot's revision: locks
// that were got after the snapshot are forgotten, their holders may believe in them
// until their leases fail to be renewed, and the next tokens are ones that were given
// out before. A store that remembers the newest token it has seen then refuses the new
// holders. So restore with a revision that is beyond all that were given out (etcdutl
// snapshot restore --bump-revision N --mark-compacted), or forget the tokens in the
// stores when the cluster is restored, and in either case stop the holders first.
// Guards have the same flaw: a key that was created again at a revision which has been
// used before is taken for the former one.
//
// # The keys
//
// A waiter for NAME owns the key NAME/LEASE, its lease's ID in hexadecimal, and
// the owner of the key with the lowest create revision under NAME/ holds the
// lock. That is what etcd's lock service, etcdctl lock and clientv3's
// concurrency package do, so all of them exclude each other.
//
// Other keys below NAME/, such as those of a lock called NAME/sub, block etcd's
// clients, and so a Locker, as long as they are there. A Mutex counts only the keys
// that are named after a lease in lower-case hexadecimal, with nothing after it, and
// bound to that lease; or whose lease lives, if somebody has put over them.
package lock
