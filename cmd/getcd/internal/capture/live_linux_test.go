package capture_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/net/bpf"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

// The listing of what the kernel captures on the loopback has the bytes that went through
// the client's sockets, in both directions, and all of its calls.
func TestCaptureOfRealTraffic(t *testing.T) {
	addr := serve(t)
	_, port, err := net.SplitHostPort(addr)
	must(t, err)
	stop := sniff(t, port)
	rec := &recorder{}
	c, err := client.New(client.Config{Endpoints: []string{addr}, DialOptions: []grpc.DialOption{grpc.WithContextDialer(rec.dial)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	watch := c.Watch(ctx, "key/", kv.WithPrefix(), kv.WithCreatedNotify())
	if r := <-watch; !r.Created {
		t.Fatalf("got %+v, want a watch", r)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := c.Put(ctx, fmt.Sprint("key/", i), strings.Repeat("v", 100*i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for seen := 0; seen < 20; {
		r, ok := <-watch
		if !ok || r.Err() != nil {
			t.Fatalf("the watch ends: %v", r.Err())
		}
		seen += len(r.Events)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	file, drops := stop()
	l := list(t, file)
	var got [][2]string
	for _, c := range l.conns {
		if c[0] != "" {
			got = append(got, c)
		}
	}
	// What a connection's two ends have in their buffers when it is reset goes over no wire, or
	// is read by nobody.
	reset := slices.Contains(l.events, "reset")
	for _, want := range rec.sides() {
		if !slices.ContainsFunc(got, func(c [2]string) bool {
			return c == want || reset && begins(c[0], want[0]) && begins(c[1], want[1])
		}) {
			if drops > 0 {
				t.Skipf("NOT RUN: the kernel has dropped %d packets of the capture", drops)
			}
			t.Errorf("a connection is not in the listing as it was: %d bytes sent, %d received (%v, events %q)", len(want[0]), len(want[1]), l.Summary, l.events)
		}
	}
	puts := 0
	for _, c := range l.calls {
		if c.Method == "/etcdserverpb.KV/Put" && c.Status == "OK" {
			puts++
		}
	}
	if puts != 20 {
		t.Errorf("%d puts are listed, want 20 (%v)", puts, l.Summary)
	}
	t.Log(l.Summary)
}

// begins reports whether one of two is the beginning of the other.
func begins(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

// serve has an etcd in memory listen on a port of the loopback.
func serve(t *testing.T) (addr string) {
	t.Helper()
	etcd := etcdtest.Start(t, 1)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			front, err := l.Accept()
			if err != nil {
				return // closed
			}
			back, err := etcd.Dialer()(t.Context(), etcd.Addrs()[0])
			if err != nil {
				_ = front.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{front, back}, {back, front}} {
				wg.Go(func() {
					_, _ = io.Copy(way[0], way[1]) // the end of either is the end of both
					_ = front.Close()
					_ = back.Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// sniff captures what passes to and from a TCP port on the loopback, until stop is
// called and nothing passes any more. It skips the test where that is not permitted.
func sniff(t *testing.T, port string) (stop func() (file []byte, drops uint32)) {
	t.Helper()
	h, err := pcapgo.NewEthernetHandle("lo")
	if err != nil {
		t.Skipf("NOT RUN: the loopback can't be captured: %v", err)
	}
	must(t, h.SetCaptureLength(1<<18))
	p, err := strconv.ParseUint(port, 10, 16)
	must(t, err)
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2}, // EtherType: IPv4
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x0800, SkipTrue: 7},
		bpf.LoadAbsolute{Off: 23, Size: 1}, // protocol: TCP
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 6, SkipTrue: 5},
		bpf.LoadMemShift{Off: 14}, // the length of IPv4's header
		bpf.LoadIndirect{Off: 14, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(p), SkipTrue: 3},
		bpf.LoadIndirect{Off: 16, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(p), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 18},
	})
	must(t, err)
	must(t, h.SetBPF(filter))

	var file bytes.Buffer
	w := pcapgo.NewWriterNanos(&file)
	must(t, w.WriteFileHeader(1<<18, layers.LinkTypeEthernet))
	var mu sync.Mutex
	var read uint32 // packets, guarded by mu as last is
	last, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		for {
			data, info, err := h.ReadPacketData()
			if err != nil {
				return
			}
			mu.Lock()
			last = time.Now()
			read++
			err = w.WritePacket(info, data)
			mu.Unlock()
			if err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() {
		_ = h.Close()
		<-done
	})
	return func() ([]byte, uint32) {
		var captured, drops uint32 // of which the kernel tells what is new
		for quiet := false; !quiet; time.Sleep(50 * time.Millisecond) {
			stats, err := h.Stats()
			must(t, err)
			captured += stats.Packets // with the drops
			drops += stats.Drops
			mu.Lock()
			quiet = time.Since(last) > 500*time.Millisecond && read+drops >= captured // none waits to be read
			mu.Unlock()
		}
		must(t, h.Close())
		<-done
		return file.Bytes(), drops
	}
}

type recorder struct {
	mu    sync.Mutex
	conns []*recorded
}

type recorded struct {
	net.Conn

	rec            *recorder
	sent, received []byte
}

func (r *recorder) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	rc := &recorded{Conn: c, rec: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, rc)
	return rc, nil
}

func (r *recorder) sides() [][2]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out [][2]string
	for _, c := range r.conns {
		out = append(out, [2]string{string(c.sent), string(c.received)})
	}
	return out
}

func (c *recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	c.received = append(c.received, p[:n]...)
	return n, err
}

func (c *recorded) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	c.sent = append(c.sent, p[:n]...)
	return n, err
}
