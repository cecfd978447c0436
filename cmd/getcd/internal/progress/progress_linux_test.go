package progress_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/cmd/getcd/internal/progress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// terminal opens a pseudo-terminal: screen reads what is written to tty.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	var n, unlock uint32
	for request, arg := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &unlock, syscall.TIOCGPTN: &n} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), request, uintptr(unsafe.Pointer(arg))); errno != 0 {
			t.Fatal(errno)
		}
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return screen, tty
}

func TestOnTerminal(t *testing.T) {
	for _, tt := range []struct {
		unit progress.Unit
		want string
	}{
		{progress.Items, "\r2048 / 4096 [=============================>                            ] 50.00%\r\n"},
		{progress.Bytes, "\r2.0 KiB / 4.0 KiB [==========================>                         ] 50.00%\r\n"},
	} {
		screen, tty := terminal(t)
		bar := progress.Start(tty, 1, tt.unit)
		bar.Set(2000, 4096)
		bar.Add(48)
		bar.Finish()
		bar.Finish()
		got := ""
		for !strings.HasSuffix(got, "\n") { // the kernel may pass it on in pieces
			shown := make([]byte, 64<<10)
			n, err := screen.Read(shown)
			if err != nil {
				t.Fatal(err)
			}
			got += string(shown[:n])
		}
		if !strings.HasSuffix(got, tt.want) {
			t.Errorf("got %q, want %q at its end", got, tt.want)
		}
	}
}

// TestElsewhere checks that files, pipes and buffers get no bar.
func TestElsewhere(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var buf bytes.Buffer
	for _, bar := range []*progress.Bar{progress.Start(file, 10, progress.Items), progress.Start(&buf, 10, progress.Items), nil} {
		bar.Set(5, 10)
		bar.Add(1)
		bar.Finish()
	}
	if s, err := file.Stat(); err != nil || s.Size() > 0 || buf.Len() > 0 {
		t.Errorf("got %v, %v and %q, want nothing", s.Size(), err, &buf)
	}
}
