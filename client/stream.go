package client

import (
	"context"
	"errors"
	"io"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
)

// stream explains the errors of a stream, and gives up its token when a server
// refuses it, so that the next stream has a new one.
type stream struct {
	grpc.ClientStream

	conn    *Conn
	ctx     context.Context //nolint:containedctx // the stream's own, as grpc keeps it too
	method  string
	attempt *balancer.Attempt
	cred    *credential
}

func (s *stream) SendMsg(m any) error { return s.explain(s.ClientStream.SendMsg(m)) }

func (s *stream) CloseSend() error { return s.explain(s.ClientStream.CloseSend()) }

func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		// A watch is refused in a message of its stream, which lives on.
		if w, ok := m.(*pb.WatchResponse); ok && w.GetCanceled() && refusesToken(w.GetCancelReason()) {
			s.conn.auth.reject(s.cred)
		}
		return nil
	}
	return s.explain(err)
}

func (s *stream) explain(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if refusesToken(rpctypes.ErrorDesc(err)) {
		s.conn.auth.reject(s.cred)
	}
	settleDeadline(s.ctx, err)
	t := try{conn: s.conn, ctx: s.ctx, method: s.method}
	if e := s.attempt.Endpoint(); e != "" {
		t.record(e, err)
	}
	if f := fateOf(err, true, true); f != answered {
		switch ctxErr := s.ctx.Err(); {
		case s.conn.closed.Load():
			err = ErrClosed
		case ctxErr != nil:
			err = ctxErr
		}
	}
	return t.failed(err)
}

// refusesToken takes an etcd error's text, alone or, as a watch's reason comes,
// behind gRPC's "rpc error: code = … desc = ".
func refusesToken(text string) bool {
	if _, desc, ok := strings.Cut(text, " desc = "); ok {
		text = desc
	}
	return fates[text] == unauthenticated
}
