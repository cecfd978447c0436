package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// maxFrame is the maximum size of the part of a frame that is kept. gRPC's own
// frames have at most 16 KiB, since neither side allows more
// (SETTINGS_MAX_FRAME_SIZE; RFC 9113, section 6.5.2).
const maxFrame = 256 << 10

// half splits the bytes of one direction of a connection into frames. It keeps at
// most one frame.
type half struct {
	sent   bool
	offset int64 // of the next byte
	next   *frame
	fields *fieldDecoder
	begun  bool // at least one frame was seen
	alien  bool // this is not HTTP/2
	lost   bool // bytes were not recorded: it is no longer known where frames begin
}

func newHalf(sent bool) *half { return &half{sent: sent, fields: newFieldDecoder()} }

// feed processes the next bytes, which it copies, and calls frame for each
// complete frame.
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

// newFrame starts a frame whose first byte is b. Until the frame's length is
// known, length is that of its header.
func (h *half) newFrame(now time.Time, b byte) *frame {
	f := &frame{time: now, sent: h.sent, offset: h.offset, length: frameHeaderLen}
	switch {
	case h.lost:
		f.kind, f.length = unframed, maxFrame
	case h.alien:
		f.kind, f.length = noHTTP2, maxFrame
	case h.sent && !h.begun && 'A' <= b && b <= 'Z': // of HTTP/2's preface, or a method of HTTP/1; as a length it would mean more than 4 MB
		f.kind, f.length = preface, len(http2.ClientPreface)
	}
	return f
}

// step examines the bytes of f so far, and returns f if it is complete. more is
// the number of bytes that follow.
func (h *half) step(f *frame, more int) *frame {
	got := int(h.offset - f.offset)
	switch {
	case f.kind == preface && !strings.HasPrefix(http2.ClientPreface, string(f.bytes)):
		h.disown(f)
	case f.kind == framed && !h.sent && !h.begun && bytes.HasPrefix(f.bytes, []byte("HTTP/")):
		h.disown(f) // a response of HTTP/1
	case f.kind == framed && got == frameHeaderLen:
		f.header, _ = http2.ReadFrameHeader(bytes.NewReader(f.bytes)) // of 9 bytes, so this cannot fail
		f.length += int(f.header.Length)
	}
	if f.kind == noHTTP2 || f.kind == unframed {
		f.length = min(got+more, maxFrame) // shown as it arrives
	}
	if got < f.length {
		return nil
	}
	return f
}

// disown gives up on this direction, since it is not HTTP/2.
func (h *half) disown(f *frame) { f.kind, h.alien = noHTTP2, true }

// rest returns the part of a frame that the end of the connection has cut off.
func (h *half) rest() *frame {
	f := h.next
	h.next = nil
	if f != nil && len(f.bytes) >= frameHeaderLen && f.kind == framed {
		f.header, _ = http2.ReadFrameHeader(bytes.NewReader(f.bytes))
	}
	return f
}

// parse parses a complete frame with http2.Framer, and applies its effects. other
// is the opposite direction.
func (h *half) parse(f *frame, other *half) {
	if f.kind != framed || !f.whole() {
		if f.kind == framed && isBlock(f.header.Type) {
			h.fields.lost = errKeptInPart
			f.lost = errKeptInPart
		}
		return
	}
	framer := http2.NewFramer(nil, bytes.NewReader(f.bytes))
	framer.SetMaxReadFrameSize(1<<24 - 1) // the receiver enforces its own limit
	framer.AllowIllegalReads = true       // and the order of frames
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
		// The decoder's table may be as large as the other side has allowed (RFC
		// 7541, section 4.2).
		if size, ok := p.Value(http2.SettingHeaderTableSize); ok && !p.IsAck() {
			other.fields.hpack.SetAllowedMaxDynamicTableSize(min(max(size, 4096), maxTable))
		}
	}
}

// isBlock reports whether frames of that type carry a part of a header block,
// which the decoder must process.
func isBlock(t http2.FrameType) bool {
	return t == http2.FrameHeaders || t == http2.FrameContinuation || t == http2.FramePushPromise
}

// framing finds the messages in one direction of a stream. Each message has a
// prefix, which is one byte for compression and four bytes for the length (gRPC
// over HTTP2, "Length-Prefixed-Message").
type framing struct {
	prefix [prefixLen]byte
	have   int    // bytes of prefix so far
	left   uint32 // bytes of the message to come
	whole  int    // complete messages
	total  int64  // bytes of data
	sum    digest // of the first message
}

const prefixLen = 5

// feed processes the data of one frame and returns where messages begin in it.
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
