package wire

import (
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// record is what renderers get: frames of one connection that belong together, in the
// order in which they passed. They are those of one call, or of a piece of a stream
// that lives on, or of none. It does not change once it is made.
type record struct {
	conn   *conn    // its number and names; nil for an attempt that got none
	event  string   // what became of the connection; empty for frames alone
	total  [2]int64 // when it has ended: how many bytes the client has sent and received
	frames []*frame
	size   int // what they take of the tracer's memory

	stream uint32 // 0 for what concerns the whole connection
	method string // its :path
	desc   protoreflect.MethodDescriptor
	status string // from the trailers
	broken bool   // the connection's end has ended it
	last   bool   // the stream has ended
	late   bool   // and the frames came after that

	// Which attempt of which call it is; call is 0 when that is not known.
	call   int
	own    bool // the client's own, nobody's call
	before []outcome
	outcome

	dropped dropped // what was left out before this record
}

// outcome is what became of an attempt.
type outcome struct {
	n      int    // the first attempt is 1
	member string // empty when the request was not sent to any
	begun  time.Time
	took   time.Duration
	status string // such as "OK", or "Unavailable: …"; empty while it is under way
}

// dropped counts what the tracer had no memory for.
type dropped struct {
	frames int
	bytes  int64
}

// frame is one HTTP/2 frame, with its header (RFC 9113, section 4.1); or the client's
// connection preface, which is none (section 3.4); or bytes that are no HTTP/2.
type frame struct {
	time   time.Time
	sent   bool  // by the client
	offset int64 // of its first byte among those of its direction
	bytes  []byte
	length int // of all of it; more than len(bytes) when it was cut off, or kept in part
	kind   frameKind
	header http2.FrameHeader
	err    error // what is wrong with it

	fields []headerField // of a part of a header block
	lost   error         // why the fields can't be known
	data   [2]int        // where in bytes the data of a DATA frame are, without padding
	at     int64         // where these are among all data of the stream's direction
	starts []int         // where in them messages begin
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

// messageType is the type of the messages that the client sends, or receives; nil when
// it is not known.
func (r *record) messageType(sent bool) protoreflect.MessageDescriptor {
	switch {
	case r.desc == nil:
		return nil
	case sent:
		return r.desc.Input()
	}
	return r.desc.Output()
}

// asked reports whether r is of a call that the program has made, and not the client by
// itself, which gRPC tells of where there is gRPC.
func (r *record) asked() bool {
	if r.conn == nil || r.conn.channel != nil {
		return r.call != 0 && !r.own
	}
	return r.method != ""
}
