package clientv3_test

import (
	"context"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
)

// methods returns a call of each method of a client.
func methods(cli *clientv3.Client, endpoint string) map[string]func(context.Context) error {
	drop := func(_ any, err error) error { return err }
	return map[string]func(context.Context) error{
		"Put":     func(ctx context.Context) error { return drop(cli.Put(ctx, "k", "v")) },
		"Get":     func(ctx context.Context) error { return drop(cli.Get(ctx, "k")) },
		"Delete":  func(ctx context.Context) error { return drop(cli.Delete(ctx, "k")) },
		"Compact": func(ctx context.Context) error { return drop(cli.Compact(ctx, 1)) },
		"Do":      func(ctx context.Context) error { return drop(cli.Do(ctx, clientv3.OpPut("k", "v"))) },
		"Txn":     func(ctx context.Context) error { return drop(cli.Txn(ctx).Then(clientv3.OpPut("k", "v")).Commit()) },
		"GetStream": func(ctx context.Context) error {
			stream, err := cli.GetStream(ctx, "k", clientv3.WithPrefix())
			if err != nil {
				return err
			}
			return drop(clientv3.GetStreamToGetResponse(stream))
		},
		"GetStream, sorted": func(ctx context.Context) error {
			stream, err := cli.GetStream(ctx, "k", clientv3.WithSort(clientv3.SortByValue, clientv3.SortDescend))
			if err != nil {
				return err
			}
			return drop(clientv3.GetStreamToGetResponse(stream))
		},
		"Watch": func(ctx context.Context) error {
			resp := <-cli.Watch(ctx, "k")
			return resp.Err()
		},
		"Grant":      func(ctx context.Context) error { return drop(cli.Grant(ctx, 10)) },
		"Revoke":     func(ctx context.Context) error { return drop(cli.Revoke(ctx, 1)) },
		"TimeToLive": func(ctx context.Context) error { return drop(cli.TimeToLive(ctx, 1)) },
		"Leases":     func(ctx context.Context) error { return drop(cli.Leases(ctx)) },
		"KeepAliveOnce": func(ctx context.Context) error {
			return drop(cli.KeepAliveOnce(ctx, 1))
		},
		"MemberList":    func(ctx context.Context) error { return drop(cli.MemberList(ctx)) },
		"MemberAdd":     func(ctx context.Context) error { return drop(cli.MemberAdd(ctx, []string{"http://a:1"})) },
		"MemberRemove":  func(ctx context.Context) error { return drop(cli.MemberRemove(ctx, 1)) },
		"MemberPromote": func(ctx context.Context) error { return drop(cli.MemberPromote(ctx, 1)) },
		"UserAdd":       func(ctx context.Context) error { return drop(cli.UserAdd(ctx, "u", "p")) },
		"UserList":      func(ctx context.Context) error { return drop(cli.UserList(ctx)) },
		"RoleAdd":       func(ctx context.Context) error { return drop(cli.RoleAdd(ctx, "r")) },
		"AuthEnable":    func(ctx context.Context) error { return drop(cli.AuthEnable(ctx)) },
		"AuthStatus":    func(ctx context.Context) error { return drop(cli.AuthStatus(ctx)) },
		"AlarmList":     func(ctx context.Context) error { return drop(cli.AlarmList(ctx)) },
		"MoveLeader":    func(ctx context.Context) error { return drop(cli.MoveLeader(ctx, 1)) },
		"Status":        func(ctx context.Context) error { return drop(cli.Status(ctx, endpoint)) },
		"HashKV":        func(ctx context.Context) error { return drop(cli.HashKV(ctx, endpoint, 0)) },
		"Defragment":    func(ctx context.Context) error { return drop(cli.Defragment(ctx, endpoint)) },
	}
}

// Programs compare clientv3's errors with ==, look at their codes, and match their
// texts.
func TestErrorsOfAllMethods(t *testing.T) {
	odd := status.Error(codes.InvalidArgument, "a proxy's own")
	for _, tt := range []struct {
		name    string
		refusal error
		is      func(error) bool
	}{
		{"etcd's", rpctypes.ErrGRPCPermissionDenied, func(err error) bool { return err == rpctypes.ErrPermissionDenied }}, //nolint:errorlint // as callers do
		{"another's", odd, func(err error) bool {
			return status.Code(err) == codes.InvalidArgument && err.Error() == odd.Error()
		}},
	} {
		run(t, 1, nil, func(r *rig) {
			t, m := r.t, r.cluster.Member(0)
			m.Intercept(func(context.Context, string, any, func() (any, error)) (any, error) { return nil, tt.refusal })
			m.InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
				if strings.HasPrefix(method, "/grpc.") {
					return next(ss)
				}
				return tt.refusal
			})
			for name, call := range methods(r.Client, m.Addr()) {
				if err := call(t.Context()); !tt.is(err) {
					t.Errorf("%s, %s: %v (%T)", tt.name, name, err, err)
				}
			}
		})
	}
}

