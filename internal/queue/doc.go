// Package queue is what the cluster knows of locks and elections: a queue of keys, in
// which each who waits has a place of its own, and the first has the turn. What their
// process knows is in package holder.
//
// # The queue
//
// A queue is the keys of its contenders under a prefix, in the order of their create
// revisions, which the cluster gives out and never twice. A contender's key is the
// prefix and its lease's ID in hexadecimal, and bound to that lease; whatever else is
// under the prefix stands in nobody's way (contender.go says how that is told). A
// place is a key and its create revision: one that was deleted and put again, by
// whomever, is another place.
// The lowest create revision has the turn, and it only grows from one turn to
// the next, so it is the fencing token as well.
//
//  1. Take puts the own key, with the lease that it ends with, by a transaction
//     that creates it or reads it. However often it has to be sent, the key is
//     put once.
//  2. Wait looks at two things at one revision: whether the own key is there,
//     and the youngest of the older keys. Without an older one it is its turn.
//     Otherwise it watches both from the next revision on, and looks again when
//     one of them is deleted. Each waits for one key, so a turn that ends wakes
//     one waiter and not all.
//  3. Hold goes on watching the own key of the one who has the turn.
//  4. Guard is the comparison that the own key is still there, and Commit a
//     transaction under it: what the cluster itself knows, whatever this process
//     believes.
//  5. Revoke ends the lease, and the place with it, and so whatever request is
//     still under way to put the key.
//
// Locks that share a lease do without step 5 as long as nothing can be under way: a
// place that is Shared has at most one request in doubt, and Forsake deals with that
// until the lease is revoked (package lock says when). They leave step 3 to a
// Lookout, which watches all keys on one stream, and to Missing, which looks at many places
// by one request.
//
// A session's lease of package election, which is not revoked either, has a Ledger in
// place of step 5: it deletes a key that is put when nobody wants it any more.
//
// # What is certain
//
// Watches tell quickly, and are not what anything rests on: a member can fall
// silent, a stream fail, a revision be compacted. Whatever a watch says, and in
// any case once in every half time to live, the place is looked at again, by a
// linearizable read, and that alone decides.
//
// That the own key is there does not prove the turn: that is for who keeps the
// lease, and knows how long it is certain to live.
package queue
