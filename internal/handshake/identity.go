// Package handshake tells what is wrong when a server ends a connection before it has
// said anything: gRPC and net/http have only the system's words for it.
package handshake

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
// client's certificate (RFC 8446, section 2). The server's alert comes afterward, in
// place of its first bytes, and is often overtaken by the connection's end: what is
// left to see is a broken pipe.

// Identity knows which certificate the client has shown last. It never changes in
// the life of most clients, and is as good for a connection as for another.
// The zero value knows of none.
type Identity struct {
	shown atomic.Pointer[tls.Certificate]
}

// Watch returns cfg, which tells i what it shows.
func (i *Identity) Watch(cfg *tls.Config) *tls.Config {
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

// Asked reports whether a server has asked for a certificate.
func (i *Identity) Asked() bool { return i.shown.Load() != nil }

// Explain says what the client's certificate may have to do with the error of a
// connection that the server has not used yet. What is wrong with it comes first: how
// the connection ended tells less, and differs from one attempt to the next.
func (i *Identity) Explain(err error) error {
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
	whose := leaf.Subject.String()
	if whose != "" {
		whose = " " + whose
	}
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		return because(err, "the client's certificate%s has expired, on %s", whose, leaf.NotAfter.Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return because(err, "the client's certificate%s is not valid before %s", whose, leaf.NotBefore.Format(time.RFC3339))
	case IsAlert(err):
		return because(err, "the server has refused the client's certificate%s", whose)
	}
	return because(err, "the server may have refused the client's certificate%s", whose)
}

// because returns err with a reason in front of its text.
func because(err error, format string, args ...any) error {
	return explain.New(err, fmt.Sprintf(format, args...)+": "+err.Error())
}

// IsAlert reports whether err is a TLS alert of the other side's (crypto/tls, conn.go,
// readRecordOrCCS).
func IsAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}
