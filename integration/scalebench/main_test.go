package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/internal/measure"
)

func TestMain(m *testing.M) {
	cluster.Main()
	child()
	goleak.VerifyTestMain(m)
}

// Each row measures what it says, with both clients: what can be counted is exact, and
// everything else is there. In little time, such as with the race detector, getcd alone.
func TestRows(t *testing.T) {
	cfg := config{scale: 0.01, during: time.Second}
	var s *stage
	for _, r := range every() {
		if s != nil && !s.fits(r) {
			stop(t, s)
			s = nil
		}
		if s == nil {
			var err error
			if s, err = newStage(t.Context(), r, cfg); err != nil {
				t.Fatal(err)
			}
		}
		for _, client := range clientNames() {
			if !r.has(client) || testing.Short() && client != "getcd" {
				continue
			}
			t.Run(r.name+"/"+client, func(t *testing.T) {
				figures, err := s.run(t.Context(), r, client, io.Discard)
				if err != nil {
					t.Fatal(err)
				}
				check(t, s, r, client, figures)
			})
		}
	}
	stop(t, s)
}

func stop(t *testing.T, s *stage) {
	t.Helper()
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// zero are the figures that may be 0, or a little less.
var zero = []string{"requests of a get", "lost", "streams", "goroutines each", "memory each", "failed", "ended", "CPU", "logins", "connections", "health", "turns", "dials", "after the fault", "at the end", "busiest"}

func check(t *testing.T, s *stage, r row, client string, figures []figure) {
	t.Helper()
	got := make(map[string]float64)
	for _, f := range figures {
		got[f.Name] = f.Value
		may := f.Value > 0
		for _, z := range zero {
			may = may || strings.Contains(f.Name, z)
		}
		if !may {
			t.Errorf("%s is %v", f.Name, f.Value)
		}
	}
	want := func(name string, least, most float64) {
		t.Helper()
		if v, ok := got[name]; !ok || v < least || v > most {
			t.Errorf("%s is %v, want %v to %v", name, v, least, most)
		}
	}
	size, changes := float64(s.size), float64(200)
	switch r.name {
	case "leases":
		want("leases lost", 0, 0)
		want("requests a second", size/leaseTTL, size) // a lease is renewed once in a third of its TTL
	case "long":
		want("leases lost, as the client knows", 0, 0)
		want("leases lost, as the cluster knows", 0, 0)
	case "lock":
		want("requests each", 2, 8)
	case "fanout":
		want("events", changes*size, changes*size)
		if client == "clientv3" {
			want("times that the server sent each event", size, size)
		}
		want("times that the server sent each event", 1, size)
	case "stream":
		want("keys", size, size)
	}
}

// The page has each row with both clients.
func TestPage(t *testing.T) {
	name := filepath.Join(t.TempDir(), "page.md")
	var out, problems bytes.Buffer
	if err := run(t.Context(), []string{"-rows", "first,watches", "-scale", "0.02", "-rounds", "2", "-markdown", name}, &out, &problems); err != nil {
		t.Fatalf("%v\n%s", err, &problems)
	}
	page, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(page, out.Bytes()) {
		t.Errorf("the page is not what was printed: %v", err)
	}
	for _, want := range []string{"| clientv3 | getcd |", "| first Get of a new client, 2 clients | p50, ms |", "## 200 watches"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page has no %q:\n%s", want, &out)
		}
	}
}

func TestFlags(t *testing.T) {
	for want, args := range map[string][]string{
		`"x" is no flag`:          {"x"},
		"both must be positive":   {"-rounds", "0"},
		`"tables" is none of`:     {"-rows", "leases,tables"},
		`"etcd" is none of`:       {"-clients", "etcd"},
		"must be more than 0":     {"-scale", "0"},
		"more than 0 and at most": {"-scale", "NaN"},
	} {
		if _, err := parse(args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want that %s", args, err, want)
		}
	}
}

func TestShort(t *testing.T) {
	for want, v := range map[string]float64{"0": 0, "3": 3, "0.00123": 0.001234, "12.3": 12.345, "123.5": 123.46, "1235": 1234.6} {
		if got := short(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	if got := measure.Plural(1, "member"); got != "1 member" {
		t.Error(got)
	}
}
