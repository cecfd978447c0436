package loopback_test

import (
	"errors"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/getcd/getcd/integration/loopback"
)

func TestAServerCanComeAndGoOnAReservedPort(t *testing.T) {
	p, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	for round := range 3 {
		if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Address()); err == nil {
			_ = c.Close()
			t.Fatalf("round %d: a connection to a port without a server succeeded", round)
		} else if runtime.GOOS == "linux" && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("round %d: dial: got %v, want connection refused", round, err)
		}
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", p.Address())
		if err != nil {
			t.Fatalf("round %d: listen: %v", round, err)
		}
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Address())
		if err != nil {
			t.Fatalf("round %d: dial: %v", round, err)
		}
		_ = c.Close()
		_ = l.Close()
	}
}

func TestAReservedPortIsGivenToNobodyElse(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can hold a port without listening on it")
	}
	p, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	// Reserving many ports at once makes the kernel search; it must never return
	// the reserved one.
	for range 2000 {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if got := l.Addr().(*net.TCPAddr).Port; got == p.Number() {
			t.Fatalf("the kernel gave away the reserved port %d", got)
		}
	}
}

func TestReserveNumber(t *testing.T) {
	p, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	number := p.Number()
	if err := p.Release(); err != nil {
		t.Fatal(err)
	}
	if err := p.Release(); err != nil {
		t.Fatalf("a second Release: %v", err)
	}
	again, err := loopback.ReserveNumber(uint16(number))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Release()
	if got, want := again.Address(), "127.0.0.1:"+strconv.Itoa(number); got != want || again.AddrPort().String() != want {
		t.Fatalf("got %q and %q, want %q", got, again.AddrPort(), want)
	}
}
