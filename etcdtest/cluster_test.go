package etcdtest_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wantErr compares by code and text, since errors do not survive the wire.
func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if status.Code(got) != status.Code(want) || status.Convert(got).Message() != status.Convert(want).Message() {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func put(t *testing.T, conn grpc.ClientConnInterface, key, value string) int64 {
	t.Helper()
	resp, err := pb.NewKVClient(conn).Put(t.Context(), &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return resp.Header.Revision
}

func get(t *testing.T, conn grpc.ClientConnInterface, key string) *mvccpb.KeyValue {
	t.Helper()
	resp, err := pb.NewKVClient(conn).Range(t.Context(), &pb.RangeRequest{Key: []byte(key)})
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	if len(resp.Kvs) == 0 {
		return nil
	}
	return resp.Kvs[0]
}

func keysOf(kvs []*mvccpb.KeyValue) string {
	var s string
	for _, kv := range kvs {
		s += string(kv.Key)
	}
	return s
}

func TestPutAndRange(t *testing.T) {
	c := etcdtest.Start(t, 1)
	conn := c.Conn(t)
	kv := pb.NewKVClient(conn)

	first := put(t, conn, "a", "3")
	put(t, conn, "b", "2")
	put(t, conn, "c", "1")
	last := put(t, conn, "a", "4")
	if first != 2 || last != 5 {
		t.Fatalf("revisions of the first and the last put: got %d and %d, want 2 and 5", first, last)
	}

	tests := []struct {
		name  string
		req   *pb.RangeRequest
		keys  string
		count int64
		more  bool
	}{
		{"one", &pb.RangeRequest{Key: []byte("b")}, "b", 1, false},
		{"absent", &pb.RangeRequest{Key: []byte("x")}, "", 0, false},
		{"range excludes its end", &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("c")}, "ab", 2, false},
		{"from key", &pb.RangeRequest{Key: []byte("b"), RangeEnd: []byte{0}}, "bc", 2, false},
		{"limit", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Limit: 2}, "ab", 3, true},
		{"limit not reached", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Limit: 3}, "abc", 3, false},
		{"count only", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, CountOnly: true}, "", 3, false},
		{"history", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Revision: 3}, "ab", 2, false},
		{"descending", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, SortOrder: pb.RangeRequest_DESCEND}, "cba", 3, false},
		{"by value", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, SortTarget: pb.RangeRequest_VALUE}, "cba", 3, false},
		{"by mod revision", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, SortTarget: pb.RangeRequest_MOD}, "bca", 3, false},
		{"by version, limited after sorting", &pb.RangeRequest{
			Key: []byte{0}, RangeEnd: []byte{0}, Limit: 1,
			SortTarget: pb.RangeRequest_VERSION, SortOrder: pb.RangeRequest_DESCEND,
		}, "a", 3, true},
		{"by value without an order, limited before sorting", &pb.RangeRequest{
			Key: []byte{0}, RangeEnd: []byte{0}, Limit: 1, SortTarget: pb.RangeRequest_VALUE,
		}, "b", 3, true},
		{"min mod revision", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, MinModRevision: 4}, "ac", 3, false},
		{"max mod revision", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, MaxModRevision: 4}, "bc", 3, false},
		{"min create revision", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, MinCreateRevision: 3}, "bc", 3, false},
		{"max create revision", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, MaxCreateRevision: 3}, "ab", 3, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := kv.Range(t.Context(), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			if got := keysOf(resp.Kvs); got != tt.keys || resp.Count != tt.count || resp.More != tt.more {
				t.Errorf("got keys %q count %d more %v, want %q %d %v", got, resp.Count, resp.More, tt.keys, tt.count, tt.more)
			}
			if resp.Header.Revision != last || resp.Header.MemberId != c.Member(0).ID() || resp.Header.ClusterId == 0 || resp.Header.RaftTerm == 0 {
				t.Errorf("header: got %v, want revision %d of member %d", resp.Header, last, c.Member(0).ID())
			}
		})
	}

	got := get(t, conn, "a")
	if got.CreateRevision != 2 || got.ModRevision != 5 || got.Version != 2 || string(got.Value) != "4" {
		t.Errorf("key a: got %v, want created at 2, modified at 5, version 2, value 4", got)
	}
}

