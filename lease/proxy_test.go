package lease_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/lease"
)

// hasty ends a stream as soon as its client has nothing more to send, as etcd's
// gRPC proxy does with keep-alives, whose answers take a while there.
type hasty struct {
	grpc.ServerStream
	closed atomic.Bool
}

func (s *hasty) RecvMsg(msg any) error {
	err := s.ServerStream.RecvMsg(msg)
	s.closed.Store(errors.Is(err, io.EOF))
	return err
}

func (s *hasty) SendMsg(msg any) error {
	time.Sleep(10 * time.Millisecond)
	if s.closed.Load() {
		return context.Canceled
	}
	return s.ServerStream.SendMsg(msg)
}

// KeepAliveOnce says that it has nothing more to send when it has its answer, and
// not before.
func TestKeepAliveOnceAwaitsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		c.Member(0).InterceptStream(func(ss grpc.ServerStream, _ string, next func(grpc.ServerStream) error) error {
			return next(&hasty{ServerStream: ss})
		})
		id := mustGrant(t, l, 10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		resp, err := l.KeepAliveOnce(ctx, id)
		if err != nil || resp.TTL != 10 {
			t.Errorf("got %+v, %v, want a TTL of 10", resp, err)
		}
	})
}

// Misuse is an error that names what is wrong.
func TestNils(t *testing.T) {
	l, c := service(t, 1)
	id := mustGrant(t, l, 10)
	var none context.Context
	ctx := t.Context()
	withNil, withoutConn := lease.New(c.Conn(t), nil), lease.New(nil)
	for what, call := range map[string]func() error{
		"Grant":         func() error { _, err := l.Grant(none, 10); return err },
		"GrantID":       func() error { _, err := l.GrantID(none, 1, 10); return err },
		"Revoke":        func() error { _, err := l.Revoke(none, id); return err },
		"TimeToLive":    func() error { _, err := l.TimeToLive(none, id); return err },
		"option 1":      func() error { _, err := l.TimeToLive(ctx, id, nil); return err },
		"Leases":        func() error { _, err := l.Leases(none); return err },
		"Keep":          func() error { _, err := l.Keep(none, id); return err },
		"KeepAliveOnce": func() error { _, err := l.KeepAliveOnce(none, id); return err },
		"KeepAlive": func() error {
			ch, err := l.KeepAlive(none, id)
			if _, ok := <-ch; ok {
				t.Error("KeepAlive without a context: the channel is open")
			}
			return err
		},
		"New":            func() error { _, err := withNil.Grant(ctx, 10); return err },
		"the connection": func() error { _, err := withoutConn.Keep(ctx, id); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "nil") {
			t.Errorf("%s: got %v, want an error that names it and says nil", what, err)
		}
	}
}
