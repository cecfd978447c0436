// Package lock holds locks on an etcd cluster. It has three ways, from the bare
// protocol to the one to use:
//
//   - [Service] is etcd's lock service (v3lockpb.Lock): two RPCs, request out,
//     response in.
//   - [Locker] runs on top of it the five steps grant, lock, hold by heartbeat,
//     try again, unlock, and refuses a configuration with which two could hold
//     the lock at once.
//   - [Mutex] needs only the key-value, lease and watch services. It has a
//     fencing token, guarded transactions, TryLock, and leaves no key behind.
//
// # What a lock can promise
//
// A lock in a distributed system is a lease: who does not renew it loses it, and
// another one gets it. What a holder can have is to know in time. Locks of this
// package therefore have a Done channel, which closes when the lock can no
// longer be proven to be held, and before the cluster can give it to another
// one. Work that is under way then must stop.
//
// "Must stop" is a promise of the holder, and a holder that is frozen (a paused
// virtual machine, a suspended laptop) cannot keep it: its clocks stop as well.
// And the cluster can break its own (package lease tells how a leader that was
// stopped may revoke a lease too early). What is right even then is to let the
// resource decide. Mutex.Token grows with every acquisition by anyone, so that a
// store can refuse a token older than the newest it has seen; and when the store
// is the same etcd cluster, Mutex.Txn makes each write conditional on the lock.
//
// # The keys
//
// A waiter for NAME owns the key NAME/LEASE, its lease's ID in hexadecimal, and
// the owner of the key with the lowest create revision under NAME/ holds the
// lock. That is what etcd's lock service, etcdctl lock and clientv3's
// concurrency package do, so all of them exclude each other.
package lock
