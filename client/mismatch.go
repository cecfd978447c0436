package client

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/getcd/getcd/internal/explain"
)

// A client that speaks TLS to a plain member, or plain to one that expects TLS, is not
// told so: etcd hangs up.

// hungUp reports whether the server has ended the connection.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// mismatch adds to the error of a TLS handshake that the server may be a plain one.
func mismatch(err error) error {
	if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
		return explain.Hint(err, "the server has no TLS: name the endpoint http://…, without a TLS configuration")
	}
	if hungUp(err) {
		return explain.Hint(err, "it may have no TLS: name the endpoint http://…, without a TLS configuration")
	}
	return err
}

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
	return n, c.explain(err)
}

func (c *plainConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if !c.heard.Load() {
		err = c.explain(err)
	}
	return n, err
}

func (c *plainConn) explain(err error) error {
	if !hungUp(err) {
		return err
	}
	return explain.Hint(err, "it may expect TLS: name the endpoint https://…, or configure TLS")
}

// isTLSRecord reports whether b begins as the alert of a server that got no TLS (RFC
// 8446, section 5.1: type 21, version 3.x). No frame of HTTP/2 begins so: it would be
// too large to come first.
func isTLSRecord(b []byte) bool { return len(b) >= 2 && b[0] == 21 && b[1] == 3 }
