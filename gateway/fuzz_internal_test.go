package gateway

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// answered is an exchange whose answer has come.
func answered(text []byte, code int, limit int) (*exchange, *http.Response) {
	ctx := context.Background()
	x := &exchange{conn: &Conn{ctx: ctx}, ctx: ctx, opts: callOptions{maxRecv: limit}, ep: &endpoint{}}
	return x, &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text))}
}

var seeds = []string{
	`{"result":{"header":{"cluster_id":"1","revision":"3"},"created":true}}` + "\n" + `{"result":{"events":[{"kv":{"key":"YQ==","value":"Yg=="}}]}}`,
	`{"error":{"code":14,"message":"etcdserver: no leader","details":[]}}`,
	`{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}}`,
	`{"error":"etcdserver: no leader","code":14,"message":"etcdserver: no leader"}`,
	`{"header":{"cluster_id":"1"},"kvs":[{"key":"YQ==","mod_revision":"9223372036854775807"}],"count":"1"}`,
	`{"result":null,"error":null}`, `{"result":{"events":[{"type":"DELETE"},{"type":1},{"type":99}]}}`,
	`{"code":13,"message":"\u001b[31m"}`, "<html>\x1b[31m</html>", "\xff\xfe", `{"header":{"revision":1e400}}`, strings.Repeat(`{"result":`, 100), "[[[[", `""`, "0", "{", "",
}

// Whatever comes on a stream ends, is a message within the limit or an error with a code,
// and no raw control character gets into its text.
func FuzzStream(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const limit = 1 << 10
		x, resp := answered(text, http.StatusOK, limit) //nolint:bodyclose // it is memory
		s := newMessages(x, resp)
		for n := 0; ; n++ {
			var w pb.WatchResponse
			err := s.next(&w)
			if err == nil && proto.Size(&w) > limit {
				t.Errorf("a message of %d bytes", proto.Size(&w))
			}
			if err != nil {
				printable(t, err)
				return
			}
			if n > len(text) {
				t.Fatal("more messages than bytes")
			}
		}
	})
}

// The same of an answer to a unary call.
func FuzzAnswer(f *testing.F) {
	for _, s := range seeds {
		for _, code := range []int{200, 404, 502} {
			f.Add([]byte(s), code)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, code int) {
		const limit = 1 << 10
		x, resp := answered(text, code, limit) //nolint:bodyclose // it is memory
		var r pb.RangeResponse
		err := x.take(resp, &r)
		switch {
		case err != nil:
			printable(t, err)
		case code != http.StatusOK || r.Header == nil || proto.Size(&r) > limit:
			t.Errorf("%d and %q are taken for the answer %v", code, text, &r)
		}
	})
}

func printable(t *testing.T, err error) {
	t.Helper()
	if err == io.EOF { //nolint:errorlint // it is never wrapped
		return
	}
	s, ok := status.FromError(err)
	if !ok || s.Code() == 0 {
		t.Errorf("got the error %v, want a status", err)
	}
	if i := strings.IndexFunc(s.Message(), unicode.IsControl); i >= 0 {
		t.Errorf("the error has a control character at %d: %q", i, s.Message())
	}
}
