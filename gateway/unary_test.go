package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/gateway"
)

const answer = `{"header":{"cluster_id":"1","member_id":"2","revision":"3","raft_term":"4"}`

// An answer of etcd 3.7, and what it may look like otherwise: numbers as numbers, enums
// by their numbers, fields that are not known yet.
func TestAnswers(t *testing.T) {
	key := bytes.Repeat([]byte{0, 0xff, '"', 0x1b}, 3)
	for name, text := range map[string]string{
		"etcd":     answer + `,"kvs":[{"key":"AP8iGwD/IhsA/yIb","create_revision":"2","mod_revision":"3","version":"1","value":"YmFy"}],"count":"1"}`,
		"numbers":  `{"header":{"cluster_id":1,"revision":3},"kvs":[{"key":"AP8iGwD/IhsA/yIb","mod_revision":3,"value":"YmFy"}],"count":1}`,
		"newer":    answer + `,"kvs":[{"key":"AP8iGwD/IhsA/yIb","mod_revision":"3","value":"YmFy","color":"blue"}],"count":"1","shape":{"round":true}}`,
		"url-safe": answer + `,"kvs":[{"key":"AP8iGwD_IhsA_yIb","mod_revision":"3","value":"YmFy"}],"count":"1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.URL.Path != "/v3/kv/range" || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("got %s %s of %q", r.Method, r.URL, r.Header.Get("Content-Type"))
				}
				// etcd doubts the certificate of the gateway's own connection by that header.
				if r.Header.Get("Accept") == "" {
					t.Error("there is no Accept header")
				}
				if got := body(t, r); got["key"] != "AP8iGwD/IhsA/yIb" || got["limit"] != "5" {
					t.Errorf("got the request %v", got)
				}
				reply(w, http.StatusOK, "application/json", text)
			})
			got, err := pb.NewKVClient(c).Range(timeout(t), &pb.RangeRequest{Key: key, Limit: 5})
			if err != nil || got.Header.Revision != 3 || got.Count != 1 || !bytes.Equal(got.Kvs[0].Key, key) || string(got.Kvs[0].Value) != "bar" || got.Kvs[0].ModRevision != 3 {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		kind := map[string]string{"/v3/maintenance/alarm": `,"alarms":[{"memberID":"7","alarm":"NOSPACE"},{"memberID":"8","alarm":2}]}`}
		reply(w, http.StatusOK, "application/json", answer+kind[r.URL.Path])
	})
	alarms, err := pb.NewMaintenanceClient(c).Alarm(timeout(t), &pb.AlarmRequest{})
	if err != nil || len(alarms.Alarms) != 2 || alarms.Alarms[0].Alarm != pb.AlarmType_NOSPACE || alarms.Alarms[1].Alarm != pb.AlarmType_CORRUPT {
		t.Errorf("got %v, %v, want the two alarms", alarms, err)
	}
}

// etcd answers some calls without a header.
func TestHeaderless(t *testing.T) {
	text := "{}"
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, "application/json", text) })
	m := pb.NewMaintenanceClient(c)
	for _, text = range []string{"{}", `{"header":{},"newer":1}`} {
		for name, call := range map[string]func() error{
			"Defragment": func() error { _, err := m.Defragment(timeout(t), &pb.DefragmentRequest{}); return err },
			"MoveLeader": func() error { _, err := m.MoveLeader(timeout(t), &pb.MoveLeaderRequest{}); return err },
			"Alarm":      func() error { _, err := m.Alarm(timeout(t), &pb.AlarmRequest{}); return err },
		} {
			if err := call(); err != nil {
				t.Errorf("%s, answered %s: %v", name, text, err)
			}
		}
	}
	text = `{"status":"ok"}`
	if _, err := m.Alarm(timeout(t), &pb.AlarmRequest{}); status.Code(err) != codes.Unknown {
		t.Errorf("others' JSON: got %v", err)
	}
}

// What a gateway or something before it answers becomes what it is.
func TestFailures(t *testing.T) {
	const (
		js   = "application/json"
		html = "text/html; charset=utf-8"
		http = "unexpected HTTP status code received from server: "
	)
	for _, tc := range []struct {
		name, contentType, text string
		status                  int
		code                    codes.Code
		want                    string // the message, or its beginning and end around "…"
	}{
		{"v2", js, `{"code":5,"message":"etcdserver: requested lease not found","details":[]}`, 404, codes.NotFound, "etcdserver: requested lease not found"},
		{"v1", js, `{"error":"etcdserver: no leader","code":14,"message":"etcdserver: no leader"}`, 503, codes.Unavailable, "etcdserver: no leader"},
		{"v2 of a stream", js, `{"error":{"code":14,"message":"etcdserver: no leader"}}`, 503, codes.Unavailable, "etcdserver: no leader"},
		{"v1 of a stream", js, `{"error":{"grpc_code":3,"http_code":400,"message":"etcdserver: bad","http_status":"Bad Request"}}`, 400, codes.InvalidArgument, "etcdserver: bad"},
		{"no path", js, `{"code":5,"message":"Not Found","details":[]}`, 404, codes.Unimplemented, "gateway: gateway+http://… has no /v3/kv/put: its etcd is too old for it"},
		{"nginx 502", html, "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n", 502, codes.Unavailable, http + `502 (Bad Gateway); content type "text/html; charset=utf-8": "<html>"`},
		{"nginx 504", html, "\n\n<html>\r\n", 504, codes.Unavailable, http + `504 (Gateway Timeout); content type "text/html; charset=utf-8": "<html>"`},
		{"413", html, "<html>", 413, codes.Unknown, http + `413 (Request Entity Too Large); content type "text/html; charset=utf-8": "<html>"`},
		{"401", "", "", 401, codes.Unauthenticated, http + `401 (Unauthorized); content type "": ""`},
		{"a redirect", html, "<a href=x>", 302, codes.Unknown, http + `302 (Found); content type "text/html; charset=utf-8": "<a href=x>"`},
		{"a JSON of others", js, `{"message":"no Route matched with those values"}`, 404, codes.Unimplemented, http + `404 (Not Found); content type "application/json": "{\"message\":\"no Route matched with those values\"}"`},
		{"a code of others", js, `{"code":404,"message":"nothing here"}`, 404, codes.Unimplemented, http + `404 (Not Found); content type "application/json": …`},
		{"a portal", html, "<!DOCTYPE html>\n<title>Log in</title>", 200, codes.Unknown, `gateway: 200 (OK) without an etcd's answer; content type "text/html; charset=utf-8": "<!DOCTYPE html>"`},
		{"empty", "", "", 200, codes.Unknown, `gateway: 200 (OK) without an etcd's answer; content type "": ""`},
		{"an empty object", js, "{}", 200, codes.Unknown, `gateway: 200 (OK) without an etcd's answer; content type "application/json": "{}"`},
		{"others' success", js, `{"status":"ok"}`, 200, codes.Unknown, `gateway: 200 (OK) without an etcd's answer; content type "application/json": …`},
		{"terminal escapes", "text/plain", "\x1b]0;owned\x07\x1b[31m", 502, codes.Unavailable, http + `502 (Bad Gateway); content type "text/plain": "\x1b]0;owned\a\x1b[31m"`},
		{"no UTF-8", "text/plain", "\xff\xfe", 502, codes.Unavailable, http + `502 (Bad Gateway); content type "text/plain": "\xff\xfe"`},
		{"one long line", "text/plain", strings.Repeat("x", 1<<20), 500, codes.Unknown, http + `500 (Internal Server Error); content type "text/plain": "` + strings.Repeat("x", 120) + `"…`},
		{"no base64", js, answer + `,"prev_kv":{"key":"%"}}`, 200, codes.Unknown, "gateway: 200 (OK) without an etcd's answer; …"},
		{"a deep one", js, strings.Repeat(`{"header":`, 1<<16), 200, codes.Unknown, "gateway: 200 (OK) without an etcd's answer; …"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, func(w httpWriter, _ *httpRequest) { reply(w, tc.status, tc.contentType, tc.text) })
			_, err := pb.NewKVClient(c).Put(timeout(t), &pb.PutRequest{Key: []byte("k")})
			begin, end, _ := strings.Cut(tc.want, "…")
			if tc.name == "one long line" {
				begin, end = tc.want, ""
			}
			if got := status.Convert(err).Message(); status.Code(err) != tc.code || !strings.HasPrefix(got, begin) || !strings.HasSuffix(got, end) {
				t.Errorf("got %v: %s\nwant %v: %s", status.Code(err), got, tc.code, tc.want)
			}
			if strings.Contains(err.Error(), "\x1b") {
				t.Error("a raw escape")
			}
		})
	}
}

