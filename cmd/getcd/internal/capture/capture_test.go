package capture_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/cmd/getcd/internal/capture"
	"github.com/getcd/getcd/wire"
)

// talk is what both sides of a connection say: puts, one after the other.
func talk(tb testing.TB, puts int, value string) (client, server string) {
	tb.Helper()
	var c, s bytes.Buffer
	c.WriteString(http2.ClientPreface)
	cf, sf := http2.NewFramer(&c, nil), http2.NewFramer(&s, nil)
	must(tb, cf.WriteSettings())
	must(tb, sf.WriteSettings())
	must(tb, cf.WriteSettingsAck())
	must(tb, sf.WriteSettingsAck())
	var cb, sb bytes.Buffer
	ce, se := hpack.NewEncoder(&cb), hpack.NewEncoder(&sb)
	headers := func(f *http2.Framer, e *hpack.Encoder, b *bytes.Buffer, stream uint32, end bool, fields ...string) {
		b.Reset()
		for i := 0; i < len(fields); i += 2 {
			must(tb, e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
		}
		must(tb, f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: end}))
	}
	framed := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		must(tb, err)
		return append([]byte{0, 0, byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
	}
	for i := range puts {
		stream := uint32(2*i + 1)
		headers(cf, ce, &cb, stream, false, ":method", "POST", ":scheme", "http", ":path", "/etcdserverpb.KV/Put", "n", fmt.Sprint(i))
		must(tb, cf.WriteData(stream, true, framed(&pb.PutRequest{Key: fmt.Append(nil, "key", i), Value: []byte(value)})))
		headers(sf, se, &sb, stream, false, ":status", "200", "content-type", "application/grpc")
		must(tb, sf.WriteData(stream, false, framed(&pb.PutResponse{Header: &pb.ResponseHeader{Revision: int64(i)}})))
		headers(sf, se, &sb, stream, true, "grpc-status", "0")
	}
	return c.String(), s.String()
}

// interleave sends both sides' bytes in pieces of any size up to most.
func interleave(c *connection, r *rand.Rand, most int, texts [2]string) {
	for texts[0] != "" || texts[1] != "" {
		// The client's first, since an answer comes after its question.
		i := 1
		if len(texts[0]) > 0 && (texts[1] == "" || len(texts[0]) >= len(texts[1])) {
			i = 0
		}
		n := min(len(texts[i]), 1+r.IntN(most))
		c.send(i, texts[i][:n])
		texts[i] = texts[i][n:]
	}
}

// Both kinds of file, all kinds of links and both versions of IP give the bytes that the
// packets carried, and the calls in them.
func TestFilesLinksAndVersionsOfIP(t *testing.T) {
	client, server := talk(t, 5, "value")
	for _, link := range []layers.LinkType{
		layers.LinkTypeEthernet, layers.LinkTypeNull, layers.LinkTypeLoop, layers.LinkTypeRaw, 12, 14, layers.LinkTypeIPv4, layers.LinkTypeIPv6, layers.LinkTypeLinuxSLL,
	} {
		for _, v6 := range []bool{false, true} {
			if link == layers.LinkTypeIPv4 && v6 || link == layers.LinkTypeIPv6 && !v6 {
				continue
			}
			for _, ng := range []bool{false, true} {
				n := newNetwork(t, link, v6)
				c := n.connection(side{40000, 1}, side{2379, 1}).open()
				interleave(c, rand.New(rand.NewPCG(1, 2)), 50, [2]string{client, server})
				c.close()
				l := list(t, n.file(ng, 1<<16))
				if l.conns[1] != [2]string{client, server} || len(l.calls) != 5 || l.Connections != 1 {
					t.Errorf("link %v, v6 %t, pcapng %t: %v, %d calls, bytes equal: %t %t", link, v6, ng, l.Summary, len(l.calls), l.conns[1][0] == client, l.conns[1][1] == server)
				}
				from := "10.0.0.1:40000"
				if v6 {
					from = "[fd00::1]:40000"
				}
				if want := []string{"opened by " + from, "closed"}; !slices.Equal(l.events, want) {
					t.Errorf("events %q, want %q", l.events, want)
				}
			}
		}
	}
}