func TestKVErrors(t *testing.T) {
	c := etcdtest.Start(t, 1)
	conn := c.Conn(t)
	kv := pb.NewKVClient(conn)
	for _, value := range []string{"1", "2", "3"} {
		put(t, conn, "k", value) // revisions 2, 3, 4
	}
	if _, err := kv.Compact(t.Context(), &pb.CompactionRequest{Revision: 3}); err != nil {
		t.Fatal(err)
	}
	key := []byte("k")
	putOp := func(key string) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key)}}}
	}
	delOp := func(key, end string) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
			RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)},
		}}
	}
	txnOp := func(r *pb.TxnRequest) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: r}}
	}
	ops := func(ops ...*pb.RequestOp) *pb.TxnRequest { return &pb.TxnRequest{Success: ops} }

	tests := []struct {
		name string
		req  any
		want error
	}{
		{"range without a key", &pb.RangeRequest{}, rpctypes.ErrGRPCEmptyKey},
		{"range compacted", &pb.RangeRequest{Key: key, Revision: 2}, rpctypes.ErrGRPCCompacted},
		{"range at the compacted revision", &pb.RangeRequest{Key: key, Revision: 3}, nil},
		{"range of the future", &pb.RangeRequest{Key: key, Revision: 5}, rpctypes.ErrGRPCFutureRev},
		{"range sorted by nothing known", &pb.RangeRequest{Key: key, SortTarget: 9}, rpctypes.ErrGRPCInvalidSortOption},
		{"compact again", &pb.CompactionRequest{Revision: 3}, rpctypes.ErrGRPCCompacted},
		{"compact the future", &pb.CompactionRequest{Revision: 5}, rpctypes.ErrGRPCFutureRev},
		{"put without a key", &pb.PutRequest{}, rpctypes.ErrGRPCEmptyKey},
		{"put with an unknown lease", &pb.PutRequest{Key: key, Lease: 9}, rpctypes.ErrGRPCLeaseNotFound},
		{"put value and ignore", &pb.PutRequest{Key: key, Value: key, IgnoreValue: true}, rpctypes.ErrGRPCValueProvided},
		{"put lease and ignore", &pb.PutRequest{Key: key, Lease: 1, IgnoreLease: true}, rpctypes.ErrGRPCLeaseProvided},
		{"put ignore value of none", &pb.PutRequest{Key: []byte("x"), IgnoreValue: true}, rpctypes.ErrGRPCKeyNotFound},
		{"delete without a key", &pb.DeleteRangeRequest{}, rpctypes.ErrGRPCEmptyKey},
		{"txn puts twice", ops(putOp("a"), putOp("a")), rpctypes.ErrGRPCDuplicateKey},
		{"txn puts what it deletes", ops(putOp("b"), delOp("a", "c")), rpctypes.ErrGRPCDuplicateKey},
		{"txn puts twice, once nested", ops(putOp("a"), txnOp(ops(putOp("a")))), rpctypes.ErrGRPCDuplicateKey},
		{"txn puts in both nested branches", ops(txnOp(&pb.TxnRequest{
			Success: []*pb.RequestOp{putOp("a")}, Failure: []*pb.RequestOp{putOp("a")},
		})), nil},
		{"txn with an empty operation", ops(&pb.RequestOp{}), rpctypes.ErrGRPCKeyNotFound},
		{"txn compares no key", &pb.TxnRequest{Compare: []*pb.Compare{{}}}, rpctypes.ErrGRPCEmptyKey},
		{"txn too long", &pb.TxnRequest{Compare: make([]*pb.Compare, 129)}, rpctypes.ErrGRPCTooManyOps},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			switch r := tt.req.(type) {
			case *pb.RangeRequest:
				_, err = kv.Range(t.Context(), r)
			case *pb.PutRequest:
				_, err = kv.Put(t.Context(), r)
			case *pb.DeleteRangeRequest:
				_, err = kv.DeleteRange(t.Context(), r)
			case *pb.TxnRequest:
				for i := range r.Compare {
					if r.Compare[i] == nil {
						r.Compare[i] = &pb.Compare{Key: key}
					}
				}
				_, err = kv.Txn(t.Context(), r)
			case *pb.CompactionRequest:
				_, err = kv.Compact(t.Context(), r)
			}
			wantErr(t, tt.name, err, tt.want)
		})
	}
}

// A transaction reads its own writes, and a failing one leaves nothing behind.
func TestTxn(t *testing.T) {
	c := etcdtest.Start(t, 1)
	conn := c.Conn(t)
	kv := pb.NewKVClient(conn)
	put(t, conn, "k", "v")
	r := &pb.TxnRequest{
		Compare: []*pb.Compare{{
			Key: []byte("k"), RangeEnd: []byte("l"), Target: pb.Compare_VERSION, Result: pb.Compare_LESS,
			TargetUnion: &pb.Compare_Version{Version: 2},
		}},
		Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("k"), Value: []byte("w"), PrevKv: true}}},
			{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{
				// Nested comparisons see the state before the transaction.
				Compare: []*pb.Compare{{Key: []byte("k"), Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte("v")}}},
				Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k")}}}},
			}}},
		},
	}
	resp, err := kv.Txn(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	nested := resp.Responses[1].GetResponseTxn()
	if !resp.Succeeded || resp.Header.Revision != 3 || !nested.GetSucceeded() {
		t.Fatalf("got %v, want both branches taken at revision 3", resp)
	}
	if got := string(resp.Responses[0].GetResponsePut().PrevKv.Value); got != "v" {
		t.Errorf("previous value: got %q, want v", got)
	}
	if got := string(nested.Responses[0].GetResponseRange().Kvs[0].Value); got != "w" {
		t.Errorf("value read inside: got %q, want w", got)
	}
	if resp, err = kv.Txn(t.Context(), r); err != nil || resp.Succeeded || resp.Header.Revision != 3 {
		t.Errorf("second time: got %v, %v, want not succeeded and no new revision", resp, err)
	}
}

func TestLeaseExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		conn := c.Conn(t)
		leases, kv := pb.NewLeaseClient(conn), pb.NewKVClient(conn)
		granted, err := leases.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: 7, TTL: 10})
		if err != nil || granted.ID != 7 || granted.TTL != 10 {
			t.Fatalf("grant: got %v, %v, want ID 7 and TTL 10", granted, err)
		}
		_, err = leases.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: 7, TTL: 10})
		wantErr(t, "second grant", err, rpctypes.ErrGRPCLeaseExist)
		if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("k"), Lease: 7}); err != nil {
			t.Fatal(err)
		}

		stream, err := leases.LeaseKeepAlive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		keepAlive := func(id, want int64) {
			t.Helper()
			if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
				t.Fatal(err)
			}
			if resp, err := stream.Recv(); err != nil || resp.ID != id || resp.TTL != want {
				t.Fatalf("keep-alive of %d: got %v, %v, want TTL %d", id, resp, err, want)
			}
		}
		time.Sleep(6 * time.Second)
		keepAlive(7, 10)
		keepAlive(8, 0)
		time.Sleep(6 * time.Second) // past the first deadline
		ttl, err := leases.LeaseTimeToLive(t.Context(), &pb.LeaseTimeToLiveRequest{ID: 7, Keys: true})
		if err != nil || ttl.TTL != 4 || ttl.GrantedTTL != 10 || len(ttl.Keys) != 1 {
			t.Fatalf("time to live: got %v, %v, want 4 of 10 and one key", ttl, err)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if kv := get(t, conn, "k"); kv != nil {
			t.Errorf("key of the expired lease: got %v, want none", kv)
		}
		keepAlive(7, 0)
		if got := c.Member(0).Messages(pb.Lease_LeaseKeepAlive_FullMethodName); got != 3 {
			t.Errorf("keep-alive messages: got %d, want 3", got)
		}
		_, err = leases.LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: 7})
		wantErr(t, "revoke", err, rpctypes.ErrGRPCLeaseNotFound)
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("after CloseSend: got %v, want EOF", err)
		}
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		conn := c.Conn(t)
		kv := pb.NewKVClient(conn)
		put(t, conn, "a", "1") // 2
		put(t, conn, "b", "1") // 3
		stream, err := pb.NewWatchClient(conn).Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		send := func(r *pb.WatchRequest) {
			t.Helper()
			if err := stream.Send(r); err != nil {
				t.Fatal(err)
			}
		}
		recv := func() *pb.WatchResponse {
			t.Helper()
			resp, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		create := func(r *pb.WatchCreateRequest) *pb.WatchResponse {
			t.Helper()
			send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}})
			return recv()
		}
		if got := create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 1, PrevKv: true}); !got.Created || got.Canceled {
			t.Fatalf("create: got %v", got)
		}
		if got := recv(); len(got.Events) != 1 || got.Events[0].Kv.ModRevision != 2 {
			t.Fatalf("history: got %v, want the put at revision 2", got)
		}
		if _, err := kv.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte{0}}); err != nil { // 4
			t.Fatal(err)
		}
		got := recv()
		if len(got.Events) != 1 || got.Events[0].Type != mvccpb.Event_DELETE || string(got.Events[0].PrevKv.Value) != "1" {
			t.Fatalf("got %v, want the deletion of a with its previous value", got)
		}
		send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
		if got := recv(); got.WatchId != -1 || got.Header.Revision != 4 || len(got.Events) != 0 {
			t.Errorf("progress: got %v, want revision 4 for watch -1", got)
		}
		send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: 0}}})
		if got := recv(); !got.Canceled || got.WatchId != 0 {
			t.Errorf("cancel: got %v", got)
		}
		if _, err := kv.Compact(t.Context(), &pb.CompactionRequest{Revision: 4}); err != nil {
			t.Fatal(err)
		}
		if got := create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 2}); !got.Created {
			t.Errorf("create below the compaction: got %v", got)
		}
		if got := recv(); !got.Canceled || got.CompactRevision != 4 {
			t.Errorf("compacted: got %v, want cancelled at 4", got)
		}
		got = create(&pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")})
		if !got.Canceled || got.WatchId != -1 || got.CancelReason == "" {
			t.Errorf("empty range: got %v, want a refusal with its reason", got)
		}
	})
}

func TestLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		conn := c.Conn(t)
		locks, leases := v3lockpb.NewLockClient(conn), pb.NewLeaseClient(conn)
		for id := int64(10); id <= 13; id++ {
			if _, err := leases.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: id, TTL: 600}); err != nil {
				t.Fatal(err)
			}
		}
		lock := func(ctx context.Context, client v3lockpb.LockClient, lease int64) <-chan error {
			done := make(chan error, 1)
			go func() {
				_, err := client.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("l"), Lease: lease})
				done <- err
			}()
			synctest.Wait()
			return done
		}
		first, err := locks.Lock(t.Context(), &v3lockpb.LockRequest{Name: []byte("l"), Lease: 10})
		if err != nil || string(first.Key) != "l/a" {
			t.Fatalf("first: got %v, %v, want key l/a", first, err)
		}
		if again, err := locks.Lock(t.Context(), &v3lockpb.LockRequest{Name: []byte("l"), Lease: 10}); err != nil || string(again.Key) != "l/a" {
			t.Errorf("same lease again: got %v, %v, want key l/a", again, err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		second := lock(ctx, locks, 11)
		third := lock(t.Context(), locks, 12)
		other := c.Member(1).Conn(t)
		fourth := lock(t.Context(), v3lockpb.NewLockClient(other), 13)

		// Giving up removes the waiter's key; dying with it does not.
		cancel()
		if err := <-second; status.Code(err) != codes.Canceled {
			t.Errorf("cancelled waiter: got %v, want Canceled", err)
		}
		synctest.Wait()
		if kv := get(t, conn, "l/b"); kv != nil {
			t.Errorf("key of the cancelled waiter: got %v, want none", kv)
		}
		c.Member(1).Kill()
		if err := <-fourth; status.Code(err) != codes.Unavailable {
			t.Errorf("waiter at a killed member: got %v, want Unavailable", err)
		}
		synctest.Wait()
		if kv := get(t, conn, "l/d"); kv == nil {
			t.Error("key of the killed member's waiter: got none, want it to stay")
		}

		select {
		case err := <-third:
			t.Fatalf("third while the first holds: got %v, want it to wait", err)
		default:
		}
		if _, err := locks.Unlock(t.Context(), &v3lockpb.UnlockRequest{Key: first.Key}); err != nil {
			t.Fatal(err)
		}
		if err := <-third; err != nil {
			t.Errorf("third after unlock: %v", err)
		}
		_, err = locks.Lock(t.Context(), &v3lockpb.LockRequest{Name: []byte("l"), Lease: 99})
		wantErr(t, "unknown lease", err, status.Error(codes.Unknown, "etcdserver: requested lease not found"))
	})
}

func TestAuth(t *testing.T) {
	c := etcdtest.Start(t, 2)
	conn := c.Conn(t)
	kv, auth := pb.NewKVClient(conn), pb.NewAuthClient(conn)
	_, err := auth.Authenticate(t.Context(), &pb.AuthenticateRequest{Name: "u", Password: "p"})
	wantErr(t, "disabled", err, rpctypes.ErrGRPCAuthNotEnabled)
	c.EnableAuth(map[string]string{"u": "p"})
	_, err = auth.Authenticate(t.Context(), &pb.AuthenticateRequest{Name: "u", Password: "q"})
	wantErr(t, "wrong password", err, rpctypes.ErrGRPCAuthFailed)
	resp, err := auth.Authenticate(t.Context(), &pb.AuthenticateRequest{Name: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	req := &pb.RangeRequest{Key: []byte("k")}
	_, err = kv.Range(t.Context(), req)
	wantErr(t, "no token", err, rpctypes.ErrGRPCUserEmpty)
	ctx := metadata.AppendToOutgoingContext(t.Context(), rpctypes.TokenFieldNameGRPC, resp.Token)
	if _, err := pb.NewKVClient(c.Member(1).Conn(t)).Range(ctx, req); err != nil {
		t.Errorf("token at another member: %v", err)
	}
	if got := c.Member(1).LastMetadata(pb.KV_Range_FullMethodName).Get("token"); len(got) != 1 || got[0] != resp.Token {
		t.Errorf("recorded token: got %v, want %s", got, resp.Token)
	}
	c.ExpireTokens()
	_, err = kv.Range(ctx, req)
	wantErr(t, "expired token", err, rpctypes.ErrGRPCInvalidAuthToken)
	stream, err := pb.NewLeaseClient(conn).LeaseKeepAlive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: 1}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantErr(t, "expired token on a stream", err, rpctypes.ErrGRPCInvalidAuthToken)
	c.DisableAuth()
	if _, err := kv.Range(t.Context(), req); err != nil {
		t.Errorf("disabled again: %v", err)
	}
}
