package capture_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// network makes the packets of TCP connections.
type network struct {
	tb      testing.TB
	link    layers.LinkType
	v6      bool
	now     time.Time
	packets []packet
}

type packet struct {
	at    time.Time
	bytes []byte
}

func newNetwork(tb testing.TB, link layers.LinkType, v6 bool) *network {
	tb.Helper()
	return &network{tb: tb, link: link, v6: v6, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

// side is one end of a connection: its port, and the sequence number of its next byte.
type side struct {
	port uint16
	seq  uint32
}

// connection is two sides: 0 is the client.
type connection struct {
	net  *network
	ends [2]side
}

func (n *network) connection(client, server side) *connection {
	return &connection{n, [2]side{client, server}}
}

// open makes the three packets that open a connection.
func (c *connection) open() *connection {
	c.segment(0, layers.TCP{SYN: true}, "")
	c.segment(1, layers.TCP{SYN: true, ACK: true}, "")
	c.segment(0, layers.TCP{ACK: true}, "")
	return c
}

// send makes a packet that carries the next bytes of a side.
func (c *connection) send(from int, text string) {
	c.segment(from, layers.TCP{ACK: true, PSH: true}, text)
}

func (c *connection) close() {
	for i := range c.ends {
		c.segment(i, layers.TCP{FIN: true, ACK: true}, "")
	}
	c.segment(0, layers.TCP{ACK: true}, "")
}

func (c *connection) segment(from int, tcp layers.TCP, text string) {
	me, you := &c.ends[from], &c.ends[1-from]
	tcp.SrcPort, tcp.DstPort = layers.TCPPort(me.port), layers.TCPPort(you.port)
	tcp.Seq, tcp.Ack, tcp.Window = me.seq, you.seq, 65535
	me.seq += uint32(len(text))
	if tcp.SYN || tcp.FIN {
		me.seq++
	}
	c.net.add(from, &tcp, text)
}

func (n *network) add(from int, tcp *layers.TCP, text string) {
	n.tb.Helper()
	ips := []string{"10.0.0.1", "10.0.0.2"}
	if n.v6 {
		ips = []string{"fd00::1", "fd00::2"}
	}
	src, dst := net.ParseIP(ips[from]), net.ParseIP(ips[1-from])
	var all []gopacket.SerializableLayer
	ip4, ip6 := layers.EthernetTypeIPv4, layers.EthernetTypeIPv6
	kind, family := ip4, layers.ProtocolFamilyIPv4
	if n.v6 {
		kind, family = ip6, layers.ProtocolFamilyIPv6Linux
	}
	switch n.link {
	case layers.LinkTypeEthernet:
		mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
		all = append(all, &layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: kind})
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		all = append(all, &layers.Loopback{Family: family})
	case layers.LinkTypeLinuxSLL:
		all = append(all, gopacket.Payload([]byte{0, 0, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, byte(kind >> 8), byte(kind)}))
	default:
	}
	if n.v6 {
		ip := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolTCP, HopLimit: 64, SrcIP: src, DstIP: dst}
		must(n.tb, tcp.SetNetworkLayerForChecksum(ip))
		all = append(all, ip)
	} else {
		ip := &layers.IPv4{Version: 4, Protocol: layers.IPProtocolTCP, TTL: 64, SrcIP: src, DstIP: dst}
		must(n.tb, tcp.SetNetworkLayerForChecksum(ip))
		all = append(all, ip)
	}
	b := gopacket.NewSerializeBuffer()
	must(n.tb, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, append(all, tcp, gopacket.Payload(text))...))
	n.now = n.now.Add(time.Millisecond)
	n.packets = append(n.packets, packet{n.now, bytes.Clone(b.Bytes())})
}

// file is the packets as a file, of which no packet has more than snap bytes.
func (n *network) file(ng bool, snap int) []byte {
	n.tb.Helper()
	var out bytes.Buffer
	write := func() func(gopacket.CaptureInfo, []byte) error {
		if ng {
			w, err := pcapgo.NewNgWriter(&out, n.link)
			must(n.tb, err)
			return func(ci gopacket.CaptureInfo, b []byte) error {
				defer w.Flush()
				return w.WritePacket(ci, b)
			}
		}
		w := pcapgo.NewWriterNanos(&out)
		must(n.tb, w.WriteFileHeader(1<<18, n.link))
		return w.WritePacket
	}()
	for _, p := range n.packets {
		b := p.bytes[:min(len(p.bytes), snap)]
		must(n.tb, write(gopacket.CaptureInfo{Timestamp: p.at, CaptureLength: len(b), Length: len(p.bytes)}, b))
	}
	return out.Bytes()
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil && err != io.EOF { //nolint:errorlint // none is wrapped
		tb.Fatal(err)
	}
}