type (
	httpWriter  = http.ResponseWriter
	httpRequest = http.Request
)

// etcd's errors are found as over gRPC.
func TestErrorsAreTyped(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusNotFound, "application/json", `{"code":5,"message":"etcdserver: requested lease not found"}`)
	})
	_, err := pb.NewLeaseClient(c).LeaseRevoke(timeout(t), &pb.LeaseRevokeRequest{ID: 1})
	if !errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseNotFound) {
		t.Errorf("got %v, want %v", err, rpctypes.ErrLeaseNotFound)
	}
}

// Connections that break.
func TestBroken(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"before the answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"in the answer": func(w http.ResponseWriter, _ *http.Request) {
			say(w, answer[:20])
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				_ = body(t, r)
				h(w, r)
			}))
			s.EnableHTTP2 = true
			s.StartTLS()
			defer s.Close()
			c := connect(t, gateway.Options{TLS: s.Client().Transport.(*http.Transport).TLSClientConfig}, s.URL)
			for n := range int32(3) { // on used connections, too
				_, err := pb.NewKVClient(c).Put(timeout(t), &pb.PutRequest{Key: []byte("k")})
				if status.Code(err) != codes.Unavailable || requests.Load() != n+1 {
					t.Fatalf("got %v after %d requests, want Unavailable after one each", err, requests.Load())
				}
			}
		})
	}
	l, err := new(net.ListenConfig).Listen(timeout(t), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + l.Addr().String()
	_ = l.Close()
	if _, err := pb.NewKVClient(connect(t, gateway.Options{}, gone)).Put(timeout(t), &pb.PutRequest{Key: []byte("k")}); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want Unavailable", err)
	}
}

