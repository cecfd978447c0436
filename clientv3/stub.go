package clientv3

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// stub is a connection that consists of one generated stub. getcd's services need
// a connection, but clientv3's constructors provide a stub. Methods that the stub
// does not have are Unimplemented.
type stub struct {
	kv          pb.KVClient
	lease       pb.LeaseClient
	watch       pb.WatchClient
	auth        pb.AuthClient
	cluster     pb.ClusterClient
	maintenance pb.MaintenanceClient

	client *Client // if not nil, calls are wait-for-ready calls, as those of the client are
}

func (s stub) options(opts []grpc.CallOption) []grpc.CallOption {
	if s.client == nil {
		return opts
	}
	return append([]grpc.CallOption{grpc.WaitForReady(true)}, opts...)
}

func (s stub) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	c := stubCall{ctx, req, reply, s.options(opts)}
	var err error
	switch {
	case s.kv != nil:
		err = s.invokeKV(c, method)
	case s.lease != nil:
		err = s.invokeLease(c, method)
	case s.auth != nil:
		err = s.invokeAuth(c, method)
	case s.cluster != nil:
		err = s.invokeCluster(c, method)
	case s.maintenance != nil:
		err = s.invokeMaintenance(c, method)
	default:
		err = unknown(method)
	}
	return err
}

func unknown(method string) error {
	return status.Errorf(codes.Unimplemented, "clientv3: the stub has no method %s", method)
}

func (s stub) invokeKV(c stubCall, method string) error {
	switch method {
	case pb.KV_Range_FullMethodName:
		return invoke(c, s.kv.Range)
	case pb.KV_Put_FullMethodName:
		return invoke(c, s.kv.Put)
	case pb.KV_DeleteRange_FullMethodName:
		return invoke(c, s.kv.DeleteRange)
	case pb.KV_Txn_FullMethodName:
		return invoke(c, s.kv.Txn)
	case pb.KV_Compact_FullMethodName:
		return invoke(c, s.kv.Compact)
	}
	return unknown(method)
}

func (s stub) invokeLease(c stubCall, method string) error {
	switch method {
	case pb.Lease_LeaseGrant_FullMethodName:
		return invoke(c, s.lease.LeaseGrant)
	case pb.Lease_LeaseRevoke_FullMethodName:
		return invoke(c, s.lease.LeaseRevoke)
	case pb.Lease_LeaseTimeToLive_FullMethodName:
		return invoke(c, s.lease.LeaseTimeToLive)
	case pb.Lease_LeaseLeases_FullMethodName:
		return invoke(c, s.lease.LeaseLeases)
	}
	return unknown(method)
}

func (s stub) invokeAuth(c stubCall, method string) error {
	switch method {
	case pb.Auth_AuthEnable_FullMethodName:
		return invoke(c, s.auth.AuthEnable)
	case pb.Auth_AuthDisable_FullMethodName:
		return invoke(c, s.auth.AuthDisable)
	case pb.Auth_AuthStatus_FullMethodName:
		return invoke(c, s.auth.AuthStatus)
	case pb.Auth_Authenticate_FullMethodName:
		return invoke(c, s.auth.Authenticate)
	case pb.Auth_UserAdd_FullMethodName:
		return invoke(c, s.auth.UserAdd)
	case pb.Auth_UserGet_FullMethodName:
		return invoke(c, s.auth.UserGet)
	case pb.Auth_UserList_FullMethodName:
		return invoke(c, s.auth.UserList)
	case pb.Auth_UserDelete_FullMethodName:
		return invoke(c, s.auth.UserDelete)
	case pb.Auth_UserChangePassword_FullMethodName:
		return invoke(c, s.auth.UserChangePassword)
	case pb.Auth_UserGrantRole_FullMethodName:
		return invoke(c, s.auth.UserGrantRole)
	case pb.Auth_UserRevokeRole_FullMethodName:
		return invoke(c, s.auth.UserRevokeRole)
	case pb.Auth_RoleAdd_FullMethodName:
		return invoke(c, s.auth.RoleAdd)
	case pb.Auth_RoleGet_FullMethodName:
		return invoke(c, s.auth.RoleGet)
	case pb.Auth_RoleList_FullMethodName:
		return invoke(c, s.auth.RoleList)
	case pb.Auth_RoleDelete_FullMethodName:
		return invoke(c, s.auth.RoleDelete)
	case pb.Auth_RoleGrantPermission_FullMethodName:
		return invoke(c, s.auth.RoleGrantPermission)
	case pb.Auth_RoleRevokePermission_FullMethodName:
		return invoke(c, s.auth.RoleRevokePermission)
	}
	return unknown(method)
}

func (s stub) invokeCluster(c stubCall, method string) error {
	switch method {
	case pb.Cluster_MemberAdd_FullMethodName:
		return invoke(c, s.cluster.MemberAdd)
	case pb.Cluster_MemberRemove_FullMethodName:
		return invoke(c, s.cluster.MemberRemove)
	case pb.Cluster_MemberUpdate_FullMethodName:
		return invoke(c, s.cluster.MemberUpdate)
	case pb.Cluster_MemberList_FullMethodName:
		return invoke(c, s.cluster.MemberList)
	case pb.Cluster_MemberPromote_FullMethodName:
		return invoke(c, s.cluster.MemberPromote)
	}
	return unknown(method)
}