// Whatever TCP does to the segments, the bytes are those that were sent: they are lost
// and come again, cut otherwise, doubled and in another order; their numbers wrap; and
// connections are mixed.
func TestReassembly(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 7))
		n := newNetwork(t, layers.LinkTypeEthernet, seed%2 == 1)
		var want [][2]string
		var each [][]packet
		for i := range 4 {
			client, server := talk(t, 1+r.IntN(20), strings.Repeat("v", r.IntN(3000)))
			want = append(want, [2]string{client, server})
			n.packets = nil
			// The numbers of both sides wrap on the way.
			c := n.connection(side{uint16(40000 + i), uint32(0) - uint32(1+r.IntN(200))}, side{2379, uint32(0) - uint32(1+r.IntN(200))}).open()
			opened := len(n.packets)
			interleave(c, r, 1400, [2]string{client, server})
			again(c, r, opened, [2]string{client, server})
			disorder(n.packets[opened:], r)
			c.close()
			each = append(each, n.packets)
		}
		n.packets = nil
		for len(each) > 0 {
			i := r.IntN(len(each))
			n.packets = append(n.packets, each[i][0])
			if each[i] = each[i][1:]; len(each[i]) == 0 {
				each = slices.Delete(each, i, i+1)
			}
		}
		l := list(t, n.file(seed%3 == 0, 1<<16))
		for _, w := range want {
			found := false
			for _, c := range l.conns {
				found = found || c == w
			}
			if !found {
				t.Errorf("seed %d: the bytes of a connection are not in the listing (%v, events %q)", seed, l.Summary, l.events)
			}
		}
	}
}

// again has some of the bytes come again, in other segments.
func again(c *connection, r *rand.Rand, opened int, texts [2]string) {
	now := c.ends
	for range 10 {
		i := r.IntN(2)
		from := r.IntN(len(texts[i]))
		to := from + 1 + r.IntN(min(1400, len(texts[i])-from))
		c.ends[i].seq = now[i].seq - uint32(len(texts[i])-from)
		c.send(i, texts[i][from:to])
		c.ends = now
		all := c.net.packets
		last := all[len(all)-1]
		at := opened + r.IntN(len(all)-opened)
		copy(all[at+1:], all[at:len(all)-1])
		all[at] = last
	}
}

// disorder moves packets a few places.
func disorder(p []packet, r *rand.Rand) {
	for i := range p {
		if j := i + r.IntN(4); j < len(p) && r.IntN(3) == 0 {
			p[i], p[j] = p[j], p[i]
		}
	}
}

