package grpcproxy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/grpcproxy"
)

// A proxy forwards requests, is gone when it is killed, and serves again at the
// same endpoint.
func TestLives(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Config{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Stop() }()
	p, err := grpcproxy.Start(ctx, grpcproxy.Config{Endpoints: c.Endpoints(), Flags: []string{"--namespace=app/"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}()
	conn, err := grpc.NewClient(p.Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	store := pb.NewKVClient(conn)
	if _, err := store.Put(ctx, &pb.PutRequest{Key: []byte("k"), Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	direct, err := pb.NewKVClient(c.Members()[0].Control()).Range(ctx, &pb.RangeRequest{Key: []byte("app/k")})
	if err != nil || direct.Count != 1 {
		t.Errorf("got %v, %v, want the key below the namespace", direct, err)
	}
	p.Kill()
	if _, err := store.Range(ctx, &pb.RangeRequest{Key: []byte("k")}); err == nil {
		t.Error("got an answer of a proxy that was killed")
	}
	if err := p.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if resp, err := store.Range(ctx, &pb.RangeRequest{Key: []byte("k")}, grpc.WaitForReady(true)); err != nil || resp.Count != 1 {
		t.Errorf("got %v, %v, want the key again", resp, err)
	}
}

// If a proxy cannot be started, the error says why.
func TestStartFails(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := grpcproxy.Start(ctx, grpcproxy.Config{}); err == nil || !strings.Contains(err.Error(), "Endpoints") {
		t.Errorf("without endpoints: got %v, want an error that names them", err)
	}
	_, err := grpcproxy.Start(ctx, grpcproxy.Config{Endpoints: []string{"127.0.0.1:1"}, Flags: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("with a flag that there is not: got %v, want the proxy's log", err)
	}
}
