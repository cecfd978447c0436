// Package recipe mirrors go.etcd.io/etcd/client/v3/experimental/recipes:
// barriers, queues and a read-write lock. They are those of getcd's package
// recipe, which documents them. Since clientv3's methods have no context, all
// waiting ends with the client's context.
//
// Package recipe's promises about lost responses hold here as well. If Enqueue
// returns nil, its item is dequeued exactly once. If it returns a
// *recipe.UnsettledError, the item is dequeued at most once. If it returns any
// other error, the item is never dequeued. If Dequeue returns a
// *recipe.UnsettledError, it may have taken an item; the next Dequeue of the same
// Queue returns that item. These promises do not hold if a clientv3 program uses
// the same queue.
//
// The keys that these promises need are not clientv3's: with authorization, users need a
// permission for NAME.fence (barriers and RWMutex) or for all keys that begin with __NAME/
// (queues), besides the one for the recipe's own keys.
//
// An RWMutex has no fencing token here. To prevent writes by a program that has
// lost the lock, use package recipe's RWMutex, which has Token and Guard.
package recipe
