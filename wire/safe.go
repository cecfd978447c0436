package wire

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bytes from a connection may contain terminal escapes, or characters that
// reverse the direction of the following text. All of them are shown through
// these functions.

// clean returns s unchanged if it is safe to show, and otherwise quoted.
func clean(s string) string {
	s = shorten(s)
	if strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// quote returns s in quotes, with escapes for characters that must not be shown.
func quote(s string) string { return strconv.Quote(shorten(s)) }

// maxText is how much of a text is shown; its bytes are next to it anyway.
const maxText = 512

func shorten(s string) string {
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for cut > maxText-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// isText reports whether b should be shown as text rather than as bytes.
func isText(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	odd := 0
	for _, r := range string(b[:min(len(b), maxText)]) {
		if !unicode.IsPrint(r) && r != '\n' && r != '\t' && r != '\r' {
			odd++
		}
	}
	return odd*4 <= len(b)
}

// visible is clean for text that must not be put in quotes.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}
