// Package closed makes the errors of what its owner has closed.
package closed

import (
	"net"
	"slices"
)

// New returns an error with a text. errors.Is finds net.ErrClosed in it, so that a
// program need not know which of its parts was closed first; and others like it.
func New(text string, others ...error) error {
	return &closedError{text, append([]error{net.ErrClosed}, others...)}
}

type closedError struct {
	text string
	is   []error
}

func (e *closedError) Error() string        { return e.text }
func (e *closedError) Is(target error) bool { return slices.Contains(e.is, target) }
