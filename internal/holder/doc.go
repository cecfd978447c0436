// Package holder is what holds something on the cluster for as long as a lease is
// proven to live: a lock, a leadership, a session.
//
// Package queue is what the cluster knows: a key, and its place among others. This
// package is what the process knows: whether it still holds.
//
//   - A [Life] is a context that ends when the lease can no longer be proven to live,
//     or when its owner ends it. The cause of the context says which. Sessions and the
//     recipes need no more than that.
//   - A [Holder] is a Life with a [queue.Place]. It is one try to hold: it has a lease,
//     takes the place, waits for its turn, and then watches its key. Locks and
//     elections are Holders with an API.
//   - [Acquire] makes one try after another until one succeeds, or trying again would
//     not help.
//   - [Holder.Run] runs a function for as long as a Holder holds, and releases it.
//
// The first cause that ends a Life stays. So whoever learns that it is over, from the
// lease, from the key or from a transaction, may say so at any time.
package holder
