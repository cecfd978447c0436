package maintenance

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	// ErrNoEndpointDialer is what a call to one member's endpoint returns when
	// the Service was made without WithEndpointDialer. Nothing was sent.
	ErrNoEndpointDialer = errors.New("maintenance: the call names an endpoint, and there is no way to reach a single one: give New WithEndpointDialer, or name none to ask whichever member the connection leads to")

	// ErrChecksumMismatch is what every *ChecksumError is.
	ErrChecksumMismatch = errors.New("maintenance: the snapshot's checksum does not match its content")
)

// ChecksumError ends the reading of a snapshot whose content has another SHA-256
// than the server says: it was damaged on its way, and must not be used.
// errors.Is finds ErrChecksumMismatch.
type ChecksumError struct {
	// Want is the server's digest, Got that of the content as received.
	Want, Got [digestSize]byte
	// Size is the length of the content in bytes.
	Size int64
}

// Error implements error.
func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%v: SHA-256 %x of %d bytes, and the server says %x", ErrChecksumMismatch, e.Got, e.Size, e.Want)
}

// Unwrap returns ErrChecksumMismatch.
func (e *ChecksumError) Unwrap() error { return ErrChecksumMismatch }

// TruncatedError ends the reading of a snapshot that is not as long as the
// server has announced, its digest included: it must not be used. errors.Is
// finds io.ErrUnexpectedEOF.
type TruncatedError struct {
	// Received and Expected count bytes, those of the digest included.
	Received, Expected int64
}

// Error implements error.
func (e *TruncatedError) Error() string {
	if e.Received > e.Expected {
		return fmt.Sprintf("maintenance: the snapshot goes on after its end: %d bytes were announced, SHA-256 included, and %d came", e.Expected, e.Received)
	}
	return fmt.Sprintf("maintenance: the snapshot was cut short: %d of %d bytes came, SHA-256 included", e.Received, e.Expected)
}

// Unwrap returns io.ErrUnexpectedEOF.
func (e *TruncatedError) Unwrap() error { return io.ErrUnexpectedEOF }

// since explains the error of a method that servers before the given version
// do not have.
func since(version, call string, err error) error {
	if status.Code(err) != codes.Unimplemented {
		return err
	}
	return fmt.Errorf("maintenance: %s needs etcd %s or later: %w: %w", call, version, errors.ErrUnsupported, err)
}
