package lease_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/fakeetcd"
	"github.com/getcd/getcd/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const keepAlive = pb.Lease_LeaseKeepAlive_FullMethodName

// service is the lease service on the first member of a new cluster. The end of
// the test closes it.
func service(t *testing.T, members int) (lease.Lease, *fakeetcd.Cluster) {
	t.Helper()
	c := fakeetcd.Start(t, members)
	return newService(t, c.Conn(t)), c
}

func newService(t *testing.T, cc grpc.ClientConnInterface) lease.Lease {
	t.Helper()
	l := lease.New(cc)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func mustGrant(t *testing.T, l lease.Lease, ttl int64) lease.ID {
	t.Helper()
	g, err := l.Grant(t.Context(), ttl)
	if err != nil {
		t.Fatalf("Grant(%d): %v", ttl, err)
	}
	return g.ID
}

func mustKeep(t *testing.T, l lease.Lease, id lease.ID) *lease.Keeper {
	t.Helper()
	k, err := l.Keep(t.Context(), id)
	if err != nil {
		t.Fatalf("Keep: %v", err)
	}
	return k
}

// exists asks another member than the one under test whether a lease lives.
func exists(t *testing.T, cc grpc.ClientConnInterface, id lease.ID) bool {
	t.Helper()
	resp, err := pb.NewLeaseClient(cc).LeaseTimeToLive(t.Context(), &pb.LeaseTimeToLiveRequest{ID: int64(id)})
	if err != nil {
		t.Fatalf("LeaseTimeToLive: %v", err)
	}
	return resp.GrantedTTL > 0
}

func isDone(k *lease.Keeper) bool {
	select {
	case <-k.Done():
		return true
	default:
		return false
	}
}

// rotating is a connection that opens each stream on the next of its members: a
// failover connection as simple as it gets.
type rotating struct {
	conns []*grpc.ClientConn

	mu   sync.Mutex
	next int
}

func newRotating(t *testing.T, c *fakeetcd.Cluster) *rotating {
	t.Helper()
	r := &rotating{}
	for _, m := range c.Members() {
		r.conns = append(r.conns, m.Conn(t))
	}
	return r
}

func (r *rotating) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	var err error
	for _, conn := range r.conns {
		if err = conn.Invoke(ctx, method, args, reply, opts...); err == nil {
			return nil
		}
	}
	return err
}

func (r *rotating) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	r.mu.Lock()
	conn := r.conns[r.next%len(r.conns)]
	r.next++
	r.mu.Unlock()
	return conn.NewStream(ctx, desc, method, opts...)
}

// renewal is a keep-alive request as a server received it.
type renewal struct {
	id lease.ID
	at time.Time
}

// record notes when each renewal arrives at m, and lets slow answer, if given,
// delay its answer.
func record(m *fakeetcd.Member, delay func(n int) time.Duration) func() []renewal {
	var (
		mu  sync.Mutex
		all []renewal
	)
	m.InterceptStream(func(ss grpc.ServerStream, _ string, next func(grpc.ServerStream) error) error {
		return next(&tapped{ServerStream: ss, received: func(msg any) error {
			req, ok := msg.(*pb.LeaseKeepAliveRequest)
			if !ok {
				return nil
			}
			mu.Lock()
			all = append(all, renewal{lease.ID(req.ID), time.Now()})
			n := len(all)
			mu.Unlock()
			if delay == nil {
				return nil
			}
			return wait(ss.Context(), delay(n))
		}})
	})
	return func() []renewal {
		mu.Lock()
		defer mu.Unlock()
		return append([]renewal(nil), all...)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type tapped struct {
	grpc.ServerStream
	received func(msg any) error
	sending  func(msg any) error
}

func (s *tapped) RecvMsg(msg any) error {
	if err := s.ServerStream.RecvMsg(msg); err != nil {
		return err
	}
	if s.received == nil {
		return nil
	}
	return s.received(msg)
}

func (s *tapped) SendMsg(msg any) error {
	if s.sending != nil {
		if err := s.sending(msg); err != nil {
			return err
		}
	}
	return s.ServerStream.SendMsg(msg)
}

func wantIs(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want one that is %v", what, err, target)
	}
}
