package integration_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// guard turns authentication on, with the user root and the password secret.
func guard(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx := timeout(t)
	a := auth.New(dial(t, client.Config{Endpoints: c.Endpoints()}).Conn())
	for _, step := range []func() error{
		func() error { _, err := a.UserAdd(ctx, "root", "secret"); return err },
		func() error { _, err := a.RoleAdd(ctx, "root"); return err },
		func() error { _, err := a.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := a.AuthEnable(ctx); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

// On a plain connection with a token, watches continue when the proxy comes back.
func TestGRPCProxyAuthWatch(t *testing.T) {
	c, p := behindProxy(t)
	guard(t, c)
	ctx := timeout(t)
	var token string
	conn, err := grpc.NewClient(p.Endpoint(), append(checkedPlain(t), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return next(metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token), method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return next(metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token), desc, cc, method, opts...)
		}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	login, err := pb.NewAuthClient(conn).Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	token = login.Token
	w := watch.New(conn)
	defer func() { _ = w.Close() }()
	store := kv.New(conn)
	ch := w.Watch(ctx, "k", kv.WithCreatedNotify())
	if resp := <-ch; !resp.Created {
		t.Fatalf("got %+v, want the watch created", resp)
	}
	for i := range 3 {
		if err := p.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		resp, err := store.Put(ctx, "k", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if got := next(t, ctx, ch).Events; len(got) != 1 || got[0].Kv.ModRevision != resp.Header.Revision {
			t.Errorf("after restart %d: got %v, want revision %d", i, got, resp.Header.Revision)
		}
		if took := time.Since(start); took > goesOn {
			t.Errorf("after restart %d: the put and its event took %v, want %v at most", i, took, goesOn)
		}
	}
}

// goesOn is how long a put and its event may take once the proxy is back, on a
// busy machine. A call that hangs never returns.
const goesOn = 5 * time.Second

// With authentication, watches and writes continue when the proxy comes back.
func TestGRPCProxyAuth(t *testing.T) {
	c, p := behindProxy(t)
	guard(t, c)
	ctx := timeout(t)
	cl := dial(t, client.Config{Endpoints: []string{p.Endpoint()}, Username: "root", Password: "secret"})
	ch := cl.Watch(ctx, "k", kv.WithCreatedNotify())
	<-ch
	for i := range 3 {
		if err := p.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		resp, err := cl.Put(ctx, "k", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if got := next(t, ctx, ch).Events; len(got) != 1 || got[0].Kv.ModRevision != resp.Header.Revision {
			t.Errorf("after restart %d: got %v, want revision %d", i, got, resp.Header.Revision)
		}
		if took := time.Since(start); took > goesOn {
			t.Errorf("after restart %d: the put and its event took %v, want %v at most", i, took, goesOn)
		}
	}
}