// What can't be decoded is said to be such.
func TestWhatCantBeDecoded(t *testing.T) {
	client, server := talk(t, 5, "value")
	half := len(client) / 2
	for _, tt := range []struct {
		what  string
		make  func(n *network)
		snap  int
		event string // the last one
		sum   string
	}{
		{"a connection whose start is not there", func(n *network) {
			c := n.connection(side{40000, 5}, side{2379, 5})
			c.send(0, client[half:])
			c.send(1, server[len(server)/2:])
		}, 1 << 16, fmt.Sprintf("not decoded, since its start is not in the capture: %d bytes from 10.0.0.1:40000, %d from", len(client)-half, len(server)-len(server)/2), "1 connection whose start is not in the capture"},
		{"the same, and it is closed", func(n *network) {
			c := n.connection(side{40000, 5}, side{2379, 5})
			c.send(0, client[half:])
			c.close()
		}, 1 << 16, "closed; not decoded, since its start is not in the capture", "1 connection whose start"},
		{"TLS", func(n *network) {
			c := n.connection(side{40000, 5}, side{2379, 5}).open()
			c.send(0, "\x16\x03\x01\x00\x05hello")
			c.send(1, "\x16\x03\x03\x00\x05hello")
			c.close()
		}, 1 << 16, "closed; not decoded, since it is TLS: 10 bytes from", "0 connections of HTTP/2, 1 connection of another protocol"},
		{"HTTP/1", func(n *network) {
			c := n.connection(side{40000, 5}, side{2379, 5}).open()
			c.send(0, "POST /v3/kv/put HTTP/1.1\r\n\r\n")
			c.send(1, "HTTP/1.1 200 OK\r\n\r\n")
		}, 1 << 16, "not decoded, since it is HTTP/1", "1 connection of another protocol"},
		{"bytes that the capture has missed", func(n *network) {
			c := n.connection(side{40000, 5}, side{2379, 5}).open()
			c.send(1, server)
			c.send(0, client[:half])
			c.ends[0].seq += 100
			c.send(0, client[half+100:])
		}, 1 << 16, "not closed before the capture ends", "1 connection of HTTP/2"},
		{"packets that were cut off", func(n *network) {
			c := n.connection(side{40000, 5}, side{2379, 5}).open()
			c.send(0, client[:half])
			c.send(0, client[half:])
		}, 100, "not closed before the capture ends", "2 packets not captured whole"},
		{"a reset", func(n *network) {
			c := n.connection(side{40000, 5}, side{2379, 5}).open()
			c.send(0, client)
			c.send(1, server)
			c.segment(1, layers.TCP{RST: true}, "")
		}, 1 << 16, "reset", "1 connection of HTTP/2"},
		{"another connection with the same ports", func(n *network) {
			for seq := range uint32(2) {
				c := n.connection(side{40000, 1000 * seq}, side{2379, 77 * seq}).open()
				c.send(0, client)
				c.send(1, server)
			}
		}, 1 << 16, "not closed before the capture ends", "2 connections of HTTP/2"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			n := newNetwork(t, layers.LinkTypeEthernet, false)
			tt.make(n)
			l := list(t, n.file(false, tt.snap))
			if len(l.events) == 0 || !strings.Contains(l.events[len(l.events)-1], tt.event) || !strings.Contains(l.String(), tt.sum) {
				t.Errorf("events %q and summary %q, want %q and %q", l.events, l.Summary, tt.event, tt.sum)
			}
			if missed := tt.what == "bytes that the capture has missed"; missed != slices.Contains(l.events, "100 bytes from the client were not recorded; what follows them is not decoded") {
				t.Errorf("events %q", l.events)
			}
		})
	}
}

// When a connection is reset, or followed by another one, what was captured after bytes
// that were missed is listed nevertheless.
func TestBytesAfterAGapAreListed(t *testing.T) {
	client, server := talk(t, 5, "value")
	half := len(client) / 2
	for what, end := range map[string]func(c *connection){
		"reset": func(c *connection) { c.segment(1, layers.TCP{RST: true}, "") },
		"followed by another one with the same ports": func(c *connection) {
			c.net.connection(side{40000, 90000}, side{2379, 90000}).open()
		},
	} {
		n := newNetwork(t, layers.LinkTypeEthernet, false)
		c := n.connection(side{40000, 5}, side{2379, 5}).open()
		c.send(1, server)
		c.send(0, client[:half])
		c.ends[0].seq += 10
		c.send(0, client[half+10:half+20])
		c.ends[0].seq += 10
		c.send(0, client[half+30:])
		end(c)
		l := list(t, n.file(false, 1<<16))
		if want := client[:half] + client[half+10:half+20] + client[half+30:]; l.conns[1][0] != want {
			t.Errorf("%s: %d of the client's bytes are listed, want %d", what, len(l.conns[1][0]), len(want))
		}
		const missed = "10 bytes from the client were not recorded; what follows them is not decoded"
		if want := []string{"opened by 10.0.0.1:40000", missed, missed, what}; !slices.Equal(l.events, want) {
			t.Errorf("events %q, want %q", l.events, want)
		}
	}
}

