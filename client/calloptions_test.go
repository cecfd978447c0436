package client_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// ends counts how often a callback is called, and keeps the last error.
type ends struct {
	mu  sync.Mutex
	n   int
	err error
}

func (e *ends) option() grpc.CallOption {
	return grpc.OnFinish(func(err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.n++
		e.err = err
	})
}

func (e *ends) now() (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n, e.err
}

// gRPC calls the function of OnFinish once for each call, so that it may close a channel. A call
// that is sent again, or hedged, is one call.
func TestOnFinishIsCalledOnce(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		m := r.cluster.Member(0)
		want := func(what string, e *ends, code codes.Code) {
			t.Helper()
			synctest.Wait()
			if n, err := e.now(); n != 1 || status.Code(err) != code {
				t.Errorf("%s: called %d times, with %v; want once, with %v", what, n, err, code)
			}
		}
		req := &pb.RangeRequest{Key: []byte("k")}

		m.Intercept(refuse(rpctypes.ErrGRPCNoLeader))
		e := &ends{}
		if _, err := r.kv.Range(t.Context(), req, e.option()); err != nil {
			t.Errorf("a read that is sent again: %v", err)
		}
		want("a read that is sent again", e, codes.OK)
		m.Intercept(nil)
		time.Sleep(time.Minute)

		m.Intercept(once(pb.KV_Range_FullMethodName, etcdtest.UnaryHook(func(ctx context.Context, _ string, _ any, _ func() (any, error)) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})))
		e = &ends{}
		start := time.Now()
		if _, err := r.kv.Range(t.Context(), req, e.option()); err != nil || time.Since(start) > 300*time.Millisecond {
			t.Errorf("a read that is hedged: %v after %v", err, time.Since(start))
		}
		want("a read that is hedged", e, codes.OK)
		m.Intercept(nil)

		e = &ends{}
		_, err := r.kv.Put(t.Context(), &pb.PutRequest{}, e.option())
		if !errors.Is(err, rpctypes.ErrEmptyKey) {
			t.Errorf("a write that is refused: %v", err)
		}
		want("a write that is refused", e, codes.InvalidArgument)

		e = &ends{}
		ctx, cancel := context.WithCancel(t.Context())
		s, err := pb.NewWatchClient(r.Conn()).Watch(ctx, e.option())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n, err := e.now(); n != 0 {
			t.Errorf("a stream that is open: called with %v", err)
		}
		cancel()
		if _, err := s.Recv(); status.Code(err) != codes.Canceled {
			t.Errorf("a stream that is canceled: %v", err)
		}
		want("a stream", e, codes.Canceled)

		e = &ends{}
		if _, err = pb.NewWatchClient(r.Conn()).Watch(t.Context(), e.option()); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		want("a stream that nobody reads when the client is closed", e, codes.Canceled)
		if _, err := e.now(); !errors.Is(err, client.ErrClosed) {
			t.Errorf("a stream that nobody reads when the client is closed: got %v, want %v", err, client.ErrClosed)
		}
	})
}

// A stream whose opening fails on one member is opened on another.
func TestOnFinishOfAStreamThatIsOpenedAgain(t *testing.T) {
	run(t, 2, func(c *client.Config) {
		var mu sync.Mutex
		failed := false
		c.DialOptions = append(c.DialOptions, grpc.WithStreamInterceptor(
			func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				mu.Lock()
				defer mu.Unlock()
				if method == pb.Watch_Watch_FullMethodName && !failed {
					failed = true
					ctx, cancel := context.WithCancel(ctx)
					cancel()
					_, err := open(ctx, desc, cc, method, opts...)
					return nil, status.Error(codes.Unavailable, err.Error())
				}
				return open(ctx, desc, cc, method, opts...)
			}))
	}, func(r *rig) {
		t := r.t
		r.warm()
		e := &ends{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if _, err := pb.NewWatchClient(r.Conn()).Watch(ctx, e.option()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n, err := e.now(); n != 0 {
			t.Errorf("called %d times while the stream is open, with %v", n, err)
		}
		cancel()
		synctest.Wait()
		if n, err := e.now(); n != 1 || status.Code(err) != codes.Canceled {
			t.Errorf("called %d times, with %v; want once, with Canceled", n, err)
		}
	})
}

// A caller's own token is the caller's affair: when a member refuses it, the client keeps its own.
func TestCallersTokenIsNotRenewed(t *testing.T) {
	run(t, 1, asRoot, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		if err := r.put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		before := r.cluster.Member(0).Calls(pb.KV_Put_FullMethodName)
		ctx := metadata.AppendToOutgoingContext(t.Context(), rpctypes.TokenFieldNameGRPC, "stale")
		if err := r.put(ctx, "k", "v"); !errors.Is(err, rpctypes.ErrInvalidAuthToken) || client.IsAmbiguous(err) {
			t.Errorf("got %v, want %v, not ambiguous", err, rpctypes.ErrInvalidAuthToken)
		}
		s, err := pb.NewWatchClient(r.Conn()).Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		create := &pb.WatchCreateRequest{Key: []byte("k")}
		if err := s.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			t.Fatal(err)
		}
		if resp, err := s.Recv(); err == nil && !resp.Canceled {
			t.Errorf("got %v, want a watch that is refused", resp)
		}
		if err := r.put(t.Context(), "k", "v"); err != nil {
			t.Error(err)
		}
		if n := r.cluster.Member(0).Calls(pb.KV_Put_FullMethodName) - before; n != 2 {
			t.Errorf("%d puts were sent, want 2", n)
		}
		if n := r.logins(); n != 1 {
			t.Errorf("%d logins, want 1", n)
		}
	})
}

// A stream of a method with one answer ends with that, as a request does: its reader need not ask
// for more.
func TestStreamOfOneAnswerEnds(t *testing.T) {
	n := &notes{}
	run(t, 1, func(c *client.Config) { c.Observers = []client.Observer{n} }, func(r *rig) {
		t := r.t
		r.warm()
		n.take()
		conn, e := r.Conn(), &ends{}
		s, err := conn.NewStream(t.Context(), &grpc.StreamDesc{StreamName: "Range"}, pb.KV_Range_FullMethodName, e.option())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.SendMsg(&pb.RangeRequest{Key: []byte("k")}), s.RecvMsg(&pb.RangeResponse{})); err != nil {
			t.Fatal(err)
		}
		wantLines(t, "a stream of one answer", n.take(), []string{"Range/1 at " + m1 + ": OK []", "Range ends: OK after 1 attempts"})
		if n, err := e.now(); n != 1 || err != nil {
			t.Errorf("OnFinish: called %d times, with %v; want once, with nil", n, err)
		}
	})
}
