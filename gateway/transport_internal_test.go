package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// A certificate that is renewed every day leaves nothing behind: the transport of the one before is
// forgotten.
func TestRenewedTransportsAreForgotten(t *testing.T) {
	c, err := New([]string{"https://127.0.0.1"}, Options{RenewTLS: func(*tls.Config) *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first := weak.Make(c.transport.current.Load())
	if !c.transport.outdated(nil) {
		t.Fatal("the configuration was not renewed")
	}
	for range 10 {
		if runtime.GC(); first.Value() == nil {
			return
		}
	}
	t.Error("the first transport is still there")
}

// A connection that is in use when the configuration is renewed goes on until it is closed with the
// others.
func TestCloseClosesEarlierConnections(t *testing.T) {
	var open atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/v3/watch" {
			_, _ = w.Write([]byte(`{"result":{"header":{},"created":true}}`))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		_, _ = w.Write([]byte(`{"header":{}}`))
	}))
	s.EnableHTTP2 = true
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		default:
		}
	}
	s.StartTLS()
	defer s.Close()
	trust := s.Client().Transport.(*http.Transport).TLSClientConfig
	config := func() *tls.Config { return &tls.Config{RootCAs: trust.RootCAs, MinVersion: tls.VersionTLS12} }

	var renewed atomic.Pointer[tls.Config]
	renewed.Store(config())
	c, err := New([]string{s.URL}, Options{TLS: renewed.Load(), RenewTLS: func(*tls.Config) *tls.Config { return renewed.Load() }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	watch, err := pb.NewWatchClient(c).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	create := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("a")}}}
	if err := watch.Send(create); err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	renewed.Store(config())
	if !c.transport.outdated(nil) {
		t.Fatal("the configuration was not renewed")
	}
	if _, err := pb.NewKVClient(c).Range(ctx, &pb.RangeRequest{Key: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	if n := open.Load(); n != 2 {
		t.Errorf("%d connections are open, want the watch's and another one", n)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for open.Load() > 0 {
		if ctx.Err() != nil {
			t.Fatalf("%d connections are still open", open.Load())
		}
		runtime.Gosched()
	}
}

// What RecvMsg has been given is not written to any more, whatever else the server sends.
func TestRenewalIsHandedOver(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"result":{"ID":"1","TTL":"5"}}{"result":{"ID":"1","TTL":"99"}}`))
	}))
	defer s.Close()
	c, err := New([]string{s.URL}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, pb.Lease_LeaseKeepAlive_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&pb.LeaseKeepAliveRequest{ID: 1}); err != nil {
		t.Fatal(err)
	}
	got := (<-stream.(*renewals).out).(*pb.LeaseKeepAliveResponse)
	c.calls.Wait() // the request has been read to its end
	if got.TTL != 5 {
		t.Errorf("the TTL of the answer has become %d, want 5", got.TTL)
	}
}
