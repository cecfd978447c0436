package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/getcd/getcd/wire"
)

func TestDecodeMessage(t *testing.T) {
	for _, m := range messages {
		t.Run(m.what, func(t *testing.T) {
			var out, lines bytes.Buffer
			if err := wire.DecodeMessage(&out, wire.Options{}, m.name, strings.NewReader(m.bytes)); err != nil {
				t.Fatal(err)
			}
			presentable(t, out.String())
			if !strings.Contains(out.String(), m.want) {
				t.Errorf("got\n%.2000s\nwant in it %q", &out, m.want)
			}
			if err := wire.DecodeMessage(&lines, wire.Options{Format: wire.JSON}, m.name, strings.NewReader(m.bytes)); err != nil {
				t.Fatal(err)
			}
			if got := bytesOf(t, lines.Bytes()); got != m.bytes {
				t.Errorf("the listing's bytes are\n%.1000x, want\n%.1000x", got, m.bytes)
			}
		})
	}
}

// bytesOf joins the bytes of a bare listing in JSON.
func bytesOf(t *testing.T, line []byte) string {
	t.Helper()
	var got struct{ Parts []struct{ Bytes string } }
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%v in %.200s", err, line)
	}
	var all []byte
	for _, p := range got.Parts {
		b, err := hex.DecodeString(p.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return string(all)
}

func TestDecodeHTTP2(t *testing.T) {
	for _, s := range streams {
		t.Run(s.what, func(t *testing.T) {
			var out, lines bytes.Buffer
			for w, f := range map[*bytes.Buffer]wire.Format{&out: wire.Frames, &lines: wire.JSON} {
				if err := wire.DecodeHTTP2(w, wire.Options{Format: f, Secrets: true}, strings.NewReader(s.client), strings.NewReader(s.server)); err != nil {
					t.Fatal(err)
				}
				presentable(t, w.String())
			}
			if !strings.Contains(out.String(), s.want) {
				t.Errorf("got\n%.4000s\nwant in it %q", &out, s.want)
			}
			for _, c := range listed(t, lines.Bytes()) {
				// The end of the input may cut off a frame, even one that claims
				// 16 MB. Then everything is listed nevertheless.
				if c.client != s.client || c.server != s.server {
					t.Errorf("the listing's bytes are\n%.2000q\n%.2000q, want\n%.2000q\n%.2000q", c.client, c.server, s.client, s.server)
				}
			}
		})
	}
}

func TestDecodeGRPC(t *testing.T) {
	var out bytes.Buffer
	in := "\x00\x00\x00\x00\x05\x0a\x03foo" + "\x00\x00\x00\x00\x00" + "\x01\x00\x00\x00\x01z" + "\x07\x7f\xff\xff\xffrest"
	if err := wire.DecodeGRPC(&out, wire.Options{}, "etcdserverpb.PutRequest", strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimLeft(`
| 00000000  00 00 00 00 05                                      message: etcdserverpb.PutRequest, not compressed, length 5
| 00000005  0a 03 66 6f 6f                                        key: "foo"  @0  1 LEN
| 0000000a  00 00 00 00 00                                      message: etcdserverpb.PutRequest, not compressed, length 0
| 0000000f  01 00 00 00 01                                      message: etcdserverpb.PutRequest, compressed, length 1
| 00000014  7a                                                    not decoded, since it is compressed
| 00000015  07 7f ff ff ff                                      message: etcdserverpb.PutRequest, flag 0x07 is not gRPC's, length 2147483647; 4 bytes of it are here
| 0000001a  72 65 73 74                                           not decoded, since it is compressed
`, "\n")
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}

func TestDecodeRefusals(t *testing.T) {
	for _, tt := range []struct {
		o    wire.Options
		name string
		want string
	}{
		{wire.Options{Format: "xml"}, "etcdserverpb.PutRequest", `unknown format "xml": want one of ["frames"`},
		{wire.Options{Format: wire.Curl}, "etcdserverpb.PutRequest", `can't be shown in format "curl"`},
		{wire.Options{}, "PutRequest", `unknown message type "PutRequest": want a full name`},
		{wire.Options{Memory: 3}, "etcdserverpb.PutRequest", "larger than Options.Memory, 3 bytes"},
	} {
		err := wire.DecodeMessage(&bytes.Buffer{}, tt.o, tt.name, strings.NewReader(messages[0].bytes))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v, %s: got error %v, want %q", tt.o, tt.name, err, tt.want)
		}
	}
}
