package measure

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// CPU is what this process has used so far.
func CPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// CPUOf is what other processes have used so far: fields 14 and 15 of proc(5)'s stat,
// in hundredths of a second.
func CPUOf(processes []int) time.Duration {
	ticks := 0
	for _, pid := range processes {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue
		}
		// The second field, a name in parentheses, may have spaces.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		for _, i := range []int{14 - 3, 15 - 3} {
			if i < len(fields) {
				n, _ := strconv.Atoi(string(fields[i]))
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * (time.Second / 100)
}
