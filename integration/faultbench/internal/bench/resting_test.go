package bench_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/faultbench/internal/bench"
	"github.com/getcd/getcd/integration/faultbench/internal/report"
)

func TestLateness(t *testing.T) {
	const s = time.Second
	written := map[int64]time.Duration{3: 1 * s, 5: 4 * s, 9: 7 * s}
	// Revision 7 is a write without a response.
	got := bench.Lateness(written, map[int64]time.Duration{3: 2 * s, 5: 3 * s, 7: 5 * s}, 10*s)
	want := []report.Sample{{Start: 1 * s, End: 2 * s}, {Start: 3 * s, End: 3 * s}, {Start: 7 * s, End: 10 * s, Outcome: report.Failed}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
