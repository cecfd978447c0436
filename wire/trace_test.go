package wire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/wire"
)

const (
	putMethod   = pb.KV_Put_FullMethodName
	rangeMethod = pb.KV_Range_FullMethodName
)

// calls returns the entries of the program's calls, without the client's own.
func calls(t *testing.T, listing string) []entry {
	t.Helper()
	return slices.DeleteFunc(entries(t, []byte(listing)), func(e entry) bool { return e.Call == 0 || e.Attempt.Own || e.Late })
}

func TestTextOfACall(t *testing.T) {
	got := onPlainConn(t, wire.Options{Format: wire.Messages}, func(ctx context.Context, cc *grpc.ClientConn) {
		if _, err := pb.NewKVClient(cc).Put(ctx, &pb.PutRequest{Key: []byte("foo"), Value: []byte("bar")}); err != nil {
			t.Fatal(err)
		}
	})
	midnight := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Local().Format("15:04:05.000000") // where this test runs
	want := `
# ` + midnight + ` call 1, /etcdserverpb.KV/Put, attempt 1, to memory, connection 1, stream 1: OK, after 0s
> 00000000  00 00 00 00 0a                                      message: etcdserverpb.PutRequest, not compressed, length 10
> 00000005  0a 03 66 6f 6f                                        key: "foo"  @0  1 LEN
> 0000000a  12 03 62 61 72                                        value: "bar"  @5  2 LEN
< 00000000  00 00 00 00 12                                      message: etcdserverpb.PutResponse, not compressed, length 18
< 00000005  0a 10                                                 header: ResponseHeader, 16 bytes  @0  1 LEN
< 00000007  08 80 80 b8 d2 0f                                       cluster_id: 4199415808 (fa4e0000)  @2  1 VARINT
< 0000000d  10 81 80 b8 d2 0f                                       member_id: 4199415809 (fa4e0001)  @8  2 VARINT
< 00000013  18 02                                                   revision: 2  @14  3 VARINT
< 00000015  20 02                                                   raft_term: 2  @16  4 VARINT
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Even if calls overlap, each attempt has exactly its own frames.
func TestCallsBesideEachOther(t *testing.T) {
	got := traced(t, 1, wire.Options{Format: wire.JSON, Secrets: true}, nil, func(ctx context.Context, c *client.Client, _ *etcdtest.Cluster) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { put(ctx, t, c, fmt.Sprint("key", i), "v") })
			wg.Go(func() { put(ctx, t, c, "same", "v") })
		}
		wg.Wait()
	})
	all := calls(t, got)
	if len(all) != 100 {
		t.Errorf("got %d calls, want 100", len(all))
	}
	seen := make(map[int]bool)
	for _, e := range all {
		if seen[e.Call] || e.Attempt.N != 1 || e.Attempt.Result != "OK" || e.Status != "OK" || len(e.Frames) < 5 {
			t.Fatalf("got %+v, want a call of its own, with its frames", e)
		}
		seen[e.Call] = true
	}
	listed(t, []byte(got))
}

func TestARetryIsAnAttempt(t *testing.T) {
	got := traced(t, 2, wire.Options{Format: wire.JSON}, nil, func(ctx context.Context, c *client.Client, cluster *etcdtest.Cluster) {
		cluster.Member(0).Intercept(func(_ context.Context, m string, _ any, next func() (any, error)) (any, error) {
			if m == putMethod {
				return nil, rpctypes.ErrGRPCNoLeader
			}
			return next()
		})
		put(ctx, t, c, "k", "v")
	})
	all := calls(t, got)
	if len(all) != 2 || all[0].Call != all[1].Call {
		t.Fatalf("got %+v, want two attempts of a call", all)
	}
	second := all[1]
	if second.Attempt.N != 2 || second.Attempt.Result != "OK" || len(second.Earlier) != 1 || !strings.Contains(second.Earlier[0].Result, "no leader") {
		t.Errorf("got %+v, want the second attempt, and why the first was not the last", second)
	}
	if all[0].Connection == second.Connection {
		t.Error("both are on the same connection")
	}
}

func TestAHedgeIsAnAttempt(t *testing.T) {
	got := traced(t, 2, wire.Options{Format: wire.JSON}, nil, func(ctx context.Context, c *client.Client, cluster *etcdtest.Cluster) {
		cluster.Member(0).Intercept(func(ctx context.Context, _ string, req any, next func() (any, error)) (any, error) {
			if r, ok := req.(*pb.RangeRequest); ok && string(r.Key) == "k" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return next()
		})
		if _, err := pb.NewKVClient(c.Conn()).Range(ctx, &pb.RangeRequest{Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
	})
	all := calls(t, got)
	if len(all) != 2 || all[0].Call != all[1].Call {
		t.Fatalf("got %+v, want two attempts of a call", all)
	}
	i := slices.IndexFunc(all, func(e entry) bool { return e.Attempt.N == 2 })
	if i < 0 || all[i].Attempt.Result != "OK" || len(all[i].Earlier) != 1 || all[i].Earlier[0].Result != "" {
		t.Fatalf("got %+v, want a second attempt beside the first", all)
	}
	first := all[1-i]
	last := first.Frames[len(first.Frames)-1]
	if !strings.HasPrefix(first.Attempt.Result, "Canceled") || last.Type != "RST_STREAM" {
		t.Errorf("got %+v, want the first attempt, canceled", first)
	}
}

func TestASeveredAttempt(t *testing.T) {
	got := traced(t, 1, wire.Options{Format: wire.JSON}, nil, func(ctx context.Context, c *client.Client, cluster *etcdtest.Cluster) {
		cluster.Member(0).Intercept(func(ctx context.Context, m string, _ any, next func() (any, error)) (any, error) {
			if m == putMethod {
				go cluster.Member(0).Kill()
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return next()
		})
		_, err := pb.NewKVClient(c.Conn()).Put(ctx, &pb.PutRequest{Key: []byte("k")})
		if !client.IsAmbiguous(err) {
			t.Errorf("got %v, want an ambiguous error", err)
		}
	})
	all := calls(t, got)
	if len(all) != 1 || !strings.HasPrefix(all[0].Attempt.Result, "Unavailable") || all[0].Status != "" || len(all[0].Frames) == 0 {
		t.Errorf("got %+v, want an attempt that was sent and not answered", all)
	}
}

// Frames that a server sends for a call that was canceled meanwhile are decoded,
// too.
func TestALateAnswer(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(ask(rangeMethod, 1, ""))
	must(http2.NewFramer(&b, nil).WriteRSTStream(1, http2.ErrCodeCancel))
	var out bytes.Buffer
	err := wire.DecodeHTTP2(&out, wire.Options{}, &b, strings.NewReader(answer(encode(&pb.RangeResponse{Count: 7}))))
	if err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "# this came after the call had ended") || !strings.Contains(got, "count: 7") {
		t.Errorf("got\n%s", got)
	}
}

// So are the answers to all calls that were canceled while the connection stood still.
func TestManyLateAnswers(t *testing.T) {
	const calls = 1000
	var client, server, out bytes.Buffer
	client.WriteString(http2.ClientPreface)
	c, s := http2.NewFramer(&client, nil), http2.NewFramer(&server, nil)
	for i := range uint32(calls) {
		stream := 2*i + 1
		writeHeadersOf(stream, c, false, ":method", "POST", ":path", rangeMethod)
		must(c.WriteData(stream, true, []byte(framed(""))))
		must(c.WriteRSTStream(stream, http2.ErrCodeCancel))
		writeHeadersOf(stream, s, false, ":status", "200")
		must(s.WriteData(stream, false, []byte(framed(encode(&pb.RangeResponse{Count: int64(i)})))))
		writeHeadersOf(stream, s, true, "grpc-status", "0")
	}
	if err := wire.DecodeHTTP2(&out, wire.Options{}, &client, &server); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, "not decoded") || strings.Count(got, "count: ") != calls-1 { // 0 is not sent
		t.Errorf("%d answers are decoded, want %d, and all of them", strings.Count(got, "count: "), calls-1)
	}
}

// What is on a stream and is no gRPC, such as a proxy's page or the JSON gateway's, is
// shown as the text that it is.
func TestWhatIsNoGRPC(t *testing.T) {
	for _, tt := range []struct {
		fields []string
		body   string
		want   string
	}{
		{[]string{":status", "404", "content-type", "text/plain; charset=utf-8"}, "404 page not found\n", `body: "404 page not found\n"  no gRPC: text/plain; charset=utf-8`},
		{[]string{":status", "502"}, "<html>\x1b[2J", `body: "<html>\x1b[2J"  no gRPC: HTTP status 502`},
		{[]string{":status", "200", "content-type", "application/json"}, `{"header":{}}`, `body: "{\"header\":{}}"  no gRPC: application/json`},
		{[]string{":status", "200", "content-type", "application/grpc+proto"}, framed("\x20\x07"), "count: 7"},
	} {
		var server, out bytes.Buffer
		f := http2.NewFramer(&server, nil)
		writeHeaders(f, false, tt.fields...)
		must(f.WriteData(1, true, []byte(tt.body)))
		if err := wire.DecodeHTTP2(&out, wire.Options{}, strings.NewReader(ask(rangeMethod, 1, "")), &server); err != nil {
			t.Fatal(err)
		}
		presentable(t, out.String())
		if got := out.String(); !strings.Contains(got, tt.want) || strings.Contains(got, "not decoded") {
			t.Errorf("got\n%s\nwant in it %q", got, tt.want)
		}
	}
}

// A call that never got a connection is shown as an attempt without frames.
func TestAnUnsentAttempt(t *testing.T) {
	got := traced(t, 1, wire.Options{Format: wire.Frames}, nil, func(ctx context.Context, c *client.Client, cluster *etcdtest.Cluster) {
		cluster.Member(0).Kill()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := pb.NewKVClient(c.Conn()).Put(ctx, &pb.PutRequest{Key: []byte("k")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
	})
	if want := "call 1, /etcdserverpb.KV/Put, attempt 1: Canceled"; !strings.Contains(got, want) || !strings.Contains(got, "# nothing of it was sent") {
		t.Errorf("got\n%s\nwant in it %q", got, want)
	}
}

// A stream is shown while it runs: each message when it is complete.
func TestAStreamIsShownInPieces(t *testing.T) {
	var out buffer
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 1)
		tracer := wire.New(&out, wire.Options{Format: wire.Messages})
		cc := cluster.Conn(t, tracer.DialOptions(insecure.NewCredentials())...)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w, err := pb.NewWatchClient(cc).Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		step := func(want string, do func() error) {
			t.Helper()
			if err := do(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := out.String(); !strings.Contains(got, want) {
				t.Fatalf("got\n%s\nwant in it %q", got, want)
			}
		}
		receive := func() error { _, err := w.Recv(); return err }
		step(`create_request: WatchCreateRequest, 3 bytes`, func() error {
			return w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("k")}}})
		})
		step(`created: true`, receive)
		step(`value: "first"`, func() error {
			if _, err := pb.NewKVClient(cc).Put(ctx, &pb.PutRequest{Key: []byte("k"), Value: []byte("first")}); err != nil {
				return err
			}
			return receive()
		})
		step(`call 1, /etcdserverpb.Watch/Watch, attempt 1, to memory, connection 1, stream 1: Canceled`, func() error {
			cancel()
			_, err := w.Recv()
			if err == nil {
				return errors.New("the stream goes on")
			}
			return nil
		})
	})
}

// onPlainConn runs test with a traced plain gRPC connection, and returns the
// trace.
func onPlainConn(t *testing.T, o wire.Options, test func(ctx context.Context, cc *grpc.ClientConn)) string {
	t.Helper()
	var out buffer
	synctest.Test(t, func(t *testing.T) {
		tracer := wire.New(&out, o)
		test(t.Context(), etcdtest.Start(t, 1).Conn(t, tracer.DialOptions(insecure.NewCredentials())...))
	})
	return out.String()
}

func TestAnyClientConn(t *testing.T) {
	got := onPlainConn(t, wire.Options{Format: wire.JSON}, func(ctx context.Context, cc *grpc.ClientConn) {
		if _, err := pb.NewKVClient(cc).Range(ctx, &pb.RangeRequest{Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
	})
	if all := calls(t, got); len(all) != 1 || all[0].Method != rangeMethod || all[0].Attempt.Result != "OK" {
		t.Errorf("got %+v, want one call", all)
	}
}

func TestCommands(t *testing.T) {
	for f, want := range map[wire.Format]string{
		wire.Curl: `curl -sS http://memory/v3/kv/put -d '{"key":"aXQncw==","value":"YmFy"}'
curl -sS -N http://memory/v3/watch -d '{"create_request":{"key":"aw=="}}'
`,
		wire.Grpcurl: `getcd wire protoset | grpcurl -protoset /dev/stdin -plaintext -d '{"key":"aXQncw==","value":"YmFy"}' memory etcdserverpb.KV/Put
getcd wire protoset | grpcurl -protoset /dev/stdin -plaintext -d '{"create_request":{"key":"aw=="}}' memory etcdserverpb.Watch/Watch
`,
	} {
		got := onPlainConn(t, wire.Options{Format: f}, func(ctx context.Context, cc *grpc.ClientConn) {
			if _, err := pb.NewKVClient(cc).Put(ctx, &pb.PutRequest{Key: []byte("it's"), Value: []byte("bar")}); err != nil {
				t.Fatal(err)
			}
			w, err := pb.NewWatchClient(cc).Watch(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("k")}}}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Recv(); err != nil {
				t.Fatal(err)
			}
		})
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", f, got, want)
		}
	}
}
