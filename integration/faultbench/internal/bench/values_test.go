package bench_test

import (
	"strings"
	"testing"

	"github.com/getcd/getcd/integration/faultbench/internal/bench"
)

func TestParseRange(t *testing.T) {
	for text, want := range map[string][2]bench.Bytes{
		"100KB-1MB": {100_000, 1_000_000},
		"1.5mb":     {1_500_000, 1_500_000},
		"0B":        {},
	} {
		least, most, err := bench.ParseRange(text)
		if got := [2]bench.Bytes{least, most}; err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "100", "-1KB", "1KB-", "NaNKB", "9999999MB"} {
		if _, _, err := bench.ParseRange(text); err == nil {
			t.Errorf("%q: got no error", text)
		}
	}
}

// Values are large, and their short texts identify them.
func TestValues(t *testing.T) {
	cfg := bench.Config{LeastValue: 1000, MostValue: 3000}
	for _, id := range []string{"1.1", "12.345"} {
		v := cfg.Filled(id)
		if len(v) < 900 || len(v) > 3000 {
			t.Errorf("%s: got %d bytes, want about 1000 to 3000", id, len(v))
		}
		if got := cfg.Short(v); got != id {
			t.Errorf("got %q, want %q", got, id)
		}
		if got := cfg.Short(v[:len(v)-1]); got == id || !strings.HasSuffix(got, "(damaged)") {
			t.Errorf("%s, cut: got %q, want it told from the whole value", id, got)
		}
	}
	if got := (bench.Config{}).Filled("1.1"); got != "1.1" {
		t.Errorf("without a size: got %q, want the short text itself", got)
	}
}
