package client

import "sync/atomic"

const (
	// callsPerHedge is how many calls that may be hedged earn one hedge, so that a slow
	// cluster does not get more than 1 % more requests.
	callsPerHedge = 100
	// maxHedges is how many hedges can be saved up. A new client begins with as many.
	maxHedges = 500
)

// budget counts the hedges that may be sent, in parts of callsPerHedge.
type budget struct{ parts atomic.Int64 }

// fill gives a new client's budget all that it can hold.
func (b *budget) fill() { b.parts.Store(maxHedges * callsPerHedge) }

// earn counts a call that may be hedged.
func (b *budget) earn() {
	if b.parts.Load() < maxHedges*callsPerHedge {
		b.parts.Add(1)
	}
}

// spend takes a hedge, and reports whether there was one.
func (b *budget) spend() bool {
	if b.parts.Add(-callsPerHedge) >= 0 {
		return true
	}
	b.parts.Add(callsPerHedge)
	return false
}
