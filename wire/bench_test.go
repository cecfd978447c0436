//go:build unix

package wire_test

import (
	"io"
	"syscall"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/wire"
)

// BenchmarkPut is a put of 100 bytes on a server in memory, without a trace and with
// each kind of trace. It reports the processor's time, too, which others on the machine
// change less than the clock's.
func BenchmarkPut(b *testing.B) {
	for _, f := range append([]wire.Format{"off"}, wire.Formats()...) {
		b.Run(string(f), func(b *testing.B) {
			opts := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
			if f != "off" {
				opts = wire.New(io.Discard, wire.Options{Format: f}).DialOptions(insecure.NewCredentials())
			}
			kv := pb.NewKVClient(etcdtest.Start(b, 1).Conn(b, opts...))
			req := &pb.PutRequest{Key: []byte("key"), Value: make([]byte, 100)}
			b.ReportAllocs()
			before := processor(b)
			for b.Loop() {
				if _, err := kv.Put(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(processor(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processor is how many nanoseconds of a processor this process has taken.
func processor(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
