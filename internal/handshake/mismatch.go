package handshake

import (
	"crypto/tls"
	"errors"
	"io"
	"syscall"

	"github.com/getcd/getcd/internal/explain"
)

// A client that speaks TLS to a plain member, or plain to one that expects TLS, is not
// told so: etcd hangs up.

// HungUp reports whether the server has ended the connection.
func HungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// WithoutTLS adds to the error of a TLS handshake that the server may be a plain one.
func WithoutTLS(err error) error {
	if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
		return explain.Hint(err, "the server has no TLS: name the endpoint http://…, without a TLS configuration")
	}
	if HungUp(err) {
		return explain.Hint(err, "it may have no TLS: name the endpoint http://…, without a TLS configuration")
	}
	return err
}

// WithTLS adds to the error of a plain connection that the server may expect TLS.
func WithTLS(err error) error {
	if !HungUp(err) {
		return err
	}
	return explain.Hint(err, "it may expect TLS: name the endpoint https://…, or configure TLS")
}
