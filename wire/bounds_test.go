package wire_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/wire"
)

// stuck is a writer that blocks until it is released.
type stuck struct {
	buffer

	gate chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.gate
	return s.buffer.Write(p)
}

// A writer that blocks delays no call, and the listing says what was left out.
func TestASlowWriter(t *testing.T) {
	out := &stuck{}
	synctest.Test(t, func(t *testing.T) {
		out.gate = make(chan struct{})
		cluster := etcdtest.Start(t, 1)
		tracer := wire.New(out, wire.Options{Format: wire.JSON, Memory: 64 << 10})
		kv := pb.NewKVClient(cluster.Conn(t, tracer.DialOptions(insecure.NewCredentials())...))
		value := []byte(strings.Repeat("v", 1000))
		send := func(key string) {
			if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte(key), Value: value}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 1000 {
			send(fmt.Sprint(i))
		}
		if tracer.Flush(time.Second) {
			t.Error("Flush of a writer that is stuck says that all is written")
		}
		close(out.gate)
		tracer.Flush(-1)
		send("the last one")
		tracer.Flush(-1)
	})
	var frames, calls int
	for _, e := range entries(t, []byte(out.String())) {
		frames += e.Dropped.Frames
		if e.Call != 0 {
			calls++
		}
	}
	if frames < 1000 || calls == 0 || calls > 200 {
		t.Errorf("%d frames were left out, %d calls are there: want most frames left out", frames, calls)
	}
	if got := out.String(); strings.Count(got, "the last one") == 0 {
		t.Error("after the writer was let go nothing came any more")
	}
}

// Calls that there was no memory for are not taken for later ones with the same request.
func TestCallsLeftOutAreNotTakenForOthers(t *testing.T) {
	const most = 200
	out := &stuck{}
	synctest.Test(t, func(t *testing.T) {
		out.gate = make(chan struct{})
		cluster := etcdtest.Start(t, 1)
		tracer := wire.New(out, wire.Options{Format: wire.JSON, Memory: 16 << 10})
		kv := pb.NewKVClient(cluster.Conn(t, tracer.DialOptions(insecure.NewCredentials())...))
		for i := range most {
			if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("k")}); err != nil {
				t.Fatal(err)
			}
			if i == most-2 {
				close(out.gate)
				tracer.Flush(-1)
			}
		}
		tracer.Flush(-1)
	})
	last := 0
	for _, c := range calls(t, out.String()) {
		last = c.Call
	}
	if last != most {
		t.Errorf("the last call is shown as call %d, want %d", last, most)
	}
}

// A message larger than the memory limit uses no more than the limit, and later
// calls are decoded.
func TestALargeMessage(t *testing.T) {
	var out buffer
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 1)
		tracer := wire.New(&out, wire.Options{Format: wire.JSON, Memory: 100 << 10})
		kv := pb.NewKVClient(cluster.Conn(t, tracer.DialOptions(insecure.NewCredentials())...))
		for _, size := range []int{1 << 20, 10} {
			if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte("k"), Value: []byte(strings.Repeat("v", size))}); err != nil {
				t.Fatal(err)
			}
			tracer.Flush(-1)
		}
	})
	all := calls(t, out.String())
	if len(all) != 2 {
		t.Fatalf("got %d calls, want 2", len(all))
	}
	left, shown := 0, false
	for _, e := range entries(t, []byte(out.String())) {
		left += e.Dropped.Frames
	}
	for _, f := range all[1].Frames {
		for _, p := range f.Parts {
			shown = shown || p.Name == "value" && p.Value == `"vvvvvvvvvv"`
		}
	}
	if left < 10 || !shown {
		t.Errorf("%d frames left out, the second value shown: %t; want most of the first call's, and true", left, shown)
	}
}
