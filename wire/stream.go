package wire

import (
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// stream is an HTTP/2 stream, which carries one attempt of one call.
type stream struct {
	conn   *conn
	id     uint32
	method string                        // its :path; empty until it is known
	desc   protoreflect.MethodDescriptor // nil if it is unknown
	halves [2]streamHalf                 // what the client sent, what it received
	frames []*frame                      // not delivered yet
	size   int                           // of frames, in the tracer's memory
	piece  bool                          // frames has a whole message of a long stream
	ended  bool
	past   bool     // it has ended and was shown
	broken bool     // ended by the end of the connection
	call   *attempt // nil until it is known
	status string   // from the trailers
}

type streamHalf struct {
	framing
	ending bool // END_STREAM
	ended  bool // the same, and the header block that has it is complete
	lost   bool // a frame was not decoded, so it is unknown where messages begin

	// alien says that its data are no gRPC, such as a proxy's page: their content type.
	alien string
}

// within reports whether a message has begun but not ended.
func (h *streamHalf) within() bool { return h.have > 0 && !h.lost }

func side(sent bool) int {
	if sent {
		return 0
	}
	return 1
}

// streams reports whether the call's messages may arrive at any time, so that its
// frames are shown before it has ended.
func (s *stream) streams() bool {
	return s.desc != nil && (s.desc.IsStreamingClient() || s.desc.IsStreamingServer())
}

// add takes the stream's next frame.
func (s *stream) add(f *frame) {
	s.frames = append(s.frames, f)
	half := &s.halves[side(f.sent)]
	switch f.header.Type {
	case http2.FrameHeaders, http2.FrameContinuation:
		s.learn(f)
	case http2.FrameData:
		if f.err != nil || !f.whole() {
			half.lost = true
		}
		f.at, f.alien = half.total, half.alien
		switch {
		case half.lost:
			half.total += int64(f.length) // more than its data, so that no message goes on after it
		case half.alien == "":
			before := half.whole
			f.starts = half.feed(f.bytes[f.data[0]:f.data[1]])
			s.piece = s.piece || half.whole > before
		}
	case http2.FrameRSTStream:
		s.ended = true // RFC 9113, section 5.1
	default:
	}
	// END_STREAM, a flag of these two types alone (section 6).
	if (f.header.Type == http2.FrameHeaders || f.header.Type == http2.FrameData) && f.header.Flags.Has(http2.FlagDataEndStream) {
		half.ending = true
	}
	// The end of HEADERS may be in CONTINUATION frames (section 6.2), which nothing comes between.
	if half.ending && (f.header.Type == http2.FrameData || f.header.Flags.Has(http2.FlagHeadersEndHeaders)) {
		half.ended = true
		s.ended = s.ended || s.halves[0].ended && s.halves[1].ended
	}
}

// learn takes what it needs from header fields: the method (gRPC over HTTP2,
// "Requests"), the status ("Responses"), and whether it is gRPC at all.
func (s *stream) learn(f *frame) {
	for _, h := range f.fields {
		switch {
		case f.sent && h.name == ":path" && s.method == "":
			s.method, s.desc = h.value, findMethod(h.value)
		case !f.sent && h.name == "grpc-status":
			s.status = codeName(h.value)
		case !f.sent && h.name == ":status" && h.value != "200":
			s.halves[1].alien = "HTTP status " + clean(h.value)
		case h.name == "content-type":
			half := &s.halves[side(f.sent)]
			if half.alien = clean(h.value); strings.HasPrefix(h.value, "application/grpc") {
				half.alien = ""
			}
		}
	}
}

// ready reports whether the stream's frames can be shown: all of a call, or whole
// messages of a long stream.
func (s *stream) ready() bool {
	within := s.halves[0].within() || s.halves[1].within()
	if s.past {
		return len(s.frames) > 0 && !within
	}
	return s.ended || s.streams() && s.piece && !within
}

// codeName returns the name of a status code in decimal (gRPC, "Status codes").
func codeName(s string) string {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return clean(s)
	}
	return codes.Code(n).String()
}