// Over TLS it is HTTP/2, as etcd has it.
func TestHTTP2(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("got %s, want HTTP/2", r.Proto)
		}
		reply(w, http.StatusOK, "application/json", answer+"}")
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	c := connect(t, gateway.Options{TLS: s.Client().Transport.(*http.Transport).TLSClientConfig}, s.URL)
	if _, err := pb.NewKVClient(c).Put(timeout(t), &pb.PutRequest{Key: []byte("k")}); err != nil {
		t.Error(err)
	}
}

// A server that has the gateway elsewhere is asked for its version, once.
func TestPaths(t *testing.T) {
	for version, path := range map[string]string{"3.2.32": "/v3alpha", "3.3.27": "/v3beta", "3.4.34": "/v3"} {
		t.Run(version, func(t *testing.T) {
			var asked, tried atomic.Int32
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/base/version":
					asked.Add(1)
					reply(w, http.StatusOK, "application/json", `{"etcdserver":"`+version+`","etcdcluster":"3.2.0"}`)
				case r.URL.Path == "/base"+path+"/kv/put", r.URL.Path == "/base"+path+"/kv/lease/revoke", path == "/v3" && r.URL.Path == "/base/v3/lease/revoke":
					tried.Add(1)
					reply(w, http.StatusOK, "application/json", answer+"}")
				case strings.HasPrefix(r.URL.Path, "/base"+path+"/"): // grpc-gateway's words before 3.5
					reply(w, http.StatusNotFound, "text/plain; charset=utf-8", "Not Found\n")
				default:
					reply(w, http.StatusNotFound, "text/plain; charset=utf-8", "404 page not found\n")
				}
			})
			e := c.Endpoints()[0].Address
			if err := c.SetEndpoints(e + "/base/"); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := pb.NewKVClient(c).Put(timeout(t), &pb.PutRequest{Key: []byte("k")}); err != nil {
					t.Fatal(err)
				}
				if _, err := pb.NewLeaseClient(c).LeaseRevoke(timeout(t), &pb.LeaseRevokeRequest{ID: 1}); err != nil {
					t.Fatal(err)
				}
			}
			want := int32(1)
			if path == "/v3" {
				want = 0
			}
			if asked.Load() != want || tried.Load() != 4 {
				t.Errorf("asked %d times for the version, want %d; %d requests, want 4", asked.Load(), want, tried.Load())
			}
			_, err := pb.NewAuthClient(c).AuthStatus(timeout(t), &pb.AuthStatusRequest{})
			if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "too old") {
				t.Errorf("got %v, want Unimplemented", err)
			}
		})
	}
}