func (s stub) invokeMaintenance(c stubCall, method string) error {
	switch method {
	case pb.Maintenance_Alarm_FullMethodName:
		return invoke(c, s.maintenance.Alarm)
	case pb.Maintenance_Status_FullMethodName:
		return invoke(c, s.maintenance.Status)
	case pb.Maintenance_Defragment_FullMethodName:
		return invoke(c, s.maintenance.Defragment)
	case pb.Maintenance_Hash_FullMethodName:
		return invoke(c, s.maintenance.Hash)
	case pb.Maintenance_HashKV_FullMethodName:
		return invoke(c, s.maintenance.HashKV)
	case pb.Maintenance_MoveLeader_FullMethodName:
		return invoke(c, s.maintenance.MoveLeader)
	case pb.Maintenance_Downgrade_FullMethodName:
		return invoke(c, s.maintenance.Downgrade)
	}
	return unknown(method)
}

type stubCall struct {
	ctx        context.Context //nolint:containedctx // an argument, for as long as the call
	req, reply any
	opts       []grpc.CallOption
}

func invoke[Q, R proto.Message](c stubCall, call func(context.Context, Q, ...grpc.CallOption) (R, error)) error {
	req, ok := c.req.(Q)
	if !ok {
		return status.Errorf(codes.Internal, "clientv3: the request is a %T", c.req)
	}
	resp, err := call(c.ctx, req, c.opts...)
	if err != nil {
		return err
	}
	return fill(c.reply, resp)
}

// fill copies a stub's response, since the original may be shared.
func fill(reply any, resp proto.Message) error {
	m, ok := reply.(proto.Message)
	if !ok || m.ProtoReflect().Descriptor() != resp.ProtoReflect().Descriptor() {
		return status.Errorf(codes.Internal, "clientv3: the answer is a %T, not a %T", resp, reply)
	}
	proto.Merge(m, resp)
	return nil
}

func (s stub) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	opts = s.options(opts)
	switch {
	case s.watch != nil && method == pb.Watch_Watch_FullMethodName:
		in, err := s.watch.Watch(ctx, opts...)
		return bothWays[pb.WatchRequest, pb.WatchResponse]{in}, err
	case s.lease != nil && method == pb.Lease_LeaseKeepAlive_FullMethodName:
		in, err := s.lease.LeaseKeepAlive(ctx, opts...)
		return bothWays[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]{in}, err
	case s.kv != nil && method == pb.KV_RangeStream_FullMethodName:
		return &oneWay[pb.RangeRequest, pb.RangeStreamResponse]{ctx: ctx, opts: opts, open: s.kv.RangeStream}, nil
	case s.maintenance != nil && method == pb.Maintenance_Snapshot_FullMethodName:
		return &oneWay[pb.SnapshotRequest, pb.SnapshotResponse]{ctx: ctx, opts: opts, open: s.maintenance.Snapshot}, nil
	}
	return nil, unknown(method)
}

// bothWays is a stub's bidirectional stream. The stream may not be gRPC's own, so
// bothWays uses only its typed methods.
type bothWays[Q, R any] struct {
	grpc.BidiStreamingClient[Q, R]
}

func (b bothWays[Q, R]) SendMsg(m any) error {
	req, ok := m.(*Q)
	if !ok {
		return status.Errorf(codes.Internal, "clientv3: the request is a %T", m)
	}
	return b.Send(req)
}

func (b bothWays[Q, R]) RecvMsg(m any) error { return receive(m, b.Recv) }

func receive[R any](m any, recv func() (*R, error)) error {
	resp, err := recv()
	if err != nil {
		return err
	}
	out, ok := any(resp).(proto.Message)
	if !ok {
		return status.Errorf(codes.Internal, "clientv3: the answer is a %T", resp)
	}
	return fill(m, out)
}

// oneWay is a stub's stream of responses. The stub opens the stream together with
// the request, whereas gRPC's generated code sends the request on an open stream.
type oneWay[Q, R any] struct {
	ctx  context.Context //nolint:containedctx // the stream's
	opts []grpc.CallOption
	open func(context.Context, *Q, ...grpc.CallOption) (grpc.ServerStreamingClient[R], error)
	in   grpc.ServerStreamingClient[R]
}

var errNotOpen = errors.New("clientv3: nothing was sent on the stream yet")

func (o *oneWay[Q, R]) SendMsg(m any) error {
	req, ok := m.(*Q)
	if !ok {
		return status.Errorf(codes.Internal, "clientv3: the request is a %T", m)
	}
	in, err := o.open(o.ctx, req, o.opts...)
	if err == nil {
		o.in = in
	}
	return err
}

func (o *oneWay[Q, R]) RecvMsg(m any) error {
	if o.in == nil {
		return errNotOpen
	}
	return receive(m, o.in.Recv)
}

func (o *oneWay[Q, R]) CloseSend() error         { return nil }
func (o *oneWay[Q, R]) Context() context.Context { return o.ctx }

func (o *oneWay[Q, R]) Header() (metadata.MD, error) {
	if o.in == nil {
		return nil, errNotOpen
	}
	return o.in.Header()
}

func (o *oneWay[Q, R]) Trailer() metadata.MD {
	if o.in == nil {
		return nil
	}
	return o.in.Trailer()
}
