package wire_test

import (
	"encoding/binary"
	"io"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/getcd/getcd/wire"
)

// Decoding any amount of bad input ends, and uses bounded memory.
func TestBadInputTakesBoundedMemory(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("it takes some seconds, and a minute with the race detector, which sees one goroutine")
	}
	const total = 6 << 20
	http2Of := func(unit string) func(w io.Writer, o wire.Options, g *gauge) error {
		return func(w io.Writer, o wire.Options, g *gauge) error {
			return wire.DecodeHTTP2(w, o, io.MultiReader(strings.NewReader(http2.ClientPreface), g.repeat(unit, total)), nil)
		}
	}
	dataOf := func(headers, unit string) func(w io.Writer, o wire.Options, g *gauge) error {
		return func(w io.Writer, o wire.Options, g *gauge) error {
			return wire.DecodeHTTP2(w, o, io.MultiReader(strings.NewReader(headers), g.repeat(dataFrame(unit), total)), nil)
		}
	}
	for _, tt := range []struct {
		what   string
		decode func(w io.Writer, o wire.Options, g *gauge) error
	}{
		{"garbage", func(w io.Writer, o wire.Options, g *gauge) error {
			return wire.DecodeHTTP2(w, o, g.repeat("PRI garbage \x1b[2J", total), g.repeat("HTTP/1.1 garbage", total))
		}},
		{"frames of 16 MB", http2Of("\xff\xff\xff\x00\x00\x00\x00\x00\x01" + strings.Repeat("x", 1<<24-1))},
		{"HPACK bombs", http2Of(bomb())},
		{"streams that never end", func(w io.Writer, o wire.Options, g *gauge) error {
			stream := uint32(1)
			return wire.DecodeHTTP2(w, o, io.MultiReader(strings.NewReader(http2.ClientPreface), g.generate(total, func() string {
				stream += 2
				return "\x00\x00\x01\x01\x04" + string(binary.BigEndian.AppendUint32(nil, stream)) + "\x83"
			})), nil)
		}},
		{"streams that never end, each with a message", func(w io.Writer, o wire.Options, g *gauge) error {
			headers, stream := block("\x44\x19/etcdserverpb.Watch/Watch"), uint32(1) // from now on index 62 is the :path
			return wire.DecodeHTTP2(w, o, io.MultiReader(strings.NewReader(http2.ClientPreface+headers), g.generate(total, func() string {
				stream += 2
				id := string(binary.BigEndian.AppendUint32(nil, stream))
				return "\x00\x00\x01\x01\x04" + id + "\xbe" + "\x00\x00\x05\x00\x00" + id + "\x00\x00\x00\x00\x00"
			})), nil)
		}},
		{"2 GB by gRPC's prefix in a stream", dataOf(ask("/etcdserverpb.KV/Put", 0, "\x00\x7f\xff\xff\xff"), strings.Repeat("v", 16000))},
		{"empty messages in a stream of many", dataOf(ask("/etcdserverpb.Watch/Watch", 1, ""), strings.Repeat("\x00\x00\x00\x00\x00", 3000))},
		{"2 GB by gRPC's prefix", func(w io.Writer, o wire.Options, g *gauge) error {
			return wire.DecodeGRPC(w, o, "etcdserverpb.PutRequest", io.MultiReader(strings.NewReader("\x00\x7f\xff\xff\xff"), g.repeat("\x0a\x03foo", total)))
		}},
		{"messages in messages", func(w io.Writer, o wire.Options, g *gauge) error {
			return wire.DecodeGRPC(w, o, "etcdserverpb.TxnRequest", g.repeat(framed(nestedTxn(2000)), total))
		}},
		{"many fields", func(w io.Writer, o wire.Options, g *gauge) error {
			return wire.DecodeMessage(w, o, "etcdserverpb.PutRequest", g.repeat("\x30\x01", 1<<20))
		}},
	} {
		for _, format := range []wire.Format{wire.Frames, wire.JSON} {
			t.Run(tt.what+", "+string(format), func(t *testing.T) {
				g := &gauge{}
				g.look()
				before := g.most
				out := &ending{}
				if err := tt.decode(out, wire.Options{Format: format, Memory: 1 << 20}, g); err != nil {
					t.Fatal(err)
				}
				const most = 16 << 20
				if grown := g.most - before; grown > most {
					t.Errorf("the heap has grown by %d MB, want at most %d", grown>>20, most>>20)
				}
				presentable(t, string(out.last))
				t.Logf("%d MB are listed; the heap has grown by %d MB", out.n>>20, (g.most-before)>>20)
			})
		}
	}
}

func dataFrame(s string) string {
	n := len(s)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), 0, 0, 0, 0, 0, 1}) + s
}

// gauge records the maximum size of the heap.
type gauge struct{ most int64 }

func (g *gauge) look() {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	g.most = max(g.most, int64(m.HeapAlloc))
}

// repeat returns a reader of unit, repeated until it has at least n bytes.
func (g *gauge) repeat(unit string, n int) io.Reader {
	return g.generate(n, func() string { return unit })
}

// generate returns a reader of the results of next, until there are n bytes. The
// gauge measures after each MB.
func (g *gauge) generate(n int, next func() string) io.Reader {
	return &generated{g: g, left: n, next: next}
}

type generated struct {
	g    *gauge
	left int
	seen int
	rest string
	next func() string
}

func (r *generated) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if r.rest == "" {
			if r.left <= 0 {
				break
			}
			r.rest = r.next()
			r.left -= len(r.rest)
		}
		m := copy(p[n:], r.rest)
		n, r.rest = n+m, r.rest[m:]
	}
	if r.seen += n; r.seen > 1<<20 || n == 0 {
		r.seen = 0
		r.g.look()
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// ending keeps the last part of what is written.
type ending struct {
	n    int64
	last []byte
}

func (e *ending) Write(p []byte) (int, error) {
	e.n += int64(len(p))
	e.last = append(e.last[:0], p[max(0, len(p)-10_000):]...)
	return len(p), nil
}
