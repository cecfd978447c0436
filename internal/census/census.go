// Package census counts what the services of one client keep: watches and leases. The
// services don't know the client, and the client doesn't know all of them, since a program
// may make its own on the client's connection. They meet when a service opens a stream
// (attempt.Attempt.Enlist).
package census

import (
	"sync"
	"sync/atomic"
	"time"
)

// Tally is the sum over the services. client.Stats says what the fields mean.
type Tally struct {
	Watches, Resuming, Paused int
	Buffered                  int
	Lag                       time.Duration

	Leases, Proven int
	Remaining      time.Duration // of the proven leases, the least; 0 when there is none
	RemainingPart  float64       // likewise
}

// Late takes note of a watch that is behind by d.
func (t *Tally) Late(d time.Duration) { t.Lag = max(t.Lag, d) }

// Prove takes note of a lease that is proven to live for another d of its ttl.
func (t *Tally) Prove(d, ttl time.Duration) {
	part := float64(d) / float64(ttl)
	if t.Proven == 0 {
		t.Remaining, t.RemainingPart = d, part
	}
	t.Proven++
	t.Remaining, t.RemainingPart = min(t.Remaining, d), min(t.RemainingPart, part)
}

// Teller is a service that has something to tell. Tell adds it to t. It must not block for
// long, and must not call the Census.
type Teller interface{ Tell(t *Tally) }

// Census knows the services that keep something at present. The zero value knows none.
type Census struct {
	// Lost counts the leases that could not be kept.
	Lost atomic.Uint64

	mu      sync.Mutex // a leaf
	tellers map[Teller]struct{}
}

// Join adds a service, until it leaves. It may join again.
func (c *Census) Join(t Teller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tellers == nil {
		c.tellers = make(map[Teller]struct{})
	}
	c.tellers[t] = struct{}{}
}

// Leave removes a service.
func (c *Census) Leave(t Teller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tellers, t)
}

// Take asks all services.
func (c *Census) Take() Tally {
	c.mu.Lock()
	tellers := make([]Teller, 0, len(c.tellers))
	for t := range c.tellers {
		tellers = append(tellers, t)
	}
	c.mu.Unlock()
	var sum Tally
	for _, t := range tellers {
		t.Tell(&sum)
	}
	return sum
}
