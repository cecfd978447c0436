// Package explain makes errors of the system and of gRPC tell what they mean to the
// user. What they said before is kept, for package clientv3, whose errors have
// clientv3's texts.
package explain

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// New returns err with another text. errors.Is and errors.As find err in it.
func New(err error, text string) error { return &explained{err, text} }

// Hint returns err with a hint after its text, in parentheses.
func Hint(err error, format string, args ...any) error {
	return New(err, fmt.Sprintf("%v (%s)", err, fmt.Sprintf(format, args...)))
}

// Original is the text that err would have if nothing in it had been explained. Errors
// around an explained one have its text in theirs.
func Original(err error) string {
	text := err.Error()
	for e, ok := errors.AsType[*explained](err); ok; e, ok = errors.AsType[*explained](e.err) {
		was, is := e.err.Error(), e.text
		if !strings.Contains(text, is) { // gRPC quotes the errors of connections
			was, is = quoted(was), quoted(is)
		}
		text = strings.Replace(text, is, was, 1)
	}
	return text
}

// Plain is the text of err without the wrapping of gRPC's errors of connections,
// `connection error: desc = "…"` (internal/transport/transport.go, ConnectionError).
func Plain(err error) string {
	if desc, ok := strings.CutPrefix(err.Error(), Wrapping); ok {
		plain, err := strconv.Unquote(desc)
		if err == nil && !strings.ContainsFunc(plain, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return plain
		}
	}
	return err.Error()
}

// Wrapping is how the text of gRPC's errors of connections begins. The rest is quoted.
const Wrapping = "connection error: desc = "

func quoted(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

type explained struct {
	err  error
	text string
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }
