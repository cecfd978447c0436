package wire_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"

	"github.com/getcd/getcd/wire"
)

// Bytes that nobody can decode may be secrets, and are hidden like them. What frames
// there are, and how long everything is, can be seen nevertheless.
func TestUndecodableBytesAreHidden(t *testing.T) {
	// A line has 16 bytes: one of these is in a line of its own, as text or in hexadecimal.
	secret := strings.Repeat("hunter2", 6)
	field := "\x00\x05token" + string(rune(len(secret))) + secret // a literal one (RFC 7541, section 6.2.2)
	password := framed(encode(&pb.AuthenticateRequest{Name: "root", Password: secret}))
	unknownField := "\xfa\x07" + string(rune(len(secret))) + secret
	http2Of := func(client, server string) func(io.Writer, wire.Options) error {
		return func(w io.Writer, o wire.Options) error {
			return wire.DecodeHTTP2(w, o, strings.NewReader(client), strings.NewReader(server))
		}
	}
	recorded := func(steps ...func(*wire.Recording) error) func(io.Writer, wire.Options) error {
		return func(w io.Writer, o wire.Options) error {
			o.Memory = 1100
			rec := wire.New(w, o).Record(time.Time{}, "a client", "a member")
			for _, step := range steps {
				if err := step(rec); err != nil {
					return err
				}
			}
			return rec.End("closed")
		}
	}
	add := func(write func(*http2.Framer)) func(*wire.Recording) error {
		var b bytes.Buffer
		write(http2.NewFramer(&b, nil))
		return func(r *wire.Recording) error { return r.Add(time.Time{}, true, b.Bytes()) }
	}
	start := func(stream uint32) func(*wire.Recording) error {
		return add(func(f *http2.Framer) { writeHeadersOf(stream, f, false, ":path", "/etcdserverpb.Auth/Authenticate") })
	}
	reset := func(stream uint32) func(*wire.Recording) error {
		return add(func(f *http2.Framer) { must(f.WriteRSTStream(stream, http2.ErrCodeCancel)) })
	}
	data := add(func(f *http2.Framer) { must(f.WriteData(5, true, []byte(password))) })
	for _, tt := range []struct {
		what   string
		decode func(io.Writer, wire.Options) error
		want   string // in the text, hidden or not
	}{
		{"a token, from the server's side alone", http2Of("", answer(encode(&pb.AuthenticateResponse{Token: secret}))), "DATA  stream 1, length 49"},
		{"a snapshot, from the server's side alone", http2Of("", answer(encode(&pb.SnapshotResponse{Blob: []byte(secret)}))), "DATA  stream 1, length 49"},
		{"messages of an unknown type", func(w io.Writer, o wire.Options) error {
			return wire.DecodeGRPC(w, o, "", strings.NewReader(password))
		}, "message: of an unknown type, not compressed, length 50"},
		{"fields of a message of an unknown type", func(w io.Writer, o wire.Options) error {
			return wire.DecodeMessage(w, o, "", strings.NewReader(password[5:]))
		}, "unknown field"},
		{"unknown fields of a login", func(w io.Writer, o wire.Options) error {
			return wire.DecodeMessage(w, o, "etcdserverpb.InternalAuthenticateRequest", strings.NewReader(unknownField))
		}, "unknown field"},
		{"a call of an unknown method", http2Of(ask("/a.B/C", 0, password), ""), "not decoded: the type is not known"},
		{"what follows a gap", recorded(func(r *wire.Recording) error { return r.Skip(true, 100) }, data), "not decoded: bytes before it were not recorded"},
		{"a stream that there was no memory for", recorded(start(1), start(3), start(5), reset(1), reset(3), data), "DATA  stream 5, length 55, END_STREAM"},
		{"a field in a frame that is cut off", http2Of(ask(putMethod, 1, "")+"\x00\x00\xff\x01\x04\x00\x00\x00\x01"+field, ""), "HEADERS  stream 1, length 255, END_HEADERS; 50 bytes of it are here"},
		{"a field in a malformed frame", http2Of(ask(putMethod, 1, "")+"\x00\x00\x33\x01\x0c\x00\x00\x00\x01\xff"+field, ""), "HEADERS  stream 1, length 51, END_HEADERS|PADDED"},
		{"a field in a continuation that is cut off", http2Of(ask(putMethod, 1, "")+"\x00\x00\xff\x09\x04\x00\x00\x00\x01"+field, ""), "CONTINUATION  stream 1, length 255, END_HEADERS"},
		{"a field in a promise that is cut off", http2Of(ask(putMethod, 1, "")+"\x00\x00\xff\x05\x04\x00\x00\x00\x01\x00\x00\x00\x02"+field, ""), "PUSH_PROMISE  stream 1, length 255, END_HEADERS"},
		{
			"a login to the gateway with HTTP/1", http2Of("POST /v3/auth/authenticate HTTP/1.1\r\nHost: a\r\n\r\n{\"password\":\""+secret+`"}`, "HTTP/1.1 200 OK\r\n\r\n{\"token\":\""+secret+`"}`),
			`no HTTP/2: "POST /v3/auth/authenticate HTTP/1.1"`,
		},
		{"a header field of HTTP/1", http2Of("POST /v3/kv/put HTTP/1.1\r\nAuthorization: "+secret+"\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"), `no HTTP/2: "HTTP/1.1 200 OK"`},
		{"a GET of HTTP/1", http2Of("GET /version HTTP/1.1\r\nAuthorization: "+secret+"\r\n\r\n", ""), `no HTTP/2: "GET /version HTTP/1.1"`},
		{"a query of HTTP/1", http2Of("POST /v3?token="+secret+" HTTP/1.1\r\n\r\n", ""), "no HTTP/2"},
		{"a header field at the start of a piece of HTTP/1", http2Of("", "HTTP/1.1 200 OK\r\n"+strings.Repeat("x", 16<<10-17)+"Authorization: "+secret+"\r\n"), "no HTTP/2"},
		{"a login to the gateway", http2Of(gatewayCall("/v3/auth/authenticate", `{"password":"`+secret+`"}`), ""), "no gRPC: application/json"},
	} {
		for _, format := range bare {
			t.Run(tt.what+", "+string(format), func(t *testing.T) {
				var hidden, shown bytes.Buffer
				for out, secrets := range map[*bytes.Buffer]bool{&hidden: false, &shown: true} {
					if err := tt.decode(out, wire.Options{Format: format, Secrets: secrets}); err != nil {
						t.Fatal(err)
					}
					got := strings.ReplaceAll(out.String(), " ", "")
					has := strings.Contains(got, "hunter2") || strings.Contains(got, hex.EncodeToString([]byte("hunter2")))
					if has != secrets {
						t.Errorf("Secrets %t: the secret is shown: %t\n%s", secrets, has, out)
					}
					if format == wire.Frames && !strings.Contains(out.String(), tt.want) {
						t.Errorf("Secrets %t: got\n%s\nwant in it %q", secrets, out, tt.want)
					}
				}
				if got, want := places.FindAllString(hidden.String(), -1), places.FindAllString(shown.String(), -1); !slices.Equal(got, want) || len(got) == 0 {
					t.Errorf("hidden, it has the offsets and lengths %q, want %q", got, want)
				}
			})
		}
	}
}

// places matches the offsets and lengths in a listing.
var places = regexp.MustCompile(`(?m)^[<>|] [0-9a-f]{8}|"(offset|length|n)":[0-9]+`)

// gatewayCall is a call of etcd's JSON gateway with HTTP/2.
func gatewayCall(path, body string) string {
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil)
	writeHeaders(f, false, ":method", "POST", ":path", path, "content-type", "application/json")
	must(f.WriteData(1, true, []byte(body)))
	return b.String()
}
