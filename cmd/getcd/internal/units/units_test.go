package units_test

import (
	"testing"

	"github.com/getcd/getcd/cmd/getcd/internal/units"
)

func TestSizes(t *testing.T) {
	for n, want := range map[uint64][2]string{
		0:             {"0 B", "0 B"},
		9:             {"9 B", "9 B"},
		999:           {"999 B", "999 B"},
		1000:          {"1.0 kB", "1000 B"},
		1024:          {"1.0 kB", "1.0 KiB"},
		20480:         {"20 kB", "20 KiB"},
		82854982:      {"83 MB", "79 MiB"},
		8 << 30:       {"8.6 GB", "8.0 GiB"},
		1<<64 - 1:     {"18 EB", "16 EiB"},
		1_550_000:     {"1.6 MB", "1.5 MiB"},
		9_960_000_000: {"10 GB", "9.3 GiB"},
	} {
		if got := [2]string{units.Bytes(n), units.IBytes(n)}; got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
