package recipe

import (
	"context"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/concurrency/recipe"
)

// Barrier is a key that holds up others for as long as it exists.
type Barrier struct {
	native *recipe.Barrier
	ctx    context.Context //nolint:containedctx // the client's: the methods have none
}

// NewBarrier returns the barrier that is the given key.
func NewBarrier(client *clientv3.Client, key string) *Barrier {
	return &Barrier{recipe.NewBarrier(below.Client(client), key), client.Ctx()}
}

// Hold makes the barrier. One that is there already is ErrKeyExists.
func (b *Barrier) Hold() error { return told(b.native.Hold(b.ctx)) }

// Release removes the barrier.
func (b *Barrier) Release() error { return told(b.native.Release(b.ctx)) }

// Wait returns when there is no barrier.
func (b *Barrier) Wait() error { return told(b.native.Wait(b.ctx)) }

// DoubleBarrier lets a group begin together, and end together.
type DoubleBarrier struct {
	native *recipe.DoubleBarrier
	ctx    context.Context //nolint:containedctx // the client's: the methods have none
}

// NewDoubleBarrier returns the session's part in a barrier for count sessions.
func NewDoubleBarrier(s *concurrency.Session, key string, count int) *DoubleBarrier {
	c := s.Client()
	return &DoubleBarrier{recipe.NewDoubleBarrier(below.Client(c), s.Native(), key, count), c.Ctx()}
}

// Enter waits until count sessions have entered.
func (b *DoubleBarrier) Enter() error { return told(b.native.Enter(b.ctx)) }

// Leave waits until all sessions have left.
func (b *DoubleBarrier) Leave() error { return told(b.native.Leave(b.ctx)) }

// Queue hands each item to one consumer, in the order in which they were enqueued.
type Queue struct {
	native *recipe.Queue
	ctx    context.Context //nolint:containedctx // the client's: the methods have none
}

// NewQueue returns the queue called keyPrefix.
func NewQueue(client *clientv3.Client, keyPrefix string) *Queue {
	return &Queue{recipe.NewQueue(below.Client(client), keyPrefix), client.Ctx()}
}

// Enqueue adds an item.
func (q *Queue) Enqueue(val string) error { return told(q.native.Enqueue(q.ctx, val)) }

// Dequeue takes the next item, and waits until there is one.
func (q *Queue) Dequeue() (string, error) {
	val, err := q.native.Dequeue(q.ctx)
	return val, told(err)
}

// PriorityQueue hands each item to one consumer, those with the lowest number first.
type PriorityQueue struct {
	native *recipe.PriorityQueue
	ctx    context.Context //nolint:containedctx // the client's: the methods have none
}

// NewPriorityQueue returns the queue called key.
func NewPriorityQueue(client *clientv3.Client, key string) *PriorityQueue {
	return &PriorityQueue{recipe.NewPriorityQueue(below.Client(client), key), client.Ctx()}
}

// Enqueue adds an item with a priority, of which 0 comes first.
func (q *PriorityQueue) Enqueue(val string, pr uint16) error {
	return told(q.native.Enqueue(q.ctx, val, pr))
}

// Dequeue takes the next item, and waits until there is one.
func (q *PriorityQueue) Dequeue() (string, error) {
	val, err := q.native.Dequeue(q.ctx)
	return val, told(err)
}

// RWMutex is a lock that either one writer holds, or any number of readers.
type RWMutex struct {
	native *recipe.RWMutex
	ctx    context.Context //nolint:containedctx // the client's: the methods have none
}

// NewRWMutex returns the lock called prefix, to be held with a session.
func NewRWMutex(s *concurrency.Session, prefix string) *RWMutex {
	c := s.Client()
	return &RWMutex{recipe.NewRWMutex(below.Client(c), s.Native(), prefix), c.Ctx()}
}

// Lock waits until nobody else holds the lock, and takes it for writing.
func (rwm *RWMutex) Lock() error { return told(rwm.native.Lock(rwm.ctx)) }

// RLock waits for writers alone, and takes the lock for reading.
func (rwm *RWMutex) RLock() error { return told(rwm.native.RLock(rwm.ctx)) }

// RUnlock frees what RLock has taken.
func (rwm *RWMutex) RUnlock() error { return told(rwm.native.RUnlock(rwm.ctx)) }

// Unlock frees what Lock has taken.
func (rwm *RWMutex) Unlock() error { return told(rwm.native.Unlock(rwm.ctx)) }