// To disarm all alarms takes several requests, of which a later one may be refused: users
// without the role root may list alarms.
func TestErrorOfDisarmAll(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		r.cluster.Member(0).Intercept(func(_ context.Context, method string, req any, next func() (any, error)) (any, error) {
			switch q, _ := req.(*pb.AlarmRequest); {
			case method != pb.Maintenance_Alarm_FullMethodName:
				return next()
			case q.GetAction() == pb.AlarmRequest_GET:
				return &pb.AlarmResponse{Alarms: []*pb.AlarmMember{{MemberID: 1, Alarm: pb.AlarmType_NOSPACE}}}, nil
			}
			return nil, rpctypes.ErrGRPCPermissionDenied
		})
		if _, err := r.AlarmDisarm(r.t.Context(), &clientv3.AlarmMember{}); err != rpctypes.ErrPermissionDenied { //nolint:errorlint // as callers do
			r.t.Errorf("%v (%T), want %v", err, err, rpctypes.ErrPermissionDenied)
		}
	})
}

// A request that is too large is refused with gRPC's own error.
func TestErrorTooLarge(t *testing.T) {
	run(t, 1, func(cfg *clientv3.Config) { cfg.MaxCallSendMsgSize = 1000 }, func(r *rig) {
		const want = "rpc error: code = ResourceExhausted desc = trying to send message larger than max "
		_, err := r.Put(r.t.Context(), "k", strings.Repeat("v", 2000))
		if err == nil || !strings.HasPrefix(err.Error(), want) || status.Code(err) != codes.ResourceExhausted {
			r.t.Errorf("%v, want %s", err, want)
		}
		// The limit is not for generated stubs.
		stub := pb.NewKVClient(r.ActiveConnection())
		large := &pb.PutRequest{Key: []byte("k"), Value: make([]byte, 2000)}
		if _, err := stub.Put(r.t.Context(), large); err != nil {
			r.t.Errorf("a stub's Put: %v", err)
		}
		_, err = stub.Put(r.t.Context(), large, grpc.MaxCallSendMsgSize(1000))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			r.t.Errorf("a stub's Put with a limit of its own: %v, want %s", err, want)
		}
	})
}

// A TTL that is too large is the server's error, even if it would overflow a
// Duration.
func TestTTLTooLarge(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		ttl := int64(10_000_000_000)
		if _, err := r.Grant(r.t.Context(), ttl); err != rpctypes.ErrLeaseTTLTooLarge { //nolint:errorlint // as callers do
			r.t.Errorf("Grant: %v, want %v", err, rpctypes.ErrLeaseTTLTooLarge)
		}
		if int64(int(ttl)) != ttl {
			return // here an int cannot hold it
		}
		if _, err := concurrency.NewSession(r.Client, concurrency.WithTTL(int(ttl))); err != rpctypes.ErrLeaseTTLTooLarge { //nolint:errorlint // as callers do
			r.t.Errorf("NewSession: %v, want %v", err, rpctypes.ErrLeaseTTLTooLarge)
		}
	})
}

// A watch response that is larger than the program accepts is gRPC's own error,
// too.
func TestWatchTooLarge(t *testing.T) {
	run(t, 1, func(cfg *clientv3.Config) { cfg.MaxCallRecvMsgSize = 1000 }, func(r *rig) {
		events := r.Watch(r.t.Context(), "k")
		if _, err := r.Put(r.t.Context(), "k", strings.Repeat("v", 2000)); err != nil {
			r.t.Fatal(err)
		}
		const want = "rpc error: code = ResourceExhausted desc = grpc: received message larger than max "
		resp := <-events
		if err := resp.Err(); err == nil || !strings.HasPrefix(err.Error(), want) || status.Code(err) != codes.ResourceExhausted {
			r.t.Errorf("%v, want %s", err, want)
		}
	})
}

// After Close, calls fail with gRPC's own error, as calls on any closed connection do.
func TestErrorAfterClose(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		all := methods(r.Client, r.cluster.Member(0).Addr())
		for _, name := range []string{"Put", "Get", "Txn", "Grant", "Revoke", "KeepAliveOnce", "MemberList", "AuthStatus", "AlarmList"} {
			if err := all[name](t.Context()); err != grpc.ErrClientConnClosing { //nolint:errorlint,staticcheck // as callers do
				t.Errorf("%s: %v (%T), want %v", name, err, err, grpc.ErrClientConnClosing) //nolint:staticcheck // likewise
			}
		}
	})
}
