package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getcd/getcd/integration/dropin/internal/report"
)

// Everything that the checked-in report calls identical still is. If this test
// fails, some program that was written for clientv3 does not compile any more.
func TestNothingGotWorse(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "reference", "dropin.md")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, err := report.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	now, err := report.Compare(t.Context(), "..")
	if err != nil {
		t.Fatal(err)
	}
	if len(before) < 600 || len(now) < 600 {
		t.Fatalf("%s has %d names, and clientv3 %d; both should have some 640", file, len(before), len(now))
	}
	for _, n := range report.Worse(before, now) {
		t.Errorf("%s (%s) was %s and is %s %s", n.ID(), n.Kind, before[n.ID()], n.Verdict, n.Detail)
	}
	better := 0
	for _, n := range now {
		if before[n.ID()] != n.Verdict {
			better++
		}
	}
	if better > 0 {
		t.Logf("%d names have changed: go run ./integration/dropin writes the report anew", better)
	}
}

func TestUsage(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-nonsense"}, &out); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an unknown flag: %v, want an error that names it", err)
	}
}