// A server whose gateway is off says so as HTTP does.
func TestGatewaySwitchedOff(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/version" {
			reply(w, http.StatusOK, "application/json", `{"etcdserver":"3.7.3"}`)
			return
		}
		http.NotFound(w, r)
	})
	_, err := pb.NewKVClient(c).Put(timeout(t), &pb.PutRequest{Key: []byte("k")})
	if want := `404 (Not Found); content type "text/plain; charset=utf-8": "404 page not found"`; status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Metadata, deadline and call options go over as headers, or are refused.
func TestMetadataAndOptions(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for name, want := range map[string]string{
			"Authorization": "token.1", "Grpc-Metadata-Hasleader": "true", "Grpc-Metadata-X-Bin": "AP8=", "Te": "trailers",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		if got := r.Header.Get("Grpc-Timeout"); !strings.HasSuffix(got, "u") || len(got) < 7 {
			t.Errorf("Grpc-Timeout: got %q, want microseconds", got)
		}
		w.Header().Set("Grpc-Metadata-Color", "blue")
		w.Header().Set("Trailer", "Grpc-Trailer-Shape")
		_, _ = w.Write([]byte(answer + "}"))
		w.Header().Set("Grpc-Trailer-Shape", "round")
	})
	ctx := metadata.AppendToOutgoingContext(timeout(t), rpctypes.TokenFieldNameGRPC, "token.1",
		rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader, "x-bin", "\x00\xff")
	var header, trailer metadata.MD
	put := func(opts ...grpc.CallOption) error {
		_, err := pb.NewKVClient(c).Put(ctx, &pb.PutRequest{Key: []byte("k"), Value: make([]byte, 100)}, opts...)
		return err
	}
	if err := put(grpc.Header(&header), grpc.Trailer(&trailer), grpc.WaitForReady(true), grpc.MaxRetryRPCBufferSize(0)); err != nil {
		t.Fatal(err)
	}
	if header.Get("color")[0] != "blue" || trailer.Get("shape")[0] != "round" {
		t.Errorf("got the header %v and the trailer %v", header, trailer)
	}
	for _, tc := range []struct {
		opt  grpc.CallOption
		code codes.Code
		want string
	}{
		{grpc.MaxCallSendMsgSize(50), codes.ResourceExhausted, "trying to send message larger than max (105 vs. 50)"},
		{grpc.Peer(&peer.Peer{}), codes.Unimplemented, "grpc.PeerCallOption"},
		{grpc.UseCompressor("gzip"), codes.Unimplemented, "grpc.CompressorCallOption"},
		{nil, codes.InvalidArgument, "is nil"},
	} {
		if err := put(tc.opt); status.Code(err) != tc.code || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%T: got %v, want %v: %s", tc.opt, err, tc.code, tc.want)
		}
	}
	if err := c.Invoke(nil, pb.KV_Put_FullMethodName, &pb.PutRequest{}, &pb.PutResponse{}); status.Code(err) != codes.InvalidArgument { //nolint:staticcheck // SA1012: misuse on purpose
		t.Errorf("a nil context: got %v", err)
	}
}

