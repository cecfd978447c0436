package watching

import (
	"context"
	"math"
	"runtime"
	"strings"
	"time"
)

// heap is the memory of the process after a garbage collection.
type heap struct {
	InUse int64 // bytes of spans that have objects
	Watch int64 // bytes that watches have received and hold, estimated from the heap profile
}

// heapNow returns the minimum of several samples, since a collection also finds
// data that is just being processed.
func heapNow(ctx context.Context) heap {
	least := heap{InUse: math.MaxInt64, Watch: math.MaxInt64}
	for range 3 {
		runtime.GC()
		runtime.GC() // the profile is that of the collection before the last
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		least.InUse = min(least.InUse, int64(m.HeapInuse))
		least.Watch = min(least.Watch, profiled("getcd/watch."))
		pause(ctx, 200*time.Millisecond)
	}
	return least
}

// profiled estimates the bytes in use that were allocated below a function whose
// name contains part.
func profiled(part string) int64 {
	rate := float64(runtime.MemProfileRate)
	if rate <= 0 {
		return 0
	}
	var records []runtime.MemProfileRecord
	for n, ok := runtime.MemProfile(nil, false); !ok; {
		records = make([]runtime.MemProfileRecord, n+64)
		if n, ok = runtime.MemProfile(records, false); ok {
			records = records[:n]
		}
	}
	var sum float64
	for i := range records {
		r := &records[i]
		if r.InUseObjects() == 0 || !calls(r.Stack(), part) {
			continue
		}
		size := float64(r.InUseBytes()) / float64(r.InUseObjects())
		// The probability that an object is sampled grows with its size.
		sum += float64(r.InUseBytes()) / (1 - math.Exp(-size/rate))
	}
	return int64(sum)
}

func calls(stack []uintptr, part string) bool {
	frames := runtime.CallersFrames(stack)
	for {
		frame, more := frames.Next()
		if strings.Contains(frame.Function, part) {
			return true
		}
		if !more {
			return false
		}
	}
}
