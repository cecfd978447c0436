package etcdtest

import (
	"context"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// interceptUnary is the way of a unary call: counted, held while the member
// hangs, given to the test's hook, admitted, handled.
func (m *Member) interceptUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	m.record(ctx, info.FullMethod)
	if err := m.awaitResume(ctx); err != nil {
		return nil, err
	}
	next := func() (any, error) {
		if err := m.admit(ctx, info.FullMethod, req); err != nil {
			return nil, err
		}
		return handler(ctx, req)
	}
	m.mu.Lock()
	hook := m.unary
	m.mu.Unlock()
	if hook != nil {
		return hook(ctx, info.FullMethod, req, next)
	}
	return next()
}

// admit refuses what the member cannot or may not serve.
func (m *Member) admit(ctx context.Context, method string, req any) error {
	if isHealth(method) {
		return nil
	}
	m.mu.Lock()
	learner, noLeader := m.learner, m.noLeader != nil
	m.mu.Unlock()
	if learner && !learnerServes(req) {
		return rpctypes.ErrGRPCNotSupportedForLearner
	}
	if noLeader && requiresLeader(ctx) {
		return rpctypes.ErrGRPCNoLeader
	}
	// etcd looks at the user of a linearizable read when it has waited for a leader.
	if r, ok := req.(*pb.RangeRequest); ok && !r.GetSerializable() {
		if err := m.awaitLeader(ctx); err != nil {
			return err
		}
	}
	switch req.(type) {
	case *pb.AuthenticateRequest:
		return nil
	case *v3lockpb.LockRequest, *v3lockpb.UnlockRequest:
		return lockError(m.c.permit(ctx, req))
	}
	return m.c.permit(ctx, req)
}

func (m *Member) interceptStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancelCause(ss.Context())
	defer cancel(nil)
	s := &serverStream{ServerStream: ss, m: m, method: info.FullMethod, ctx: ctx, cancel: cancel}
	m.record(ctx, info.FullMethod)
	if err := m.awaitResume(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	hook := m.streaming
	m.mu.Unlock()
	next := func(ss grpc.ServerStream) error {
		if isHealth(info.FullMethod) {
			return handler(srv, ss)
		}
		if err := m.admitStream(s); err != nil {
			return err
		}
		defer m.forget(s)
		return handler(srv, ss)
	}
	if hook != nil {
		return hook(s, info.FullMethod, next)
	}
	return next(s)
}

// admitStream is admit for a stream, whose token is checked message by message.
// A stream with the hasleader metadata is remembered, to end with the leader.
func (m *Member) admitStream(s *serverStream) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.learner {
		return rpctypes.ErrGRPCNotSupportedForLearner
	}
	if !requiresLeader(s.ctx) {
		return nil
	}
	if m.noLeader != nil {
		return rpctypes.ErrGRPCNoLeader
	}
	m.leaderly[s] = struct{}{}
	return nil
}

func (m *Member) forget(s *serverStream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.leaderly, s)
}

func (m *Member) record(ctx context.Context, method string) {
	md, _ := metadata.FromIncomingContext(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[method]++
	m.lastMD[method] = md
}

func isHealth(method string) bool { return strings.HasPrefix(method, "/grpc.health.v1.Health/") }

func learnerServes(req any) bool {
	switch r := req.(type) {
	case *pb.StatusRequest:
		return true
	case *pb.RangeRequest:
		return r.Serializable
	}
	return false
}

func requiresLeader(ctx context.Context) bool {
	md, _ := metadata.FromIncomingContext(ctx)
	return slices.Equal(md.Get(rpctypes.MetadataRequireLeaderKey), []string{rpctypes.MetadataHasLeader})
}

// serverStream holds a stream's messages while its member hangs, counts them,
// and has a context that the member can cancel with a reason.
type serverStream struct {
	grpc.ServerStream
	m      *Member
	method string
	ctx    context.Context //nolint:containedctx // a ServerStream is what carries its context
	cancel context.CancelCauseFunc
}

// Context implements grpc.ServerStream.
func (s *serverStream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *serverStream) RecvMsg(msg any) error {
	if err := s.ServerStream.RecvMsg(msg); err != nil {
		return err
	}
	s.m.mu.Lock()
	s.m.messages[s.method]++
	s.m.mu.Unlock()
	return s.m.awaitResume(s.ctx)
}

// SendMsg implements grpc.ServerStream.
func (s *serverStream) SendMsg(msg any) error {
	if err := s.m.awaitResume(s.ctx); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(msg)
}
