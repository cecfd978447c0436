package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// cell has the results of one kind of work during one fault.
type cell struct {
	Done, Failed, Twice int
	// Gap is the longest time without a success since the fault began.
	Gap time.Duration
	// Error is the last error.
	Error string
}

func (c cell) String() string {
	text := fmt.Sprintf("%d of %d / %.1f s", c.Failed, c.Done+c.Failed, c.Gap.Seconds())
	if c.Twice > 0 {
		text += fmt.Sprintf(", %d unasked", c.Twice)
	}
	return text
}

// assess makes a cell for each kind of work.
func assess(samples []sample, begun, over time.Time) map[string]cell {
	kinds := map[string][]sample{}
	for _, s := range samples {
		kinds[s.Kind] = append(kinds[s.Kind], s)
	}
	cells := map[string]cell{}
	for kind, all := range kinds {
		slices.SortFunc(all, func(a, b sample) int { return a.Ended.Compare(b.Ended) })
		var c cell
		last := begun
		for _, s := range all {
			c.Twice += s.Twice
			switch {
			case s.Ended.Before(begun) || s.Ended.After(over):
			case s.Err != "":
				c.Failed++
				c.Error = s.Err
			default:
				c.Done++
				c.Gap = max(c.Gap, s.Ended.Sub(last))
				last = s.Ended
			}
		}
		c.Gap = max(c.Gap, over.Sub(last))
		cells[kind] = c
	}
	return cells
}

// row is a line of the report.
type row struct {
	program, fault, kind string
	theirs, ours         cell
}

const intro = `# Other people's programs

<!-- go run ./integration/programs writes this page: make programs -->

Each of these programs was fetched as a Go module and built twice: unchanged, with clientv3
%s, and moved to getcd with the command in [from-clientv3.md](../guides/from-clientv3.md). Each build
then did its work on a cluster of three members. Meanwhile the member that carried most of
its traffic, a follower, was killed and restarted (kill), stopped with its connections open
(sigstop), or silently cut off from its clients (blackhole), for %v each. A cell shows how
many operations failed, and the longest time without a success, from the start of the fault
until 10 s after its end. "Unasked" counts operations that were applied in excess of what the
program asked for: the answer to a write was lost, the program got an error that leaves the
outcome open, and it made the write again. The times are from a busy machine with two
processors.

`

func write(out io.Writer, version string, lasts time.Duration, chosen []program, rows []row) error {
	var b strings.Builder
	fmt.Fprintf(&b, intro, version, lasts)
	for _, p := range chosen {
		fmt.Fprintf(&b, "## %s\n\n`%s` %s: %s.\n\n", p.name, p.module, p.version, p.what)
		switch {
		case len(p.edits) > 0:
			files := map[string]bool{}
			for _, e := range p.edits {
				files[e.file] = true
			}
			fmt.Fprintf(&b, "Apart from the command it took %d edits in %d files, all for its zap loggers (`observability/zap`).\n", len(p.edits), len(files))
		default:
			b.WriteString("The command was the only change.\n")
		}
		if len(p.dropped) > 0 {
			fmt.Fprintf(&b, "`%s` was left out of both copies: it is %s.\n", strings.Join(p.dropped, "`, `"), p.why)
		}
		b.WriteString("\n| fault | work | clientv3: failed / longest gap | getcd |\n|---|---|---:|---:|\n")
		for _, r := range rows {
			if r.program == p.name {
				fmt.Fprintf(&b, "| %s | %s | %v | %v |\n", r.fault, r.kind, r.theirs, r.ours)
			}
		}
		b.WriteString("\n")
		if p.note != "" {
			b.WriteString(p.note + "\n\n")
		}
	}
	_, err := io.WriteString(out, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}
