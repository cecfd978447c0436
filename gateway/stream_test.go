package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/gateway"
)

func result(fields string) string {
	return `{"result":{"header":{"cluster_id":"1","revision":"3"}` + fields + `}}`
}

// A stream with one request: its messages, its end, and what breaks it.
func TestDownloads(t *testing.T) {
	many := result(`,"blob":"YQ==","remaining_bytes":"1"`) + "\n" + result(`,"blob":"Yg=="`)
	for _, tc := range []struct {
		name, text string
		status     int
		want       string // the blobs
		code       codes.Code
		message    string
	}{
		{"whole", many, 200, "ab", codes.OK, ""},
		{"without line breaks", strings.ReplaceAll(many, "\n", ""), 200, "ab", codes.OK, ""},
		{"nothing", "", 200, "", codes.OK, ""},
		{"an error in the end", many + `{"error":{"code":14,"message":"etcdserver: no leader","details":[]}}`, 200, "ab", codes.Unavailable, "etcdserver: no leader"},
		{"v1's error in the end", many + `{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}`, 200, "ab", codes.Unavailable, "etcdserver: no leader"},
		{"an error at once", `{"error":{"code":7,"message":"etcdserver: permission denied"}}`, 403, "", codes.PermissionDenied, "etcdserver: permission denied"},
		{"cut off", many + `{"result":{"blob":"YQ`, 200, "ab", codes.Unavailable, "unexpected EOF"},
		{"a page", "<html>\n", 200, "", codes.Unknown, `without an etcd's answer; content type "application/json": "<html>"`},
		{"a page after messages", many + "<html>", 200, "ab", codes.Unknown, `without an etcd's answer; content type "application/json": "<html>"`},
		{"a proxy's", "<html>\n", 502, "", codes.Unavailable, "502 (Bad Gateway)"},
		{"another JSON", `{"hello":1}`, 200, "", codes.Unknown, "without an etcd's answer"},
		{"a list", `[1]`, 200, "", codes.Unknown, "without an etcd's answer"},
		{"null", `{"result":null}`, 200, "", codes.Unknown, "without an etcd's answer"},
		{"no message", `{"result":"x"}`, 200, "", codes.Unknown, "without an etcd's answer"},
		{"too large", result(`,"blob":"` + strings.Repeat("A", 1<<20) + `"`), 200, "", codes.ResourceExhausted, "received message larger than max"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v3/maintenance/snapshot" {
					t.Errorf("got a request for %s", r.URL.Path)
				}
				reply(w, tc.status, "application/json", tc.text)
			})
			s, err := pb.NewMaintenanceClient(c).Snapshot(timeout(t), &pb.SnapshotRequest{}, grpc.MaxCallRecvMsgSize(4<<10))
			if err != nil {
				t.Fatal(err)
			}
			var got string
			for {
				var resp *pb.SnapshotResponse
				if resp, err = s.Recv(); err != nil {
					break
				}
				got += string(resp.Blob)
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			if got != tc.want || status.Code(err) != tc.code || err != nil && !strings.Contains(err.Error(), tc.message) {
				t.Errorf("got %q and %v, want %q and %v: %s", got, err, tc.want, tc.code, tc.message)
			}
		})
	}
}

// A download goes to the next endpoint when the first can't be reached.
func TestDownloadElsewhere(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { say(w, result(`,"kv":{"value":"YQ=="}`)) })
	if err := c.SetEndpoints("http://127.0.0.1:1", c.Endpoints()[0].Address); err != nil {
		t.Fatal(err)
	}
	s, err := v3electionpb.NewElectionClient(c).Observe(timeout(t), &v3electionpb.LeaderRequest{Name: []byte("n")})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := s.Recv(); err != nil || string(resp.Kv.Value) != "a" {
		t.Errorf("got %v, %v, want the leader", resp, err)
	}
}

// When none can be reached, each has its own reason.
func TestDownloadNowhere(t *testing.T) {
	c := connect(t, gateway.Options{KeepOrder: true}, "http://127.0.0.1:1", "http://127.0.0.1:2")
	s, err := pb.NewMaintenanceClient(c).Snapshot(timeout(t), &pb.SnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := s.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, %v, want Unavailable", resp, err)
	}
	for _, e := range c.Endpoints() {
		if host := strings.TrimPrefix(e.Address, "gateway+http://"); e.LastError == nil || !strings.Contains(e.LastError.Error(), host) {
			t.Errorf("the reason of %s: got %v", e.Address, e.LastError)
		}
	}
}

func TestUnknownMethods(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for method, want := range map[string]string{
		"/etcdserverpb.KV/Nothing":       "has no such method",
		"/unknown.Service/Do":            "its service is not known",
		"":                               "its service is not known",
		"/etcdserverpb.PutRequest/Do":    "its service is not known",
		"/grpc.health.v1.Health/List":    "gateway: ", // known if its stub is linked in
		pb.KV_RangeStream_FullMethodName: "has no path in etcd's JSON gateway",
	} {
		if err := c.Invoke(timeout(t), method, &pb.PutRequest{}, &pb.PutResponse{}); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want Unimplemented: %s", method, err, want)
		}
		if _, err := c.NewStream(timeout(t), &grpc.StreamDesc{ServerStreams: true}, method); status.Code(err) != codes.Unimplemented {
			t.Errorf("%q as a stream: got %v, want Unimplemented", method, err)
		}
	}
}

