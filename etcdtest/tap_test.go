package etcdtest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/testconn"
)

const keepAlive = pb.Lease_LeaseKeepAlive_FullMethodName

// renew sends one renewal on a stream of its own.
func renew(ctx context.Context, rpc pb.LeaseClient, id int64) (*pb.LeaseKeepAliveResponse, error) {
	stream, err := rpc.LeaseKeepAlive(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err == nil {
		_ = stream.CloseSend()
	}
	return stream.Recv()
}

func TestTap(t *testing.T) {
	c := etcdtest.Start(t, 1)
	m := c.Member(0)
	rpc := pb.NewLeaseClient(c.Conn(t))
	if _, err := rpc.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: 7, TTL: 60}); err != nil {
		t.Fatal(err)
	}
	var seen []int64
	m.Tap(keepAlive, etcdtest.Tap{
		Received: func(_ context.Context, req any) error {
			id := req.(*pb.LeaseKeepAliveRequest).ID
			seen = append(seen, id)
			if id == 8 {
				return status.Error(codes.PermissionDenied, "not this one")
			}
			return nil
		},
		Sending: func(_ context.Context, resp any) error {
			r := resp.(*pb.LeaseKeepAliveResponse)
			if r.TTL == 0 {
				return errors.New("lost")
			}
			r.TTL++
			return nil
		},
	})
	for _, tc := range []struct {
		id  int64
		ttl int64
		err codes.Code
	}{
		{id: 7, ttl: 61},
		{id: 8, err: codes.PermissionDenied},
		{id: 9, err: codes.Unknown},
	} {
		resp, err := renew(t.Context(), rpc, tc.id)
		if status.Code(err) != tc.err || resp.GetTTL() != tc.ttl {
			t.Errorf("renewal of %d: got %v, %v; want TTL %d, code %v", tc.id, resp, err, tc.ttl, tc.err)
		}
	}
	if want := []int64{7, 8, 9}; !slices.Equal(seen, want) {
		t.Errorf("received %v, want %v", seen, want)
	}

	// Other methods pass, and so does everything when the tap is closed.
	m.Tap(pb.Watch_Watch_FullMethodName, etcdtest.Tap{Received: func(context.Context, any) error { return errors.New("mistaken") }})
	if _, err := renew(t.Context(), rpc, 7); err != nil {
		t.Errorf("renewal while another method is tapped: %v", err)
	}
	m.Tap(keepAlive, etcdtest.Tap{})
	if _, err := renew(t.Context(), rpc, 7); err != nil {
		t.Errorf("renewal through an empty tap: %v", err)
	}
}

func TestRotation(t *testing.T) {
	c := etcdtest.Start(t, 3)
	r := testconn.Rotate(t, c.Members()...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 5 {
		if _, err := renew(ctx, pb.NewLeaseClient(r), 1); err != nil {
			t.Fatal(err)
		}
	}
	var got []int
	for _, m := range c.Members() {
		got = append(got, m.Calls(keepAlive))
	}
	if want := []int{2, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("streams by member: %v, want %v", got, want)
	}
	c.Member(0).Kill()
	if err := ranging(ctx, r, false); err != nil {
		t.Errorf("unary call without the first member: %v", err)
	}
	if got := c.Member(2).Calls(pb.KV_Range_FullMethodName); got != 0 {
		t.Errorf("the third member was called %d times, want 0: the second has answered", got)
	}
}
