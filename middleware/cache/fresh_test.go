package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/cache"
)

// slow makes the member take d until it sends the answer to a transaction.
func slow(m *etcdtest.Member, d time.Duration) {
	m.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
		resp, err := next()
		if method == pb.KV_Txn_FullMethodName {
			time.Sleep(d)
		}
		return resp, err
	})
}

// TestManyReadersOneRoundTrip has 1,000 readers come while a confirmation is under way: it is not
// theirs, since it may be older than a write before their call. The next one is for all.
func TestManyReadersOneRoundTrip(t *testing.T) {
	run(t, []string{"a/"}, nil, func(r *rig) { r.put("a/k", "old") }, func(r *rig) {
		slow(r.cluster.Member(0), 100*time.Millisecond)
		before := r.calls(pb.KV_Txn_FullMethodName)
		var readers sync.WaitGroup
		readers.Go(func() {
			r.get(&pb.RangeRequest{Key: []byte("a/k")}) // old or new
		})
		time.Sleep(99 * time.Millisecond) // the member answers in a moment
		rev := r.put("a/k", "new")
		began := time.Now()
		for range 1000 {
			readers.Go(func() {
				resp := r.get(&pb.RangeRequest{Key: []byte("a/k")})
				if string(resp.Kvs[0].Value) != "new" || resp.Header.Revision < rev {
					r.t.Errorf("a reader after the write got %v", resp)
				}
			})
		}
		readers.Wait()
		if got := r.calls(pb.KV_Txn_FullMethodName) - before; got != 2 {
			r.t.Errorf("%d round trips, want 2", got)
		}
		if took := time.Since(began); took != 101*time.Millisecond {
			r.t.Errorf("the readers took %v, want the rest of the one confirmation and another one", took)
		}
		if got := r.calls(pb.KV_Range_FullMethodName); got != 1 { // the snapshot's
			r.t.Errorf("%d Range requests, want 1", got)
		}
	})
}

// TestSerializableAtOnce reads while the member answers nothing.
func TestSerializableAtOnce(t *testing.T) {
	run(t, []string{"a/"}, nil, func(r *rig) { r.put("a/k", "v") }, func(r *rig) {
		r.cluster.Member(0).Hang()
		defer r.cluster.Member(0).Resume()
		began := time.Now()
		resp := r.get(&pb.RangeRequest{Key: []byte("a/k"), Serializable: true})
		if string(resp.Kvs[0].Value) != "v" || time.Since(began) != 0 {
			r.t.Errorf("got %v after %v, want it at once", resp, time.Since(began))
		}
	})
}

// TestWritesElsewhere reads after writes of other keys: the watch has to be asked how far it is,
// since no event comes.
func TestWritesElsewhere(t *testing.T) {
	run(t, []string{"a/"}, nil, func(r *rig) { r.put("a/k", "v") }, func(r *rig) {
		for i := range 10 {
			rev := r.put("elsewhere", fmt.Sprint(i))
			began := time.Now()
			resp := r.get(&pb.RangeRequest{Key: []byte("a/k")})
			if resp.Header.Revision != rev || time.Since(began) != 0 {
				r.t.Fatalf("the answer is of revision %d, after %v, want revision %d at once", resp.Header.Revision, time.Since(began), rev)
			}
		}
		if s := r.stats(); s.Hits != 10 || s.Misses != 0 || s.Progress != 10 || s.Comparisons != 0 {
			r.t.Errorf("%+v: want 10 hits, with 10 progress requests", s)
		}
	})
}

// mute makes a member answer no progress request, as etcd's proxy.
type mute struct{ grpc.ServerStream }

func (m mute) SendMsg(msg any) error {
	if resp, ok := msg.(*pb.WatchResponse); ok && resp.WatchId < 0 && !resp.Created {
		return nil
	}
	return m.ServerStream.SendMsg(msg)
}

