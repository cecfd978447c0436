package integration_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/integration/cluster"
)

// Package etcdtest answers requests as etcd does, field by field, errors too.
func TestEtcdtestAnswersAsEtcdDoes(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1, Flags: []string{"--election-timeout=1000"}}) // as it is by default; the least TTL follows from it
	need(t, c, "3.7", "the answers that etcdtest gives")
	etcd, err := grpc.NewClient("passthrough:///"+c.Endpoints()[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	memory := etcdtest.Start(t, 1).Conn(t)
	ctx := timeout(t)
	for i, r := range slices.Concat(kvRequests(), txnRequests(), leaseRequests(), watchRequests()) {
		want, wantErr := answer(ctx, etcd, r)
		got, gotErr := answer(ctx, memory, r)
		if ctx.Err() != nil {
			t.Fatalf("%d: %T %v: etcd says %v, %v, and etcdtest %v, %v, but not in time", i, r, r, want, wantErr, got, gotErr)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%d: %T %v: etcd (-) and etcdtest (+):\n%s", i, r, r, diff)
		}
		if status.Code(wantErr) != status.Code(gotErr) || status.Convert(wantErr).Message() != status.Convert(gotErr).Message() {
			t.Errorf("%d: %T %v: got %v, etcd says %v", i, r, r, gotErr, wantErr)
		}
	}
}

// answer returns the answer without what no two clusters share.
func answer(ctx context.Context, conn *grpc.ClientConn, req proto.Message) (proto.Message, error) {
	resp, err := send(ctx, conn, req)
	if err != nil {
		return nil, err
	}
	strip(resp.ProtoReflect())
	return resp, nil
}

// strip takes away who answered, and the time that a lease has left.
func strip(m protoreflect.Message) {
	switch h := m.Interface().(type) {
	case *pb.ResponseHeader:
		h.ClusterId, h.MemberId, h.RaftTerm = 0, 0, 0
	case *pb.LeaseTimeToLiveResponse:
		h.TTL = min(h.TTL, 1)
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Kind() == protoreflect.MessageKind && !f.IsMap() {
			if !f.IsList() {
				strip(v.Message())
				return true
			}
			for i := range v.List().Len() {
				strip(v.List().Get(i).Message())
			}
		}
		return true
	})
}

func send(ctx context.Context, conn *grpc.ClientConn, req proto.Message) (proto.Message, error) {
	store, leases := pb.NewKVClient(conn), pb.NewLeaseClient(conn)
	locks := v3lockpb.NewLockClient(conn)
	switch r := req.(type) {
	case *pb.RangeRequest:
		return result(store.Range(ctx, r))
	case *pb.PutRequest:
		return result(store.Put(ctx, r))
	case *pb.DeleteRangeRequest:
		return result(store.DeleteRange(ctx, r))
	case *pb.TxnRequest:
		return result(store.Txn(ctx, r))
	case *pb.CompactionRequest:
		return result(store.Compact(ctx, r))
	case *pb.LeaseGrantRequest:
		return result(leases.LeaseGrant(ctx, r))
	case *pb.LeaseRevokeRequest:
		return result(leases.LeaseRevoke(ctx, r))
	case *pb.LeaseTimeToLiveRequest:
		return result(leases.LeaseTimeToLive(ctx, r))
	case *pb.LeaseLeasesRequest:
		return result(leases.LeaseLeases(ctx, r))
	case *pb.LeaseKeepAliveRequest:
		s, err := leases.LeaseKeepAlive(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.Send(r); err != nil {
			return nil, err
		}
		return result(s.Recv())
	case *v3lockpb.LockRequest:
		return result(locks.Lock(ctx, r))
	case *v3lockpb.UnlockRequest:
		return result(locks.Unlock(ctx, r))
	case *pb.WatchCreateRequest:
		return watched(ctx, conn, r)
	}
	return nil, fmt.Errorf("%T is not sent here", req)
}

func result[M proto.Message](m M, err error) (proto.Message, error) { return m, err }

// watched is what a watch says until it has no more history to tell, or is canceled, as
// one response with all events.
func watched(ctx context.Context, conn *grpc.ClientConn, r *pb.WatchCreateRequest) (proto.Message, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
		return nil, err
	}
	all := &pb.WatchResponse{}
	for {
		resp, err := s.Recv()
		if err != nil {
			return nil, err
		}
		all.Events = append(all.Events, resp.Events...)
		switch {
		case resp.Canceled:
			all.Header = resp.Header
			all.Canceled = true
			all.CancelReason = resp.CancelReason
			all.CompactRevision = resp.CompactRevision
			return all, nil
		case resp.Created:
			go askForProgress(ctx, s) // ends with ctx
		case len(resp.Events) == 0:
			return all, nil
		}
	}
}

// askForProgress asks again and again, since who is behind does not answer.
func askForProgress(ctx context.Context, s pb.Watch_WatchClient) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
		if err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// As etcd, package etcdtest says nothing of the progress of a watch that waits for its
// first revision.
func TestEtcdtestIsSilentAsEtcdIs(t *testing.T) {
	c := startCluster(t, cluster.Config{Size: 1})
	need(t, c, "3.7", "the silence of etcdtest")
	etcd, err := grpc.NewClient("passthrough:///"+c.Endpoints()[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	for name, conn := range map[string]*grpc.ClientConn{"etcd": etcd, "etcdtest": etcdtest.Start(t, 1).Conn(t)} {
		for _, tt := range []struct {
			start  string
			from   func(current int64) int64
			silent bool
		}{
			{"now", func(int64) int64 { return 0 }, false},
			{"the next revision", func(current int64) int64 { return current + 1 }, true},
		} {
			ctx := timeout(t)
			store := pb.NewKVClient(conn)
			put, err := store.Put(ctx, &pb.PutRequest{Key: []byte("k")})
			if err != nil {
				t.Fatal(err)
			}
			s, err := pb.NewWatchClient(conn).Watch(ctx)
			if err != nil {
				t.Fatal(err)
			}
			create := &pb.WatchCreateRequest{Key: []byte("k"), StartRevision: tt.from(put.Header.Revision)}
			for _, r := range []*pb.WatchRequest{
				{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}},
				{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}},
				{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}, // which is answered after it
			} {
				if err := s.Send(r); err != nil {
					t.Fatal(err)
				}
			}
			var created, progress, events int
			for events == 0 {
				resp, err := s.Recv()
				switch {
				case err != nil:
					t.Fatal(err)
				case resp.Created:
					if created++; created == 2 {
						if _, err := store.Put(ctx, &pb.PutRequest{Key: []byte("k")}); err != nil {
							t.Fatal(err)
						}
					}
				case len(resp.Events) == 0:
					progress++
				default:
					events++
				}
			}
			if silent := progress == 0; silent != tt.silent {
				t.Errorf("%s, a watch from %s: silent %v, want %v", name, tt.start, silent, tt.silent)
			}
		}
	}
}
