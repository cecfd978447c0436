package wire

import (
	"io"
	"sync"
	"time"
)

// Options say what a Tracer shows, and how. The zero value is good.
type Options struct {
	// Format is how it is shown; empty means Frames.
	Format Format

	// Secrets shows what is hidden otherwise: passwords and their hashes, tokens, and
	// the database in a snapshot.
	Secrets bool
	// HideValues are prefixes of keys whose values are hidden, whatever Secrets says.
	HideValues []string

	// Memory is how many bytes may wait to be shown: frames of calls that have not
	// ended, and those that the writer is slow to take. What comes beyond is left out,
	// and the listing says so. 0 or less means 16 MiB.
	Memory int

	// CA, Cert and Key are the files of that name that curl and grpcurl lines mention,
	// since a connection does not tell where its certificates came from.
	CA, Cert, Key string
}

// Format is how a Tracer shows what it has seen.
type Format string

// The formats.
const (
	// Frames lists every byte of every connection, in hexadecimal, and its meaning.
	Frames Format = "frames"
	// Messages lists the program's calls and their messages, field by field, without the
	// frames that carried them. What the client asks for itself, to know its members, is
	// left out.
	Messages Format = "messages"
	// Curl shows each call of the program's as a command line for etcd's JSON gateway.
	Curl Format = "curl"
	// Grpcurl shows each call as a command line of grpcurl.
	Grpcurl Format = "grpcurl"
	// JSON shows what Frames does, as an object on a line of its own for each call,
	// each piece of a stream, and each frame that belongs to none.
	JSON Format = "json"
)

// Formats are all of them.
func Formats() []Format { return []Format{Frames, Messages, Curl, Grpcurl, JSON} }

// Tracer shows what connections carry. It is safe for concurrent use, and may trace
// several clients. It has no end: what it holds goes with the connections.
//
// It writes from a goroutine of its own, which lives while there is something to
// write, so that a slow writer holds up nothing but the trace.
type Tracer struct {
	// Read-only after New.
	write  renderer
	memory int64

	mu      sync.Mutex
	used    int64 // of memory
	conns   int   // so far
	calls   int   // so far
	dropped dropped
	queue   []*record
	err     error         // the writer's first
	idle    chan struct{} // closed when nothing is being written; nil when nothing is
}

// renderer shows records, one after the other.
type renderer interface{ render(r *record) error }

// New returns a Tracer that writes to w. In text it uses colors when w is a terminal,
// unless the environment variable NO_COLOR is set. Its errors are those of w, and end
// the trace. An unknown format is an error that w gets.
func New(w io.Writer, o Options) *Tracer {
	return &Tracer{write: newRenderer(w, o), memory: o.memory()}
}

func (t *Tracer) feed(c *conn, sent bool, p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !c.closed {
		c.feedLocked(time.Now(), sent, p)
	}
}

// What things take of the tracer's memory beside their bytes, more or less.
const (
	frameOverhead = 256
	fieldOverhead = 96
	streamSize    = 512
	recordSize    = 512
)

func frameSize(f *frame) int {
	n := len(f.bytes) + frameOverhead + 8*len(f.starts)
	for _, h := range f.fields {
		n += fieldOverhead + len(h.name) + len(h.value)
	}
	return n
}

func (t *Tracer) reserveLocked(n int) bool {
	if t.used+int64(n) > t.memory {
		return false
	}
	t.used += int64(n)
	return true
}

func (t *Tracer) dropLocked(f *frame) {
	t.dropped.frames++
	t.dropped.bytes += int64(f.length)
}

// deliverLocked hands r to the writer.
func (t *Tracer) deliverLocked(r *record) {
	if r.size == 0 { // nothing is reserved for it so far
		if !t.reserveLocked(recordSize) {
			return
		}
		r.size = recordSize
	}
	r.dropped, t.dropped = t.dropped, dropped{}
	t.queue = append(t.queue, r)
	if t.idle == nil {
		t.idle = make(chan struct{})
		go t.writeAll(t.idle)
	}
}

// writeAll writes what there is, and ends.
func (t *Tracer) writeAll(idle chan struct{}) {
	defer close(idle)
	for {
		t.mu.Lock()
		queue := t.queue
		t.queue = nil
		if len(queue) == 0 {
			t.idle = nil
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		for _, r := range queue {
			err := t.write.render(r)
			t.mu.Lock()
			if t.err == nil {
				t.err = err // a trace has nobody to tell it to, a decoder has
			}
			t.used -= int64(r.size)
			t.mu.Unlock()
		}
	}
}

// Flush returns true when all that was seen so far has been written, and false when
// patience is over before that; negative patience is never over. What belongs to a call
// that is under way comes when that has ended. A client of package client flushes its
// tracer when it is closed, for 1 s.
func (t *Tracer) Flush(patience time.Duration) bool {
	var over <-chan time.Time
	if patience >= 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		over = timer.C
	}
	for {
		t.mu.Lock()
		idle := t.idle
		t.mu.Unlock()
		if idle == nil {
			return true
		}
		select {
		case <-idle:
		case <-over:
			return false
		}
	}
}
