package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/getcd/getcd/integration/cluster"
)

func TestMain(m *testing.M) {
	cluster.Main()
	child()
	os.Exit(m.Run())
}

// Each client is measured, and the table has a row for it.
func TestRun(t *testing.T) {
	var out, problems bytes.Buffer
	if err := run(t.Context(), []string{"-members", "1", "-callers", "3", "-rounds", "1", "-for", "400ms"}, &out, &problems); err != nil {
		t.Fatalf("%v\n%s", err, &problems)
	}
	for _, op := range []string{"put", "get"} {
		for _, mode := range modeNames() {
			if row := "| " + op + " @3 | " + mode + " |"; !strings.Contains(out.String(), row) {
				t.Errorf("there is no row that begins with %q:\n%s", row, &out)
			}
		}
	}
}

func TestFlags(t *testing.T) {
	for want, args := range map[string][]string{
		`"x" is no flag`:            {"x"},
		"both must be positive":     {"-rounds", "0"},
		`"0" is no positive number`: {"-callers", "1,0"},
		`"etcd" is none of raw`:     {"-clients", "raw,etcd"},
	} {
		if _, err := parse(args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want that %s", args, err, want)
		}
	}
}
