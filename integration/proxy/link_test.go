package proxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/proxy"
)

const patience = 10 * time.Second

// echo starts a server that sends back what it reads, until the test ends.
func echo(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), network, address)
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // the test may already have closed it
		wg.Wait()
	})
	return l
}

// link starts a link to an echo server. The link closes before the server, so
// that the server's connections end.
func link(t *testing.T) *proxy.Link {
	t.Helper()
	server := echo(t, "tcp", "127.0.0.1:0")
	return linkTo(t, proxy.Config{Target: server.Addr().String()})
}

func linkTo(t *testing.T, cfg proxy.Config) *proxy.Link {
	t.Helper()
	l, err := proxy.New(cfg)
	must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), network, address)
	must(t, err)
	must(t, c.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	must(t, err)
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read: got %q, %v, want %q", got, err, want)
	}
}

// wantSilence checks that nothing arrives, not even the end of the stream.
func wantSilence(t *testing.T, c net.Conn) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	n, err := c.Read(make([]byte, 1))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read: got %d bytes, %v, want a timeout", n, err)
	}
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
}

func wantRefused(t *testing.T, network, address string) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), network, address)
	if err == nil {
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("dial: got %v, want connection refused", err)
	}
}

func TestForward(t *testing.T) {
	l := link(t)
	c := dial(t, "tcp", l.Address())
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := c.Write(data)
		if err == nil {
			// The end of one direction is forwarded and leaves the other
			// direction open.
			err = c.(*net.TCPConn).CloseWrite()
		}
		if err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(c)
	wg.Wait()
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("got %d bytes, %v, want the %d that were sent", len(got), err, len(data))
	}
	if got := l.Stats(); got.Accepted != 1 || got.ToTarget != int64(len(data)) || got.FromTarget != int64(len(data)) {
		t.Errorf("got %+v, want one connection and %d bytes each way", got, len(data))
	}
}

func TestUNIXSockets(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in:1"), filepath.Join(dir, "out:1")
	echo(t, "unix", out)
	l := linkTo(t, proxy.Config{Network: "unix", Path: in, TargetNetwork: "unix", Target: out})
	c := dial(t, "unix", l.Address())
	write(t, c, "hello")
	wantRead(t, c, "hello")
	must(t, l.Cut())
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read from a cut connection: got %d bytes", n)
	}
	wantRefused(t, "unix", in)
	must(t, l.Heal())
	c = dial(t, "unix", in)
	write(t, c, "again")
	wantRead(t, c, "again")
	if err := l.Move(0); err == nil {
		t.Error("a UNIX socket moved to another port")
	}
}

func TestDelay(t *testing.T) {
	l := link(t)
	c := dial(t, "tcp", l.Address())
	for _, tc := range []struct{ there, back time.Duration }{
		{100 * time.Millisecond, 0},
		{0, 100 * time.Millisecond},
		{60 * time.Millisecond, 60 * time.Millisecond},
	} {
		must(t, l.SetDelay(tc.there, tc.back))
		began := time.Now()
		write(t, c, "x")
		wantRead(t, c, "x")
		if took, want := time.Since(began), tc.there+tc.back; took < want {
			t.Errorf("delays %v and %v: took %v, want at least %v", tc.there, tc.back, took, want)
		}
	}
	// A delay does not limit how much is in flight.
	must(t, l.SetDelay(200*time.Millisecond, 0))
	began := time.Now()
	for range 10 {
		write(t, c, "x")
		time.Sleep(5 * time.Millisecond) // so that the bytes do not travel together
	}
	wantRead(t, c, "xxxxxxxxxx")
	if took := time.Since(began); took > 10*200*time.Millisecond {
		t.Errorf("10 writes took %v, as if each waited for the one before", took)
	}
	must(t, l.Heal())
	fastest := time.Hour
	for range 10 { // on a busy machine
		began = time.Now()
		write(t, c, "x")
		wantRead(t, c, "x")
		fastest = min(fastest, time.Since(began))
	}
	if fastest >= 200*time.Millisecond {
		t.Errorf("after Heal: took %v", fastest)
	}
}

func TestBlackhole(t *testing.T) {
	l := link(t)
	c := dial(t, "tcp", l.Address())
	write(t, c, "before")
	wantRead(t, c, "before")
	must(t, l.Blackhole())
	write(t, c, "during")
	wantSilence(t, c)
	fresh := dial(t, "tcp", l.Address())
	write(t, fresh, "fresh")
	wantSilence(t, fresh)
	must(t, l.Blackhole())
	must(t, l.Heal())
	wantRead(t, c, "during")
	wantRead(t, fresh, "fresh")
}

func TestBlackholeHidesThatTheTargetIsGone(t *testing.T) {
	server, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer server.Close()
	l := linkTo(t, proxy.Config{Target: server.Addr().String()})
	c := dial(t, "tcp", l.Address())
	behind, err := server.Accept()
	must(t, err)
	must(t, l.Blackhole())
	must(t, behind.Close())
	wantSilence(t, c)
	must(t, l.SetTargetAway(true))
	wantSilence(t, dial(t, "tcp", l.Address()))
	must(t, l.Heal())
	wantRefused(t, "tcp", l.Address())
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after Heal: read %d bytes, %v, want the end that the target sent", n, err)
	}
}