// watchServer serves /v3/watch: it announces a watch when it is let to, and then says
// what it is told to.
type watchServer struct {
	mu      sync.Mutex
	watches map[string]*served // by the key, in base64
	arrived chan string
}

type served struct {
	announce chan struct{}
	say      chan string
	gone     chan struct{}
}

func (s *watchServer) of(key string) *served {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.watches[key]
	if !ok {
		w = &served{make(chan struct{}), make(chan string), make(chan struct{})}
		s.watches[key] = w
	}
	return w
}

func watching(t *testing.T) (*watchServer, *gateway.Conn) {
	t.Helper()
	s := &watchServer{watches: make(map[string]*served), arrived: make(chan string, 100)}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		create := body(t, r)["create_request"].(map[string]any)
		key := create["key"].(string)
		id, _ := create["watch_id"].(string)
		if id != "" {
			id = `,"watch_id":"` + id + `"`
		}
		me := s.of(key)
		defer close(me.gone)
		s.arrived <- key
		select {
		case <-me.announce:
		case <-r.Context().Done():
			return
		}
		say(w, result(`,"created":true`+id))
		for {
			select {
			case text := <-me.say:
				if text == "abort" {
					panic(http.ErrAbortHandler)
				}
				say(w, text)
			case <-r.Context().Done():
				return
			}
		}
	})
	return s, c
}

func create(key string, id int64) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte(key), WatchId: id}}}
}

func cancel(id int64) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}}
}

// One Watch stream is many requests: creations are answered in their order, each watch
// has its ID, and a cancellation ends the request.
func TestWatchesShareAStream(t *testing.T) {
	server, c := watching(t)
	s, err := pb.NewWatchClient(c).Watch(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	send := func(r *pb.WatchRequest) {
		t.Helper()
		if err := s.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, ok func(*pb.WatchResponse) bool) *pb.WatchResponse {
		t.Helper()
		resp, err := s.Recv()
		if err != nil || !ok(resp) {
			t.Fatalf("got %v, %v, want %s", resp, err, what)
		}
		return resp
	}
	a, b := server.of("YQ=="), server.of("Yg==")
	send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{}})
	expect("progress of nothing", func(r *pb.WatchResponse) bool { return r.WatchId == -1 && r.Header.Revision == 0 && !r.Created })
	send(create("a", 0))
	send(create("b", 77))
	for range 2 {
		<-server.arrived
	}
	close(b.announce)
	select {
	case <-time.After(20 * time.Millisecond): // b's answer has time to overtake
	case <-b.gone:
		t.Fatal("b has ended")
	}
	close(a.announce)
	expect("a created", func(r *pb.WatchResponse) bool { return r.Created && r.WatchId == 0 })
	expect("b created", func(r *pb.WatchResponse) bool { return r.Created && r.WatchId == 77 })
	b.say <- result(`,"watch_id":"77","events":[{"kv":{"key":"Yg=="}}]`)
	expect("b's event", func(r *pb.WatchResponse) bool { return r.WatchId == 77 && len(r.Events) == 1 })
	a.say <- result(`,"events":[{"type":"DELETE","kv":{"key":"YQ=="}}]`)
	expect("a's event", func(r *pb.WatchResponse) bool { return r.WatchId == 0 && r.Events[0].Type == 1 })

	send(create("c", 77))
	expect("a refusal of the ID", func(r *pb.WatchResponse) bool {
		return r.WatchId == -1 && r.Created && r.Canceled && strings.Contains(r.CancelReason, "duplicate watch ID")
	})
	send(cancel(5)) // there is none
	send(cancel(77))
	expect("b canceled", func(r *pb.WatchResponse) bool { return r.WatchId == 77 && r.Canceled && r.Header.Revision == 3 })
	<-b.gone

	send(create("d", 77)) // the ID is free
	close(server.of("ZA==").announce)
	expect("d created", func(r *pb.WatchResponse) bool { return r.WatchId == 77 && r.Created })
	server.of("ZA==").say <- result(`,"watch_id":"77","canceled":true,"compact_revision":"9","cancel_reason":"compacted"`)
	expect("d canceled by the server", func(r *pb.WatchResponse) bool { return r.WatchId == 77 && r.Canceled && r.CompactRevision == 9 })

	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	a.say <- result(`,"events":[{"kv":{"key":"YQ=="}}]`)
	expect("another event", func(r *pb.WatchResponse) bool { return r.WatchId == 0 && len(r.Events) == 1 })
	a.say <- "abort"
	for range 2 {
		if resp, err := s.Recv(); status.Code(err) != codes.Unavailable {
			t.Fatalf("got %v, %v, want Unavailable", resp, err)
		}
	}
	if err := s.Send(create("e", 0)); !errors.Is(err, io.EOF) {
		t.Errorf("sending on a stream that has failed: got %v, want io.EOF", err)
	}
}

