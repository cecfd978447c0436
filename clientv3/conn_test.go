package clientv3_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/etcdtest"
)

// The state of the active connection is that of the client. kube-apiserver and
// other programs wait for it.
func TestConnectionState(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		conn, m := r.ActiveConnection(), r.cluster.Member(0)
		await := func(want connectivity.State) {
			t.Helper()
			ctx := r.timeout(time.Minute)
			for s := conn.GetState(); s != want; s = conn.GetState() {
				if !conn.WaitForStateChange(ctx, s) {
					t.Fatalf("the state is %v, want %v", s, want)
				}
			}
		}
		await(connectivity.Ready)
		m.Kill()
		await(connectivity.TransientFailure)
		m.Start()
		conn.Connect()
		await(connectivity.Ready)
		if got := conn.Target(); !strings.HasPrefix(got, "etcd-endpoints://0x") || !strings.HasSuffix(got, "/"+m.Addr()) {
			t.Errorf("the target is %q", got)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		await(connectivity.Shutdown)
	})
}

// Closing the active connection ends watches with an error, and ends keepers and
// calls.
func TestConnectionClose(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		grant, err := r.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := r.KeepAlive(t.Context(), grant.ID)
		if err != nil {
			t.Fatal(err)
		}
		events := r.Watch(t.Context(), "k")
		r.cluster.Member(0).Hang()
		call := make(chan error, 1)
		go func() {
			_, err := r.Get(context.Background(), "k")
			call <- err
		}()
		synctest.Wait()
		if err := r.ActiveConnection().Close(); err != nil {
			t.Error(err)
		}
		resp, ok := <-events
		if !ok || !resp.Canceled || status.Code(resp.Err()) != codes.Canceled {
			t.Errorf("the watch has ended with %+v, %v; want a last response with code Canceled", resp, resp.Err())
		}
		if _, ok := <-events; ok {
			t.Error("the watch's channel is open")
		}
		for range kept { // until it closes
		}
		if err := <-call; !clientv3.IsConnCanceled(err) || err.Error() != "rpc error: code = Canceled desc = grpc: the client connection is closing" {
			t.Errorf("the call under way: %v", err)
		}
		if _, err := r.Put(t.Context(), "k", "v"); !clientv3.IsConnCanceled(err) {
			t.Errorf("a call after it: %v", err)
		}
	})
}

// Generated stubs return gRPC's errors.
func TestConnectionErrors(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		stub := pb.NewKVClient(r.ActiveConnection())
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		tests := []struct {
			name string
			call func() error
			code codes.Code
			text string
		}{
			{"etcd's", func() error {
				_, err := stub.Range(t.Context(), &pb.RangeRequest{Key: []byte("k"), Revision: 1 << 40})
				return err
			}, codes.OutOfRange, rpctypes.ErrFutureRev.Error()},
			{"a stream's", func() error {
				s, err := stub.RangeStream(t.Context(), &pb.RangeRequest{Key: []byte("k"), Revision: 1 << 40})
				if err == nil {
					_, err = s.Recv()
				}
				return err
			}, codes.OutOfRange, rpctypes.ErrFutureRev.Error()},
			{"the context's", func() error {
				_, err := stub.Put(ended, &pb.PutRequest{Key: []byte("k")})
				return err
			}, codes.Canceled, context.Canceled.Error()},
		}
		for _, tt := range tests {
			err := tt.call()
			if want := status.Error(tt.code, tt.text); err == nil || err.Error() != want.Error() || status.Code(err) != tt.code {
				t.Errorf("%s: %v, want %v", tt.name, err, want)
			}
			if _, ok := err.(interface{ GRPCStatus() *status.Status }); !ok {
				t.Errorf("%s: a %T, want gRPC's", tt.name, err)
			}
		}
		ctx := metadata.AppendToOutgoingContext(t.Context(), "mine", "1")
		if _, err := stub.Range(ctx, &pb.RangeRequest{Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
		md := r.cluster.Member(0).LastMetadata(pb.KV_Range_FullMethodName)
		if len(md.Get(rpctypes.MetadataClientAPIVersionKey)) != 1 || len(md.Get("mine")) != 1 {
			t.Errorf("the metadata are %v, want the program's and the version", md)
		}
	})
}

