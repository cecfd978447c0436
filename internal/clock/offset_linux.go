package clock

import (
	"syscall"
	"time"
	"unsafe"
)

// The clocks' numbers in linux/time.h.
const (
	monotonic = 1
	boottime  = 7
)

// offset is CLOCK_BOOTTIME less CLOCK_MONOTONIC, which a suspension alone changes. It
// is read again if this thread was held up between the two; a kernel, or a sandbox,
// without the one has none.
func offset() (d time.Duration, ok bool) {
	for range 10 {
		before, ok := read(monotonic)
		boot, there := read(boottime)
		after, _ := read(monotonic)
		if !ok || !there {
			return 0, false
		}
		if after-before < grain/10 {
			return boot - after, true
		}
	}
	return 0, false
}

func read(id uintptr) (time.Duration, bool) {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano()), errno == 0
}
