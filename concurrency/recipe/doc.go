// Package recipe has the classic ways of working together through a store with
// transactions and watches: barriers, queues and a lock for readers and writers.
//
//		q := recipe.NewQueue(c, "jobs") // c is a client
//		err := q.Enqueue(ctx, "resize 4711.png")
//		job, err := q.Dequeue(ctx) // waits until there is one
//
//	  - Barrier holds others until it is released.
//	  - DoubleBarrier lets a group begin together, and end together.
//	  - Queue and PriorityQueue hand each item to one consumer.
//	  - RWMutex is a lock that readers share. For one holder at a time there is
//	    package lock, which can do more.
//
// All waiting ends with its context. What is bound to a session (package session)
// ends with it as well, with ErrSession and the session's own reason, and its keys
// go with the session's lease. The keys are laid out as by clientv3's recipes, so
// that programs with either can take part together; a clientv3 program does not
// give the guarantees that follow.
//
// # When an answer is lost
//
// A request of which the answer is lost may have been applied, or may yet be, by a
// member that gets round to it late. The recipes do not leave it at that:
//
//   - What gives up a key that it may have put, because its context has ended,
//     deletes it, and changes a second key, the fence, on which all such requests
//     depend: the one that is late is refused then. That takes up to 3 s beyond the
//     context; when the cluster cannot be reached for those, it is done in the
//     background as soon as it can, for as long as the session lives. So a waiter that
//     was canceled does not stay, or come back, as a ghost. A Barrier has no session:
//     its Hold is an *UnsettledError then.
//   - What puts a key again, because the first answer was lost, changes the fence, too.
//     So a late copy of the first request does not bring the key back when it was
//     deleted. The fence is NAME.fence for barriers and locks. It stays, as one key
//     without a value.
//   - Who dequeues writes a unique claim into a key of the queue, in the same
//     transaction that deletes the item. When the answer is lost, the transaction
//     is sent again, which can take the item once only, and if the item is gone, the
//     claims tell who has taken it: a consumer's is there until its next one, unless
//     64 other consumers have come in between.
//   - Who enqueues, and does not learn whether the item is there, fences the
//     request off, and then looks for the item, and in the history of the claims.
//
// What cannot be found out in that time, or any more, because the claim has made room
// for others or the history was compacted, is an *UnsettledError, of which
// client.IsAmbiguous is true. A Queue remembers a claim that is unsettled: its next
// Dequeue settles it, and returns the item if it is its own. So an item is lost only
// when its consumer, or the process, gives up in the midst of that; and none is handed
// out twice.
//
// An item that was dequeued is no longer on the cluster: if its consumer dies at work, the item
// is lost. For jobs that must be done in any case keep each one under a key, work on it under a
// lock of its own (package lock), and delete it by the lock's Txn when it is done.
//
// The keys of a queue besides its items are __NAME/claim and __NAME/fence, and
// __NAME/PRIORITY: with authorization, users need a role for them, too, and for
// NAME.fence those of barriers and locks.
package recipe