func TestCut(t *testing.T) {
	for _, before := range []string{"forwarding", "swallowing"} {
		l := link(t)
		c := dial(t, "tcp", l.Address())
		write(t, c, "x")
		wantRead(t, c, "x")
		if before == "swallowing" {
			must(t, l.Blackhole())
		}
		must(t, l.Cut())
		if n, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: read %d bytes, %v, want connection reset", before, n, err)
		}
		wantRefused(t, "tcp", l.Address())
		must(t, l.Heal())
		c = dial(t, "tcp", l.Address())
		write(t, c, "x")
		wantRead(t, c, "x")
		must(t, l.Reset())
		if n, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Reset: read %d bytes, %v, want connection reset", n, err)
		}
		c = dial(t, "tcp", l.Address())
		write(t, c, "x")
		wantRead(t, c, "x")
	}
}

func TestTargetAway(t *testing.T) {
	server := echo(t, "tcp", "127.0.0.1:0")
	l := linkTo(t, proxy.Config{Target: server.Addr().String()})
	must(t, l.SetTargetAway(true))
	wantRefused(t, "tcp", l.Address())
	must(t, l.Cut())
	must(t, l.SetTargetAway(false))
	wantRefused(t, "tcp", l.Address())
	must(t, l.Heal())
	c := dial(t, "tcp", l.Address())
	write(t, c, "x")
	wantRead(t, c, "x")
	// The link finds out when it dials.
	must(t, server.Close())
	late, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Address())
	if err != nil {
		return // the reset arrived before the dialer looked
	}
	defer late.Close()
	must(t, late.SetDeadline(time.Now().Add(patience)))
	if n, err := late.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %d bytes, %v, from a target that is gone, want connection reset", n, err)
	}
}

func TestMove(t *testing.T) {
	l := link(t)
	before := l.Address()
	c := dial(t, "tcp", before)
	write(t, c, "x")
	wantRead(t, c, "x")
	must(t, l.Move(0))
	if l.Address() == before {
		t.Fatalf("the link is still on %s", before)
	}
	wantRefused(t, "tcp", before)
	write(t, c, "y")
	wantRead(t, c, "y")
	c = dial(t, "tcp", l.Address())
	write(t, c, "z")
	wantRead(t, c, "z")
}

func TestClose(t *testing.T) {
	l := link(t)
	c := dial(t, "tcp", l.Address())
	write(t, c, "x")
	wantRead(t, c, "x")
	if got := l.Stats().Open; got != 1 {
		t.Errorf("got %d open connections, want 1", got)
	}
	must(t, l.Blackhole())
	must(t, l.Close())
	must(t, l.Close())
	if got := l.Stats().Open; got != 0 {
		t.Errorf("got %d open connections after Close, want none", got)
	}
	if err := l.Heal(); !errors.Is(err, proxy.ErrClosed) {
		t.Errorf("Heal after Close: got %v, want ErrClosed", err)
	}
	wantRefused(t, "tcp", l.Address())
}

func TestMisuse(t *testing.T) {
	for _, tc := range []struct {
		cfg  proxy.Config
		want string
	}{
		{proxy.Config{}, "Target is empty"},
		{proxy.Config{Network: "udp", Target: "x:1"}, `"udp"`},
		{proxy.Config{TargetNetwork: "udp", Target: "x:1"}, `"udp"`},
		{proxy.Config{Network: "unix", Target: "x:1"}, "Path"},
		{proxy.Config{Path: "x", Target: "x:1"}, "Path"},
		{proxy.Config{Network: "unix", Path: "no-such-directory/x", Target: "x:1"}, "no-such-directory"},
	} {
		l, err := proxy.New(tc.cfg)
		if err == nil {
			_ = l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: got %v, want an error with %q", tc.cfg, err, tc.want)
		}
	}
	var none *proxy.Link
	for _, err := range []error{
		none.Blackhole(), none.Cut(), none.Reset(), none.Heal(), none.SetDelay(0, 0), none.SetTargetAway(true), none.Move(0), none.Close(),
	} {
		if !errors.Is(err, proxy.ErrNoLink) {
			t.Errorf("a nil link: got %v, want ErrNoLink", err)
		}
	}
	if none.Address() != "" || none.Stats() != (proxy.Stats{}) {
		t.Errorf("a nil link: got %q, %+v, want nothing", none.Address(), none.Stats())
	}
}

// TestChaos opens and closes connections while the link fails, for the race
// detector and the leak check.
func TestChaos(t *testing.T) {
	l := link(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			buffer := make([]byte, 5)
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Address())
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(20 * time.Millisecond))
				if _, err := c.Write([]byte("hello")); err == nil {
					if n, err := io.ReadFull(c, buffer); err == nil && string(buffer[:n]) != "hello" {
						t.Errorf("got %q", buffer[:n])
					}
				}
				_ = c.Close()
			}
		})
	}
	for range 30 {
		for _, fault := range []func() error{
			l.Cut, l.Heal, l.Blackhole, l.Cut, l.Blackhole, l.Heal, l.Reset,
			func() error { return l.SetDelay(time.Millisecond, time.Millisecond) },
			func() error { return l.SetTargetAway(true) },
			func() error { return l.SetTargetAway(false) },
		} {
			must(t, fault())
			time.Sleep(time.Millisecond)
		}
	}
	close(stop)
	wg.Wait()
	must(t, l.Heal())
	c := dial(t, "tcp", l.Address())
	write(t, c, "x")
	wantRead(t, c, "x")
}
