package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/getcd/getcd/internal/explain"
)

// In TLS 1.3 the client's handshake is over before the server has looked at the
// client's certificate (RFC 8446, section 2). The server's alert comes afterwards, in
// place of its first bytes, and is often overtaken by the connection's end: what is
// left to see is a broken pipe.

// identity knows which certificate the client has shown last. It never changes in
// the life of most clients, and is as good for a connection as for another.
type identity struct {
	shown atomic.Pointer[tls.Certificate]
}

// watch returns cfg, which tells i what it shows.
func (i *identity) watch(cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	choose := cfg.GetClientCertificate
	if choose == nil {
		certs := cfg.Certificates
		choose = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) { //nolint:unparam // tls.Config's type; it chooses as crypto/tls does
			for n := range certs {
				if r.SupportsCertificate(&certs[n]) == nil {
					return &certs[n], nil
				}
			}
			return new(tls.Certificate), nil // none
		}
	}
	cfg.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		c, err := choose(r)
		if err == nil {
			i.shown.Store(c)
		}
		return c, err
	}
	return cfg
}

// explain says what the client's certificate may have to do with the error of a
// connection that the server has not used yet. What is wrong with it comes first: how
// the connection ended tells less, and differs from one attempt to the next.
func (i *identity) explain(err error) error {
	c := i.shown.Load()
	if c == nil || errors.Is(err, net.ErrClosed) {
		return err // no server has asked for one, or this side has hung up
	}
	if len(c.Certificate) == 0 {
		return because(err, "the server asks for a client certificate, and there is none that it would accept")
	}
	leaf := c.Leaf
	if leaf == nil {
		var bad error
		if leaf, bad = x509.ParseCertificate(c.Certificate[0]); bad != nil {
			return because(err, "the client's certificate can't be read: %v", bad)
		}
	}
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		return because(err, "the client's certificate %s has expired, on %s", leaf.Subject, leaf.NotAfter.Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return because(err, "the client's certificate %s is not valid before %s", leaf.Subject, leaf.NotBefore.Format(time.RFC3339))
	case isAlert(err):
		return because(err, "the server has refused the client's certificate %s", leaf.Subject)
	}
	return because(err, "the server may have refused the client's certificate %s", leaf.Subject)
}

// because returns err with a reason in front of its text.
func because(err error, format string, args ...any) error {
	return explain.New(err, fmt.Sprintf(format, args...)+": "+err.Error())
}

// newborn is a connection whose handshake is over on this side. It explains errors
// that come before the server has sent anything.
type newborn struct {
	net.Conn

	identity *identity
	heard    atomic.Bool
}

func (c *newborn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	switch {
	case c.heard.Load():
	case n > 0:
		c.heard.Store(true)
	case err != nil:
		err = c.identity.explain(err)
	}
	return n, err
}

func (c *newborn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && !c.heard.Load() {
		err = c.identity.explain(c.alert(err))
	}
	return n, err
}

// alert returns what the server has said about the failure of a write, or err. It
// has been sent before, so it is there or never.
func (c *newborn) alert(err error) error {
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // without one it is broken all the same
	if _, said := c.Conn.Read(make([]byte, 1)); isAlert(said) {
		return said
	}
	return err
}

// isAlert reports whether err is a TLS alert of the other side's (crypto/tls, conn.go,
// readRecordOrCCS).
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}
