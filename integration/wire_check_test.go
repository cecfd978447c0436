package integration_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/getcd/getcd/wire"
)

// checkedTrace fails the test if the tracer does not understand everything in a
// client's traffic.
func checkedTrace(tb testing.TB) *wire.Tracer {
	tb.Helper()
	c := &wireCheck{}
	tb.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		tb.Logf("decoded %d frames and %d messages; %d frames were left out", c.frames, c.messages, c.dropped)
		for _, p := range c.problems {
			tb.Error(p)
		}
	})
	return wire.New(c, wire.Options{Format: wire.JSON, Secrets: true, Memory: 256 << 20})
}

// wireCheck reads a trace in JSON.
type wireCheck struct {
	mu                        sync.Mutex
	frames, messages, dropped int
	problems                  []string
}

// Write processes one line.
func (c *wireCheck) Write(line []byte) (int, error) {
	var r struct {
		Method string
		Late   bool
		Frames []struct {
			Type, Error string
			Parts       []struct{ Name, Value, Note string }
		}
		Dropped struct{ Frames int }
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := json.Unmarshal(line, &r); err != nil {
		c.problem("%v in %.200s", err, line)
	}
	c.dropped += r.Dropped.Frames
	for _, f := range r.Frames {
		c.frames++
		if f.Error != "" || f.Type == "no HTTP/2" || strings.HasPrefix(f.Type, "UNKNOWN") {
			c.problem("%s: a frame of type %s: %s", r.Method, f.Type, f.Error)
		}
		for _, p := range f.Parts {
			if p.Name == "message" && p.Note == "" {
				c.messages++
			}
			// It is fine if the end of the connection cuts off a frame, or if the
			// client's cancellation cuts a message in two.
			cut := strings.HasSuffix(p.Note, "not all of it is here") || r.Late && strings.HasSuffix(p.Note, "the beginning of the message is not here")
			bad := strings.HasPrefix(p.Note, "malformed") || strings.HasPrefix(p.Note, "not decoded")
			if bad && !cut || p.Name == "unknown field" {
				c.problem("%s: %s %s %s", r.Method, p.Name, p.Value, p.Note)
			}
		}
	}
	return len(line), nil
}

func (c *wireCheck) problem(format string, args ...any) {
	if len(c.problems) < 10 {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}
