package lesson

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Lesson is one lesson of the tour.
type Lesson struct {
	// Page is the name of its page in docs/tour.
	Page string
	// Title says in a few words what it is about.
	Title string

	run func(ctx context.Context, s *stage) error
}

// Lessons are all of them. The first is number 1.
func Lessons() []Lesson {
	return []Lesson{
		{"01-keys-and-bytes.md", "Keys and bytes", keysAndBytes},
		{"02-revisions.md", "Revisions", revisions},
		{"03-ranges.md", "Ranges", ranges},
		{"04-compare-and-swap.md", "Compare and swap", compareAndSwap},
		{"05-leases.md", "Leases", leases},
		{"06-five-steps.md", "A lock in five steps", fiveSteps},
		{"07-fencing.md", "Fencing", fencing},
		{"08-watches.md", "Watches", watches},
		{"09-elections.md", "Elections", elections},
		{"10-discovery.md", "Discovery", discovery},
		{"11-failover.md", "Failover", failover},
		{"12-unknown-fate.md", "A write of unknown fate", unknownFate},
	}
}

// limit bounds what one lesson takes.
const limit = 2 * time.Minute

// Run starts a cluster, runs the lesson on it, and prints on out what happens. What
// differs from run to run (IDs, ports, raft terms, times) is replaced, unless raw is set.
func (l Lesson) Run(ctx context.Context, out io.Writer, raw bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, err := newStage(ctx, out, raw)
	if err != nil {
		return err
	}
	err = l.run(ctx, s)
	if end := s.close(); err == nil {
		err = end
	}
	if err != nil {
		return fmt.Errorf("lesson %q: %w", l.Title, err)
	}
	return nil
}