// The response of a member to a generated stub goes to the program, even if it is
// an error. Only the services retry (TestDropReadUnderNetworkPartition of etcd's
// own suite).
func TestConnectionAnswer(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t, m := r.t, r.cluster.Member(0)
		dialed, err := r.Dial(m.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer dialed.Close()
		get := func(cc grpc.ClientConnInterface) func() error {
			return func() error {
				_, err := pb.NewKVClient(cc).Range(r.timeout(time.Minute), &pb.RangeRequest{Key: []byte("k")})
				return err
			}
		}
		for _, c := range []struct {
			name string
			call func() error
			want error
		}{
			{"Dial's", get(dialed), rpctypes.ErrGRPCLeaderChanged},
			{"the active one", get(r.ActiveConnection()), rpctypes.ErrGRPCLeaderChanged},
			{"a repeating stub's", func() error {
				_, err := clientv3.RetryKVClient(r.Client).Range(r.timeout(time.Minute), &pb.RangeRequest{Key: []byte("k")})
				return err
			}, nil},
			{"the service's", func() error { _, err := r.Get(r.timeout(time.Minute), "k"); return err }, nil},
		} {
			var asked atomic.Bool
			m.Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
				if read, ok := req.(*pb.RangeRequest); !ok || string(read.GetKey()) != "k" {
					return next() // the client sends requests of its own, too
				}
				if asked.CompareAndSwap(false, true) {
					time.Sleep(2 * time.Second) // as long as an election; a second copy would get an answer
					return nil, rpctypes.ErrGRPCLeaderChanged
				}
				return next()
			})
			if err := c.call(); fmt.Sprint(err) != fmt.Sprint(c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		}
	})
}

// A generated stub does not wait for unreachable members unless the call asks for
// that.
func TestConnectionUnreachable(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t, m := r.t, r.cluster.Member(0)
		dialed, err := r.Dial(m.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer dialed.Close()
		ctx := context.WithoutCancel(t.Context())
		key := &pb.RangeRequest{Key: []byte("k")}
		for name, conn := range map[string]*grpc.ClientConn{"Dial's": dialed, "the active one": r.ActiveConnection()} {
			stub := pb.NewKVClient(conn)
			if _, err := stub.Range(ctx, key); err != nil {
				t.Fatal(err)
			}
			m.Hang()
			under := make(chan error, 1)
			go func() {
				_, err := stub.Range(ctx, key)
				under <- err
			}()
			synctest.Wait()
			m.Kill()
			m.Resume()
			if err := <-under; status.Code(err) != codes.Unavailable {
				t.Errorf("%s: a call under way: %v, want Unavailable", name, err)
			}
			began := time.Now()
			if _, err := stub.Range(ctx, key); status.Code(err) != codes.Unavailable || time.Since(began) > 5*time.Second {
				t.Errorf("%s: a call: %v after %v, want Unavailable", name, err, time.Since(began))
			}
			if _, err := pb.NewWatchClient(conn).Watch(ctx); status.Code(err) != codes.Unavailable {
				t.Errorf("%s: a stream: %v, want Unavailable", name, err)
			}
			go func() {
				_, err := stub.Range(ctx, key, grpc.WaitForReady(true))
				under <- err
			}()
			time.Sleep(time.Minute)
			m.Start()
			if err := <-under; err != nil {
				t.Errorf("%s: a call that waits: %v", name, err)
			}
		}
	})
}

// A generated stub's stream stays with its member, even if the client has moved
// to another one, and a missing leader does not end it
// (TestV3WatchRestoreSnapshotUnsync of etcd's own suite). The streams of the
// services move.
func TestConnectionStream(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		ctx := r.timeout(time.Hour)
		stream, err := pb.NewWatchClient(r.ActiveConnection()).Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("k")}}})
		if err != nil {
			t.Fatal(err)
		}
		created, err := stream.Recv()
		if err != nil || !created.GetCreated() {
			t.Fatalf("got %v, %v; want that it was created", created, err)
		}
		for _, m := range r.cluster.Members() {
			if m.ID() == created.GetHeader().GetMemberId() {
				m.SetNoLeader(true)
				defer m.SetNoLeader(false)
			}
		}
		if _, err := r.Put(ctx, "k", "v"); err != nil { // through the other member
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if event, err := stream.Recv(); err != nil || len(event.GetEvents()) != 1 {
			t.Errorf("got %v, %v; want one event", event, err)
		}
	})
}

