package kv_test

import (
	"strings"
	"testing"

	"github.com/getcd/getcd/kv"
)

func TestGetPrefixRangeEnd(t *testing.T) {
	for prefix, want := range map[string]string{
		"":             "\x00",
		"a":            "b",
		"foo":          "fop",
		"foo/":         "foo0",
		"\x00":         "\x01",
		"a\xff":        "b",
		"a\xff\xff":    "b",
		"\xfe":         "\xff",
		"\xff":         "\x00",
		"\xff\xff":     "\x00",
		"a\xff\x00":    "a\xff\x01",
		"\xff\xfe\xff": "\xff\xff",
	} {
		if got := kv.GetPrefixRangeEnd(prefix); got != want {
			t.Errorf("prefix %q: got %q, want %q", prefix, got, want)
		}
	}
}

// A key is in [prefix, end) if and only if it begins with the prefix.
func FuzzGetPrefixRangeEnd(f *testing.F) {
	for _, prefix := range []string{"", "a", "foo/", "\x00", "a\xff", "\xff\xff", "\xfe\xff"} {
		for _, key := range []string{"", "a", "b", "foo/bar", "fop", "\x00\x00", "a\xff\xff", "\xff\xff\xff", "\xff"} {
			f.Add(prefix, key)
			f.Add(prefix, prefix+key)
		}
	}
	f.Fuzz(func(t *testing.T, prefix, key string) {
		before := strings.Clone(prefix)
		end := kv.GetPrefixRangeEnd(prefix)
		inRange := key >= prefix && (end == "\x00" || key < end)
		if got, want := inRange, strings.HasPrefix(key, prefix); got != want {
			t.Errorf("prefix %q, end %q: key %q in the range: got %v, want %v", prefix, end, key, got, want)
		}
		if prefix != before {
			t.Errorf("the prefix was modified: got %q, want %q", prefix, before)
		}
		if op := kv.OpGet(prefix, kv.WithPrefix()); string(op.RangeBytes()) != end || op.Err() != nil {
			t.Errorf("WithPrefix on %q: got end %q and %v, want %q", prefix, op.RangeBytes(), op.Err(), end)
		}
	})
}
