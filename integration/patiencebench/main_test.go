package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
)

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

func TestRun(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-patience", "1s", "-stalls", "100ms"}, &stdout, &stderr); status != 0 {
		t.Fatalf("got the exit status %d, want 0; output:\n%s%s", status, stdout.String(), stderr.String())
	}
	t.Logf("the tables:\n%s", stdout.String())
	for _, want := range []string{"| follower | 100ms |", "| leader |", "| all |", "| getcd, 1s | ", "| clientv3 | 0 / "} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("want %q in the tables", want)
		}
	}
}

func TestBadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-patience soon": `"soon" is not a duration`,
		"-stalls 0s":     `"0s" is not a duration`,
		"500ms":          `"500ms" is no flag`,
	} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), strings.Fields(args), &stdout, &stderr); status != 2 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: got the exit status %d and %q, want 2 and %q", args, status, stderr.String(), want)
		}
	}
}
