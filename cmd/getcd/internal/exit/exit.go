// Package exit gives errors the exit status with which etcdctl ends after the
// same mistake, so that scripts that test $? work with either tool.
package exit

import (
	"errors"
	"fmt"
)

// The exit statuses of etcdctl 3.7.
const (
	// OK means that the command succeeded.
	OK = 0
	// Failure is any error without a status of its own, in particular the
	// server's.
	Failure = 1
	// BadConnection means that no connection could be made, or that a lease
	// command failed.
	BadConnection = 2
	// InvalidInput means that stdin could not be parsed, or that the input of an
	// interactive watch has ended.
	InvalidInput = 3
	// BadFeature means that a known flag has an unsupported value.
	BadFeature = 4
	// Interrupted means that the server ended a watch.
	Interrupted = 5
	// BadArgs means missing, surplus or contradictory arguments.
	BadArgs = 128
)

// Error is an error with an exit status.
type Error struct {
	// Code is the exit status.
	Code int
	// Err says what happened. It is nil if that was already printed.
	Err error
}

// Error returns the text of Err.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// With gives err the exit status code, unless it already has one. A nil err stays
// nil.
func With(code int, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		code = e.Code
	}
	return &Error{Code: code, Err: err}
}

// Errorf formats an error with the exit status code.
func Errorf(code int, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// Code returns the exit status for err: OK for nil, and Failure for an error
// without a status.
func Code(err error) int {
	if err == nil {
		return OK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Failure
}
