// Package units writes sizes as people read them, like etcdctl does: "1.5 MB". It does what two
// functions of github.com/dustin/go-humanize do, whose tables made the tool 8 KB larger.
package units

import (
	"fmt"
	"math"
)

// Bytes writes n bytes with a decimal unit: kB is 1,000.
func Bytes(n uint64) string { return size(n, 1000, "B", "kB", "MB", "GB", "TB", "PB", "EB") }

// IBytes writes n bytes with a binary unit: KiB is 1,024.
func IBytes(n uint64) string { return size(n, 1024, "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB") }

func size(n uint64, base float64, units ...string) string {
	if n < 10 {
		return fmt.Sprintf("%d B", n)
	}
	e := math.Floor(math.Log(float64(n)) / math.Log(base))
	value := math.Floor(float64(n)/math.Pow(base, e)*10+0.5) / 10
	if value < 10 {
		return fmt.Sprintf("%.1f %s", value, units[int(e)])
	}
	return fmt.Sprintf("%.0f %s", value, units[int(e)])
}
