package etcdtest

import (
	"context"

	"google.golang.org/grpc"
)

// Tap lets a test see, change, hold and refuse the messages of streams. Its
// functions get the stream's context; an error of theirs ends the stream. Either
// may be nil.
type Tap struct {
	// Received gets each request before the member does.
	Received func(ctx context.Context, request any) error
	// Sending gets each response before it leaves.
	Sending func(ctx context.Context, response any) error
}

// Tap taps the member's streams of the method that open from now on. It takes the
// place of InterceptStream's hook, and is ended by it.
func (m *Member) Tap(method string, tap Tap) {
	m.InterceptStream(func(ss grpc.ServerStream, opened string, next func(grpc.ServerStream) error) error {
		if opened == method {
			ss = &tapped{ss, tap}
		}
		return next(ss)
	})
}

type tapped struct {
	grpc.ServerStream
	tap Tap
}

// RecvMsg implements grpc.ServerStream.
func (s *tapped) RecvMsg(msg any) error {
	err := s.ServerStream.RecvMsg(msg)
	if err == nil && s.tap.Received != nil {
		err = s.tap.Received(s.Context(), msg)
	}
	return err
}

// SendMsg implements grpc.ServerStream.
func (s *tapped) SendMsg(msg any) error {
	if s.tap.Sending != nil {
		if err := s.tap.Sending(s.Context(), msg); err != nil {
			return err
		}
	}
	return s.ServerStream.SendMsg(msg)
}
