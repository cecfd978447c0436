package capture

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/getcd/getcd/wire"
)

// Summary says what a capture had. Its String is for people.
type Summary struct {
	Packets     int // all of them
	Other       int // without TCP
	Fragments   int // of IP, which are not put together
	Cut         int // shorter in the capture than they were
	Connections int // HTTP/2, decoded
	Startless   int // connections whose beginning is not in the capture
	Foreign     int // connections of other protocols
	Refused     int // packets of connections beyond those that are followed at a time
	Broken      error
}

func (s Summary) String() string {
	parts := []string{count(s.Packets, "packet", ""), count(s.Connections, "connection", " of HTTP/2")}
	for _, c := range []struct {
		n           int
		what, which string
	}{
		{s.Startless, "connection", " whose start is not in the capture"},
		{s.Foreign, "connection", " of another protocol"},
		{s.Other, "packet", " without TCP"},
		{s.Fragments, "fragment", " of IP packets, not decoded"},
		{s.Cut, "packet", " not captured whole"},
		{s.Refused, "packet", " of connections beyond those that are followed at a time"},
	} {
		if c.n > 0 {
			parts = append(parts, count(c.n, c.what, c.which))
		}
	}
	if s.Broken != nil {
		parts = append(parts, "and then the capture breaks off: "+s.Broken.Error())
	}
	return strings.Join(parts, ", ")
}

func count(n int, what, which string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s%s", n, what, which)
}

// Decode lists on w the connections in the capture r. The error is that of w, or says
// that r is no capture; how r may break off is in the summary.
func Decode(w io.Writer, o wire.Options, r io.Reader) (Summary, error) {
	in, err := open(r)
	if err != nil {
		return Summary{}, err
	}
	d := newFlows(wire.New(w, o))
	for d.err == nil {
		data, info, link, err := in.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				d.sum.Broken = err
			}
			break
		}
		d.sum.Packets++
		if info.CaptureLength < info.Length {
			d.sum.Cut++
		}
		// Lazily, since only what is below TCP matters. It recovers from its own panics.
		d.packet(gopacket.NewPacket(data, link, gopacket.DecodeOptions{Lazy: true, NoCopy: true}), info)
	}
	d.finish()
	return d.sum, d.err
}

func (d *flows) packet(p gopacket.Packet, info gopacket.CaptureInfo) {
	tcp, _ := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		if tcp != nil {
			d.segment(way{endpoint(ip.SrcIP, tcp.SrcPort), endpoint(ip.DstIP, tcp.DstPort)}, tcp, info)
			return
		}
	case *layers.IPv6:
		if tcp != nil {
			d.segment(way{endpoint(ip.SrcIP, tcp.SrcPort), endpoint(ip.DstIP, tcp.DstPort)}, tcp, info)
			return
		}
	}
	if p.Layer(gopacket.LayerTypeFragment) != nil || p.Layer(layers.LayerTypeIPv6Fragment) != nil {
		d.sum.Fragments++
		return
	}
	d.sum.Other++
}

func endpoint(ip net.IP, port layers.TCPPort) string {
	return net.JoinHostPort(ip.String(), fmt.Sprint(uint16(port)))
}
