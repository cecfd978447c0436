package txn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/getcd/getcd/cmd/getcd/internal/request"
	"github.com/getcd/getcd/kv"
)

// ParseCompare parses one comparison, such as mod("key") > "0". It ignores text
// after the value, as etcdctl does. The error quotes the line and says what was
// expected.
func ParseCompare(line string) (kv.Cmp, error) {
	c, err := parseComparison(line)
	if err != nil {
		return kv.Cmp{}, fmt.Errorf("malformed comparison: %s: %w", line, err)
	}
	return c, nil
}

func parseComparison(line string) (kv.Cmp, error) {
	target, rest, ok := strings.Cut(line, "(")
	if !ok {
		return kv.Cmp{}, errors.New(`want target("key") operator "value"`)
	}
	key, op, value, err := scanOperands(rest)
	if err != nil {
		return kv.Cmp{}, err
	}
	switch op {
	case "=", "!=", "<", ">":
	default:
		return kv.Cmp{}, fmt.Errorf("unknown operator %s: use =, !=, < or >", op)
	}
	switch target {
	case "val", "value":
		return kv.Compare(kv.Value(key), op, value), nil
	case "lease":
		// etcdctl documents this target but crashes on it. The value is a lease
		// ID, written as everywhere else in the tools.
		id, err := request.LeaseID(value)
		if err != nil {
			return kv.Cmp{}, err
		}
		return kv.Compare(kv.LeaseValue(key), op, id), nil
	}
	var left kv.Cmp
	switch target {
	case "ver", "version":
		left = kv.Version(key)
	case "c", "create":
		left = kv.CreateRevision(key)
	case "m", "mod":
		left = kv.ModRevision(key)
	default:
		return kv.Cmp{}, fmt.Errorf("unknown target %s: use ver, version, c, create, m, mod, val, value or lease", target)
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return kv.Cmp{}, fmt.Errorf("%q is not a 64-bit integer", value)
	}
	return kv.Compare(left, op, n), nil
}

// scanOperands parses `"key") operator "value"`. The closing parenthesis must
// directly follow the key. At least one space must follow the parenthesis and the
// operator.
func scanOperands(s string) (key, op, value string, err error) {
	key, s, err = scanQuoted(skipSpace(s))
	if err != nil {
		return "", "", "", fmt.Errorf("key: %w", err)
	}
	s, ok := strings.CutPrefix(s, ")")
	if !ok {
		return "", "", "", errors.New(`want ")" right after the key`)
	}
	if s == skipSpace(s) {
		return "", "", "", errors.New("want a space and an operator after the key")
	}
	s = skipSpace(s)
	end := strings.IndexFunc(s, unicode.IsSpace)
	if end <= 0 {
		return "", "", "", errors.New("want an operator, a space and a quoted value after the key")
	}
	op = s[:end]
	value, _, err = scanQuoted(skipSpace(s[end:]))
	if err != nil {
		return "", "", "", fmt.Errorf("value: %w", err)
	}
	return key, op, value, nil
}

func skipSpace(s string) string { return strings.TrimLeftFunc(s, unicode.IsSpace) }

// scanQuoted parses the quoted string at the start of s: in double quotes with
// Go's escapes, or in backquotes without escapes.
func scanQuoted(s string) (text, rest string, err error) {
	switch {
	case strings.HasPrefix(s, "`"):
		if text, rest, ok := strings.Cut(s[1:], "`"); ok {
			return text, rest, nil
		}
	case strings.HasPrefix(s, `"`):
		if n := quotedLen(s); n > 0 {
			if text, err = strconv.Unquote(s[:n]); err == nil {
				return text, s[n:], nil
			}
		}
	}
	return "", "", errors.New("want a string in double quotes, with Go's escapes, or in backquotes")
}
