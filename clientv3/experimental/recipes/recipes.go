package recipe

import (
	"context"
	"errors"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/concurrency/recipe"
)

// Barrier is a key that blocks other programs for as long as it exists.
type Barrier struct {
	native *recipe.Barrier
	ctx    context.Context //nolint:containedctx // the client's: the methods have none
}

// NewBarrier returns the barrier with the given key.
func NewBarrier(client *clientv3.Client, key string) *Barrier {
	return &Barrier{recipe.NewBarrier(below.Client(client), key), client.Ctx()}
}

// Hold creates the barrier. It returns ErrKeyExists if the barrier already
// exists.
func (b *Barrier) Hold() error { return bareError(b.native.Hold(b.ctx)) }

// Release removes the barrier.
func (b *Barrier) Release() error { return bareError(b.native.Release(b.ctx)) }

// Wait returns when the barrier does not exist.
func (b *Barrier) Wait() error { return bareError(b.native.Wait(b.ctx)) }

// DoubleBarrier lets the members of a group begin together and end together.
type DoubleBarrier struct {
	native *recipe.DoubleBarrier
	ctx    context.Context //nolint:containedctx // the client's: the methods have none
}

// NewDoubleBarrier returns the session's member of a barrier for count sessions.
func NewDoubleBarrier(s *concurrency.Session, key string, count int) *DoubleBarrier {
	c := s.Client()
	return &DoubleBarrier{recipe.NewDoubleBarrier(below.Client(c), s.Native(), key, count), c.Ctx()}
}

// Enter waits until count sessions have entered.
func (b *DoubleBarrier) Enter() error { return bareError(b.native.Enter(b.ctx)) }

// Leave waits until all sessions have left. It does nothing if this one has.
func (b *DoubleBarrier) Leave() error { return released(b.native.Leave(b.ctx)) }

// Queue delivers each item to one consumer, in the order of Enqueue.
type Queue struct {
	native *recipe.Queue
	ctx    context.Context //nolint:containedctx // the client's: the methods have none
}

// NewQueue returns the queue with the given prefix.
func NewQueue(client *clientv3.Client, keyPrefix string) *Queue {
	return &Queue{recipe.NewQueue(below.Client(client), keyPrefix), client.Ctx()}
}

// Enqueue adds an item.
func (q *Queue) Enqueue(val string) error { return bareError(q.native.Enqueue(q.ctx, val)) }

// Dequeue takes the next item, and waits until there is one.
func (q *Queue) Dequeue() (string, error) {
	val, err := q.native.Dequeue(q.ctx)
	return val, bareError(err)
}

// PriorityQueue delivers each item to one consumer, items with the lowest number
// first.
type PriorityQueue struct {
	native *recipe.PriorityQueue
	ctx    context.Context //nolint:containedctx // the client's: the methods have none
}

// NewPriorityQueue returns the queue with the given prefix.
func NewPriorityQueue(client *clientv3.Client, key string) *PriorityQueue {
	return &PriorityQueue{recipe.NewPriorityQueue(below.Client(client), key), client.Ctx()}
}

// Enqueue adds an item with a priority. Priority 0 comes first.
func (q *PriorityQueue) Enqueue(val string, pr uint16) error {
	return bareError(q.native.Enqueue(q.ctx, val, pr))
}

// Dequeue takes the next item, and waits until there is one.
func (q *PriorityQueue) Dequeue() (string, error) {
	val, err := q.native.Dequeue(q.ctx)
	return val, bareError(err)
}

// RWMutex is a lock that either one writer or any number of readers hold.
type RWMutex struct {
	native *recipe.RWMutex
	ctx    context.Context //nolint:containedctx // the client's: the methods have none
}

// NewRWMutex returns the lock with the given prefix, which the session holds.
func NewRWMutex(s *concurrency.Session, prefix string) *RWMutex {
	c := s.Client()
	return &RWMutex{recipe.NewRWMutex(below.Client(c), s.Native(), prefix), c.Ctx()}
}

// Lock waits until nobody else holds the lock, and then holds it for writing.
func (rwm *RWMutex) Lock() error { return bareError(rwm.native.Lock(rwm.ctx)) }

// RLock waits only for writers, and then holds the lock for reading.
func (rwm *RWMutex) RLock() error { return bareError(rwm.native.RLock(rwm.ctx)) }

// RUnlock is Unlock.
func (rwm *RWMutex) RUnlock() error { return rwm.Unlock() }

// Unlock releases the lock, whether it is held for reading or for writing. It does
// nothing if the lock was already released, or lost.
func (rwm *RWMutex) Unlock() error {
	err := rwm.native.Unlock(rwm.ctx)
	if errors.Is(err, recipe.ErrNotHeld) { // for writing
		err = rwm.native.RUnlock(rwm.ctx)
	}
	return released(err)
}