// Nothing is left of connections that were reset, so that later ones have room for segments
// in disorder.
func TestResetConnectionsLeaveNothingBehind(t *testing.T) {
	client, server := talk(t, 5, "value")
	n := newNetwork(t, layers.LinkTypeRaw, false)
	for i := range 7000 {
		c := n.connection(side{uint16(1000 + i), 1}, side{2379, 1}).open()
		c.ends[0].seq++ // all that follows waits for this byte
		for range 5 {
			c.send(0, "x")
		}
		c.segment(1, layers.TCP{RST: true}, "")
	}
	c := n.connection(side{40000, 1}, side{2379, 1}).open()
	c.send(0, client[:100])
	c.send(0, client[100:])
	last := len(n.packets) - 1
	n.packets[last-1], n.packets[last] = n.packets[last], n.packets[last-1]
	c.send(1, server)
	if l := list(t, n.file(false, 1<<16)); l.conns[7001] != [2]string{client, server} || l.Connections != 1 || l.Foreign != 7000 {
		t.Errorf("the last connection is not listed with its bytes (%v, last events %q)", l.Summary, l.events[max(0, len(l.events)-3):])
	}
}

// The addresses of a connection in a tunnel are its own, not the tunnel's.
func TestConnectionsInATunnel(t *testing.T) {
	client, server := talk(t, 5, "value")
	n := newNetwork(t, layers.LinkTypeRaw, false)
	c := n.connection(side{40000, 1}, side{2379, 1}).open()
	c.send(0, client)
	c.send(1, server)
	c.close()
	for i, p := range n.packets {
		b := gopacket.NewSerializeBuffer()
		outer := &layers.IPv4{Version: 4, Protocol: layers.IPProtocolIPv4, TTL: 64, SrcIP: net.IP{192, 0, 2, p.bytes[15]}, DstIP: net.IP{192, 0, 2, p.bytes[19]}}
		must(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, outer, gopacket.Payload(p.bytes)))
		n.packets[i].bytes = b.Bytes()
	}
	l := list(t, n.file(false, 1<<16))
	if want := []string{"opened by 10.0.0.1:40000", "closed"}; !slices.Equal(l.events, want) || len(l.calls) != 5 {
		t.Errorf("events %q and %d calls, want %q and 5", l.events, len(l.calls), want)
	}
}

// A packed file is unpacked, one that breaks off is listed so far, and what is no capture
// is refused.
func TestFiles(t *testing.T) {
	client, server := talk(t, 5, "value")
	n := newNetwork(t, layers.LinkTypeEthernet, false)
	c := n.connection(side{40000, 1}, side{2379, 1}).open()
	c.send(0, client)
	c.send(1, server)
	c.close()
	for _, ng := range []bool{false, true} {
		file := n.file(ng, 1<<16)
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write(file)
		must(t, err)
		must(t, z.Close())
		if l := list(t, packed.Bytes()); l.conns[1] != [2]string{client, server} {
			t.Errorf("pcapng %t, packed: %v", ng, l.Summary)
		}
		l := list(t, file[:len(file)-100])
		if l.Broken == nil || l.conns[1] != [2]string{client, server} {
			t.Errorf("pcapng %t, broken off: %v", ng, l.Summary)
		}
		if !capture.Is(file[:4]) || !capture.Is(packed.Bytes()[:4]) || capture.Is([]byte("PRI ")) || capture.Is([]byte("\x00\x00\x00\x04")) {
			t.Error("a capture is not told from HTTP/2")
		}
	}
	for _, bad := range []string{"", "\xa1", "PRI * HTTP/2.0", "\xa1\xb2\xc3\xd4short", "\x0a\x0d\x0d\x0ashort", "\x1f\x8bshort", "\xd4\xc3\xb2\xa1" + strings.Repeat("\xff", 20)} {
		if _, err := capture.Decode(&bytes.Buffer{}, wire.Options{}, strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken for a capture", bad)
		}
	}
}
