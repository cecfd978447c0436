// Package lock holds locks on an etcd cluster. It has three ways. [New] makes the first,
// which is the one to use; a program that takes locks often, or many, makes a [Pool] of
// them:
//
//   - [Mutex] needs only the key-value, lease and watch services. It has a fencing token,
//     guarded transactions and TryLock, serves waiters in order, learns when its key is
//     deleted, and leaves no key behind. Those of a Pool share leases and streams.
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
// # A pool of locks
//
// A Mutex of New has a lease, renewals and a watch for each hold, and so nothing that has
// to be closed. That takes a grant, a renewal, two transactions and a revocation for each
// Lock and Unlock. A [Pool] has a lease already:
//
//	pool, err := lock.NewPool(cl.Conn(), lock.WithLeaseService(cl), lock.WithWatcher(cl))
//	defer pool.Close(ctx)
//	m, err := pool.Mutex("orders/17")
//
// A free lock then takes one transaction to lock and one to unlock. Locks that are held
// have one lease, one renewal stream and one watch stream together, and no goroutines.
// Tokens, guards, Done, fairness and the keys are the same. Three things differ:
//
//   - Locks that share a lease are lost together, if it can't be renewed in time or
//     somebody revokes it. Mutexes of New are lost one by one, though mostly for the same
//     reason.
//   - The deletion of the key of a lock that is held is noticed at once, but not before
//     the lock was held for 100 ms; behind etcd's gRPC proxy as well. That of the key of one
//     that waits is noticed when the one before it goes, or in half a TTL.
//   - A key may come back for a moment, with nobody behind it, if a request of unknown
//     fate comes late while other locks share its lease; see below.
//
// # What is still under way
//
// A request whose answer was lost may reach the cluster at any time, from a member that
// was stopped, say. The one that deletes a key compares the key's create revision, which
// is never given out again, so it frees no later lock. The one that puts a key compares
// that the key is not there, and that comes true again when the lock is left. What
// keeps such a copy from putting it is the end of its lease: etcd refuses a put with a
// lease that is gone.
//
// A Mutex of New revokes its lease with each lock. In a Pool:
//
//  1. A put is sent again only if it was certainly not applied. So if Lock has its answer,
//     or has read that the key is there with the lease, no copy is under way, and the key's
//     name may be used again. That is so but for faults.
//  2. Otherwise one copy may come: its answer was lost, or the context has ended, and the
//     key is not there. The lease then retires. No other lock is taken with it, least
//     of all one of the same name, so nobody takes the key that comes for his own. Lock
//     goes on with another lease.
//  3. When the last lock of a lease that has retired is unlocked, the lease is revoked;
//     mostly at once. From then on the copy is refused.
//  4. Until then the key is watched, and deleted if it comes. It can't give anybody the lock:
//     who put it has given up. It can hold up those who come after it, for as long as it takes to
//     delete it. Should the process end or be cut off, so does the lease, by its TTL.
//
// A lease retires too if an Unlock can't delete its key. The key is then deleted in the
// background. Each lease that has retired still has a lock, so there are never more
// of them than Mutexes of New would have.
//
// No comparison could refuse the copy in step 2 by itself. It would need a key that outlives
// the lock and that the transaction compares. Below NAME/ such a key would block etcd's own
// clients, who count every key there; elsewhere users whose permission is for NAME/ may
// not read it. And a name that is used once, with more than the lease in it, would not be a
// contender's to other versions of this package, which know one by its lease.
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
// concurrency package do, so all of them exclude each other. Mutexes of one Pool and one
// name have keys of their own, since those that hold or wait at the same time have different
// leases. (Two of clientv3's mutexes of one session and one name have one key, and so
// hold the lock both.)
//
// Other keys below NAME/, such as those of a lock called NAME/sub, block etcd's
// clients, and so a Locker, as long as they are there. A Mutex counts only the keys
// that are named after a lease in lower-case hexadecimal, with nothing after it, and
// bound to that lease; or whose lease lives, if somebody has put over them.
package lock
