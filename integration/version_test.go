package integration_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/maintenance"
)

// Each call works on servers from the version in which it was introduced. On
// older servers it returns an error that says so. Calls with the version 3.4 work
// on all servers.
func TestVersionsOfCalls(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	if _, err := cl.Put(timeout(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	m, a := maintain(t, cl), auth.New(cl.Conn())
	member := c.Members()[0]
	for _, tc := range []struct {
		name, since string
		call        func(context.Context) error
	}{
		{"Status", "3.4", func(ctx context.Context) error {
			s, err := m.Status(ctx, member.Endpoint())
			if err == nil && s.Version != c.Version() {
				err = fmt.Errorf("the version is %q, want %q", s.Version, c.Version())
			}
			return err
		}},
		{"HashKV", "3.4", func(ctx context.Context) error {
			h, err := m.HashKV(ctx, member.Endpoint(), 0)
			if overGateway() && !c.AtLeast("3.5") && status.Code(err) == codes.Unimplemented {
				return nil // the gateway has a path for it since 3.5
			}
			if err == nil && (h.Hash == 0 || (h.HashRevision != 0) != c.AtLeast("3.6")) {
				err = fmt.Errorf("got %v, want a hash, and its revision from etcd 3.6 on", h)
			}
			return err
		}},
		{"Hash", "3.4", func(ctx context.Context) error {
			_, err := pb.NewMaintenanceClient(cl.Conn()).Hash(ctx, &pb.HashRequest{})
			return err
		}},
		{"Defragment", "3.4", func(ctx context.Context) error { _, err := m.Defragment(ctx, member.Endpoint()); return err }},
		{"AlarmList", "3.4", func(ctx context.Context) error { _, err := m.AlarmList(ctx); return err }},
		{"Leases", "3.4", func(ctx context.Context) error { _, err := cl.Leases(ctx); return err }},
		{"MemberList", "3.4", func(ctx context.Context) error {
			_, err := pb.NewClusterClient(cl.Conn()).MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
			return err
		}},
		{"Lock", "3.4", func(ctx context.Context) error {
			granted, err := cl.Grant(ctx, 60)
			if err != nil {
				return err
			}
			s := lock.NewService(cl.Conn())
			held, err := s.Lock(ctx, "lock", granted.ID)
			if err != nil {
				return err
			}
			_, err = s.Unlock(ctx, string(held.Key))
			return err
		}},
		{"Campaign", "3.4", func(ctx context.Context) error {
			granted, err := cl.Grant(ctx, 60)
			if err != nil {
				return err
			}
			s := election.NewService(cl.Conn())
			won, err := s.Campaign(ctx, "election", granted.ID, "me")
			if err != nil {
				return err
			}
			_, err = s.Resign(ctx, won.Leader)
			return err
		}},
		{"AuthStatus", "3.5", func(ctx context.Context) error { _, err := a.AuthStatus(ctx); return err }},
		{"Downgrade", "3.5", func(ctx context.Context) error {
			_, err := m.Downgrade(ctx, maintenance.DowngradeCancel, "")
			if status.Code(err) == codes.FailedPrecondition {
				err = nil // there is no downgrade to cancel
			}
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.call(timeout(t))
			if !c.AtLeast(tc.since) {
				lacking(t, c, tc.since, err)
				t.Logf("etcd %s: %v", c.Version(), err)
				return
			}
			if err != nil {
				t.Errorf("etcd %s: %v", c.Version(), err)
			}
		})
	}
}

// A range can be read in parts from every server: servers without RangeStream are
// asked for pages of one revision.
func TestPartsOfEveryServer(t *testing.T) {
	const keys = 2500
	c := startCluster(t, cluster.Config{Size: 1})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	ctx := timeout(t)
	want := make([]string, keys)
	for i := range want {
		want[i] = fmt.Sprintf("k/%04d", i)
	}
	for batch := range slices.Chunk(want, 100) {
		var ops []kv.Op
		for _, key := range batch {
			ops = append(ops, kv.OpPut(key, strconv.Itoa(len(key))))
		}
		if _, err := cl.Txn(ctx).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := pb.NewKVClient(cl.Conn()).RangeStream(ctx, &pb.RangeRequest{Key: []byte("k/"), RangeEnd: []byte("k0")})
	if err == nil {
		_, err = stream.Recv()
	}
	if has := status.Code(err) != codes.Unimplemented; has != (c.AtLeast("3.7") && !overGateway()) {
		t.Errorf("etcd %s: RangeStream answers %v; it came with etcd 3.7, and has no path in the JSON gateway", c.Version(), err)
	}
	var got []string
	var last *kv.GetResponse
	for part, err := range kv.NewStreamer(cl.Conn()).Parts(ctx, "k/", kv.WithPrefix()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range part.Kvs {
			got = append(got, string(one.Key))
		}
		last = part
		// A change between two parts is in neither of them.
		if _, err := cl.Put(ctx, "k/9999", "later"); err != nil {
			t.Fatal(err)
		}
	}
	if count := (*pb.RangeResponse)(last).GetCount(); !slices.Equal(got, want) || count != keys {
		t.Errorf("got %d keys and the count %d, want the %d that there were when it began", len(got), count, keys)
	}
}
