package policy

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/internal/explain"
)

// rawConn counts the bytes of a connection, which gRPC makes, and can break it.
type rawConn struct {
	received atomic.Uint64 // bytes that came in
	given    atomic.Uint64 // bytes given to Write, including a Write in progress
	sent     atomic.Uint64 // bytes that the kernel took
	failed   atomic.Bool   // reading or writing has failed, or the connection was closed
	// wrote is when the kernel last took a large piece of a message. motion is measured
	// only during a probe, so this tells about the time before and between probes.
	wrote atomic.Int64
	clock *clock // the policy's

	mu     sync.Mutex
	conn   net.Conn // as it was handed in
	broken bool
}

type rawConnKey struct{}

// address returns addr with the rawConn in its attributes, so that the transport
// credentials, which see each new connection first, can connect the two with Tap.
func (w *rawConn) address(addr resolver.Address) resolver.Address {
	addr.Attributes = with(addr.Attributes, rawConnKey{}, w)
	return addr
}

// Tap lets the policy see whether bytes move on a connection, and break it when its member
// has fallen silent. Transport credentials call it at the start of ClientHandshake, with
// the attributes of the address (credentials.ClientHandshakeInfoFromContext), and use the
// connection that it returns. Without it a large message on a slow network looks like a
// stall, and requests on a silent connection wait for their deadlines or for HTTP/2's
// pings.
func Tap(attrs *attributes.Attributes, conn net.Conn) net.Conn {
	w, ok := attrs.Value(rawConnKey{}).(*rawConn)
	if !ok {
		return conn
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		_ = conn.Close() // too late to be of use
		return conn
	}
	w.conn = conn
	_, told := acknowledged(conn)
	return &tapped{Conn: conn, raw: w, pieces: !told}
}

// sever breaks the connection. All calls on it fail at once.
func (w *rawConn) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = true
	if w.conn != nil {
		_ = w.conn.Close() // an error does not matter: the connection is given up
	}
}

// severed reports whether sever was called.
func (w *rawConn) severed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

// left returns how many bytes have certainly left: those that the peer's kernel has
// acknowledged, where the system tells, and otherwise those that this machine's kernel has
// taken.
func (w *rawConn) left() uint64 {
	w.mu.Lock()
	conn := w.conn
	w.mu.Unlock()
	if n, ok := acknowledged(conn); ok {
		return n
	}
	return w.sent.Load()
}

// tapped counts the bytes of a connection.
type tapped struct {
	net.Conn

	raw *rawConn
	// pieces has large buffers written in pieces, which shows how they leave where the
	// system does not tell.
	pieces bool
	closed atomic.Bool // by gRPC, which says why by itself
}

// Read implements net.Conn.
func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.raw.received.Add(uint64(n))
	if err != nil {
		t.raw.failed.Store(true)
		err = t.explain(err)
	}
	return n, err
}

// Write implements net.Conn.
func (t *tapped) Write(p []byte) (n int, err error) {
	t.raw.given.Add(uint64(len(p)))
	for {
		piece := p[n:]
		if t.pieces && len(piece) > motionBytes {
			piece = piece[:motionBytes]
		}
		var m int
		m, err = t.Conn.Write(piece)
		t.raw.sent.Add(uint64(m))
		n += m
		if err != nil {
			t.raw.failed.Store(true)
		} else if n >= motionBytes { // not a batch of small requests
			t.raw.wrote.Store(t.raw.clock.at(time.Now()))
		}
		if err != nil || n >= len(p) {
			return n, t.explain(err)
		}
	}
}

// explain returns err, or why this side has ended the connection. The system says only
// "use of closed network connection" then.
func (t *tapped) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case t.raw.severed():
		return explain.New(err, "the member stopped answering")
	case errors.Is(err, net.ErrClosed) && !t.closed.Load():
		// gRPC closes the connection below this one when the time to connect is over
		// (internal/transport/http2_client.go, NewHTTP2Client).
		return explain.New(err, "the member accepts connections, but does not answer")
	}
	return err
}

// Close implements net.Conn.
func (t *tapped) Close() error {
	t.closed.Store(true)
	t.raw.failed.Store(true)
	return t.Conn.Close()
}

// motion tells whether bytes move on a connection, in either direction, and when bytes
// last came in, or left after they had to wait.
type motion struct {
	received, left uint64 // counts at the last movement
	last           int64  // when that was
	in             int64  // when bytes last came in

	queued bool   // bytes waited to leave at the last look
	before uint64 // how much had left at out, or at begin
	out    int64  // when bytes last left while others waited
}

// A connection stands still if it has carried less than motionBytes within motionTime.
// That is 16 KiB a second: more than probes and their answers need, and less than any
// useful network carries.
const (
	motionBytes = 4 << 10
	motionTime  = 250 * time.Millisecond
)

// begin forgets the movement so far. Bytes that wait to leave have motionTime to do so.
func (m *motion) begin(w *rawConn, now int64) {
	m.received, m.left = w.received.Load(), w.left()
	m.before, m.queued = m.left, w.queues(m.left)
	if m.queued {
		m.last = now
	}
}

// moves reports whether bytes have moved lately. It measures when it is called, so it must
// be called often.
func (m *motion) moves(w *rawConn, now int64) bool {
	received, left := w.received.Load(), w.left()
	if left >= m.left+motionBytes {
		m.left, m.last = left, now
	}
	if received-m.received >= motionBytes {
		m.received, m.last, m.in = received, now, now
	}
	// Small requests that leave at once say nothing about a large one: either it had left
	// before them, or it waits and bytes are queued.
	queues := w.queues(left)
	if (m.queued || queues) && left >= m.before+motionBytes {
		m.before, m.out = left, now
	}
	m.queued = queues
	return m.last != 0 && now-m.last < int64(motionTime)
}

// queues reports whether bytes wait to leave, given that left have left.
func (w *rawConn) queues(left uint64) bool { return w.given.Load() >= left+motionBytes }
