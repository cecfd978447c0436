package capture_test

import (
	"bytes"
	"compress/gzip"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/gopacket/gopacket/layers"

	"github.com/getcd/getcd/cmd/getcd/internal/capture"
	"github.com/getcd/getcd/wire"
)

// Whatever a file holds, decoding it ends, and shows nothing that could do something to a
// terminal.
func FuzzCapture(f *testing.F) {
	for _, file := range files(f) {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, format := range []wire.Format{wire.Frames, wire.JSON, wire.Curl} {
			var out bytes.Buffer
			sum, err := capture.Decode(&out, wire.Options{Format: format, Memory: 1 << 20}, bytes.NewReader(file))
			shown := out.String() + sum.String()
			if err != nil {
				shown += err.Error()
			}
			if i := strings.IndexFunc(shown, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
				t.Fatalf("unprintable at %d: %q", i, shown[max(0, i-50):min(len(shown), i+50)])
			}
		}
	})
}

// files are captures of all kinds.
func files(tb testing.TB) [][]byte {
	tb.Helper()
	client, server := talk(tb, 2, "v\x1b[2J")
	var out [][]byte
	for _, link := range []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeNull, layers.LinkTypeRaw, layers.LinkTypeLinuxSLL} {
		for _, v6 := range []bool{false, true} {
			n := newNetwork(tb, link, v6)
			c := n.connection(side{40000, 1}, side{2379, 1}).open()
			c.send(0, client)
			c.send(1, server)
			c.close()
			d := n.connection(side{40001, 1}, side{2379, 1})
			d.send(0, "\x16\x03\x01\x1b]0;\x07")
			d.ends[0].seq += 10
			d.send(0, "PRI * ")
			d.segment(1, layers.TCP{RST: true}, "")
			out = append(out, n.file(v6, 1<<16), n.file(!v6, 100))
		}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(out[0])
	must(tb, err)
	must(tb, z.Close())
	return append(out, packed.Bytes(), nil, []byte("\x0a\x0d\x0d\x0a"))
}

// Many connections, and segments that wait for one that never comes, take bounded memory,
// and the capture's other connections are decoded.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("time is short")
	}
	client, server := talk(t, 2, "value")
	n := newNetwork(t, layers.LinkTypeEthernet, false)
	good := n.connection(side{1, 1}, side{2379, 1}).open()
	good.send(0, client)
	for i := range 4 { // each has a gap, and then 40 MB
		c := n.connection(side{uint16(10 + i), 1}, side{2379, 1}).open()
		c.ends[0].seq++
		for range 30_000 {
			c.send(0, strings.Repeat("x", 1400))
		}
	}
	for i := range 60_000 { // and all of these say nothing, or a little
		n.connection(side{uint16(1000 + i), 1}, side{uint16(2380 + i%2), 1}).segment(0, layers.TCP{SYN: true}, strings.Repeat("y", i%3))
	}
	good.send(1, server)
	file := n.file(false, 1<<16)
	n.packets = nil
	w := &peak{}
	before := w.heap()
	sum, err := capture.Decode(w, wire.Options{Format: wire.JSON}, &counted{file, w})
	if err != nil {
		t.Fatal(err)
	}
	const most = 100 << 20
	if grown := int64(w.most) - int64(before); grown > most {
		t.Errorf("the heap has grown by %d MB, want at most %d (%v)", grown>>20, most>>20, sum)
	}
	t.Logf("a file of %d MB, the heap has grown by %d MB: %v", len(file)>>20, (int64(w.most)-int64(before))>>20, sum)
	if sum.Connections != 1 || sum.Refused == 0 {
		t.Errorf("got %v, want one connection of HTTP/2, and some refused", sum)
	}
}

// peak looks at the heap now and then.
type peak struct{ most uint64 }

func (p *peak) Write(b []byte) (int, error) { return len(b), nil }

func (p *peak) heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// counted is a file that has the heap looked at after each MB.
type counted struct {
	rest []byte
	peak *peak
}

func (c *counted) Read(p []byte) (int, error) {
	const step = 1 << 20
	before := len(c.rest) / step
	n, err := bytes.NewReader(c.rest).Read(p)
	if c.rest = c.rest[n:]; len(c.rest)/step != before {
		c.peak.most = max(c.peak.most, c.peak.heap())
	}
	return n, err
}
