package main

import (
	"encoding/binary"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// tap is a connection that tells of each request that leaves on it, by the method's full name. It
// reads the frames (RFC 9113), since gRPC's statistics leave out what a load balancer asks its
// connections by itself.
type tap struct {
	net.Conn
	request func(method string)

	preface int    // bytes of it that have left
	rest    []byte // of a frame that has not left as a whole
	decoder *hpack.Decoder
}

func newTap(c net.Conn, request func(method string)) *tap {
	t := &tap{Conn: c, request: request}
	t.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":path" {
			t.request(f.Value)
		}
	})
	return t
}

// Write implements net.Conn. gRPC writes from one goroutine at a time.
func (t *tap) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	t.left(b[:n])
	return n, err
}

const frameHeader = 9 // bytes

func (t *tap) left(b []byte) {
	skip := min(len(http2.ClientPreface)-t.preface, len(b))
	t.preface += skip
	t.rest = append(t.rest, b[skip:]...)
	for len(t.rest) >= frameHeader {
		kind, flags := http2.FrameType(t.rest[3]), http2.Flags(t.rest[4])
		size := frameHeader + int(binary.BigEndian.Uint32(t.rest)>>8)
		if len(t.rest) < size {
			return
		}
		// gRPC's client sends neither padding nor priorities.
		if kind == http2.FrameHeaders || kind == http2.FrameContinuation {
			_, _ = t.decoder.Write(t.rest[frameHeader:size]) // an error would show in the counts
			if flags.Has(http2.FlagHeadersEndHeaders) {
				_ = t.decoder.Close()
			}
		}
		t.rest = t.rest[size:]
	}
}
