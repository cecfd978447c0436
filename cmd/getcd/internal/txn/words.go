package txn

import (
	"fmt"
	"strconv"
	"strings"
)

// Words splits a request line into its words.
//
// A word starts where the previous one ended. A quote has a meaning only there:
// "a" and 'a b' are words, while in a"b c" the quotes are ordinary characters of
// the words a"b and c". If a quote is never closed, the quote is skipped and the
// text after it is read as plain words. Both rules are etcdctl's.
//
// Words returns an error for a double-quoted word with an escape that Go does not
// know.
func Words(line string) ([]string, error) {
	var words []string
	for i := 0; i < len(line); {
		n := wordLen(line[i:])
		if n == 0 {
			i++
			continue
		}
		word := line[i : i+n]
		i += n
		switch word[0] {
		case '\'':
			word = word[1 : n-1]
		case '"':
			unquoted, err := strconv.Unquote(word)
			if err != nil {
				return nil, fmt.Errorf("malformed word %s: the escapes in double quotes are those of Go", word)
			}
			word = unquoted
		}
		words = append(words, word)
	}
	return words, nil
}

// wordLen returns the length of the word at the start of s, including quotes. It
// is 0 if s starts with a space or with a quote that is not closed.
func wordLen(s string) int {
	switch c := s[0]; {
	case isSpace(c):
		return 0
	case c == '\'':
		// There are no escapes in single quotes.
		if end := strings.IndexByte(s[1:], '\''); end >= 0 {
			return end + 2
		}
		return 0
	case c == '"':
		return quotedLen(s)
	}
	for i := 1; i < len(s); i++ {
		if isSpace(s[i]) {
			return i
		}
	}
	return len(s)
}

// quotedLen returns the length of the double-quoted word at the start of s. It is
// 0 if the quote is not closed.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// isSpace reports whether c separates words. Only ASCII spaces do.
func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f'
}
