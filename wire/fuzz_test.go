package wire_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"unicode"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"

	"github.com/getcd/getcd/wire"
)

// presentable fails the test if the shown text could affect a terminal.
func presentable(t *testing.T, shown string) {
	t.Helper()
	if i := strings.IndexFunc(shown, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Fatalf("unprintable at %d: %q", i, shown[max(0, i-50):min(len(shown), i+50)])
	}
}

func decodeAll(t *testing.T, formats []wire.Format, decode func(w io.Writer, o wire.Options) error) {
	t.Helper()
	for _, f := range formats {
		for _, o := range []wire.Options{{Format: f}, {Format: f, Secrets: true, HideValues: []string{"secret/"}}} {
			var out bytes.Buffer
			o.Memory = 1 << 20
			if err := decode(&out, o); err != nil {
				t.Fatal(err)
			}
			presentable(t, out.String())
		}
	}
}

var bare = []wire.Format{wire.Frames, wire.JSON}

func FuzzMessage(f *testing.F) {
	for _, s := range messages {
		f.Add(s.name, []byte(s.bytes))
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		if err := wire.DecodeMessage(io.Discard, wire.Options{}, name, bytes.NewReader(nil)); err != nil {
			return // there is no such type
		}
		decodeAll(t, bare, func(w io.Writer, o wire.Options) error {
			return wire.DecodeMessage(w, o, name, bytes.NewReader(b))
		})
	})
}

func FuzzGRPC(f *testing.F) {
	for _, s := range messages {
		f.Add("\x00\x00\x00\x00" + string(rune(len(s.bytes))) + s.bytes)
	}
	f.Add("\x01\x7f\xff\xff\xffshort")
	f.Fuzz(func(t *testing.T, b string) {
		decodeAll(t, bare, func(w io.Writer, o wire.Options) error {
			return wire.DecodeGRPC(w, o, "etcdserverpb.TxnRequest", strings.NewReader(b))
		})
	})
}

func FuzzHTTP2(f *testing.F) {
	for _, s := range streams {
		f.Add([]byte(s.client), []byte(s.server))
	}
	f.Fuzz(func(t *testing.T, client, server []byte) {
		decodeAll(t, wire.Formats(), func(w io.Writer, o wire.Options) error {
			return wire.DecodeHTTP2(w, o, bytes.NewReader(client), bytes.NewReader(server))
		})
		// Every input is listed completely.
		var out bytes.Buffer
		if err := wire.DecodeHTTP2(&out, wire.Options{Format: wire.JSON, Secrets: true}, bytes.NewReader(client), bytes.NewReader(server)); err != nil {
			t.Fatal(err)
		}
		for _, c := range listed(t, out.Bytes()) {
			if c.client != string(client) || c.server != string(server) {
				t.Errorf("the listing's bytes are\n%q\n%q, want\n%q\n%q", c.client, c.server, client, server)
			}
		}
	})
}

// All formats are safe to show, whatever is in a call's key, value and header
// fields, and in the server's message when it closes a connection.
func FuzzText(f *testing.F) {
	for _, s := range []string{"foo", "\x1b]0;owned\a", "a\u202eb", "\xff\xfe", "\u009b31m", "'; rm -rf /; '", "\r\n# fake\n< 00000000  00", strings.Repeat("v", 2000)} {
		f.Add(s, s, s, s)
	}
	f.Fuzz(func(t *testing.T, key, value, header, debug string) {
		var client, server bytes.Buffer
		client.WriteString(http2.ClientPreface)
		c, s := http2.NewFramer(&client, nil), http2.NewFramer(&server, nil)
		message := framed(encode(&pb.PutRequest{Key: []byte(key), Value: []byte(value)}))
		if len(message) > 1<<14 || len(header) > 1<<13 || len(debug) > 1<<14 {
			return
		}
		writeHeaders(c, false, ":method", "POST", ":path", "/etcdserverpb.KV/Put", ":authority", header, "token", header, "hasleader", header, header, value)
		must(c.WriteData(1, true, []byte(message)))
		writeHeaders(s, true, ":status", "200", "grpc-status", header, "grpc-message", value)
		must(s.WriteGoAway(1, http2.ErrCodeNo, []byte(debug)))
		decodeAll(t, wire.Formats(), func(w io.Writer, o wire.Options) error {
			return wire.DecodeHTTP2(w, o, bytes.NewReader(client.Bytes()), bytes.NewReader(server.Bytes()))
		})
	})
}