// If a server lacks RangeStream, the program has to handle that.
func TestGetStreamUnimplemented(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		r.cluster.Member(0).InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
			if method == pb.KV_RangeStream_FullMethodName {
				return status.Error(codes.Unimplemented, "unknown method RangeStream for service etcdserverpb.KV")
			}
			return next(ss)
		})
		for name, store := range map[string]clientv3.KV{
			"client": r.KV,
			"stub":   clientv3.NewKVFromKVClient(pb.NewKVClient(r.ActiveConnection()), nil),
		} {
			stream, err := store.GetStream(t.Context(), "k", clientv3.WithPrefix())
			if err == nil {
				part := <-stream
				err = part.Err()
			}
			if status.Code(err) != codes.Unimplemented || err.Error() != "rpc error: code = Unimplemented desc = unknown method RangeStream for service etcdserverpb.KV" {
				t.Errorf("%s: %v, want Unimplemented", name, err)
			}
		}
	})
}

// A stand-in for etcd may refuse to stream one key without an end of the range, as kine does.
// A range of many keys is read there nevertheless, and so is one key.
func TestGetStreamOfServerThatWantsAnEnd(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		const n = 250
		for i := range n {
			if _, err := r.Put(t.Context(), fmt.Sprintf("k/%03d", i), "v"); err != nil {
				t.Fatal(err)
			}
		}
		r.cluster.Member(0).InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
			if method == pb.KV_RangeStream_FullMethodName {
				ss = endWanted{ss}
			}
			return next(ss)
		})
		for key, want := range map[string]int{"k/": n, "k/007": 1} {
			opts := []clientv3.OpOption{clientv3.WithPrefix()}
			if want == 1 {
				opts = nil
			}
			stream, err := r.GetStream(t.Context(), key, opts...)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := clientv3.GetStreamToGetResponse(stream)
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			if len(resp.Kvs) != want || resp.Count != int64(want) {
				t.Errorf("%s: got %d keys, count %d; want %d", key, len(resp.Kvs), resp.Count, want)
			}
		}
	})
}

// endWanted is a stream of a server that refuses a range without an end.
type endWanted struct{ grpc.ServerStream }

func (s endWanted) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if in, ok := m.(*pb.RangeRequest); err == nil && ok && len(in.GetRangeEnd()) == 0 {
		return status.Error(codes.Unknown, "invalid range end length of 0")
	}
	return err
}

// If the client stops waiting for a write that was sent, the error is a timeout,
// and the outcome is unknown, whatever the reason for leaving its member.
func TestWriteGivenUp(t *testing.T) {
	for name, leave := range map[string]func(*etcdtest.Member){
		"silent":      (*etcdtest.Member).Freeze,
		"no leader":   func(m *etcdtest.Member) { m.SetNoLeader(true) },
		"not serving": func(m *etcdtest.Member) { m.SetServing(false) },
		"learner":     func(m *etcdtest.Member) { m.SetLearner(true) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				if _, err := r.Put(t.Context(), "k", "1"); err != nil {
					t.Fatal(err)
				}
				var m *etcdtest.Member // the member in use
				for _, of := range r.cluster.Members() {
					if of.Calls(pb.KV_Put_FullMethodName) > 0 {
						m = of
					}
				}
				m.Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
					if method == pb.KV_Put_FullMethodName {
						<-ctx.Done() // proposed, but never answered
					}
					return next()
				})
				defer m.Thaw()
				put := make(chan error, 1)
				go func() {
					_, err := r.Put(r.timeout(time.Minute), "k", "2")
					put <- err
				}()
				synctest.Wait()
				leave(m)
				if _, err := r.Get(r.timeout(time.Minute), "k"); err != nil { // moves to another member
					t.Error(err)
				}
				if err := <-put; err != rpctypes.ErrTimeout { //nolint:errorlint // as callers do
					t.Errorf("%v (%T), want %v", err, err, rpctypes.ErrTimeout)
				}
			})
		})
	}
}

// Calls wait while no member can be reached, as in clientv3, and succeed when one is
// back.
func TestCallsWaitInAnOutage(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		ctx := context.WithoutCancel(t.Context())
		if _, err := r.Put(ctx, "k", "v"); err != nil {
			t.Fatal(err)
		}
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		synctest.Wait() // what is sent on a connection that has just failed is ambiguous
		later, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		calls := map[string]func() error{
			"Put":                 func() error { _, err := r.Put(ctx, "k", "v"); return err },
			"Get":                 func() error { _, err := r.Get(ctx, "k"); return err },
			"Get with a deadline": func() error { _, err := r.Get(later, "k"); return err },
			"Grant":               func() error { _, err := r.Grant(ctx, 60); return err },
			"MemberList":          func() error { _, err := r.MemberList(ctx); return err },
			"Status":              func() error { _, err := r.Status(ctx, r.Endpoints()[0]); return err },
			"NewSession": func() error {
				s, err := concurrency.NewSession(r.Client)
				if err == nil {
					err = s.Close()
				}
				return err
			},
		}
		answers := make(chan error, len(calls))
		for name, call := range calls {
			go func() {
				if err := call(); err != nil {
					answers <- fmt.Errorf("%s: %w", name, err)
					return
				}
				answers <- nil
			}()
		}
		time.Sleep(10 * time.Minute) // the bubble's clock
		if n := len(answers); n > 0 {
			t.Errorf("%d calls have ended, want that all wait", n)
		}
		r.cluster.Member(0).Start()
		for range len(calls) {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
	})
}