// TestWithoutProgress reads where progress cannot be asked for. A few keys are compared with the
// server's as a whole. That a key is gone is seen by their number, and that one has come and gone
// does not matter.
func TestWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			return h(srv, mute{ss})
		}
		quiet := etcdtest.Start(t, 1, grpc.ChainStreamInterceptor(deaf))
		store := kv.New(quiet.Conn(t))
		c := cache.NewConn(quiet.Conn(t), []string{"a/"})
		defer func() { _ = c.Close() }()
		if err := c.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		reader := kv.New(c)
		for i := range 20 {
			resp, err := store.Put(t.Context(), "elsewhere", "x")
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			got, err := reader.Get(t.Context(), "a/", kv.WithPrefix())
			if err != nil || got.Header.Revision != resp.Header.Revision {
				t.Fatalf("got %v %v, want revision %d", got, err, resp.Header.Revision)
			}
			if took := time.Since(began); took > 25*time.Millisecond || i >= 3 && took > 0 {
				t.Fatalf("read %d took %v", i, took)
			}
		}
		if s := c.Stats().Prefixes[0]; s.Hits != 20 || s.Comparisons != 20 || s.Progress > 12 {
			t.Errorf("%+v: want 20 comparisons, and few requests for progress", s)
		}
	})
}

// TestNotReachedIsPassedOn has a watch that shows nothing, and keys that have changed: what the
// cache has is too old, and the cluster is asked.
func TestNotReachedIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held sync.Mutex
		hold := false
		stop := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			return h(srv, dropping{ss, &held, &hold})
		}
		cluster := etcdtest.Start(t, 1, grpc.ChainStreamInterceptor(stop))
		store := kv.New(cluster.Conn(t))
		_, _ = store.Put(t.Context(), "a/k", "old")
		c := cache.NewConn(cluster.Conn(t), []string{"a/"})
		defer func() { _ = c.Close() }()
		if err := c.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		held.Lock()
		hold = true
		held.Unlock()
		if _, err := store.Delete(t.Context(), "a/k"); err != nil {
			t.Fatal(err)
		}
		got, err := kv.New(c).Get(t.Context(), "a/k")
		if err != nil || len(got.Kvs) != 0 {
			t.Fatalf("got %v %v, want no key", got, err)
		}
		if s := c.Stats().Prefixes[0]; s.Hits != 0 || s.Misses != 1 || s.Comparisons != 1 || s.Behind != 1 {
			t.Errorf("%+v: want a read that was passed on", s)
		}
	})
}

// dropping is a stream that sends nothing while it is told to.
type dropping struct {
	grpc.ServerStream
	mu   *sync.Mutex
	hold *bool
}

func (d dropping) SendMsg(msg any) error {
	d.mu.Lock()
	hold := *d.hold
	d.mu.Unlock()
	if hold {
		return nil
	}
	return d.ServerStream.SendMsg(msg)
}

// unversioned stands in for etcd with one key, and tells no revision.
type unversioned struct {
	header *pb.ResponseHeader
	value  atomic.Value
}

func (u *unversioned) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	switch r := reply.(type) {
	case *pb.RangeResponse:
		r.Header, r.Count = u.header, 1
		r.Kvs = []*mvccpb.KeyValue{{Key: []byte("a/k"), Value: []byte(u.value.Load().(string)), CreateRevision: 1, ModRevision: 1, Version: 1}}
	case *pb.TxnResponse:
		r.Header = u.header
	}
	return nil
}

func (u *unversioned) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	if method != pb.Watch_Watch_FullMethodName {
		return nil, status.Error(codes.Unimplemented, "no streams")
	}
	return &silent{ctx: ctx}, nil
}

// silent is a stream on which nothing comes.
type silent struct {
	grpc.ClientStream

	ctx context.Context //nolint:containedctx // as grpc keeps it
}

func (s *silent) Context() context.Context { return s.ctx }
func (s *silent) SendMsg(any) error        { return nil }
func (s *silent) CloseSend() error         { return nil }
func (s *silent) RecvMsg(any) error {
	<-s.ctx.Done()
	return s.ctx.Err()
}

// A server that tells no revision says nothing of how old the cache is. Reads are passed on.
func TestServerWithoutRevisions(t *testing.T) {
	for name, header := range map[string]*pb.ResponseHeader{"no header": nil, "no revision": {ClusterId: 1, MemberId: 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &unversioned{header: header}
				server.value.Store("old")
				cached := cache.NewConn(server, []string{"a/"})
				defer func() { _ = cached.Close() }()
				if err := cached.WaitReady(t.Context()); err != nil {
					t.Fatal(err)
				}
				server.value.Store("new")
				resp, err := pb.NewKVClient(cached).Range(t.Context(), &pb.RangeRequest{Key: []byte("a/k")})
				if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "new" {
					t.Errorf("got %v, %v, want the new value", resp, err)
				}
			})
		})
	}
}

