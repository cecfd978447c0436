package watching

import "fmt"

// fates counts the outcomes of writes.
type fates struct {
	acknowledged, ambiguous, applied, refused int // applied counts the ambiguous ones that were applied
}

// settle compares the writers' results with the history, which must be complete,
// and calls complain for every contradiction.
func settle(h *history, writers []*writer, complain func(format string, args ...any)) fates {
	type found struct {
		rev   int64
		count int32
	}
	puts := make(map[uint8][]found)
	for _, w := range writers {
		puts[w.id] = make([]found, len(w.entries))
	}
	everything := selection{hi: len(h.keys)}
	for rev := h.base + 1; rev <= h.head(); rev++ {
		changes := h.of(rev, everything)
		var by *tag
		for i := range changes {
			c := &changes[i]
			if c.deleted {
				continue
			}
			t := c.tag
			list, known := puts[t.writer]
			if !known || int(t.seq) >= len(list) {
				complain("revision %d has a value of write %d of writer %d, which there is not", rev, t.seq, t.writer)
				continue
			}
			if by != nil && (by.writer != t.writer || by.seq != t.seq) {
				complain("revision %d has values of two writes, %d of writer %d and %d of writer %d", rev, by.seq, by.writer, t.seq, t.writer)
			}
			by = &t
			f := &list[t.seq]
			if f.rev != 0 && f.rev != rev {
				complain("write %d of writer %d was applied twice, at revisions %d and %d", t.seq, t.writer, f.rev, rev)
			}
			f.rev = rev
			f.count++
		}
	}
	var sum fates
	for _, w := range writers {
		for seq, e := range w.entries {
			f := puts[w.id][seq]
			switch e.outcome {
			case acknowledged:
				sum.acknowledged++
				if err := confirm(h, e, f.rev, f.count); err != nil {
					complain("write %d of writer %d, acknowledged at revision %d: %v", seq, w.id, e.rev, err)
				}
			case ambiguous:
				sum.ambiguous++
				if f.rev != 0 {
					sum.applied++
				}
				if f.rev != 0 && f.count != e.puts {
					complain("write %d of writer %d, in doubt, has %d of its %d puts at revision %d", seq, w.id, f.count, e.puts, f.rev)
				}
			case refused:
				sum.refused++
				if f.rev != 0 {
					complain("write %d of writer %d was refused for certain, and applied at revision %d", seq, w.id, f.rev)
				}
			}
		}
	}
	return sum
}

// confirm reports how the effect of a write differs from its result.
func confirm(h *history, e entry, rev int64, puts int32) error {
	if e.puts == 0 && e.deletes == 0 {
		return nil // there was nothing to delete
	}
	var deletes int32
	for _, c := range h.of(e.rev, selection{hi: len(h.keys), noPuts: true}) {
		if c.deleted {
			deletes++
		}
	}
	if e.puts > 0 && rev != e.rev || puts != e.puts || deletes != e.deletes {
		return fmt.Errorf("the store has %d puts at revision %d and %d deletions, want %d at %d and %d", puts, rev, deletes, e.puts, e.rev, e.deletes)
	}
	return nil
}
