package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// magics are how files begin: pcap with microseconds or nanoseconds in either order of
// bytes (draft-ietf-opsawg-pcap, section 4), and pcapng (draft-ietf-opsawg-pcapng, 4.1).
var magics = []string{
	"\xa1\xb2\xc3\xd4", "\xd4\xc3\xb2\xa1", "\xa1\xb2\x3c\x4d", "\x4d\x3c\xb2\xa1", sectionHeader,
}

const (
	sectionHeader = "\x0a\x0d\x0d\x0a"
	gzipMagic     = "\x1f\x8b" // RFC 1952, section 2.3.1
)

// Is reports whether a file that begins like that is a capture, or packed, as a capture
// may be. Four bytes are enough.
func Is(beginning []byte) bool {
	for _, m := range append(magics, gzipMagic) {
		if bytes.HasPrefix(beginning, []byte(m)) {
			return true
		}
	}
	return false
}

// packets reads the packets of a capture. The error at its regular end is io.EOF.
type packets interface {
	next() ([]byte, gopacket.CaptureInfo, gopacket.Decoder, error)
}

func open(r io.Reader) (packets, error) {
	b := bufio.NewReader(r)
	if head, _ := b.Peek(len(gzipMagic)); string(head) == gzipMagic { // Peek's error comes again
		unpacked, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("the capture is packed: %w", err)
		}
		b = bufio.NewReader(unpacked)
	}
	head, err := b.Peek(4)
	switch {
	case err != nil:
		return nil, fmt.Errorf("no capture: it has %d bytes: %w", len(head), err)
	case string(head) == gzipMagic || !Is(head):
		return nil, fmt.Errorf("no capture: it begins with % x, which neither pcap nor pcapng does", head)
	case string(head) == sectionHeader:
		ng, err := pcapgo.NewNgReader(b, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		if err != nil {
			return nil, fmt.Errorf("pcapng: %w", err)
		}
		return ngFile{ng}, nil
	}
	old, err := pcapgo.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("pcap: %w", err)
	}
	return pcapFile{old}, nil
}

type pcapFile struct{ r *pcapgo.Reader }

func (f pcapFile) next() ([]byte, gopacket.CaptureInfo, gopacket.Decoder, error) {
	data, info, err := f.r.ReadPacketData()
	return data, info, decoder(f.r.LinkType()), err
}

type ngFile struct{ r *pcapgo.NgReader }

func (f ngFile) next() ([]byte, gopacket.CaptureInfo, gopacket.Decoder, error) {
	data, info, err := f.r.ReadPacketData()
	if err != nil {
		return nil, info, nil, err
	}
	link, _ := info.AncillaryData[0].(layers.LinkType) // so it is with WantMixedLinkType
	return data, info, decoder(link), nil
}

// decoder is what reads packets of that link type (https://www.tcpdump.org/linktypes.html):
// those for IP alone are not all in gopacket's table.
func decoder(link layers.LinkType) gopacket.Decoder {
	switch link {
	case 12, 14: // DLT_RAW of BSD, which some programs write for LINKTYPE_RAW
		return layers.LinkTypeRaw
	case layers.LinkTypeIPv4:
		return layers.LayerTypeIPv4
	case layers.LinkTypeIPv6:
		return layers.LayerTypeIPv6
	default:
		return link
	}
}
