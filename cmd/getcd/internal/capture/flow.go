package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/reassembly"
	"golang.org/x/net/http2"

	"github.com/getcd/getcd/wire"
)

// flow is a TCP connection. Its sides are those of its way: 0 has sent the first segment.
type flow struct {
	flows *flows
	n     uint64 // the first flow is 1
	way   way
	sides [2]sender
	began time.Time // when its first bytes came

	rec    *wire.Recording // nil while it is not known to be HTTP/2
	client int             // the side that is the client, when rec is not nil
	why    string          // it is not decoded; empty while it may be
	reset  bool
	shut   bool   // by close
	how    string // it ends by close; empty if by what was captured
	given  bool   // the assembler has given bytes
	ended  bool
}

// startless is why a connection is not decoded: nobody knows where a frame begins, and
// what its header fields refer to.
const startless = "its start is not in the capture"

// sender is one side of a connection, and what it has sent.
type sender struct {
	syn     bool
	isn     uint32 // its initial sequence number, when syn is set
	held    []byte // not yet decoded
	heldAt  time.Time
	dropped int64 // and never will be

	// Of a startless connection, which the assembler does not get.
	from, to uint32 // sequence numbers that were seen
	fin      bool
}

// begunOtherwise reports whether a segment with SYN and that number begins another
// connection than f (RFC 9293, section 3.4).
func (f *flow) begunOtherwise(w way, isn uint32) bool {
	s := f.sides[f.side(w)]
	return s.syn && s.isn != isn || !s.syn && (f.ended || f.rec != nil || f.why != "")
}

func (f *flow) side(w way) int {
	if w == f.way {
		return 0
	}
	return 1
}

// moment is when a segment was captured; it implements reassembly.AssemblerContext.
type moment gopacket.CaptureInfo

// GetCaptureInfo implements reassembly.AssemblerContext.
func (m moment) GetCaptureInfo() gopacket.CaptureInfo { return gopacket.CaptureInfo(m) }

func (f *flow) assemble(w way, tcp *layers.TCP, info reassembly.AssemblerContext) {
	s := &f.sides[f.side(w)]
	if tcp.SYN && !s.syn {
		s.syn, s.isn = true, tcp.Seq
	}
	// The assembler keeps connections that have ended by their addresses and ports, so f goes
	// by a number of its own, and by no ports.
	from := 2*f.n + uint64(f.side(w)) //nolint:gosec // it is 0 or 1
	ends := gopacket.NewFlow(gopacket.EndpointInvalid, binary.BigEndian.AppendUint64(nil, from), binary.BigEndian.AppendUint64(nil, from^1))
	segment := &layers.TCP{SYN: tcp.SYN, ACK: tcp.ACK, FIN: tcp.FIN, RST: tcp.RST, Seq: tcp.Seq, Ack: tcp.Ack}
	segment.Payload = tcp.Payload
	f.flows.asm.AssembleWithContext(ends, segment, info)
}

// close has the assembler give what it holds of f, and close both halves. how is why, if
// that is not in what was captured.
func (f *flow) close(info reassembly.AssemblerContext, how string) {
	f.shut, f.how = true, how
	f.flows.next = f
	// What waits for bytes that were not captured is given, gap by gap, for segments that
	// have to wait, too, while there is no room for them.
	f.flows.asm.MaxBufferedPagesPerConnection = 1
	w := f.way
	for range 2 {
		for tcp := (&layers.TCP{}); !f.ended; { // Accept sets its number
			f.given = false
			f.assemble(w, tcp, info)
			if tcp.RST {
				break
			}
			tcp.RST = !f.given
		}
		w = w.back()
	}
	f.flows.asm.MaxBufferedPagesPerConnection = maxPagesOne
}

// Accept implements reassembly.Stream.
func (f *flow) Accept(tcp *layers.TCP, _ gopacket.CaptureInfo, dir reassembly.TCPFlowDirection, next reassembly.Sequence, start *bool, _ reassembly.AssemblerContext) bool {
	known := next >= 0
	if f.shut {
		if *start = true; known {
			tcp.Seq = uint32(next) //nolint:gosec // it is a sequence number
		}
		if !tcp.RST { // it has to wait
			tcp.Seq++
		}
		return known || tcp.RST
	}
	// One with another number is ignored (RFC 9293, section 3.10.7.4).
	f.reset = f.reset || tcp.RST && (!known || uint32(next) == tcp.Seq) //nolint:gosec // the same
	if !known && !tcp.SYN && len(tcp.Payload) > 0 && f.why != startless {
		switch {
		case begins(tcp.Payload):
			*start = true
		case f.rec != nil:
			*start = true
			f.fail(f.rec.Skip(index(dir) == f.client, 0))
		default:
			f.giveUp(startless)
		}
	}
	if f.why == startless {
		f.sides[index(dir)].pass(tcp)
		return false
	}
	return true
}

// pass counts what is not decoded.
func (s *sender) pass(tcp *layers.TCP) {
	n := uint32(len(tcp.Payload)) //nolint:gosec // a segment's
	if n > 0 && s.from == s.to {
		s.from, s.to = tcp.Seq, tcp.Seq
	}
	if more := tcp.Seq + n - s.to; n > 0 && more < 1<<31 { // RFC 9293, section 3.4
		s.to += more
		s.dropped += int64(more)
	}
	s.fin = s.fin || tcp.FIN
}

