package client

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/getcd/getcd/internal/handshake"
)

// newborn is a connection whose handshake is over on this side. It explains errors
// that come before the server has sent anything.
type newborn struct {
	net.Conn

	identity *handshake.Identity
	heard    atomic.Bool
}

func (c *newborn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	switch {
	case c.heard.Load():
	case n > 0:
		c.heard.Store(true)
	case err != nil:
		err = c.identity.Explain(err)
	}
	return n, err
}

func (c *newborn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && !c.heard.Load() {
		err = c.identity.Explain(c.alert(err))
	}
	return n, err
}

// alert returns what the server has said about the failure of a write, or err. It
// has been sent before, so it is there or never.
func (c *newborn) alert(err error) error {
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // without one it is broken all the same
	if _, said := c.Conn.Read(make([]byte, 1)); handshake.IsAlert(said) {
		return said
	}
	return err
}
