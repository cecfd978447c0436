package client

import "time"

// Stats is what a client keeps at present: its watches and its leases. Those of all services
// on Client.Conn count, such as the leases of locks and elections. Unlike Counters the values
// go up and down. To read them costs a moment for each watch and lease, and to keep them
// nothing.
type Stats struct {
	Watches WatchStats
	Leases  LeaseStats
}

// WatchStats is the state of a client's watches.
type WatchStats struct {
	// Open are the watches that have begun and not ended.
	Open int
	// Resuming are those of them that are not on a stream at the moment: they are being
	// made, or their member was lost.
	Resuming int
	// Paused are those of them that were taken off their stream because their consumer is
	// slow and their buffer full.
	Paused int
	// Buffered are the events that wait for their consumers, but for those of the one
	// response that the channel of a Watch holds.
	Buffered int
	// Lag is for how long the watch that is behind most has been so: a response has waited
	// for its consumer, the member has left a question unanswered, or the watch has been off
	// its stream. 0 means that none is behind.
	Lag time.Duration
}

// LeaseStats is the state of the leases that a client keeps alive.
type LeaseStats struct {
	// Kept are the leases that the client renews.
	Kept int
	// Proven are those of them that have been renewed at least once, and so are known to
	// live until their deadline (lease.Keeper.Deadline).
	Proven int
	// Remaining is the time until the nearest deadline of a proven lease. 0 if there is none.
	Remaining time.Duration
	// RemainingPart is the least part of its time to live that is left to a proven lease: 0.5
	// or more while renewals work, since a lease is renewed when a third of the time has
	// passed, or up to three eighths of a long one. 0 if there is none.
	RemainingPart float64
	// Lost is how many leases could not be kept since the client was made: they can no
	// longer be proven to live, or the cluster has them no more.
	Lost uint64
}

// Stats returns what the client keeps at present. On a closed client all are 0, except Lost.
func (c *Client) Stats() Stats {
	t := c.conn.census.Take()
	return Stats{
		Watches: WatchStats{Open: t.Watches, Resuming: t.Resuming, Paused: t.Paused, Buffered: t.Buffered, Lag: t.Lag},
		Leases: LeaseStats{
			Kept: t.Leases, Proven: t.Proven, Remaining: t.Remaining, RemainingPart: t.RemainingPart,
			Lost: c.conn.census.Lost.Load(),
		},
	}
}
