package wire

import (
	"io"
	"sync"
	"time"
)

// Options say what a Tracer shows, and how. The zero value is ready to use.
type Options struct {
	// Format is the output format. Empty means Frames.
	Format Format

	// Secrets shows what is otherwise hidden: passwords and their hashes, tokens,
	// the database in a snapshot, and bytes that may be any of these.
	Secrets bool
	// HideValues has prefixes of keys whose values are hidden, regardless of
	// Secrets.
	HideValues []string

	// Memory is how many bytes may wait to be shown: frames of calls that have
	// not ended, and frames that the writer has not yet taken. The rest is left
	// out, and the listing says so. 0 or less means 16 MiB.
	Memory int

	// CA, Cert and Key are the file names for the command lines of curl and
	// grpcurl, since a connection does not reveal where its certificates came
	// from.
	CA, Cert, Key string
}

// Format is the output format of a Tracer.
type Format string

// The formats.
const (
	// Frames lists every byte of every connection in hexadecimal, with its
	// meaning. Times are those of the local time zone.
	Frames Format = "frames"
	// Messages lists the program's calls and their messages, field by field,
	// without the frames that carried them. It leaves out the client's own
	// requests for information about its members. Times are local, too.
	Messages Format = "messages"
	// Curl shows each call of the program as a command line for etcd's JSON
	// gateway.
	Curl Format = "curl"
	// Grpcurl shows each call of the program as a command line for grpcurl.
	Grpcurl Format = "grpcurl"
	// JSON shows the same as Frames, as one JSON object per line for each call,
	// each piece of a stream, and each frame that belongs to neither.
	JSON Format = "json"
)

// Formats returns all formats.
func Formats() []Format { return []Format{Frames, Messages, Curl, Grpcurl, JSON} }

// Tracer shows what connections carry. It is safe for concurrent use and may
// trace several clients. It needs no Close: its memory is released when the
// connections end.
//
// It writes from its own goroutine, which runs only while there is something to
// write. So a slow writer delays only the trace.
type Tracer struct {
	// Read-only after New.
	write  renderer
	memory int64

	mu      sync.Mutex
	used    int64 // bytes of memory in use
	conns   int   // so far
	calls   int   // so far
	dropped dropped
	omitted int // streams so far that there was no memory for
	queue   []*record
	err     error         // the writer's first error, which ends the trace; only writeAll sets it
	idle    chan struct{} // closed when the writing goroutine ends; nil if there is none
}

// renderer shows records, one after another.
type renderer interface{ render(r *record) error }

// New returns a Tracer that writes to w. If w is a terminal, text has colors,
// unless the environment variable NO_COLOR is set. An error of w ends the trace.
// If the format is unknown, New writes that to w.
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

// The approximate memory overhead of each kind of object, in addition to its
// bytes.
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

// deliverLocked passes r to the writer.
func (t *Tracer) deliverLocked(r *record) {
	if r.size == 0 { // no memory was reserved for it
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

// writeAll writes all pending records and ends.
func (t *Tracer) writeAll(idle chan struct{}) {
	defer close(idle)
	for {
		t.mu.Lock()
		queue, err := t.queue, t.err
		t.queue = nil
		if len(queue) == 0 {
			t.idle = nil
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		for _, r := range queue {
			if err == nil {
				err = t.write.render(r)
			}
			t.mu.Lock()
			t.err = err // a trace cannot report it, but a decoder can
			t.used -= int64(r.size)
			t.mu.Unlock()
		}
	}
}

// Flush returns true when everything that was seen so far is written, and false
// if that takes longer than patience. A negative patience means no limit. The
// frames of a running call are only written when the call has ended. When a
// client of package client is closed, it flushes its tracer for up to 1 s.
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
