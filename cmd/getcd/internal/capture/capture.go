package capture

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/reassembly"

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
		// It recovers from its own panics.
		d.packet(gopacket.NewPacket(data, link, gopacket.DecodeOptions{NoCopy: true}), moment(info))
	}
	d.finish()
	return d.sum, d.err
}

func (d *flows) packet(p gopacket.Packet, info reassembly.AssemblerContext) {
	var from, to net.IP
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.IPv4: // in a tunnel the last one is TCP's
			from, to = l.SrcIP, l.DstIP
		case *layers.IPv6:
			from, to = l.SrcIP, l.DstIP
		case *layers.TCP:
			if from != nil {
				d.segment(way{endpoint(from, l.SrcPort), endpoint(to, l.DstPort)}, l, info)
				return
			}
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
