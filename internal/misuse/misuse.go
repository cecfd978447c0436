// Package misuse refuses what a program must not pass: nil for a context, for a service
// or for an option. Without it grpc, or package context, would panic, or an option be
// left out silently.
package misuse

import (
	"context"
	"fmt"
	"path"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is a call that the program has to be changed for. Nothing was sent.
type Error string

// Error implements error.
func (e Error) Error() string { return string(e) }

// GRPCStatus gives it the code that a server would, so that nobody tries again.
func (e Error) GRPCStatus() *status.Status { return status.New(codes.InvalidArgument, string(e)) }

// Context returns an error if ctx is nil. call is the call's name, with its package. It is not
// inlined, since each of its many calls would be some 100 bytes of machine code. The same is true of Conn.
//
//go:noinline
func Context(ctx context.Context, call string) error {
	if ctx == nil {
		return Error(call + ": the context is nil; pass the caller's, or context.Background()")
	}
	return nil
}

// Nil returns an error if v, which the call needs, is nil. what names it.
func Nil(call, what string, v any) error {
	if v == nil {
		return Error(call + ": the " + what + " is nil")
	}
	return nil
}

// Options returns an error if one of the options is nil, which has the others' number,
// from 1.
func Options[O ~func(T), T any](call string, opts []O) error {
	for i, o := range opts {
		if o == nil {
			return Error(fmt.Sprintf("%s: option %d is nil; leave it out", call, i+1))
		}
	}
	return nil
}

// Conn returns a connection that refuses calls without a context, with call options
// that are nil, and all calls when cc is nil. Errors begin with pkg, the package whose
// New was given cc.
//
//go:noinline
func Conn(pkg string, cc grpc.ClientConnInterface) grpc.ClientConnInterface {
	if checked, ok := cc.(conn); ok {
		cc = checked.cc
	}
	return conn{pkg, cc}
}

type conn struct {
	pkg string
	cc  grpc.ClientConnInterface
}

func (c conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if err := c.check(ctx, method, opts); err != nil {
		return err
	}
	return c.cc.Invoke(ctx, method, args, reply, opts...)
}

func (c conn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := c.check(ctx, method, opts); err != nil {
		return nil, err
	}
	return c.cc.NewStream(ctx, desc, method, opts...)
}

func (c conn) check(ctx context.Context, method string, opts []grpc.CallOption) error {
	if c.cc != nil && ctx != nil && !hasNil(opts) {
		return nil // before the name is made, which takes longer than a read from memory
	}
	call := c.pkg + ": " + path.Base(method)
	if c.cc == nil {
		return Error(call + ": the connection is nil: it was given to New")
	}
	if err := Context(ctx, call); err != nil {
		return err
	}
	// Which option it is is not told: the stubs have put some before the caller's.
	return Error(call + ": a call option is nil; leave it out")
}

func hasNil(opts []grpc.CallOption) bool {
	for _, o := range opts {
		if o == nil {
			return true
		}
	}
	return false
}