func index(dir reassembly.TCPFlowDirection) int {
	if dir == reassembly.TCPDirClientToServer {
		return 0
	}
	return 1
}

// begins reports whether p is how a side of HTTP/2 begins: with the preface, or with
// SETTINGS that acknowledge none (RFC 9113, section 3.4).
func begins(p []byte) bool {
	if bytes.HasPrefix(p, []byte(http2.ClientPreface)) {
		return true
	}
	h, err := http2.ReadFrameHeader(bytes.NewReader(p))
	return err == nil && h.Type == http2.FrameSettings && h.Flags == 0 && h.StreamID == 0 && h.Length%6 == 0 && h.Length <= 600
}

// ReassembledSG implements reassembly.Stream.
func (f *flow) ReassembledSG(sg reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	dir, _, _, skip := sg.Info()
	n, _ := sg.Lengths()
	if n == 0 || f.ended {
		return
	}
	f.given = true
	f.take(index(dir), sg.CaptureInfo(0).Timestamp, sg.Fetch(n), skip)
}

// ReassemblyComplete implements reassembly.Stream.
func (f *flow) ReassemblyComplete(reassembly.AssemblerContext) bool {
	switch {
	case f.flows.finishing: // the flows are ended in their order
	case f.how != "":
		f.end(f.how)
	case f.reset:
		f.end("reset")
	default:
		f.end("closed")
	}
	return true
}

// take takes the next bytes of a side. Before them skip bytes were not captured.
func (f *flow) take(i int, at time.Time, p []byte, skip int) {
	s := &f.sides[i]
	if f.began.IsZero() {
		f.began = at
	}
	switch {
	case f.rec != nil:
		if skip != 0 {
			f.fail(f.rec.Skip(i == f.client, int64(max(skip, 0))))
		}
		f.fail(f.rec.Add(at, i == f.client, p))
		return
	case f.why != "":
		s.dropped += int64(len(p))
		return
	case skip != 0:
		f.giveUp("bytes before it is known whether it is HTTP/2 were not captured")
		s.dropped += int64(len(p))
		return
	}
	if s.held == nil {
		s.heldAt = at
	}
	s.held = append(s.held, p...)
	f.flows.held += len(p)
	f.recognize()
}

// recognize looks whether f is HTTP/2.
func (f *flow) recognize() {
	other := 0 // sides that are no client
	for i := range f.sides {
		s := &f.sides[i]
		switch n := min(len(s.held), len(http2.ClientPreface)); {
		case n == len(http2.ClientPreface) && bytes.HasPrefix(s.held, []byte(http2.ClientPreface)):
			f.decode(i)
			return
		case http2.ClientPreface[:n] != string(s.held[:n]):
			other++
		}
	}
	held := len(f.sides[0].held) + len(f.sides[1].held)
	switch {
	case other == 2:
		f.giveUp(f.what())
	case held > maxHeld || f.flows.held > maxHeldInAll:
		f.giveUp("it is no HTTP/2: only one side has anything to say")
	}
}

// what is the protocol of a connection that is not HTTP/2.
func (f *flow) what() string {
	if !f.sides[0].syn && !f.sides[1].syn {
		return startless
	}
	for _, s := range f.sides {
		switch {
		case bytes.HasPrefix(s.held, []byte{0x16, 0x03}): // a handshake record (RFC 8446, section 5.1)
			return "it is TLS"
		case bytes.HasPrefix(s.held, []byte("HTTP/1.")):
			return "it is HTTP/1"
		}
	}
	return "it is no HTTP/2"
}

// decode begins to decode f, whose client is that side.
func (f *flow) decode(client int) {
	f.client = client
	f.rec = f.flows.tracer.Record(f.began, f.way[client], f.way[1-client])
	f.flows.sum.Connections++
	for _, i := range []int{client, 1 - client} {
		if s := &f.sides[i]; len(s.held) > 0 {
			f.fail(f.rec.Add(s.heldAt, i == client, s.held))
		}
	}
	f.release()
}

// giveUp decodes nothing of f, for that reason.
func (f *flow) giveUp(why string) {
	f.why = why
	for i := range f.sides {
		f.sides[i].dropped += int64(len(f.sides[i].held))
	}
	f.release()
}

func (f *flow) release() {
	for i := range f.sides {
		f.flows.held -= len(f.sides[i].held)
		f.sides[i].held = nil
	}
}

// end ends f; how completes "the connection is …".
func (f *flow) end(how string) {
	if f.ended {
		return
	}
	f.ended = true
	f.flows.forget(f)
	if f.rec == nil && f.why == "" {
		if len(f.sides[0].held)+len(f.sides[1].held) == 0 {
			return // nothing was said on it
		}
		f.giveUp("it ends before it is known whether it is HTTP/2")
	}
	if f.rec == nil {
		if f.why == startless {
			f.flows.sum.Startless++
		} else {
			f.flows.sum.Foreign++
		}
		f.rec = f.flows.tracer.Record(f.began, f.way[0], f.way[1])
		how = fmt.Sprintf("%s; not decoded, since %s: %d bytes from %s, %d from %s", how, f.why, f.sides[0].dropped, f.way[0], f.sides[1].dropped, f.way[1])
	}
	f.fail(f.rec.End(how))
}

// fail keeps the writer's first error.
func (f *flow) fail(err error) {
	if f.flows.err == nil {
		f.flows.err = err
	}
}