// TestReaderLeaves ends a reader's context while it waits.
func TestReaderLeaves(t *testing.T) {
	run(t, []string{"a/"}, nil, nil, func(r *rig) {
		r.cluster.Member(0).Hang()
		defer r.cluster.Member(0).Resume()
		ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := r.stub.Range(ctx, &pb.RangeRequest{Key: []byte("a/k")})
		if err == nil || time.Since(began) != 10*time.Millisecond {
			r.t.Errorf("%v after %v, want the context's error when it ends", err, time.Since(began))
		}
	})
}

// TestPrivateCalls passes on what wants an RPC of its own: to see its header, or to be another
// user's.
func TestPrivateCalls(t *testing.T) {
	run(t, []string{"a/"}, nil, nil, func(r *rig) {
		before := r.calls(pb.KV_Range_FullMethodName)
		var md metadata.MD
		if _, err := r.stub.Range(r.t.Context(), &pb.RangeRequest{Key: []byte("a/k")}, grpc.Header(&md)); err != nil || md.Len() == 0 {
			r.t.Errorf("%v %v, want headers", md, err)
		}
		other := metadata.AppendToOutgoingContext(r.t.Context(), "who", "somebody else")
		if _, err := r.stub.Range(other, &pb.RangeRequest{Key: []byte("a/k")}); err != nil {
			r.t.Error(err)
		}
		if got := r.calls(pb.KV_Range_FullMethodName) - before; got != 2 {
			r.t.Errorf("%d requests were passed on, want 2", got)
		}
	})
}

// TestPermissionIsTaken takes the user's role: linearizable reads are refused at once, serializable
// ones within a second, and the cache has nothing any more. With the role it comes back.
func TestPermissionIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 1)
		cluster.EnableAuth(map[string]string{"root": "r"})
		connect := func(user, password string, m ...client.Middleware) *client.Client {
			c, err := client.New(client.Config{
				Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions(), Username: user, Password: password, Middleware: m,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		root := connect("root", "r")
		ctx := t.Context()
		for _, err := range []error{
			second(root.UserAdd(ctx, "ann", "a")),
			second(root.RoleAdd(ctx, "reader")),
			second(root.RoleGrantPermission(ctx, "reader", "a/", "a0", 0)),
			second(root.UserGrantRole(ctx, "ann", "reader")),
			second(root.Put(ctx, "a/k", "v")),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		var cached *cache.Conn
		ann := connect("ann", "a", func(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
			cached = cache.NewConn(cc, []string{"a/"})
			return cached
		})
		if err := cached.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		read := func(opts ...kv.OpOption) error { return second(ann.Get(ctx, "a/k", opts...)) }
		if err := errors.Join(read(), read(kv.WithSerializable())); err != nil {
			t.Fatal(err)
		}
		if err := second(root.UserRevokeRole(ctx, "ann", "reader")); err != nil {
			t.Fatal(err)
		}
		_ = read(kv.WithSerializable()) // at once, and says that the cache is in use
		time.Sleep(2 * time.Second)
		if err := read(kv.WithSerializable()); !errors.Is(err, rpctypes.ErrPermissionDenied) {
			t.Errorf("a serializable read two seconds after the role was taken: %v", err)
		}
		if err := read(); !errors.Is(err, rpctypes.ErrPermissionDenied) {
			t.Errorf("a linearizable read: %v", err)
		}
		if s := cached.Stats().Prefixes[0]; s.Ready || s.Keys != 0 || s.Bytes != 0 || s.Err == nil {
			t.Errorf("%+v: want an empty cache that says why", s)
		}
		if err := second(root.UserGrantRole(ctx, "ann", "reader")); err != nil {
			t.Fatal(err)
		}
		if err := cached.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
		// Now the first part of the prefix: the user may read the key, but the cache is no longer the user's.
		if err := errors.Join(second(root.RoleGrantPermission(ctx, "reader", "a/", "a/l", 0)), second(root.RoleRevokePermission(ctx, "reader", "a/", "a0"))); err != nil {
			t.Fatal(err)
		}
		before := cluster.Member(0).Calls(pb.KV_Range_FullMethodName)
		if err := read(); err != nil {
			t.Errorf("a read of what may be read: %v", err)
		}
		if cluster.Member(0).Calls(pb.KV_Range_FullMethodName) == before || cached.Stats().Prefixes[0].Ready {
			t.Error("it was answered by a cache of what may not be read")
		}
	})
}

func second[T any](_ T, err error) error { return err }
