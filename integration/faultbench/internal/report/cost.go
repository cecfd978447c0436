package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Cost is what one client sent during a measurement that counted it.
type Cost struct {
	Client string `json:"client"`
	// Calls is how many single calls its workers made.
	Calls int `json:"calls"`
	// Requests are the requests and streams that it sent for these calls, by
	// method, including hedges, retries and probes.
	Requests map[string]int `json:"requests"`
	// Messages are the messages on streams that had more than one.
	Messages map[string]int `json:"messages,omitempty"`
}

// Sent returns the number of all requests.
func (c Cost) Sent() int {
	n := 0
	for _, one := range c.Requests {
		n += one
	}
	return n
}

// String says how many more requests than calls there were, and of which kind.
func (c Cost) String() string {
	text := fmt.Sprintf("%d requests for %d calls", c.Sent(), c.Calls)
	if c.Calls > 0 {
		text += fmt.Sprintf(" (%+.3f %%)", 100*float64(c.Sent()-c.Calls)/float64(c.Calls))
	}
	text += ": " + counts(c.Requests)
	if len(c.Messages) > 0 {
		text += "; messages: " + counts(c.Messages)
	}
	return text
}

func counts(by map[string]int) string {
	parts := make([]string, 0, len(by))
	for _, name := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, by[name]))
	}
	return strings.Join(parts, ", ")
}
