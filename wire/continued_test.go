package wire_test

import (
	"bytes"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"

	"github.com/getcd/getcd/wire"
)

// A stream ends with the last of the frames that its trailers are in: their status is
// the call's, and they do not come late.
func TestTrailersInSeveralFrames(t *testing.T) {
	for _, method := range []string{putMethod, "/etcdserverpb.Watch/Watch"} {
		var server, out bytes.Buffer
		f := http2.NewFramer(&server, nil)
		must(f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\x00\x01a\x01b"), EndStream: true}))
		must(f.WriteContinuation(1, false, []byte("\x00\x0bgrpc-st")))
		must(f.WriteContinuation(1, true, []byte("atus\x015")))
		if err := wire.DecodeHTTP2(&out, wire.Options{Format: wire.JSON}, strings.NewReader(ask(method, 1, "")), &server); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries(t, out.Bytes()) {
			if e.Stream != 0 {
				got = append(got, e.Status)
			}
			if e.Late {
				t.Errorf("%s: frames of the trailers are late", method)
			}
		}
		if len(got) == 0 || got[len(got)-1] != "NotFound" {
			t.Errorf("%s: the stream's entries have the status %q, want NotFound in the last", method, got)
		}
	}
}

// After a frame that is too large to be kept, nobody knows where a message goes on:
// what follows is not listed as the rest of the message before it.
func TestWhatFollowsALargeFrame(t *testing.T) {
	message := framed(encode(&pb.PutRequest{Key: []byte("k"), Value: bytes.Repeat([]byte("v"), 400_000)}))
	var client, out bytes.Buffer
	client.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&client, nil)
	writeHeaders(f, false, ":path", putMethod)
	for _, size := range []int{1000, 300_000, len(message) - 301_000} {
		must(f.WriteData(1, size == len(message), []byte(message[:size])))
		message = message[size:]
	}
	if err := wire.DecodeHTTP2(&out, wire.Options{}, &client, nil); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "not decoded: the beginning of the message is not here") {
		t.Errorf("what follows the large frame is listed as a part of the message:\n%s", out.String()[max(0, out.Len()-400):])
	}
}
