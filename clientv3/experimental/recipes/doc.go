// Package recipe has the names of go.etcd.io/etcd/client/v3/experimental/recipes:
// barriers, queues and a lock for readers and writers. They are package recipe's,
// which says what they do; since clientv3's methods have no context, all waiting ends
// with the client's.
//
// What package recipe promises of lost answers holds here as well: an item whose
// Enqueue returned nil is dequeued once; one whose Enqueue returned a
// *recipe.UnsettledError at most once, and one whose Enqueue returned any other error
// never. A Dequeue that returns a *recipe.UnsettledError may have taken an item: the
// next Dequeue of the same Queue returns it. A clientv3 program on the same queue gives
// none of that.
//
// An RWMutex has no fencing token here. Writes that must not come from somebody who
// has lost the lock need package recipe's, which has Token and Guard.
package recipe
