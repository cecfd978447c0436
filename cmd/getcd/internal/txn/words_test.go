package txn_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/getcd/getcd/cmd/getcd/internal/txn"
)

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		line string
		want []string
	}{
		{``, nil},
		{`put k v`, []string{"put", "k", "v"}},
		{"put\tk \f v ", []string{"put", "k", "v"}},
		{`put k "two words"`, []string{"put", "k", "two words"}},
		{`put k 'two words'`, []string{"put", "k", "two words"}},
		{`put k ''`, []string{"put", "k", ""}},
		{`put k ""`, []string{"put", "k", ""}},
		{`put k "a\tb\x41\u00e9\""`, []string{"put", "k", "a\tbAé\""}},
		{`put k 'a\t'`, []string{"put", "k", `a\t`}},
		{`a"b c"d`, []string{`a"b`, `c"d`}},
		{`"a""b"`, []string{"a", "b"}},
		{`"a"b`, []string{"a", "b"}},
		{`'a'b`, []string{"a", "b"}},
		{`put k "unclosed value`, []string{"put", "k", "unclosed", "value"}},
		{`put k 'unclosed`, []string{"put", "k", "unclosed"}},
		{`"a\"`, []string{`a\"`}},
		{`"`, nil},
		{`" "`, []string{" "}},
		{`ключ "значение x"`, []string{"ключ", "значение x"}},
	} {
		got, err := txn.Words(tt.line)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("Words(%q)\n got %q, error %v\nwant %q", tt.line, got, err, tt.want)
		}
	}
}

func TestWordsRefusesUnknownEscapes(t *testing.T) {
	for _, line := range []string{`put k "\q"`, `put k "\x4"`, `"\'"`} {
		if got, err := txn.Words(line); err == nil || !strings.Contains(err.Error(), "escapes") {
			t.Errorf("Words(%q)\n got %q, error %v\nwant an error about escapes", line, got, err)
		}
	}
}

// grammar is a regular expression for a word. It is the specification that Words
// is checked against.
var grammar = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*`)

func FuzzWords(f *testing.F) {
	for _, s := range []string{`put k v`, `put "a\"b" 'c d'`, `"a\`, `a"b c"d 'x`, "\t''\f\"\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\n") || !utf8.ValidString(line) {
			return // a line has no newline; invalid UTF-8 is left alone
		}
		var want []string
		for _, w := range grammar.FindAllString(line, -1) {
			switch w[0] {
			case '\'':
				w = w[1 : len(w)-1]
			case '"':
				var err error
				if w, err = strconv.Unquote(w); err != nil {
					if got, err := txn.Words(line); err == nil {
						t.Fatalf("Words(%q) = %q, want an error", line, got)
					}
					return
				}
			}
			want = append(want, w)
		}
		if got, err := txn.Words(line); err != nil || !slices.Equal(got, want) {
			t.Fatalf("Words(%q)\n got %q, error %v\nwant %q", line, got, err, want)
		}
	})
}
