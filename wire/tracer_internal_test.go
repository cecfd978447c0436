package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/stats"
)

const watch = "\x44\x19/etcdserverpb.Watch/Watch" // the field :path, added to HPACK's table

// messageOf returns a HEADERS frame of a stream and an empty gRPC message.
func messageOf(stream uint32, block string) []byte {
	id := binary.BigEndian.AppendUint32(nil, stream)
	b := append([]byte{0, 0, byte(len(block)), 1, 4}, id...)
	b = append(append(b, block...), 0, 0, prefixLen, 0, 0)
	return append(append(b, id...), make([]byte, prefixLen)...)
}

// What a stream takes is reserved until it ends, also when its frames are written before.
func TestMemoryIsKeptForAStreamUntilItEnds(t *testing.T) {
	tracer := New(io.Discard, Options{})
	rec := tracer.Record(time.Time{}, "a client", "a member")
	for i, step := range []struct {
		do   func() error
		want int64
	}{
		{func() error {
			return rec.Add(time.Time{}, true, append([]byte(http2.ClientPreface), messageOf(1, watch)...))
		}, streamSize},
		{func() error { return rec.Add(time.Time{}, true, messageOf(3, "\xbe")) }, 2 * streamSize},
		{func() error { return rec.Add(time.Time{}, true, messageOf(3, "\xbe")) }, 2 * streamSize},
		{func() error {
			return rec.Add(time.Time{}, true, []byte("\x00\x00\x04\x03\x00\x00\x00\x00\x03\x00\x00\x00\x08")) // RST_STREAM
		}, streamSize},
		{func() error { return rec.End("closed") }, 0},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if tracer.used != step.want {
			t.Errorf("after step %d: %d bytes are in use, want %d", i, tracer.used, step.want)
		}
	}
}

// failing fails from its second record on.
type failing struct {
	bytes.Buffer

	writes int
}

func (f *failing) Write(p []byte) (int, error) {
	if f.writes++; f.writes > 1 {
		return 0, errors.New("the disk is full")
	}
	return f.Buffer.Write(p)
}

// The writer's first error ends the trace: nothing is written any more, and nothing is kept.
func TestAnErrorEndsTheTrace(t *testing.T) {
	w := &failing{}
	tracer := New(w, Options{})
	rec := tracer.Record(time.Time{}, "a client", "a member")
	if err := rec.Add(time.Time{}, true, []byte(http2.ClientPreface)); err == nil {
		t.Fatal("the writer fails, and the recording does not say so")
	}
	for range 2 {
		if err := rec.Add(time.Time{}, true, messageOf(1, watch)); err == nil {
			t.Error("what is added after the error is taken")
		}
		if n := len(rec.conn.streams); n > 0 {
			t.Errorf("%d streams are kept after the error, want none", n)
		}
		if err := rec.Skip(true, 1); err == nil { // an event, which is a record even so
			t.Error("a gap after the error is taken")
		}
	}
	ch := &channel{tracer: tracer, calls: make(map[uint64]*call)}
	ch.HandleRPC(ch.TagRPC(t.Context(), &stats.RPCTagInfo{FullMethodName: "/a.B/C"}), &stats.End{})
	if n := len(ch.open); n > 0 {
		t.Errorf("%d attempts wait for their streams after the error, want none", n)
	}
	if w.writes != 2 || tracer.used != 0 {
		t.Errorf("there were %d writes, and %d bytes are in use, want 2, of which the second failed, and 0", w.writes, tracer.used)
	}
}
