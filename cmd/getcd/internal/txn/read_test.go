package txn_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/txn"
	"github.com/getcd/getcd/kv"
)

func show(ops []kv.Op) string {
	var parts []string
	for _, op := range ops {
		switch {
		case op.IsPut():
			parts = append(parts, fmt.Sprintf("put %q %q", op.KeyBytes(), op.ValueBytes()))
		case op.IsGet():
			parts = append(parts, fmt.Sprintf("get %q %q", op.KeyBytes(), op.RangeBytes()))
		case op.IsDelete():
			parts = append(parts, fmt.Sprintf("del %q %q", op.KeyBytes(), op.RangeBytes()))
		default:
			parts = append(parts, "?")
		}
	}
	return strings.Join(parts, "; ")
}

func TestRead(t *testing.T) {
	text := strings.Join([]string{
		`mod("k") > "0"`, `  val("k") = "v"  `, ``,
		`put k "a b" --lease=7`, `get --prefix k`, ` `,
		"\tdel a c --range\r", `p x y`, ``, `what follows is not read`,
	}, "\n") + "\n"
	var prompts []string
	r := txn.Reader{Prompt: func(h string) error { prompts = append(prompts, h); return nil }}
	got, err := r.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.If); n != 2 {
		t.Errorf("got %d comparisons, want 2", n)
	}
	if got, want := show(got.Then), `put "k" "a b"; get "k" "l"`; got != want {
		t.Errorf("then\n got %s\nwant %s", got, want)
	}
	if id := got.Then[0].LeaseID(); id != 7 {
		t.Errorf("lease of the first put: got %d, want 7", id)
	}
	if got, want := show(got.Else), `del "a" "c"; put "x" "y"`; got != want {
		t.Errorf("else\n got %s\nwant %s", got, want)
	}
	want := []string{"compares:", "success requests (get, put, del):", "failure requests (get, put, del):"}
	if !slices.Equal(prompts, want) {
		t.Errorf("prompts\n got %q\nwant %q", prompts, want)
	}
}

func TestReadFlagsDoNotCarryOver(t *testing.T) {
	got, err := new(txn.Reader).Read(strings.NewReader("\nget --prefix a\nget a\n\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := show(got.Then), `get "a" "b"; get "a" ""`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// All flags of get are accepted, as by etcdctl, also those that are about what is printed.
func TestReadTakesAllFlagsOfGet(t *testing.T) {
	got, err := new(txn.Reader).Read(strings.NewReader("\nget --print-value-only a\nget b --stream\n\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := show(got.Then), `get "a" ""; get "b" ""`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReadExitStatus(t *testing.T) {
	for _, tt := range []struct {
		text string
		code int
		want string
	}{
		{"", exit.InvalidInput, "end of input"},
		{"\n\n", exit.InvalidInput, "end of input"},
		{"\n\nput k v", exit.InvalidInput, "end of input"}, // an unfinished line does not count
		{"\n\nput k v\n", exit.InvalidInput, "end of input"},
		{"nonsense\n\n\n\n", exit.InvalidInput, "malformed comparison: nonsense"},
		{"\nput\n\n\n", exit.InvalidInput, "invalid txn request: put"},
		{"\nfrob k v\n\n\n", exit.InvalidInput, `unknown request "frob"`},
		{"\n\"\" k v\n\n\n", exit.InvalidInput, `unknown request ""`},
		{"\nput k \"\\q\"\n\n\n", exit.InvalidInput, "escapes"},
		{"\nput --nonsense k v\n\n\n", exit.InvalidInput, "unknown flag: --nonsense"},
		{"\nput --help k v\n\n\n", exit.InvalidInput, "help requested"},
		{"\nget k --limit=x\n\n\n", exit.InvalidInput, "--limit"},
		{"\nput k\n\n\n", exit.BadArgs, "needs a value"},
		{"\nput k v --lease=xyz\n\n\n", exit.BadArgs, "lease"},
		{"\ndel a b c\n\n\n", exit.BadArgs, "del needs"},
		{"\nget k --order=UP\n\n\n", exit.BadFeature, "UP"},
	} {
		got, err := new(txn.Reader).Read(strings.NewReader(tt.text))
		if err == nil || exit.Code(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q\n got %+v, error %v with exit status %d\nwant an error with %q and exit status %d", tt.text, got, err, exit.Code(err), tt.want, tt.code)
		}
	}
}

func TestReadAsksBeforeDeletingARange(t *testing.T) {
	refused := errors.New("refused")
	var asked string
	r := txn.Reader{WarnRange: func(from, to string) error { asked = from + ".." + to; return refused }}
	_, err := r.Read(strings.NewReader("\ndel a c\n\n\n"))
	if !errors.Is(err, refused) || asked != "a..c" {
		t.Errorf("got error %v after asking about %q, want %v and a..c", err, asked, refused)
	}
}

func FuzzParseTxn(f *testing.F) {
	for _, s := range []string{
		"\n\n\n", "mod(\"k\") > \"0\"\n\nput k v\n\ndel k\n\n", "val(`a`) = `b`\n\nget --prefix \"\"\n\n\n",
		"\nput 'a b' \"c\\nd\" --lease=ff --prev-kv\n\nget x y --rev=3 --limit=9\n\n", "lease(\"k\") != \"12\"\n\n\n\n", "\ndel a b --range\n\n\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := new(txn.Reader).Read(strings.NewReader(text))
		if err != nil {
			if code := exit.Code(err); code != exit.InvalidInput && code != exit.BadArgs && code != exit.BadFeature {
				t.Fatalf("%q: error %v has exit status %d", text, err, code)
			}
			return
		}
		// The library accepts a transaction that was parsed, except for mistakes
		// that only the library finds, such as an empty key.
		if lines := strings.Count(text, "\n"); len(got.If)+len(got.Then)+len(got.Else)+3 > lines {
			t.Fatalf("%q: got %d comparisons and %d+%d requests out of %d lines", text, len(got.If), len(got.Then), len(got.Else), lines)
		}
		for _, op := range slices.Concat(got.Then, got.Else) {
			if !op.IsPut() && !op.IsGet() && !op.IsDelete() {
				t.Fatalf("%q: got a request that is nothing", text)
			}
		}
		for _, c := range got.If {
			if c.GetCompare() == nil {
				t.Fatalf("%q: got a comparison that is nothing", text)
			}
		}
	})
}