// An answer is as large as the option says, and no more of it is read than its JSON may
// take.
func TestLimits(t *testing.T) {
	const size = 10 << 10
	var endless atomic.Bool
	var written atomic.Int64
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if !endless.Load() {
			reply(w, http.StatusOK, "application/json", answer+`,"kvs":[{"key":"`+strings.Repeat("AAAA", size/3)+`"}]}`)
			return
		}
		for _, err := w.Write([]byte(answer)); err == nil; {
			var n int
			n, err = w.Write(bytes.Repeat([]byte(" "), 64<<10))
			written.Add(int64(n))
		}
	})
	get := func(limit int) error {
		_, err := pb.NewKVClient(c).Range(timeout(t), &pb.RangeRequest{Key: []byte("k")}, grpc.MaxCallRecvMsgSize(limit))
		return err
	}
	if err := get(size + 100); err != nil {
		t.Error(err)
	}
	if err := get(size - 100); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "received message larger than max (10") {
		t.Errorf("got %v, want ResourceExhausted", err)
	}
	endless.Store(true)
	if err := get(size); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v, want ResourceExhausted", err)
	}
	if n := written.Load(); n > 16<<20 {
		t.Errorf("%d bytes were sent of an answer without an end", n)
	}
}

// The end of the context, and Close, end the HTTP request.
func TestCallsEnd(t *testing.T) {
	arrived, left := make(chan struct{}, 1), make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = body(t, r)
		arrived <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	}))
	defer s.Close()
	c := connect(t, gateway.Options{}, s.URL)
	for _, tc := range []struct {
		end  func(cancel context.CancelFunc)
		want error
	}{
		{func(cancel context.CancelFunc) { cancel() }, status.FromContextError(context.Canceled).Err()},
		{func(context.CancelFunc) { _ = c.Close() }, grpc.ErrClientConnClosing}, //nolint:staticcheck // SA1019: it is what grpc returns
	} {
		ctx, cancel := context.WithCancel(timeout(t))
		got := make(chan error)
		go func() {
			_, err := pb.NewKVClient(c).Put(ctx, &pb.PutRequest{Key: []byte("k")})
			got <- err
		}()
		<-arrived
		tc.end(cancel)
		if err := <-got; status.Code(err) != status.Code(tc.want) || err.Error() != tc.want.Error() {
			t.Errorf("got %v, want %v", err, tc.want)
		}
		<-left
		cancel()
	}
	if _, err := pb.NewKVClient(c).Put(timeout(t), &pb.PutRequest{Key: []byte("k")}); status.Code(err) != codes.Canceled {
		t.Errorf("after Close: got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	if _, err := pb.NewKVClient(connect(t, gateway.Options{}, s.URL)).Put(ctx, &pb.PutRequest{Key: []byte("k")}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("past the deadline: got %v", err)
	}
}

func TestBadEndpoints(t *testing.T) {
	for _, tc := range []struct{ endpoint, want string }{
		{"127.0.0.1:2379", "write gateway+http://host:port"},
		{"gateway+127.0.0.1:2379", "write gateway+http://host:port"},
		{"gateway+ftp://host", "write gateway+http://host:port"},
		{"gateway+https://", "has no host"},
		{"gateway+https://host:99999", "the port is not a number"},
		{"gateway+https://me:secret@host", "takes no credentials"},
		{"https://host?x=1", "a query or a fragment"},
		{"https://ho st", "is no URI"},
	} {
		_, err := gateway.New([]string{"http://fine", tc.endpoint}, gateway.Options{})
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an error with %q", tc.endpoint, err, tc.want)
		}
	}
	if _, err := gateway.New(nil, gateway.Options{}); err == nil {
		t.Error("no endpoints: got no error")
	}
}

// A deadline that is further away than a duration can say is not one that is over.
func TestDeadlineFarAway(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		// As grpc-gateway reads it (runtime/context.go, timeoutDecode).
		n, err := strconv.ParseInt(strings.TrimSuffix(r.Header.Get("Grpc-Timeout"), "u"), 10, 64)
		if d := time.Microsecond * time.Duration(n); err != nil || d <= 0 {
			t.Errorf("Grpc-Timeout is %q, which means %v, want a time to come", r.Header.Get("Grpc-Timeout"), d)
		}
		reply(w, http.StatusOK, "application/json", answer+"}")
	})
	ctx, cancel := context.WithDeadline(t.Context(), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
	defer cancel()
	if _, err := pb.NewKVClient(c).Range(ctx, &pb.RangeRequest{Key: []byte("k")}); err != nil {
		t.Error(err)
	}
}

