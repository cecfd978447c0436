package clock

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What offset tells is there, and is what the two clocks differ by.
func TestOffset(t *testing.T) {
	got, ok := offset()
	if !ok || !known {
		t.Fatal("the offset of CLOCK_BOOTTIME is not known on Linux")
	}
	mono, there := read(monotonic)
	boot, both := read(boottime)
	if d := boot - mono - got; !there || !both || d < 0 || d > time.Second {
		t.Errorf("offset is %v; the clocks are at %v and %v", got, boot, mono)
	}
	// CLOCK_BOOTTIME is the machine's uptime (proc_uptime(5)), of which containers may show
	// less.
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Skip(err)
	}
	up, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	const years = 10 * 365 * 24 * time.Hour
	if shown := time.Duration(up * float64(time.Second)); boot < shown-time.Second || boot > years {
		t.Errorf("CLOCK_BOOTTIME is %v, and the machine runs for %v at least", boot, shown)
	}
}
