package check_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/cmd/getcd/internal/check"
)

func TestLoadsByName(t *testing.T) {
	for _, tt := range []struct {
		names                        []string
		clients, rate, puts, scaledN int
	}{
		{[]string{"s", "small"}, 50, 150, 10_000, 1024},
		{[]string{"m", "medium"}, 200, 1000, 100_000, 1024},
		{[]string{"l", "large"}, 500, 8000, 1_000_000, 1024},
		{[]string{"xl", "xLarge"}, 1000, 15_000, 3_000_000, 1024},
	} {
		for _, name := range tt.names {
			perf, ok := check.PerfLoad(name)
			if !ok || perf.Clients != tt.clients || perf.Rate != tt.rate || perf.Duration != time.Minute || perf.Puts != 0 {
				t.Errorf("PerfLoad(%q): got %+v, %t", name, perf, ok)
			}
			scale, ok := check.ScaleLoad(name)
			if !ok || scale.Clients != tt.clients || scale.Puts != tt.puts || scale.KeySize+scale.ValueSize != tt.scaledN || scale.Duration != 0 {
				t.Errorf("ScaleLoad(%q): got %+v, %t", name, scale, ok)
			}
		}
	}
	for _, name := range []string{"", "S", "xlarge", "tiny"} {
		if l, ok := check.PerfLoad(name); ok {
			t.Errorf("PerfLoad(%q): got %+v, want none", name, l)
		}
		if l, ok := check.ScaleLoad(name); ok {
			t.Errorf("ScaleLoad(%q): got %+v, want none", name, l)
		}
	}
}

// server accepts puts, each of which takes some time.
type server struct {
	mu       sync.Mutex
	busy     int
	most     int // the most puts that were in progress at once
	keys     map[string]bool
	sizes    map[[2]int]int
	duration time.Duration
	err      error
}

func (s *server) put(ctx context.Context, key, value string) error {
	s.mu.Lock()
	s.busy++
	s.most = max(s.most, s.busy)
	s.keys[key] = true
	s.sizes[[2]int{len(key), len(value)}]++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.busy--
		s.mu.Unlock()
	}()
	select {
	case <-time.After(s.duration):
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newServer(took time.Duration, err error) *server {
	return &server{keys: make(map[string]bool), sizes: make(map[[2]int]int), duration: took, err: err}
}

func (s *server) clients(n int) []check.Putter {
	puts := make([]check.Putter, n)
	for i := range puts {
		puts[i] = s.put
	}
	return puts
}

func near(got, want float64) bool { return got > want*0.98 && got < want*1.02 }

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(100*time.Millisecond, nil)
		l := check.Load{Rate: 100, Duration: 20 * time.Second, KeySize: 32, ValueSize: 64}
		start := time.Now()
		stats := l.Run(t.Context(), s.clients(50), "p/", nil)
		if took := time.Since(start); took < l.Duration || took > l.Duration+time.Second {
			t.Errorf("took %v, want %v", took, l.Duration)
		}
		if !near(stats.Rate, 100) || !near(stats.Slowest, 0.1) || stats.Stddev > 0.001 || len(stats.Errors) > 0 {
			t.Errorf("got %+v, want 100 puts/s of 0.1 s", stats)
		}
		if n := len(s.keys); !near(float64(n), 2000) || len(s.sizes) != 1 || s.sizes[[2]int{2 + 32, 64}] != n {
			t.Errorf("got %d keys of sizes %v, want 2000 of 34 and 64 bytes", n, s.sizes)
		}
	})
}

// TestTooSlow has fewer clients than the rate requires.
func TestTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(time.Second, nil)
		stats := check.Load{Rate: 100, Duration: 30 * time.Second}.Run(t.Context(), s.clients(5), "p/", nil)
		if s.most != 5 || stats.Rate < 4.5 || stats.Rate > 5.5 {
			t.Errorf("got %d puts at once, %.1f puts/s, want 5 and 5", s.most, stats.Rate)
		}
		var out strings.Builder
		ok, err := stats.Perf(&out, 100)
		want := "FAIL: Throughput too low: 5 writes/s\nSlowest request took too long: 1.000000s\nPASS: Stddev is 0.000000s\nFAIL\n"
		if err != nil || ok || out.String() != want {
			t.Errorf("got %t, %v, %q, want %q", ok, err, &out, want)
		}
	})
}

func TestNumberOfPuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(time.Millisecond, nil)
		var mu sync.Mutex
		answered := 0
		stats := check.Load{Puts: 1000}.Run(t.Context(), s.clients(10), "p/", func() {
			mu.Lock()
			defer mu.Unlock()
			answered++
		})
		if answered != 1000 || len(s.keys) != 1000 || !near(stats.Rate, 10_000) {
			t.Errorf("got %d answers, %d keys, %.0f puts/s, want 1000, 1000, 10000", answered, len(s.keys), stats.Rate)
		}
		var out strings.Builder
		ok, err := stats.Scale(&out, 12.345*(1<<20))
		if want := "PASS: Approximate system memory used : 12.35 MB.\n"; err != nil || !ok || out.String() != want {
			t.Errorf("got %t, %v, %q, want %q", ok, err, &out, want)
		}
	})
}

func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(time.Millisecond, errors.New("no space"))
		stats := check.Load{Puts: 30}.Run(t.Context(), s.clients(3), "p/", nil)
		var out strings.Builder
		ok, err := stats.Scale(&out, 0)
		if want := "FAIL: too many errors\nFAIL: ERROR(no space) -> 30\n"; err != nil || ok || out.String() != want {
			t.Errorf("got %t, %v, %q, want %q", ok, err, &out, want)
		}
		out.Reset()
		if ok, err := stats.Perf(&out, 100); err != nil || ok || !strings.HasPrefix(out.String(), "FAIL: too many errors\nFAIL: ERROR(no space) -> 30\nFAIL: Throughput too low: 1 writes/s\n") {
			t.Errorf("got %t, %v, %q", ok, err, &out)
		}
	})
}

// TestInterrupted ends the sending, and gives puts in progress some time.
func TestInterrupted(t *testing.T) {
	for _, tt := range []struct {
		took, end time.Duration
		failed    int
	}{
		{2 * time.Second, 6 * time.Second, 0},          // the put that began at 4 s finishes
		{time.Hour, 5*time.Second + 10*time.Second, 1}, // Run does not wait for it forever
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			s := newServer(tt.took, nil)
			start := time.Now()
			stats := check.Load{Rate: 1000, Duration: time.Minute}.Run(ctx, s.clients(1), "p/", nil)
			// One more may already have been on its way to a client.
			if took := time.Since(start); took < tt.end || took > tt.end+tt.took && tt.failed == 0 || stats.Errors[context.Canceled.Error()] < tt.failed {
				t.Errorf("took %v with errors %v, want %v and %d", took, stats.Errors, tt.end, tt.failed)
			}
		})
	}
}

func TestPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stats := check.Load{Rate: 150, Duration: 10 * time.Second}.Run(t.Context(), newServer(10*time.Millisecond, nil).clients(50), "p/", nil)
		var out strings.Builder
		ok, err := stats.Perf(&out, 150)
		want := "PASS: Throughput is 150 writes/s\nPASS: Slowest request took 0.010000s\nPASS: Stddev is 0.000000s\nPASS\n"
		if err != nil || !ok || out.String() != want {
			t.Errorf("got %t, %v, %q, want %q", ok, err, &out, want)
		}
	})
}

func TestMemory(t *testing.T) {
	for _, tt := range []struct {
		body string
		want float64
		err  string
	}{
		{"# HELP process_resident_memory_bytes Resident memory size in bytes.\nother 1\nprocess_resident_memory_bytes 2.7131904e+07\nmore 2\n", 27131904, ""},
		{"other 1\n", 0, "could not find: process_resident_memory_bytes"},
		{"", 0, "could not find: process_resident_memory_bytes"},
		{"process_resident_memory_bytes much\n", 0, "parse error: "},
		{"process_resident_memory_bytes 0\n", 0, "parse error: "},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/metrics" {
				_, _ = w.Write([]byte(tt.body))
			}
		}))
		got, err := check.Memory(t.Context(), srv.Client(), srv.URL+"/metrics")
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
			t.Errorf("%q: got %v, %v, want %v, %q", tt.body, got, err, tt.want, tt.err)
		}
		srv.Close()
	}
	if _, err := check.Memory(t.Context(), http.DefaultClient, "http://127.0.0.1:1/metrics"); err == nil || !strings.HasPrefix(err.Error(), "fetch error: ") {
		t.Errorf("got %v, want a fetch error", err)
	}
}
