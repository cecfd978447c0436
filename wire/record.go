package wire

import (
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// record is the input of a renderer: frames of one connection that belong
// together, in order. They belong to one call, to a piece of a long stream, or to
// no call. A record does not change after it is made.
type record struct {
	conn   *conn    // its number and names; nil for an attempt without a connection
	event  string   // an event of the connection; empty for frames alone
	total  [2]int64 // when it has ended: how many bytes the client has sent and received
	frames []*frame
	size   int // in the tracer's memory

	stream uint32 // 0 if it concerns the whole connection
	method string // its :path
	desc   protoreflect.MethodDescriptor
	status string // from the trailers
	broken bool   // the end of the connection has ended the stream
	last   bool   // the stream has ended
	late   bool   // the frames came after the stream's end

	// The call and the attempt. call is 0 if they are not known.
	call   int
	own    bool // made by the client itself, not for a call of the program
	before []outcome
	outcome

	dropped dropped // left out before this record
}

// outcome is the outcome of an attempt.
type outcome struct {
	n      int    // the first attempt is 1
	member string // empty if the request was not sent
	begun  time.Time
	took   time.Duration
	status string // such as "OK", or "Unavailable: …"; empty while the attempt is running
}

// dropped counts what was left out because the tracer had no memory for it.
type dropped struct {
	frames int
	bytes  int64
}

// frame is one HTTP/2 frame including its header (RFC 9113, section 4.1), or the
// client's connection preface, which is not a frame (section 3.4), or bytes that
// are not HTTP/2.
type frame struct {
	time   time.Time
	sent   bool  // by the client
	offset int64 // of its first byte in its direction
	bytes  []byte
	length int // its total length; more than len(bytes) if it was cut off or only partly kept
	kind   frameKind
	header http2.FrameHeader
	err    error // what is wrong with it

	fields []headerField // of a part of a header block
	lost   error         // why the fields are unknown
	data   [2]int        // the position in bytes of a DATA frame's data, without padding
	at     int64         // the offset of that data in all data of the stream's direction
	starts []int         // where messages begin in that data
	alien  string        // their content type, when it is not gRPC's
}

type frameKind uint8

const (
	framed frameKind = iota
	preface
	noHTTP2
	unframed // bytes before it are missing
)

func (f *frame) whole() bool { return len(f.bytes) == f.length }

func (f *frame) payload() []byte { return f.bytes[min(frameHeaderLen, len(f.bytes)):] }

// frameHeaderLen is the length of a frame's header (RFC 9113, section 4.1).
const frameHeaderLen = 9

// messageType returns the type of the messages that the client sends or receives,
// or nil if it is unknown.
func (r *record) messageType(sent bool) protoreflect.MessageDescriptor {
	switch {
	case r.desc == nil:
		return nil
	case sent:
		return r.desc.Input()
	}
	return r.desc.Output()
}

// asked reports whether r belongs to a call that the program has made, rather
// than to the client itself. Without gRPC's reports, every call counts as the
// program's.
func (r *record) asked() bool {
	if r.conn == nil || r.conn.channel != nil {
		return r.call != 0 && !r.own
	}
	return r.method != ""
}
