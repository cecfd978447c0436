package kv

import (
	"cmp"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// UsageError is a call that cannot mean anything: the program has to be changed,
// repeating it does not help. Nothing was sent. Find it with errors.As.
//
// Where the server has an error of its own for the same thing, errors.Is finds
// that too, such as rpctypes.ErrEmptyKey.
type UsageError struct {
	// Package is the package whose call it is: "watch" of what concerns watches.
	// Empty means "kv".
	Package string
	// Op is the operation: "Put", "Get", "Delete", "Txn", "Compact", "Compare",
	// "Watch" or "Follow"; inside a transaction with its place, such as
	// "Txn: Then[1]: Put".
	Op string
	// Option is the option or the argument that is wrong, such as "WithLimit".
	// Empty when it is the call as a whole.
	Option string
	// Reason says what is wrong, and what would be right.
	Reason string
	// Err is the server's error for the same thing, or nil.
	Err error
}

// Error names the operation, the option, and what would be right.
func (e *UsageError) Error() string {
	s := cmp.Or(e.Package, "kv") + ": " + e.Op + ": "
	if e.Option != "" {
		s += e.Option + ": "
	}
	return s + e.Reason
}

// Unwrap returns Err.
func (e *UsageError) Unwrap() error { return e.Err }

// GRPCStatus gives the error the code that a server would: InvalidArgument.
func (e *UsageError) GRPCStatus() *status.Status {
	return status.New(codes.InvalidArgument, e.Error())
}

// within says where in a transaction e was found.
func (e *UsageError) within(place string) *UsageError {
	nested := *e
	nested.Op = place + ": " + e.Op
	return &nested
}

// errOrNil keeps a nil *UsageError from becoming a non-nil error.
func errOrNil(e *UsageError) error {
	if e == nil {
		return nil
	}
	return e
}

func errEmptyKey(op, reason string) *UsageError {
	return &UsageError{Op: op, Option: "key", Reason: reason, Err: rpctypes.ErrEmptyKey}
}
