package wire

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What comes from a connection may hold terminal escapes, or characters that turn the
// direction of what follows. Nothing of it is shown but through these functions.

// clean returns s as it is if all of it can be shown, else quoted.
func clean(s string) string {
	s = shorten(s)
	if strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// quote returns s in quotes, with escapes for what can't be shown.
func quote(s string) string { return strconv.Quote(shorten(s)) }

// maxText is how much of a text is shown; its bytes are beside it anyway.
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

// isText reports whether b is better shown as text than as bytes.
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

// visible is clean for what must not be put in quotes.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}
