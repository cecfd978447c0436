package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/http2/hpack"
)

// The fields of header blocks, in whatever pieces they arrive, are those that
// hpack finds. Their bytes are those of the blocks, without gaps, and the memory
// for them is bounded.
func FuzzHeaders(f *testing.F) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, h := range []hpack.HeaderField{{Name: ":path", Value: "/etcdserverpb.KV/Put"}, {Name: "token", Value: "x", Sensitive: true}, {Name: "a", Value: strings.Repeat("b", 300)}} {
		if err := e.WriteField(h); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.Bytes(), uint16(7))
	f.Add([]byte("\x3f\xe1\x1f\x82\x86"), uint16(2))                                                       // a change of the table's size
	f.Add([]byte("\x40\x01a\x7f\x80\x01"+strings.Repeat("b", 200)+strings.Repeat("\xbe", 300)), uint16(0)) // a small bomb
	f.Add([]byte("\x00\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff"), uint16(3))
	f.Add([]byte("\xff\xff\x7f"), uint16(1))
	f.Fuzz(func(t *testing.T, block []byte, cut uint16) {
		if len(block) > 1<<16 {
			return
		}
		d := newFieldDecoder()
		at := min(int(cut), len(block))
		var got []headerField
		var err error
		for i, piece := range [][]byte{block[:at], block[at:]} {
			var fields []headerField
			fields, err = d.decode(piece, i == 1)
			text, end := 0, 0
			for _, h := range fields {
				if h.from != end && h.from != 0 || h.to <= h.from || h.to > len(piece) {
					t.Fatalf("a field is at %d to %d of %d, behind %d", h.from, h.to, len(piece), end)
				}
				end = h.to
				text += len(h.name) + len(h.value)
				if h.known && h.instruction != tableSize {
					got = append(got, h)
				}
			}
			if text > maxFieldText {
				t.Fatalf("%d bytes of text are kept", text)
			}
			if err != nil {
				break
			}
		}
		if err != nil {
			return
		}
		theirs := hpack.NewDecoder(4096, nil)
		theirs.SetAllowedMaxDynamicTableSize(maxTable)
		theirs.SetMaxStringLength(maxFieldString)
		want, err := theirs.DecodeFull(block)
		if err != nil || len(want) != len(got) {
			t.Fatalf("got %d fields, hpack %d, and the error %v", len(got), len(want), err)
		}
		for i, h := range got {
			if h.name != want[i].Name || h.value != want[i].Value {
				t.Fatalf("field %d is %q: %q, want %v", i, h.name, h.value, want[i])
			}
		}
	})
}

// The shown form of any text does not affect a terminal, is bounded, and is one
// word for a shell and one string in JSON.
func FuzzSafe(f *testing.F) {
	for _, s := range []string{"foo", "it's", "\x1b]0;owned\a", "a\u202eb", "\xff\xfe", "\u009b31m", "\U000e0001", strings.Repeat("é", 300), "'; rm -rf /; '", "\r\n# fake\n", "\ufffd", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted := quoteShell(s)
		for what, shown := range map[string]string{
			"clean": clean(s), "quote": quote(s), "shell": quoted, "word": shell([]string{s}), "code": codeName(s),
			"text": field{}.text([]byte(s)),
		} {
			if i := strings.IndexFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("%s(%q) is %q: unprintable at %d", what, s, shown, i)
			}
			if what != "shell" && what != "word" && len(shown) > 10*maxText {
				t.Errorf("%s has %d bytes", what, len(shown))
			}
		}
		if got := unquoteShell(t, quoted); got != visible(s) {
			t.Errorf("a shell reads %q as %q, want %q", quoted, got, visible(s))
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back, want string
		if err := json.Unmarshal(ascii(b), &back); err != nil || json.Unmarshal(b, &want) != nil || back != want {
			t.Errorf("JSON reads %s as %q, want %q (%v)", ascii(b), back, want, err)
		}
	})
}

// unquoteShell returns what a POSIX shell makes of s, which has only single
// quotes and escaped ones (Shell Command Language, 2.2).
func unquoteShell(t *testing.T, s string) string {
	t.Helper()
	var out strings.Builder
	for s != "" {
		if rest, ok := strings.CutPrefix(s, `\'`); ok {
			out.WriteByte('\'')
			s = rest
			continue
		}
		rest, ok := strings.CutPrefix(s, "'")
		text, rest, closed := strings.Cut(rest, "'")
		if !ok || !closed {
			t.Fatalf("an open quote in %q", s)
		}
		out.WriteString(text)
		s = rest
	}
	return out.String()
}
