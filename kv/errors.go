package kv

import (
	"cmp"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// UsageError reports an invalid call. The program has to be changed; retrying
// does not help. Nothing was sent. Find it with errors.As.
//
// If the server has an error for the same mistake, such as rpctypes.ErrEmptyKey,
// errors.Is finds it too.
type UsageError struct {
	// Package is the package of the call: "watch" for watches. Empty means "kv".
	Package string
	// Op is the operation: "Put", "Get", "Delete", "Txn", "Compact", "Compare",
	// "Watch" or "Follow". Inside a transaction it also gives the position, such
	// as "Txn: Then[1]: Put".
	Op string
	// Option is the wrong option or argument, such as "WithLimit". It is empty if
	// the call as a whole is wrong.
	Option string
	// Reason says what is wrong and how to fix it.
	Reason string
	// Err is the server's error for the same mistake, or nil.
	Err error
}

// Error names the operation, the option, and the fix.
func (e *UsageError) Error() string {
	s := cmp.Or(e.Package, "kv") + ": " + e.Op + ": "
	if e.Option != "" {
		s += e.Option + ": "
	}
	return s + e.Reason
}

// Unwrap returns Err.
func (e *UsageError) Unwrap() error { return e.Err }

// GRPCStatus returns a status with the code InvalidArgument, as a server would.
func (e *UsageError) GRPCStatus() *status.Status {
	return status.New(codes.InvalidArgument, e.Error())
}

// within adds where in a transaction e was found.
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
