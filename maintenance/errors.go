package maintenance

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	// ErrNoEndpointDialer is the error of a call that names a member's endpoint
	// on a Service that was made without WithEndpointDialer. Nothing was sent.
	ErrNoEndpointDialer = errors.New("maintenance: the call names an endpoint, but the Service cannot connect to a single member; pass WithEndpointDialer to New, or leave the endpoint empty to ask whichever member the connection leads to")

	// ErrChecksumMismatch is the error that every *ChecksumError wraps.
	ErrChecksumMismatch = errors.New("maintenance: the snapshot's checksum does not match its content")
)

// ChecksumError ends the reading of a snapshot whose SHA-256 differs from the
// server's: the data was damaged on the way and must not be used. errors.Is finds
// ErrChecksumMismatch.
type ChecksumError struct {
	// Want is the server's digest. Got is the digest of the content that was
	// received.
	Want, Got [digestSize]byte
	// Size is the length of the content in bytes.
	Size int64
}

// Error implements error.
func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%v: the SHA-256 of the %d bytes received is %x, but the server's is %x", ErrChecksumMismatch, e.Size, e.Got, e.Want)
}

// Unwrap returns ErrChecksumMismatch.
func (e *ChecksumError) Unwrap() error { return ErrChecksumMismatch }

// TruncatedError ends the reading of a snapshot whose length, including the
// digest, differs from what the server announced. It must not be used. errors.Is
// finds io.ErrUnexpectedEOF.
type TruncatedError struct {
	// Received and Expected count bytes, including the digest.
	Received, Expected int64
}

// Error implements error.
func (e *TruncatedError) Error() string {
	if e.Received > e.Expected {
		return fmt.Sprintf("maintenance: the snapshot goes on after its end: %d bytes were announced and %d received, SHA-256 included", e.Expected, e.Received)
	}
	return fmt.Sprintf("maintenance: the snapshot was cut short: %d of %d bytes were received, SHA-256 included", e.Received, e.Expected)
}

// Unwrap returns io.ErrUnexpectedEOF.
func (e *TruncatedError) Unwrap() error { return io.ErrUnexpectedEOF }

// since adds the required etcd version to the error of a method that older
// servers do not have.
func since(version, call string, err error) error {
	if status.Code(err) != codes.Unimplemented {
		return err
	}
	return fmt.Errorf("maintenance: %s needs etcd %s or later: %w: %w", call, version, errors.ErrUnsupported, err)
}
