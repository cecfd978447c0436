package proxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/proxy"
)

// sink starts a server that counts the bytes that it reads. If send is not 0, it
// also sends that many bytes.
func sink(t *testing.T, send int, counted func(n int)) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				if send > 0 {
					_, _ = c.Write(make([]byte, send))
					return
				}
				buffer := make([]byte, 32<<10)
				for {
					n, err := c.Read(buffer)
					counted(n)
					if err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l
}

// wantTook checks the duration of a transfer. A busy machine makes it longer, but
// never shorter: of several transfers none may be too short, and one is not too long.
func wantTook(t *testing.T, want time.Duration, transfer func() time.Duration) {
	t.Helper()
	for range 10 {
		took := transfer()
		if took < want*9/10 {
			t.Fatalf("the transfer took %v, want about %v", took, want)
		}
		if took <= want*3/2 {
			return
		}
		t.Logf("the transfer took %v, want about %v: is the machine busy?", took, want)
	}
	t.Errorf("each transfer took more than %v, want about %v", want*3/2, want)
}

// All connections of all links share one line.
func TestLine(t *testing.T) {
	const rate, each = 2 << 20, 512 << 10
	want := 4 * each * time.Second / rate
	line := proxy.NewLine(rate, rate)

	t.Run("to the targets", func(t *testing.T) {
		var wg sync.WaitGroup
		server := sink(t, 0, func(n int) { wg.Add(-n) })
		wantTook(t, want, func() time.Duration {
			wg.Add(4 * each)
			start := time.Now()
			for range 2 {
				l := linkTo(t, proxy.Config{Target: server.Addr().String()})
				must(t, l.SetLine(line))
				for range 2 {
					c := dial(t, "tcp", l.Address())
					go func() { _, _ = c.Write(make([]byte, each)) }()
				}
			}
			wg.Wait()
			return time.Since(start)
		})
	})
	t.Run("back", func(t *testing.T) {
		server := sink(t, each, nil)
		wantTook(t, want, func() time.Duration {
			start := time.Now()
			var wg sync.WaitGroup
			for range 2 {
				l := linkTo(t, proxy.Config{Target: server.Addr().String()})
				must(t, l.SetLine(line))
				for range 2 {
					c := dial(t, "tcp", l.Address())
					wg.Go(func() {
						if n, err := io.Copy(io.Discard, c); n != each || err != nil {
							t.Errorf("got %d bytes, %v, want %d", n, err, each)
						}
					})
				}
			}
			wg.Wait()
			return time.Since(start)
		})
	})
}

// If a target does not read, the data stays with the sender: the link buffers
// only a little.
func TestLinePushesBack(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	way := linkTo(t, proxy.Config{Target: l.Addr().String()})
	must(t, way.SetLine(proxy.NewLine(16<<20, 0)))
	must(t, way.Blackhole())

	c := dial(t, "tcp", way.Address())
	must(t, c.(*net.TCPConn).SetWriteBuffer(64<<10))
	must(t, c.SetWriteDeadline(time.Now().Add(500*time.Millisecond)))
	n, err := c.Write(make([]byte, 8<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("write: got %v, want a timeout", err)
	}
	if n > 1<<20 {
		t.Errorf("the link took %d bytes that nobody reads, want no more than some buffers", n)
	}
}

// A line that is set on an idle connection applies to its next bytes.
func TestLineOfOpenConnection(t *testing.T) {
	const size = 48 << 10
	var wg sync.WaitGroup
	server := sink(t, 0, func(n int) { wg.Add(-n) })
	wantTook(t, 450*time.Millisecond, func() time.Duration { // minus the burst
		l := linkTo(t, proxy.Config{Target: server.Addr().String()})
		c := dial(t, "tcp", l.Address())
		wg.Add(1)
		write(t, c, "x") // the link is reading again
		wg.Wait()
		must(t, l.SetLine(proxy.NewLine(2*size, 0)))
		start := time.Now()
		wg.Add(size)
		go func() { _, _ = c.Write(make([]byte, size)) }()
		wg.Wait()
		return time.Since(start)
	})
}

// A line is not a fault: it stays when the link is healed, and is removed only by
// SetLine.
func TestLineStays(t *testing.T) {
	const size = 256 << 10
	server := sink(t, size, nil)
	l := linkTo(t, proxy.Config{Target: server.Addr().String()})
	must(t, l.SetLine(proxy.NewLine(0, 512<<10)))
	must(t, l.Heal())
	took := func() time.Duration {
		start := time.Now()
		if n, err := io.Copy(io.Discard, dial(t, "tcp", l.Address())); n != size || err != nil {
			t.Fatalf("got %d bytes, %v, want %d", n, err, size)
		}
		return time.Since(start)
	}
	wantTook(t, 500*time.Millisecond, took)
	must(t, l.SetLine(nil))
	got := took()
	for tries := 1; tries < 10 && got > 300*time.Millisecond; tries++ { // on a busy machine
		got = took()
	}
	if got > 300*time.Millisecond {
		t.Errorf("without a line the transfer took %v, want hardly any time", got)
	}
}
