package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// report runs steps, prints what happens as it happens, and counts.
type report struct {
	out            io.Writer
	number         int
	passed, failed int
}

// errSkipped ends a step that can't be done here; it counts as neither.
var errSkipped = errors.New("skipped")

// stepTimeout bounds one step.
const stepTimeout = 30 * time.Second

// step runs one step. Its error is a failure, unless it is errSkipped.
func (r *report) step(ctx context.Context, title string, do func(ctx context.Context) error) {
	if ctx.Err() != nil {
		return // interrupted: what is left was not tried
	}
	r.number++
	r.line("\n%2d. %s", r.number, title)
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	start := time.Now()
	err := do(ctx)
	took := round(time.Since(start))
	switch {
	case errors.Is(err, errSkipped):
		r.say("%v", err)
	case err != nil:
		r.failed++
		r.say("FAILED after %v: %v", took, err)
	default:
		r.passed++
		r.say("passed in %v", took)
	}
}

// say prints one line of a step.
func (r *report) say(format string, args ...any) {
	r.line("      "+format, args...)
}

func (r *report) line(format string, args ...any) {
	_, _ = fmt.Fprintf(r.out, format+"\n", args...) // nobody is left to tell that nobody reads
}

// round makes a duration fit to be read.
func round(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(100 * time.Microsecond)
	default:
		return d.Round(time.Microsecond)
	}
}
