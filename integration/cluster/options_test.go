package cluster_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/integration/certs"
	"github.com/getcd/getcd/integration/cluster"
)

func dialTLS(t *testing.T, endpoint string, cfg *tls.Config) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+endpoint, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

func TestTLS(t *testing.T) {
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	alice, err := ca.Client("alice")
	if err != nil {
		t.Fatal(err)
	}
	anonymous, err := ca.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	known, err := ca.ClientConfig(alice)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name            string
		links, certAuth bool
	}{
		{"server", false, false},
		{"server behind links", true, false},
		{"mutual", false, true},
		{"mutual behind links", true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := fast()
			cfg.Size, cfg.Links, cfg.ClientCertAuth = 1, tc.links, tc.certAuth
			cfg.ClientTLS = &cluster.TLSFiles{Cert: server.CertFile, Key: server.KeyFile, CA: ca.File()}
			c := start(t, cfg)
			m := c.Members()[0]
			if want := "https://" + m.Endpoint(); m.ClientURL() != want {
				t.Errorf("the client URL is %s, want %s", m.ClientURL(), want)
			}
			if err := put(within(t, limit), dialTLS(t, m.Endpoint(), known), "key", "value"); err != nil {
				t.Fatalf("with a certificate: %v", err)
			}
			wantValue(t, dialTLS(t, m.Endpoint(), known), "key", "value")
			refused := map[string]*grpc.ClientConn{"without TLS": dial(t, m.Endpoint())}
			if tc.certAuth {
				refused["without a certificate"] = dialTLS(t, m.Endpoint(), anonymous)
			} else {
				wantValue(t, dialTLS(t, m.Endpoint(), anonymous), "key", "value")
			}
			for how, cc := range refused {
				if _, err := get(within(t, 300*time.Millisecond), cc, "key"); err == nil {
					t.Errorf("%s: the member answered", how)
				}
			}
			if err := m.Restart(within(t, limit)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAuthentication(t *testing.T) {
	cfg := fast()
	cfg.AuthTokenTTL = time.Second
	c := start(t, cfg)
	cc := dial(t, c.Endpoints()[0])
	auth := etcdserverpb.NewAuthClient(cc)
	ctx := within(t, limit)
	_, err1 := auth.UserAdd(ctx, &etcdserverpb.AuthUserAddRequest{Name: "root", Password: "secret"})
	_, err2 := auth.RoleAdd(ctx, &etcdserverpb.AuthRoleAddRequest{Name: "root"})
	_, err3 := auth.UserGrantRole(ctx, &etcdserverpb.AuthUserGrantRoleRequest{User: "root", Role: "root"})
	_, err4 := auth.AuthEnable(ctx, &etcdserverpb.AuthEnableRequest{})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	read := func(token string) error {
		_, err := get(metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token), cc, "key")
		return rpctypes.Error(err)
	}
	if err := put(ctx, cc, "key", "value"); !errors.Is(rpctypes.Error(err), rpctypes.ErrUserEmpty) {
		t.Errorf("put without a token: got %v, want %v", err, rpctypes.ErrUserEmpty)
	}
	answer, err := auth.Authenticate(ctx, &etcdserverpb.AuthenticateRequest{Name: "root", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	withToken := metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, answer.GetToken())
	if err := put(withToken, cc, "key", "value"); err != nil {
		t.Fatalf("put with a token: %v", err)
	}

	// The cluster's own checks need no password.
	if err := c.WaitHealthy(ctx); err != nil {
		t.Error(err)
	}
	leader, err := c.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Restart(ctx); err != nil {
		t.Error(err)
	}

	// A token that is not used expires after AuthTokenTTL. Every request renews
	// it, so wait without requests. A busy member may look at its tokens late.
	for err = nil; err == nil && ctx.Err() == nil; err = read(answer.GetToken()) {
		select {
		case <-time.After(3 * time.Second):
		case <-ctx.Done():
		}
	}
	if !errors.Is(err, rpctypes.ErrInvalidAuthToken) {
		t.Errorf("a read with an expired token: got %v, want %v", err, rpctypes.ErrInvalidAuthToken)
	}
}

func TestOptionsReachTheMembers(t *testing.T) {
	cfg := fast()
	cfg.Size, cfg.QuotaBytes, cfg.LogLevel = 1, 1<<20, "info"
	cfg.Flags = []string{"--max-txn-ops=1", "--election-timeout=2000", "--name=other"}
	c := start(t, cfg)
	m := c.Members()[0]
	cc := dial(t, m.Endpoint())
	ctx := within(t, limit)

	op := &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: &etcdserverpb.RangeRequest{Key: []byte("k")}}}
	_, err := etcdserverpb.NewKVClient(cc).Txn(ctx, &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{op, op}})
	if !errors.Is(rpctypes.Error(err), rpctypes.ErrTooManyOps) {
		t.Errorf("two operations with --max-txn-ops=1: got %v, want %v", err, rpctypes.ErrTooManyOps)
	}
	big := string(make([]byte, 256<<10))
	// The size only includes what is committed to disk, so this takes some
	// writes.
	for err = nil; err == nil; {
		err = put(ctx, cc, "big", big)
	}
	if !errors.Is(rpctypes.Error(err), rpctypes.ErrNoSpace) {
		t.Errorf("writes beyond the quota: got %v, want %v", err, rpctypes.ErrNoSpace)
	}
	list, err := etcdserverpb.NewClusterClient(m.Control()).MemberList(ctx, &etcdserverpb.MemberListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got := list.GetMembers()[0].GetName(); got != "m1" {
		t.Errorf("the member's name is %q, want m1: it is the cluster's to give", got)
	}
	if log := m.Log(); log == "" {
		t.Error("there is no log at level info")
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := cluster.Start(ctx, fast())
	if err == nil {
		_ = c.Stop()
	}
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
}
