package cache

import (
	"sync/atomic"
	"time"
)

// counters are those of a prefix.
type counters struct {
	hits, misses, rounds, progress, compared, resyncs atomic.Int64
	watches, passed                                   atomic.Int64
}

// Stats says what a Conn has, and what it has done. Counters count from its beginning.
type Stats struct {
	// Prefixes are in the order of their names.
	Prefixes []PrefixStats
}

// PrefixStats are the Stats of one prefix.
type PrefixStats struct {
	// Prefix is what its keys begin with.
	Prefix string
	// Ready says that reads are answered from memory. If not, Err is why.
	Ready bool
	Err   error
	// Keys is the number of keys, and Bytes what they and their values take, with up to 45
	// bytes for the revisions of each. Besides these, a key takes about 30 bytes of memory.
	Keys  int
	Bytes int64
	// Revision is the cluster's up to which every change is known, and Oldest the first one
	// that can be read or watched from memory. Behind is how far the highest revision is that the
	// cluster is known to have: 0 if the cache has all.
	Revision, Oldest, Behind int64
	// Events are the changes since Oldest that are kept.
	Events int
	// Confirmed is how long ago the cluster has last confirmed its revision, and that the
	// user may read the prefix.
	Confirmed time.Duration
	// Hits are reads that were answered from memory, and Misses those that were passed on,
	// of keys of the prefix alone.
	Hits, Misses int64
	// Confirmations are the round trips for linearizable reads, and for permissions. Progress are
	// requests for the watch's progress, and Comparisons the reads of all keys' revisions,
	// instead of these.
	Confirmations, Progress, Comparisons int64
	// Resyncs counts how often the keys had to be read anew.
	Resyncs int64
	// Watches are those that were made from memory, and WatchesPassed those that had to be
	// passed on, when they began or later.
	Watches, WatchesPassed int64
}

// Stats returns what the Conn has and has done.
func (c *Conn) Stats() Stats {
	var s Stats
	for _, p := range c.prefixes {
		s.Prefixes = append(s.Prefixes, p.describe())
	}
	return s
}

func (p *prefix) describe() PrefixStats {
	s := PrefixStats{
		Prefix: p.from, Bytes: p.held.Load(),
		Hits: p.stats.hits.Load(), Misses: p.stats.misses.Load(),
		Confirmations: p.stats.rounds.Load(), Progress: p.stats.progress.Load(), Comparisons: p.stats.compared.Load(),
		Resyncs: p.stats.resyncs.Load(),
		Watches: p.stats.watches.Load(), WatchesPassed: p.stats.passed.Load(),
	}
	p.mu.Lock()
	s.Err = p.why
	st := p.state.Load()
	p.mu.Unlock()
	if st != nil {
		s.Ready, s.Keys = true, st.root.count()
		s.Revision, s.Oldest, s.Events = st.rev, st.floor, len(st.events)
		s.Behind = max(0, p.seen.Load()-st.rev)
		s.Confirmed = time.Since(p.c.born) - time.Duration(p.asked.Load())
	}
	return s
}
