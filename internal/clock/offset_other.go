//go:build !linux

package clock

import "time"

// offset is not known. (On Windows Go's clock counts on.)
func offset() (time.Duration, bool) { return 0, false }
