package capture_test

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"

	"github.com/getcd/getcd/cmd/getcd/internal/capture"
	"github.com/getcd/getcd/wire"
)

// listing is what is listed of a capture.
type listing struct {
	capture.Summary

	conns  map[int][2]string // by their numbers: what the client sent, what the server did
	events []string
	calls  []call
}

type call struct {
	Method string
	Status string `json:"grpc_status"`
}

// list decodes a file and joins the bytes of each connection in the order of their
// offsets. It fails the test when some come twice, or something is not decoded but what
// the events tell of.
func list(tb testing.TB, file []byte) listing {
	tb.Helper()
	var out bytes.Buffer
	sum, err := capture.Decode(&out, wire.Options{Format: wire.JSON, Secrets: true}, bytes.NewReader(file))
	if err != nil {
		tb.Fatal(err)
	}
	l := listing{Summary: sum, conns: make(map[int][2]string)}
	type run struct {
		offset int64
		bytes  []byte
	}
	runs := make(map[int]*[2][]run)
	for line := range bytes.Lines(out.Bytes()) {
		var r struct {
			call

			Connection int
			Event      string
			Frames     []struct {
				From   string
				Offset int64
				Type   string
				Parts  []struct{ Bytes, Note string }
			}
		}
		if err := json.Unmarshal(line, &r); err != nil {
			tb.Fatalf("%v in %.200s", err, line)
		}
		if r.Event != "" {
			l.events = append(l.events, r.Event)
		}
		if r.Method != "" {
			l.calls = append(l.calls, r.call)
		}
		c := runs[r.Connection]
		if c == nil {
			c = &[2][]run{}
			runs[r.Connection] = c
		}
		for _, f := range r.Frames {
			i := 0
			if f.From == "server" {
				i = 1
			}
			var all []byte
			for _, p := range f.Parts {
				b, err := hex.DecodeString(p.Bytes)
				if err != nil {
					tb.Fatal(err)
				}
				all = append(all, b...)
			}
			c[i] = append(c[i], run{f.Offset, all})
		}
	}
	for n, c := range runs {
		var both [2]string
		for i, rs := range c {
			slices.SortFunc(rs, func(a, b run) int { return cmp.Compare(a.offset, b.offset) })
			end := int64(0)
			for _, r := range rs {
				if r.offset < end {
					tb.Fatalf("connection %d: bytes at %d come twice", n, r.offset)
				}
				end = r.offset + int64(len(r.bytes))
				both[i] += string(r.bytes)
			}
		}
		l.conns[n] = both
	}
	return l
}