// As with etcd, the ID of a canceled watch is free at once: the end of the first is told, and then that there is
// another one.
func TestCancelFreesTheID(t *testing.T) {
	server, c := watching(t)
	s, err := pb.NewWatchClient(c).Watch(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	close(server.of("YQ==").announce)
	close(server.of("Yg==").announce)
	for _, r := range []*pb.WatchRequest{create("a", 77), cancel(77), create("b", 77)} {
		if err := s.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"created", "canceled", "created"} {
		resp, err := s.Recv()
		if err != nil || resp.WatchId != 77 || resp.Created != (want == "created") || resp.Canceled != (want == "canceled") {
			t.Fatalf("got %v, %v, want watch 77 %s", resp, err, want)
		}
	}
	<-server.of("YQ==").gone
	server.of("Yg==").say <- result(`,"watch_id":"77","events":[{"kv":{"key":"Yg=="}}]`)
	if resp, err := s.Recv(); err != nil || resp.WatchId != 77 || len(resp.Events) != 1 {
		t.Errorf("got %v, %v, want the second watch's event", resp, err)
	}
}

// A watch that could not be asked for is none that could be canceled.
func TestCanceledWithoutACreation(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	s, err := pb.NewWatchClient(c).Watch(timeout(t), grpc.MaxCallSendMsgSize(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(create(strings.Repeat("a", 100), 77)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a creation that is too large: got %v", err)
	}
	if err := s.Send(cancel(77)); err != nil {
		t.Errorf("its cancellation: got %v", err)
	}
	if _, err := s.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v, want the reason", err)
	}
	if err := c.Close(); err != nil { // and no goroutine has failed
		t.Error(err)
	}
}

// A consumer that takes nothing keeps the server waiting, and not the memory filling.
func TestWatchIsBounded(t *testing.T) {
	var written atomic.Int64
	chunk := result(`,"events":[{"kv":{"key":"YQ==","value":"` + strings.Repeat("AAAA", 16<<10) + `"}}]`)
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		say(w, result(`,"created":true`))
		for range 10_000 {
			n, err := w.Write([]byte(chunk))
			if err != nil {
				return
			}
			written.Add(int64(n))
		}
	})
	ctx, cancel := context.WithCancel(timeout(t))
	defer cancel()
	s, err := pb.NewWatchClient(c).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(create("a", 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	for before := int64(-1); before != written.Load(); { // until the sockets are full
		before = written.Load()
		time.Sleep(100 * time.Millisecond)
	}
	if n := written.Load(); n > 64<<20 {
		t.Errorf("%d bytes were taken without a consumer", n)
	}
	cancel()
	for err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.Canceled {
		t.Errorf("got %v, want Canceled", err)
	}
}

// Renewals are requests of their own, under way at once, and answered in their order.
func TestRenewals(t *testing.T) {
	met, refused := make(chan struct{}), make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		id := body(t, r)["ID"].(string)
		switch id { // two that are sent one after the other have to meet
		case "1":
			<-met
		case "20":
			met <- struct{}{}
		}
		if id == "65" { // it is served after its successor was refused
			<-refused
			time.Sleep(20 * time.Millisecond)
		}
		if id == "66" {
			defer close(refused)
			reply(w, http.StatusForbidden, "application/json", `{"error":{"code":7,"message":"etcdserver: permission denied"}}`)
			return
		}
		say(w, `{"result":{"header":{},"ID":"`+id+`","TTL":"5"}}`)
	})
	s, err := pb.NewLeaseClient(c).LeaseKeepAlive(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		for id := int64(1); id <= 70; id++ {
			if err := s.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
				if !errors.Is(err, io.EOF) {
					sent <- fmt.Errorf("renewal %d: %w", id, err)
				}
				break
			}
		}
		close(sent)
	}()
	var got, want []int64
	for {
		resp, err := s.Recv()
		if err != nil {
			if status.Code(err) != codes.PermissionDenied {
				t.Errorf("got %v, want the refusal of the 66th", err)
			}
			break
		}
		got = append(got, resp.ID)
		want = append(want, int64(len(got)))
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, want) || len(got) != 65 {
		t.Errorf("got answers to %v, want those to 65, in order", got)
	}
}

// Close ends streams, and waits for their goroutines.
func TestCloseEndsStreams(t *testing.T) {
	server, c := watching(t)
	s, err := pb.NewWatchClient(c).Watch(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(create("a", 0)); err != nil {
		t.Fatal(err)
	}
	<-server.arrived
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err == nil || err.Error() != grpc.ErrClientConnClosing.Error() { //nolint:staticcheck // SA1019: it is what grpc returns
		t.Errorf("got %v", err)
	}
	<-server.of("YQ==").gone
	if _, err := pb.NewWatchClient(c).Watch(timeout(t)); status.Code(err) != codes.Canceled {
		t.Errorf("after Close: got %v", err)
	}
}
