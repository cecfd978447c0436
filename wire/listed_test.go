package wire_test

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"
)

// entry is a line of a listing in JSON.
type entry struct {
	Connection int
	Stream     uint32
	Method     string
	Event      string
	Sent       int64
	Received   int64
	Call       int
	Late       bool
	Status     string `json:"grpc_status"`
	Attempt    struct {
		N      int
		Own    bool
		Member string
		Result string
	}
	Earlier []struct {
		N      int
		Member string
		Result string
	} `json:"earlier_attempts"`
	Frames []struct {
		From   string
		Offset int64
		Length int
		Type   string
		Error  string
		Parts  []struct{ Bytes, Name, Value string }
	}
	Dropped struct{ Frames, Bytes int }
}

func entries(t *testing.T, listing []byte) []entry {
	t.Helper()
	var out []entry
	for line := range bytes.Lines(listing) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v in %.200s", err, line)
		}
		out = append(out, e)
	}
	return out
}

// sides has the bytes of both directions of a connection.
type sides struct{ client, server string }

// listed joins the bytes of each connection in a listing in the order of their
// offsets. It fails the test if bytes are missing or duplicated.
func listed(t *testing.T, listing []byte) map[int]sides {
	t.Helper()
	type run struct {
		offset int64
		bytes  []byte
	}
	type direction struct {
		conn int
		from string
	}
	runs := make(map[direction][]run)
	out := make(map[int]sides)
	totals := make(map[int][2]int64)
	for _, e := range entries(t, listing) {
		out[e.Connection] = sides{}
		if e.Sent > 0 || e.Received > 0 {
			totals[e.Connection] = [2]int64{e.Sent, e.Received}
		}
		for _, f := range e.Frames {
			var b []byte
			for _, p := range f.Parts {
				part, err := hex.DecodeString(p.Bytes)
				if err != nil {
					t.Fatal(err)
				}
				b = append(b, part...)
			}
			d := direction{e.Connection, f.From}
			runs[d] = append(runs[d], run{f.Offset, b})
		}
	}
	for d, rs := range runs {
		slices.SortFunc(rs, func(a, b run) int { return cmp.Compare(a.offset, b.offset) })
		var all []byte
		for _, r := range rs {
			if r.offset != int64(len(all)) {
				t.Fatalf("connection %d, from the %s: bytes at %d follow those before %d", d.conn, d.from, r.offset, len(all))
			}
			all = append(all, r.bytes...)
		}
		s := out[d.conn]
		if d.from == "client" {
			s.client = string(all)
		} else {
			s.server = string(all)
		}
		out[d.conn] = s
	}
	for n, total := range totals {
		if got := [2]int64{int64(len(out[n].client)), int64(len(out[n].server))}; got != total {
			t.Fatalf("connection %d has carried %d bytes, of which %d are listed", n, total, got)
		}
	}
	return out
}