// etcd's own 404, of a lease that is gone, is an answer: the version is not asked for.
func TestNotFoundIsAnAnswer(t *testing.T) {
	for name, text := range map[string]string{
		"v2": `{"code":5,"message":"etcdserver: requested lease not found","details":[]}`,
		"v1": `{"error":"etcdserver: requested lease not found","code":5,"message":"etcdserver: requested lease not found"}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v3/lease/revoke" {
					t.Errorf("got a request for %s", r.URL.Path)
				}
				reply(w, http.StatusNotFound, "application/json", text)
			})
			_, err := pb.NewLeaseClient(c).LeaseRevoke(timeout(t), &pb.LeaseRevokeRequest{ID: 1})
			if !errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseNotFound) {
				t.Errorf("got %v, want %v", err, rpctypes.ErrLeaseNotFound)
			}
		})
	}
}

// A limit that is larger than any message is none.
func TestLimitBeyondAllMessages(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, "application/json", answer+`,"kvs":[{"key":"`+strings.Repeat("AAAA", 100<<10)+`"}]}`)
	})
	if _, err := pb.NewKVClient(c).Range(timeout(t), &pb.RangeRequest{Key: []byte("k")}, grpc.MaxCallRecvMsgSize(math.MaxInt)); err != nil {
		t.Error(err)
	}
}

// Of a page without an end the beginning will do.
func TestEndlessPage(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = body(t, r)
		reply(w, http.StatusBadGateway, "text/html", "<html>\n"+strings.Repeat(" ", 64<<10))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	_, err := pb.NewKVClient(c).Put(timeout(t), &pb.PutRequest{Key: []byte("k")})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), `502 (Bad Gateway); content type "text/html": "<html>"`) {
		t.Errorf("got %v, want the 502", err)
	}
}

// A zone (RFC 6874) is part of the address, and of the endpoint's name, which names it again.
func TestZone(t *testing.T) {
	const uri = "gateway+http://[fe80::1%25lo]:1"
	c := connect(t, gateway.Options{}, uri)
	if got := c.Endpoints()[0].Address; got != uri {
		t.Errorf("the endpoint is %s, want %s", got, uri)
	}
	if _, err := pb.NewKVClient(c).Put(timeout(t), &pb.PutRequest{Key: []byte("k")}); err == nil || strings.Contains(err.Error(), "URL") {
		t.Errorf("got %v, want an error of the connection", err)
	}
}

// Metadata that no header can have are refused at once, as by gRPC, and don't speak
// against the endpoint. What is HTTP/2's own in what a server passes on is left out.
func TestMetadataThatCantBeSent(t *testing.T) {
	for name, tc := range map[string]struct{ key, value, want string }{
		"a line break":      {"token", "jwt\n", `the metadata "token" can't be sent: it has an unprintable character`},
		"no ASCII":          {"user", "J\u00fcrgen", `the metadata "user" can't be sent: it has an unprintable character`},
		"a name of no sort": {"a b", "c", `the metadata "a b" can't be sent: no header can have this name`},
		"binary":            {"x-bin", "\x00\n\xff", ""},
		"HTTP/2's own":      {":authority", "example.com", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				reply(w, http.StatusOK, "application/json", answer+"}")
			})
			ctx := metadata.AppendToOutgoingContext(timeout(t), tc.key, tc.value)
			_, err := pb.NewKVClient(c).Put(ctx, &pb.PutRequest{Key: []byte("k")})
			if tc.want == "" {
				if err != nil || requests.Load() != 1 {
					t.Errorf("got %v after %d requests, want one that is answered", err, requests.Load())
				}
				return
			}
			if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), tc.want) || requests.Load() != 0 {
				t.Errorf("got %v after %d requests, want Internal: %s", err, requests.Load(), tc.want)
			}
			if _, err := pb.NewWatchClient(c).Watch(ctx); status.Code(err) != codes.Internal {
				t.Errorf("a watch: got %v, want Internal", err)
			}
			if e := c.Endpoints()[0]; e.LastError != nil {
				t.Errorf("it speaks against the endpoint: %v", e.LastError)
			}
		})
	}
}
