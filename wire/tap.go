package wire

import (
	"fmt"
	"net"
	"sync"
)

// tapped is a connection whose bytes the tracer sees. A write is recorded before
// it is made, since its response may be read before it returns.
type tapped struct {
	net.Conn

	tracer *Tracer
	conn   *conn
	once   sync.Once
}

func (t *Tracer) tap(ch *channel, inner net.Conn, host string, secure bool) net.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.newConnLocked(ch, address(inner.RemoteAddr()), host, secure)
	t.deliverLocked(c.eventLocked("opened"))
	return &tapped{Conn: inner, tracer: t, conn: c}
}

// refused shows a connection whose handshake has failed.
func (t *Tracer) refused(addr net.Addr, host string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.newConnLocked(nil, address(addr), host, true)
	t.deliverLocked(c.eventLocked("failed: " + clean(err.Error())))
}

func (t *Tracer) newConnLocked(ch *channel, member, host string, secure bool) *conn {
	t.conns++
	c := &conn{
		tracer: t, channel: ch, n: t.conns, member: member, host: host, secure: secure,
		halves: [2]*half{newHalf(true), newHalf(false)}, streams: make(map[uint32]*stream), past: make(map[uint32]*stream),
	}
	if ch != nil {
		ch.conns = append(ch.conns, c)
	}
	return c
}

func address(a net.Addr) string {
	switch {
	case a == nil:
		return "unknown"
	case a.Network() == "unix":
		return "unix:" + a.String()
	}
	return a.String()
}

// Read implements net.Conn.
func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.tracer.feed(t.conn, false, p[:n])
	}
	return n, err
}

// Write implements net.Conn.
func (t *tapped) Write(p []byte) (int, error) {
	t.tracer.feed(t.conn, true, p)
	n, err := t.Conn.Write(p)
	if n < len(p) {
		t.tracer.mu.Lock()
		t.conn.unsent += len(p) - n
		t.tracer.mu.Unlock()
	}
	return n, err
}

// Close implements net.Conn.
func (t *tapped) Close() error {
	err := t.Conn.Close()
	t.once.Do(func() {
		t.tracer.mu.Lock()
		defer t.tracer.mu.Unlock()
		event := "closed"
		if t.conn.unsent > 0 {
			event = fmt.Sprintf("closed; of what was to be sent the last %d bytes were not", t.conn.unsent)
		}
		t.conn.endLocked(event)
	})
	return err
}

// LocalAddr implements net.Conn. gRPC reports it for each RPC, which reveals the
// RPC's connection.
func (t *tapped) LocalAddr() net.Addr { return localAddr{t.Conn.LocalAddr(), t.conn} }

type localAddr struct {
	net.Addr

	conn *conn
}
