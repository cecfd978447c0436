// Package exit gives errors the exit status that etcdctl ends with for the same
// mistake, so that scripts which test $? work with either tool.
package exit

import (
	"errors"
	"fmt"
)

// The exit statuses of etcdctl 3.7.
const (
	// OK means that the command did what it was asked.
	OK = 0
	// Failure is any error without a status of its own, above all the server's.
	Failure = 1
	// BadConnection means that no connection could be made, or that a lease
	// command failed.
	BadConnection = 2
	// InvalidInput means that what was read from stdin does not parse, or that
	// the input of an interactive watch has ended.
	InvalidInput = 3
	// BadFeature means a known flag with a value that is not supported.
	BadFeature = 4
	// Interrupted means that a watch was ended by the server.
	Interrupted = 5
	// BadArgs means missing, surplus or contradictory arguments.
	BadArgs = 128
)

// Error is an error with an exit status.
type Error struct {
	// Code is the exit status.
	Code int
	// Err says what happened; nil when it has been said already.
	Err error
}

// Error is the text of Err.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// With gives err the exit status code, unless it has one already. A nil err
// stays nil.
func With(code int, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		code = e.Code
	}
	return &Error{Code: code, Err: err}
}

// Errorf formats an error that has the exit status code.
func Errorf(code int, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// Code is the exit status for err: OK for nil, Failure for an error that
// carries none.
func Code(err error) int {
	if err == nil {
		return OK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Failure
}
