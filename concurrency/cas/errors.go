package cas

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/etcderr"
)

// Error is a change that has failed. It unwraps to what the server or the connection has said, the
// context's error, or kv.ErrMarkerChanged.
type Error struct {
	// Op is the method, such as "Create".
	Op string
	// Key is the key that was to be changed.
	Key string
	// Err is the cause.
	Err error

	ambiguous bool
}

// newError is the error of a change that was not applied, and never will be. What err says of the
// fate of another request is not the change's.
func newError(op, key string, err error) *Error {
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		if ambiguous, _ := etcderr.Told(cause); !ambiguous {
			return &Error{Op: op, Key: key, Err: cause}
		}
	}
	return &Error{Op: op, Key: key, Err: errors.New(err.Error())}
}

// Error implements error.
func (e *Error) Error() string {
	fate := "is not changed"
	if e.ambiguous {
		fate = "may have been changed"
	}
	return fmt.Sprintf("cas: %s: %q %s: %v", e.Op, e.Key, fate, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Ambiguous reports whether the change may have been applied, or may yet be. client.IsAmbiguous
// finds it.
func (e *Error) Ambiguous() bool { return e.ambiguous }

// GRPCStatus has Err's code.
func (e *Error) GRPCStatus() *status.Status { return status.New(etcderr.Code(e.Err), e.Error()) }