// A stub's calls do not wait, even if the stub retries. A service on a stub waits if
// it was given the client.
func TestStubsInAnOutage(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t, m := r.t, r.cluster.Member(0)
		ctx := context.WithoutCancel(t.Context())
		m.Kill()
		synctest.Wait()
		retrying, plain := clientv3.RetryKVClient(r.Client), pb.NewKVClient(r.ActiveConnection())
		waits := make(chan error, 2)
		for _, stub := range []pb.KVClient{retrying, plain} {
			if _, err := stub.Range(ctx, &pb.RangeRequest{Key: []byte("k")}); status.Code(err) != codes.Unavailable {
				t.Errorf("a stub: got %v, want Unavailable", err)
			}
			if _, err := clientv3.NewKVFromKVClient(stub, nil).Get(ctx, "k"); status.Code(err) != codes.Unavailable {
				t.Errorf("a service without the client: got %v, want Unavailable", err)
			}
			go func() {
				_, err := clientv3.NewKVFromKVClient(stub, r.Client).Get(ctx, "k")
				waits <- err
			}()
		}
		time.Sleep(time.Minute) // the bubble's clock
		if n := len(waits); n > 0 {
			t.Errorf("%d services with the client have not waited", n)
		}
		m.Start()
		for range cap(waits) {
			if err := <-waits; err != nil {
				t.Errorf("a service with the client: %v", err)
			}
		}
	})
}

// A call without a deadline ends if no server that can be reached is etcd.
func TestCallsEndWithoutAnEtcd(t *testing.T) {
	for reached := 1; reached <= 2; reached++ {
		run(t, 2, nil, func(r *rig) {
			r.each(func(m *etcdtest.Member) {
				m.Intercept(func(context.Context, string, any, func() (any, error)) (any, error) {
					return nil, status.Error(codes.Unimplemented, "unknown service etcdserverpb.KV")
				})
			})
			if reached == 1 {
				r.cluster.Member(1).Kill()
				synctest.Wait() // until the client knows
			}
			ctx, cancel := context.WithCancel(context.Background()) // a deadline would end the call
			defer cancel()
			time.AfterFunc(5*time.Second, cancel)
			if _, err := r.Put(ctx, "k", "v"); status.Code(err) != codes.Unimplemented {
				r.t.Errorf("with %d servers: got %v, want Unimplemented within 5 s", reached, err)
			}
		})
	}
}

// So does a call with a deadline, and if that comes first, with the same answer.
func TestCallsWithADeadlineEndWithoutAnEtcd(t *testing.T) {
	for _, limit := range []time.Duration{500 * time.Millisecond, time.Minute} {
		run(t, 2, nil, func(r *rig) {
			r.each(func(m *etcdtest.Member) {
				m.Intercept(func(context.Context, string, any, func() (any, error)) (any, error) {
					return nil, status.Error(codes.Unimplemented, "unknown service etcdserverpb.KV")
				})
			})
			for name, call := range map[string]func(context.Context) error{
				"Put":    func(ctx context.Context) error { _, err := r.Put(ctx, "k", "v"); return err },
				"Get":    func(ctx context.Context) error { _, err := r.Get(ctx, "k"); return err },
				"Status": func(ctx context.Context) error { _, err := r.Status(ctx, r.Endpoints()[0]); return err },
			} {
				began := time.Now()
				err := call(r.timeout(limit))
				if took := time.Since(began); status.Code(err) != codes.Unimplemented || took > 3*time.Second {
					r.t.Errorf("%s within %v: got %v after %v, want Unimplemented within 3 s", name, limit, err, took)
				}
			}
			ctx, cancel := context.WithCancel(r.timeout(time.Minute))
			cancel()
			if _, err := r.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
				r.t.Errorf("with a canceled context: %v", err)
			}
		})
	}
}
