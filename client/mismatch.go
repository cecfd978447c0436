package client

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/getcd/getcd/internal/handshake"
)

// errWantsTLS is the error of a plain connection whose server speaks TLS.
var errWantsTLS = errors.New("the server expects TLS: name the endpoint https://…, or configure TLS")

// plainConn is a connection without TLS. It explains errors that come before the server
// has sent anything.
type plainConn struct {
	net.Conn

	heard atomic.Bool
}

func (c *plainConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.heard.Load() {
		return n, err
	}
	if n > 0 {
		c.heard.Store(true)
		if isTLSRecord(b[:n]) {
			return 0, errWantsTLS
		}
		return n, err
	}
	return n, handshake.WithTLS(err)
}

func (c *plainConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if !c.heard.Load() {
		err = handshake.WithTLS(err)
	}
	return n, err
}

// isTLSRecord reports whether b begins as the alert of a server that got no TLS (RFC
// 8446, section 5.1: type 21, version 3.x). No frame of HTTP/2 begins so: it would be
// too large to come first.
func isTLSRecord(b []byte) bool { return len(b) >= 2 && b[0] == 21 && b[1] == 3 }
