package wire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/wire"
)

// A recorded connection is shown while it is added, with the times of the
// recording. Bytes that were not recorded end the decoding in their direction
// only.
func TestRecording(t *testing.T) {
	var out buffer
	client, server := ask(rangeMethod, 1, "\x0a\x03foo"), answer("\x20\x07")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	rec := wire.New(&out, wire.Options{}).Record(at, "10.0.0.1:40000", "10.0.0.2:2379")
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return rec.Add(at, true, []byte(client)) }, "# 03:04:05.000006 connection 1 to 10.0.0.2:2379: opened by 10.0.0.1:40000"},
		{func() error { return rec.Add(at, false, []byte(server)) }, "count: 7"},
		{func() error { return rec.Skip(true, 100) }, "100 bytes from the client were not recorded; what follows them is not decoded"},
		{func() error { return rec.Add(at.Add(time.Second), true, []byte("more")) }, "** ** ** **                                       not decoded: bytes before it were not recorded"},
		{func() error {
			return rec.Add(at.Add(time.Second), false, []byte("\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"))
		}, "PING"},
		{func() error { return rec.Skip(false, 0) }, "bytes from the server were not recorded"},
		{func() error { return rec.End("closed\x1b") }, `03:04:06.000006 connection 1 to 10.0.0.2:2379: "closed\x1b"`},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, step.want) {
			t.Fatalf("got\n%s\nwant in it %q", got, step.want)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

func TestRecordingToAWriterThatFails(t *testing.T) {
	rec := wire.New(full{}, wire.Options{}).Record(time.Time{}, "a", "b")
	if err := rec.Add(time.Time{}, true, []byte("PRI")); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("got error %v, want the writer's", err)
	}
}
