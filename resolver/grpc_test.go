package resolver_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/resolver"
)

// startGRPC serves a gRPC server without methods on l. The channel authorities
// gets the :authority of each request.
func startGRPC(t *testing.T, l net.Listener) (authorities chan string) {
	t.Helper()
	authorities = make(chan string, 100)
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		authorities <- fmt.Sprint(md[":authority"])
		return status.Error(codes.Unimplemented, "reached")
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return authorities
}

func listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), network, addr)
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	return l
}

// spyCredentials do no TLS and record the addresses of their handshakes.
type spyCredentials struct {
	credentials.TransportCredentials
	mu   sync.Mutex
	seen []resolver.Address // guarded by mu
}

func (c *spyCredentials) ClientHandshake(ctx context.Context, name string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if a, ok := resolver.FromAttributes(credentials.ClientHandshakeInfoFromContext(ctx).Attributes); ok {
		c.mu.Lock()
		c.seen = append(c.seen, a)
		c.mu.Unlock()
	}
	return c.TransportCredentials.ClientHandshake(ctx, name, conn)
}

func (c *spyCredentials) Clone() credentials.TransportCredentials { return c }

func dialGRPC(t *testing.T, creds credentials.TransportCredentials, o resolver.Config, endpoints ...string) *grpc.ClientConn {
	t.Helper()
	r, err := resolver.New(endpoints, o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	conn, err := grpc.NewClient(resolver.Target, grpc.WithResolvers(r), grpc.WithTransportCredentials(creds), grpc.WithIdleTimeout(time.Second))
	if err != nil {
		t.Fatalf("NewClient: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func call(t *testing.T, conn *grpc.ClientConn) (net.Addr, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var p peer.Peer
	err := conn.Invoke(ctx, "/test.Test/Call", nil, nil, grpc.Peer(&p), grpc.WaitForReady(true), grpc.ForceCodecV2(noCodec{}))
	return p.Addr, err
}

func TestGRPCFindsTheServer(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	authorities := startGRPC(t, l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s := startDNS(t, "_etcd-client._tcp.example.test. 60 IN SRV 0 0 "+port+" member.example.test.", "member.example.test. 60 IN A 127.0.0.1")

	creds := &spyCredentials{TransportCredentials: insecure.NewCredentials()}
	conn := dialGRPC(t, creds, resolver.Config{}, "dns+srv://"+s.addr+"/example.test")
	addr, err := call(t, conn)
	if status.Code(err) != codes.Unimplemented || addr.String() != l.Addr().String() {
		t.Fatalf("call = %v from %v, want Unimplemented from %v", err, addr, l.Addr())
	}
	if got, want := <-authorities, "[example.test:"+port+"]"; got != want {
		t.Errorf(":authority = %v, want %v: the domain, and the port of the member", got, want)
	}
	creds.mu.Lock()
	defer creds.mu.Unlock()
	if len(creds.seen) != 1 || creds.seen[0].String() != l.Addr().String() || creds.seen[0].Target != "member.example.test" || creds.seen[0].ServerName != "example.test" {
		t.Errorf("the handshake saw %+v, want the address of %v", creds.seen, l.Addr())
	}
}

func TestGRPCLeavesIdleMode(t *testing.T) {
	l := listen(t, "unix", filepath.Join(t.TempDir(), "s"))
	authorities := startGRPC(t, l)
	conn := dialGRPC(t, insecure.NewCredentials(), resolver.Config{}, "unix://"+l.Addr().String())
	for range 2 {
		if _, err := call(t, conn); status.Code(err) != codes.Unimplemented {
			t.Fatalf("call = %v, want Unimplemented", err)
		}
		if got := <-authorities; got != "[localhost]" {
			t.Errorf(":authority = %v, want localhost", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for s := conn.GetState(); s.String() != "IDLE"; s = conn.GetState() {
			if !conn.WaitForStateChange(ctx, s) {
				t.Fatalf("state %v within %v, want IDLE", s, patience)
			}
		}
		cancel()
	}
}

func TestGRPCTellsWhyThereAreNoAddresses(t *testing.T) {
	s := startDNS(t)
	conn := dialGRPC(t, insecure.NewCredentials(), resolver.Config{}, "dns+srv://"+s.addr+"/example.test")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := conn.Invoke(ctx, "/test.Test/Call", nil, nil, grpc.ForceCodecV2(noCodec{}))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("call = %v, want Unavailable", err)
	}
	for _, want := range []string{"dns+srv://" + s.addr + "/example.test", "NXDOMAIN"} {
		if !contains(err, want) {
			t.Errorf("call = %v, want %q in it", err, want)
		}
	}
}
