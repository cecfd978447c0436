package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/cluster"
)

func TestMain(m *testing.M) {
	cluster.Main()
	os.Exit(m.Run())
}

// The documented command changes all of clientv3's import paths, and nothing
// else.
func TestCommand(t *testing.T) {
	w, err := newWorkshop(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(w.dir, "some dir", "a.go")
	before := `package a

import (
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	_ "go.etcd.io/etcd/client/v3/concurrency"
)
`
	after := strings.ReplaceAll(before, "go.etcd.io/etcd/client/v3", "github.com/getcd/getcd/clientv3")
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(before), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := w.move(t.Context(), program{}, w.dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != after {
		t.Errorf("it is now\n%s%v, want\n%s", got, err, after)
	}
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	absent := program{name: "p", edits: []edit{{"some dir/a.go", "no such text", ""}}}
	if err := w.move(t.Context(), absent, w.dir); err == nil || !strings.Contains(err.Error(), "no such text") {
		t.Errorf("an edit that finds nothing: %v", err)
	}
	if _, err := command("no command"); err == nil {
		t.Error("a page without the command: no error")
	}
}

func TestAssess(t *testing.T) {
	begun := time.Now()
	at := func(seconds float64, err string) sample {
		return sample{Kind: "k", Ended: begun.Add(time.Duration(seconds * float64(time.Second))), Err: err}
	}
	samples := []sample{at(-1, "early"), at(3, ""), at(1, ""), at(2, "no"), {Kind: "k", Twice: 2}, at(11, "late")}
	got := assess(samples, begun, begun.Add(10*time.Second))["k"]
	if want := (cell{Done: 2, Failed: 1, Twice: 2, Gap: 7 * time.Second, Error: "no"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if text := got.String(); text != "1 of 3 / 7.0 s, 2 unasked" {
		t.Errorf("it is written as %q", text)
	}
}

// A load is observed, and the member that carries it is found.
func TestPlay(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 20 s")
	}
	var begun, ended bool
	f := fault{
		"none",
		func(_ context.Context, m *cluster.Member) error { begun = m != nil; return nil },
		func(context.Context, *cluster.Member) error { ended = true; return nil },
	}
	p := program{name: "p", load: func(ctx context.Context, s *stage, _ string) error {
		for ctx.Err() == nil {
			began := time.Now()
			err := s.put(context.WithoutCancel(ctx), "k", "v")
			for err != nil && ctx.Err() == nil { // busy members may be without a leader
				err = s.put(context.WithoutCancel(ctx), "k", "v")
			}
			s.did("put", began, err)
			_ = sleep(ctx, 100*time.Millisecond) // the loop checks ctx
		}
		return nil
	}}
	samples, from, to, err := play(t.Context(), p, "", f, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if c := assess(samples, from, to)["put"]; !begun || !ended || c.Done == 0 || c.Failed > 0 {
		t.Errorf("begun %v, ended %v, %+v", begun, ended, c)
	}
}

func TestUsage(t *testing.T) {
	for want, args := range map[string][]string{"nonsense": {"-only", "nonsense"}, "no such fault": {"-faults", "no such fault"}} {
		var out bytes.Buffer
		if err := perform(t.Context(), args, &out, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want an error that names it", args, err)
		}
	}
}
