// Package memconn has listeners in memory, for etcdtest and for tests of other servers.
package memconn

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// connBuffer is how many bytes each direction of a connection holds before its
// writer blocks.
const connBuffer = 1 << 20

// Listener is a listener in memory, of connections with a buffer. It does what
// grpc's bufconn does, except that it makes no timers that are due at once: those crash
// the race detector in a synctest bubble (Go 1.26: the runtime runs them in the
// goroutine that makes them, with a race context that the bubble's goroutines
// share).
type Listener struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a listener.
func Listen() *Listener {
	return &Listener{accept: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that were made stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return pipeAddr{} }

// DialContext connects to the listener, when it accepts.
func (l *Listener) DialContext(ctx context.Context) (net.Conn, error) {
	there, back := newPipe(), newPipe()
	select {
	case l.accept <- &pipeConn{in: there, out: back}:
		return &pipeConn{in: back, out: there}, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "memory" }
func (pipeAddr) String() string  { return "memory" }

// pipeConn is one end of a connection.
type pipeConn struct{ in, out *pipe }

func (c *pipeConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *pipeConn) Write(b []byte) (int, error) { return c.out.write(b) }

// Close implements net.Conn. What was written can still be read.
func (c *pipeConn) Close() error {
	c.in.end(io.ErrClosedPipe, io.ErrClosedPipe)
	c.out.end(io.EOF, io.ErrClosedPipe)
	return nil
}

func (*pipeConn) LocalAddr() net.Addr  { return pipeAddr{} }
func (*pipeConn) RemoteAddr() net.Addr { return pipeAddr{} }

// SetDeadline implements net.Conn.
func (c *pipeConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.reading.set(c.in, t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.out.writing.set(c.out, t)
	return nil
}

// pipe is one direction of a connection.
type pipe struct {
	mu               sync.Mutex
	changed          *sync.Cond
	buf              []byte
	noRead, noWrite  error // after the end
	reading, writing deadline
}

// deadline is one end's. The pipe's mutex guards it.
type deadline struct {
	timer *time.Timer
	over  bool
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.noRead == io.ErrClosedPipe: //nolint:errorlint // the very value: this end was closed
			return 0, p.noRead
		case p.reading.over:
			return 0, os.ErrDeadlineExceeded
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			p.buf = p.buf[n:]
			p.changed.Broadcast()
			return n, nil
		case p.noRead != nil:
			return 0, p.noRead
		case len(b) == 0:
			return 0, nil
		}
		p.changed.Wait()
	}
}

func (p *pipe) write(b []byte) (n int, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.noWrite != nil:
			return n, p.noWrite
		case p.writing.over:
			return n, os.ErrDeadlineExceeded
		}
		k := min(len(b), connBuffer-len(p.buf))
		p.buf = append(p.buf, b[:k]...)
		n, b = n+k, b[k:]
		if k > 0 {
			p.changed.Broadcast()
		}
		if len(b) == 0 {
			return n, nil
		}
		p.changed.Wait()
	}
}

// end ends both reading and writing, for these reasons unless there are others.
func (p *pipe) end(noRead, noWrite error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.noRead == nil || noRead == io.ErrClosedPipe { //nolint:errorlint // the very value
		p.noRead = noRead
	}
	if p.noWrite == nil {
		p.noWrite = noWrite
	}
	p.changed.Broadcast()
}

func (d *deadline) set(p *pipe, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer, d.over = nil, false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if d.over = left <= 0; d.over {
		p.changed.Broadcast()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if d.timer == timer { // not replaced meanwhile
			d.over = true
			p.changed.Broadcast()
		}
	})
	d.timer = timer
}
