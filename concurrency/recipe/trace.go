package recipe

import (
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// trace tells who has taken items of a queue: each claim leaves its ID there, and
// depends on nobody else having done so meanwhile, which costs nothing, since all
// claim the same item. A consumer's next claim takes out its former ones. So who
// does not learn what has become of a claim can read it there, however many
// items were taken since, and without the history of the store.
type trace struct {
	mod int64 // the key's mod revision; 0 when there is no such key

	// Claims is how many there have been.
	Claims int64 `json:"claims"`
	// Item is the key of the item that the last one has taken.
	Item []byte `json:"item"`
	// By has the number of each claim that is remembered, by its ID.
	By map[string]int64 `json:"by"`
	// Forgotten is the number of the last claim that had to make room.
	Forgotten int64 `json:"forgotten,omitempty"`
}

// remembered is the most claims that are. Consumers that are gone leave one behind
// each, for others to push out.
const remembered = 64

var errForgotten = errors.New("recipe: too many other consumers have taken items since")

func readTrace(read []*mvccpb.KeyValue) (trace, error) {
	if len(read) == 0 {
		return trace{}, nil
	}
	t := trace{mod: read[0].GetModRevision()}
	if err := json.Unmarshal(read[0].GetValue(), &t); err != nil {
		return trace{}, fmt.Errorf("recipe: the key %q is not what a queue has left there: %w", read[0].GetKey(), err)
	}
	return t, nil
}

// with returns the text of the trace after a claim, without those that are settled.
func (t trace) with(c claim, settled func(id string) bool) (string, error) {
	after := trace{Claims: c.number, Item: []byte(c.key), By: map[string]int64{c.id: c.number}, Forgotten: t.Forgotten}
	for id, number := range t.By {
		if !settled(id) {
			after.By[id] = number
		}
	}
	for len(after.By) > remembered {
		oldest := c.id
		for id, number := range after.By {
			if number < after.By[oldest] {
				oldest = id
			}
		}
		after.Forgotten = max(after.Forgotten, after.By[oldest])
		delete(after.By, oldest)
	}
	text, err := json.Marshal(after)
	return string(text), err
}

// made reports whether a claim was, given that it will not be any more.
func (t trace) made(c claim) (bool, error) {
	if _, ok := t.By[c.id]; ok {
		return true, nil
	}
	if c.number <= t.Forgotten {
		return false, errForgotten
	}
	return false, nil
}
