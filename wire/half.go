package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// maxFrame is how much of one frame is kept. gRPC's own are of 16 KiB at most, since
// neither side asks for more (SETTINGS_MAX_FRAME_SIZE; RFC 9113, section 6.5.2).
const maxFrame = 256 << 10

// half splits what passes in one direction of a connection into frames. It keeps no
// more than a frame.
type half struct {
	sent   bool
	offset int64 // of the next byte
	next   *frame
	fields *fieldDecoder
	begun  bool // a frame has passed
	alien  bool // it is no HTTP/2
	lost   bool // bytes were not recorded: where frames begin is not known any more
}

func newHalf(sent bool) *half { return &half{sent: sent, fields: newFieldDecoder()} }

// feed takes the next bytes, which it copies, and calls frame with each frame that is
// complete.
func (h *half) feed(now time.Time, p []byte, frame func(*frame)) {
	for len(p) > 0 {
		if h.next == nil {
			h.next = h.newFrame(now, p[0])
		}
		f := h.next
		n := min(len(p), f.length-int(h.offset-f.offset))
		if keep := min(n, maxFrame-len(f.bytes)); keep > 0 {
			f.bytes = append(f.bytes, p[:keep]...)
		}
		p = p[n:]
		h.offset += int64(n)
		if f = h.step(f, len(p)); f != nil {
			h.next, h.begun = nil, true
			frame(f)
		}
	}
}

// newFrame begins a frame whose first byte is b. Its length is that of its header
// until that is known.
func (h *half) newFrame(now time.Time, b byte) *frame {
	f := &frame{time: now, sent: h.sent, offset: h.offset, length: frameHeaderLen}
	switch {
	case h.lost:
		f.kind, f.length = unframed, maxFrame
	case h.alien:
		f.kind, f.length = noHTTP2, maxFrame
	case h.sent && !h.begun && b == http2.ClientPreface[0]:
		f.kind, f.length = preface, len(http2.ClientPreface)
	}
	return f
}

// step looks at what there is of f, and returns it when it is complete. more bytes have
// come after it.
func (h *half) step(f *frame, more int) *frame {
	got := int(h.offset - f.offset)
	switch {
	case f.kind == preface && !strings.HasPrefix(http2.ClientPreface, string(f.bytes)):
		h.disown(f)
	case f.kind == framed && !h.sent && !h.begun && bytes.HasPrefix(f.bytes, []byte("HTTP/")):
		h.disown(f) // an answer of HTTP/1
	case f.kind == framed && got == frameHeaderLen:
		f.header, _ = http2.ReadFrameHeader(bytes.NewReader(f.bytes)) // of 9 bytes: it has no way to fail
		f.length += int(f.header.Length)
	}
	if f.kind == noHTTP2 || f.kind == unframed {
		f.length = min(got+more, maxFrame) // shown as it comes
	}
	if got < f.length {
		return nil
	}
	return f
}

// disown gives up: what comes in this direction is no HTTP/2.
func (h *half) disown(f *frame) { f.kind, h.alien = noHTTP2, true }

// rest returns what there is of a frame that the connection's end has cut off.
func (h *half) rest() *frame {
	f := h.next
	h.next = nil
	if f != nil && len(f.bytes) >= frameHeaderLen && f.kind == framed {
		f.header, _ = http2.ReadFrameHeader(bytes.NewReader(f.bytes))
	}
	return f
}

// parse has http2.Framer look at a frame that is whole, and sets what follows from it.
// other is the opposite direction.
func (h *half) parse(f *frame, other *half) {
	if f.kind != framed || !f.whole() {
		if f.kind == framed && isBlock(f.header.Type) {
			h.fields.lost = errKeptInPart
			f.lost = errKeptInPart
		}
		return
	}
	framer := http2.NewFramer(nil, bytes.NewReader(f.bytes))
	framer.SetMaxReadFrameSize(1<<24 - 1) // its own limit is the receiver's business
	framer.AllowIllegalReads = true       // so is the order of frames
	parsed, err := framer.ReadFrame()
	if err != nil {
		f.err = err
		if detail := framer.ErrorDetail(); detail != nil {
			f.err = detail
		}
		if isBlock(f.header.Type) {
			h.fields.lost = f.err
			f.lost = f.err
		}
		return
	}
	switch p := parsed.(type) {
	case *http2.DataFrame:
		from := frameHeaderLen
		if p.Flags.Has(http2.FlagDataPadded) {
			from++ // the Pad Length field (RFC 9113, section 6.1)
		}
		f.data = [2]int{from, from + len(p.Data())}
	case *http2.HeadersFrame:
		f.fields, f.lost = h.fields.decode(p.HeaderBlockFragment(), p.HeadersEnded())
	case *http2.ContinuationFrame:
		f.fields, f.lost = h.fields.decode(p.HeaderBlockFragment(), p.HeadersEnded())
	case *http2.PushPromiseFrame:
		f.fields, f.lost = h.fields.decode(p.HeaderBlockFragment(), p.HeadersEnded())
	case *http2.SettingsFrame:
		// The decoder's table may be as large as the other side's encoder is allowed to
		// have it (RFC 7541, section 4.2).
		if size, ok := p.Value(http2.SettingHeaderTableSize); ok && !p.IsAck() {
			other.fields.hpack.SetAllowedMaxDynamicTableSize(min(max(size, 4096), maxTable))
		}
	}
}

// isBlock reports whether frames of that type carry a part of a header block, which
// the decoder must not miss.
func isBlock(t http2.FrameType) bool {
	return t == http2.FrameHeaders || t == http2.FrameContinuation || t == http2.FramePushPromise
}

// framing follows the messages in one direction of a stream: each is a byte that says
// whether it is compressed, four for its length, and the message (gRPC over HTTP2,
// "Length-Prefixed-Message").
type framing struct {
	prefix [prefixLen]byte
	have   int    // of prefix
	left   uint32 // of the message
	whole  int    // messages that have ended
	total  int64  // bytes of data
	sum    digest // of the first message
}

const prefixLen = 5

// feed takes the data of one frame and returns where in them messages begin.
func (m *framing) feed(data []byte) (starts []int) {
	m.total += int64(len(data))
	for i := 0; i < len(data); {
		if m.have < prefixLen {
			if m.have == 0 {
				starts = append(starts, i)
			}
			n := copy(m.prefix[m.have:], data[i:])
			m.have += n
			i += n
			if m.have < prefixLen {
				break
			}
			m.left = binary.BigEndian.Uint32(m.prefix[1:])
		}
		n := int(min(uint32(len(data)-i), m.left))
		if m.whole == 0 {
			m.sum.write(data[i : i+n])
		}
		i += n
		if m.left -= uint32(n); m.left == 0 {
			m.have = 0
			m.whole++
		}
	}
	return starts
}
