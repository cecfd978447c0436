//go:build linux && !386 && !s390x

package policy

import (
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/resolver"
)

// What has left is what the other end has acknowledged, not what this machine's kernel has
// taken.
func TestLeftIsWhatIsAcknowledged(t *testing.T) {
	const size, piece = 8 << 20, 32 << 10 // as gRPC writes
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if err := peer.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil { //nolint:forcetypeassert // it is one
		t.Fatal(err)
	}
	w := &rawConn{clock: &clock{epoch: time.Now()}}
	tapped := Tap(w.address(resolver.Address{}).Attributes, conn)
	// left counts what left since now: the handshake's SYN is acknowledged as one byte.
	begun := w.left()
	left := func() uint64 { return w.left() - begun }
	written := make(chan error, 1)
	go func() {
		for range size / piece {
			if _, err := tapped.Write(make([]byte, piece)); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	// Until both kernels are full: the peer does not read.
	deadline := time.Now().Add(10 * time.Second)
	for sent := uint64(0); sent == 0 || sent != w.sent.Load(); time.Sleep(50 * time.Millisecond) {
		sent = w.sent.Load()
		if time.Sleep(200 * time.Millisecond); time.Now().After(deadline) {
			t.Fatal("it is still being written after 10 s")
		}
	}
	sent := w.sent.Load()
	if got := left(); got == 0 || got >= sent {
		t.Errorf("%d bytes were sent and %d have left, want fewer, and some", sent, got)
	}
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	for left() != size && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if sent, got := w.sent.Load(), left(); sent != size || got != size {
		t.Errorf("when all was read: %d bytes were sent and %d have left, want %d", sent, got, size)
	}
}
