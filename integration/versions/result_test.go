package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// events is the output of go test -json for a test of each kind.
const events = `{"Action":"start","Package":"example/p"}
{"Action":"run","Package":"example/p","Test":"TestA"}
{"Action":"output","Package":"example/p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"example/p","Test":"TestA","Output":"    a_test.go:12: a log\n"}
{"Action":"output","Package":"example/p","Test":"TestA","Output":"--- PASS: TestA (0.00s)\n"}
{"Action":"pass","Package":"example/p","Test":"TestA","Elapsed":0}
{"Action":"output","Package":"example/p","Test":"TestB/one","Output":"    main_test.go:61: etcd 3.4.23 lacks it,\n"}
{"Action":"output","Package":"example/p","Test":"TestB/one","Output":"        as everybody knows\n"}
{"Action":"output","Package":"example/p","Test":"TestB/one","Output":"    --- SKIP: TestB/one (0.00s)\n"}
{"Action":"skip","Package":"example/p","Test":"TestB/one","Elapsed":0}
{"Action":"pass","Package":"example/p","Test":"TestB","Elapsed":0}
`

const failure = `{"Action":"output","Package":"example/p","Test":"TestC","Output":"    c_test.go:1: broken\n"}
{"Action":"fail","Package":"example/p","Test":"TestC","Elapsed":0}
`

func TestRead(t *testing.T) {
	var out bytes.Buffer
	r := &result{out: &out, version: "3.4.23"}
	if err := r.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	want := []outcome{{"p.TestB/one", "etcd 3.4.23 lacks it, as everybody knows"}}
	if r.passed != 2 || !slices.Equal(r.skipped, want) || len(r.failed) > 0 || !r.ok() {
		t.Errorf("got %d passed, skipped %v, failed %v, ok %v; want 2, %v, none, true", r.passed, r.skipped, r.failed, r.ok(), want)
	}
	r.print()
	if want := "skip p.TestB/one: etcd 3.4.23 lacks it, as everybody knows\netcd 3.4.23: 2 passed, 0 failed, 1 skipped in 0s\n"; out.String() != want {
		t.Errorf("printed %q, want %q", &out, want)
	}
	if err := r.read(strings.NewReader(failure)); err != nil {
		t.Fatal(err)
	}
	if want := []outcome{{"p.TestC", "broken"}}; !slices.Equal(r.failed, want) || r.ok() {
		t.Errorf("got failed %v, ok %v; want %v, false", r.failed, r.ok(), want)
	}
	if err := r.read(strings.NewReader("no JSON")); err == nil {
		t.Error("what is no JSON was read without an error")
	}
}

// A run without tests is not a success.
func TestNothingRun(t *testing.T) {
	if (&result{}).ok() {
		t.Error("a result without tests is ok, want not")
	}
}

func TestReasonIsBounded(t *testing.T) {
	if got := reason(strings.Repeat("é", 2*longest)); len(got) > longest+len("…") || !strings.HasSuffix(got, "é…") {
		t.Errorf("got %d bytes, want at most %d", len(got), longest)
	}
}
