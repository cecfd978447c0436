package etcdtest_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/etcdtest"
)

func ranging(ctx context.Context, conn grpc.ClientConnInterface, serializable bool) error {
	_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("k"), Serializable: serializable})
	return err
}

func TestKillAndStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		m := c.Member(0)
		conn := m.Conn(t)
		put(t, conn, "k", "v")
		m.Kill()
		m.Kill()
		if err := ranging(t.Context(), conn, false); status.Code(err) != codes.Unavailable {
			t.Errorf("killed: got %v, want Unavailable", err)
		}
		if _, err := c.Dialer()(t.Context(), m.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial to a killed member: got %v, want connection refused", err)
		}
		if got := get(t, c.Member(1).Conn(t), "k"); string(got.GetValue()) != "v" {
			t.Errorf("at the other member: got %v, want v", got)
		}
		m.SetAddr("elsewhere:1")
		m.Start()
		if _, err := c.Dialer()(t.Context(), "member-1:2379"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial to the old address: got %v, want connection refused", err)
		}
		if got := get(t, m.Conn(t), "k"); string(got.GetValue()) != "v" {
			t.Errorf("at the new address: got %v, want v", got)
		}
	})
}

func TestHangAndFreeze(t *testing.T) {
	for name, fault := range map[string]struct{ set, clear func(*etcdtest.Member) }{
		"hang":   {(*etcdtest.Member).Hang, (*etcdtest.Member).Resume},
		"freeze": {(*etcdtest.Member).Freeze, (*etcdtest.Member).Thaw},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 1)
				conn := c.Conn(t)
				put(t, conn, "k", "v")
				fault.set(c.Member(0))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := ranging(ctx, conn, true); status.Code(err) != codes.DeadlineExceeded {
					t.Errorf("got %v, want DeadlineExceeded", err)
				}
				done := make(chan error, 1)
				go func() { done <- ranging(t.Context(), conn, true) }()
				synctest.Wait()
				select {
				case err := <-done:
					t.Errorf("answered while faulty: %v", err)
				default:
				}
				fault.clear(c.Member(0))
				if err := <-done; err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

func TestNoLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		m, conn := c.Member(0), c.Conn(t)
		strict := metadata.AppendToOutgoingContext(t.Context(), rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
		stream, err := pb.NewWatchClient(conn).Watch(strict)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the stream has reached the member
		m.SetNoLeader(true)
		_, err = stream.Recv()
		wantErr(t, "open stream", err, rpctypes.ErrGRPCNoLeader)
		wantErr(t, "hasleader", ranging(strict, conn, false), rpctypes.ErrGRPCNoLeader)
		wantErr(t, "serializable", ranging(t.Context(), conn, true), nil)
		start := time.Now()
		wantErr(t, "linearizable", ranging(t.Context(), conn, false), rpctypes.ErrGRPCTimeout)
		if got := time.Since(start); got != 7*time.Second {
			t.Errorf("linearizable timed out after %v, want 7s", got)
		}
		resp, err := pb.NewMaintenanceClient(conn).Status(t.Context(), &pb.StatusRequest{})
		if err != nil || resp.Leader != 0 {
			t.Errorf("status: got %v, %v, want no leader", resp, err)
		}
		m.SetNoLeader(false)
		wantErr(t, "afterwards", ranging(strict, conn, false), nil)
	})
}

func TestLearner(t *testing.T) {
	c := etcdtest.Start(t, 2)
	m := c.Member(1)
	conn := m.Conn(t)
	m.SetLearner(true)
	wantErr(t, "linearizable", ranging(t.Context(), conn, false), rpctypes.ErrGRPCNotSupportedForLearner)
	wantErr(t, "serializable", ranging(t.Context(), conn, true), nil)
	stream, err := pb.NewWatchClient(conn).Watch(t.Context())
	if err == nil {
		_, err = stream.Recv()
	}
	wantErr(t, "stream", err, rpctypes.ErrGRPCNotSupportedForLearner)
	list, err := pb.NewClusterClient(c.Conn(t)).MemberList(t.Context(), &pb.MemberListRequest{})
	if err != nil || len(list.Members) != 2 || list.Members[0].IsLearner || !list.Members[1].IsLearner {
		t.Errorf("member list: got %v, %v, want the second of two to be a learner", list, err)
	}
}

// A hook can lose the answer to a write that was applied, kill its own member,
// and let other calls pass.
func TestIntercept(t *testing.T) {
	c := etcdtest.Start(t, 2)
	m := c.Member(0)
	m.Intercept(func(_ context.Context, method string, req any, next func() (any, error)) (any, error) {
		if r, ok := req.(*pb.PutRequest); ok && method == pb.KV_Put_FullMethodName && string(r.Key) == "k" {
			if _, err := next(); err != nil {
				return nil, err
			}
			m.Kill()
			return nil, status.Error(codes.Unavailable, "lost")
		}
		return next()
	})
	conn := m.Conn(t)
	put(t, conn, "other", "v")
	if _, err := pb.NewKVClient(conn).Put(t.Context(), &pb.PutRequest{Key: []byte("k"), Value: []byte("v")}); status.Code(err) != codes.Unavailable {
		t.Errorf("put: got %v, want Unavailable", err)
	}
	if got := get(t, c.Member(1).Conn(t), "k"); string(got.GetValue()) != "v" {
		t.Errorf("got %v, want the put applied", got)
	}
	if got := m.Calls(pb.KV_Put_FullMethodName); got != 2 {
		t.Errorf("calls of Put: got %d, want 2", got)
	}
}

func TestElect(t *testing.T) {
	c := etcdtest.Start(t, 2)
	client := pb.NewMaintenanceClient(c.Conn(t))
	before, err := client.Status(t.Context(), &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	c.Elect(c.Member(1))
	after, err := client.Status(t.Context(), &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if before.Leader != c.Member(0).ID() || after.Leader != c.Member(1).ID() || after.RaftTerm != before.RaftTerm+1 {
		t.Errorf("got leader %d in term %d, then %d in %d; want member 1, then member 2 one term later",
			before.Leader, before.RaftTerm, after.Leader, after.RaftTerm)
	}
}
