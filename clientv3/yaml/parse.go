package yaml

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// value is the text of a scalar, the items of a list, or null, which has neither.
type value struct {
	line  int
	text  string
	list  []string
	plain bool // the text was not quoted, so it may be something other than a string
	null  bool
}

// parse reads a configuration file: one mapping of plain or quoted keys to
// scalars and to lists of scalars, with comments. Everything else in YAML 1.2
// (nested mappings, anchors, tags, block scalars, several documents) is an error
// that names the line. So is a duplicate key.
func parse(text string) (map[string]value, error) {
	p := parser{values: make(map[string]value)}
	for i, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		if err := p.read(i+1, strings.TrimRight(line, " \t\r")); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return p.values, nil
}

type parser struct {
	values map[string]value
	key    string // of a list that may follow
	open   bool   // a list may follow
	begun  bool   // by "---", or by what is no comment
	ended  bool   // by "..."
}

func (p *parser) read(n int, line string) error {
	body := strings.TrimLeft(line, " ")
	indented := len(body) < len(line)
	if body == "" || body[0] == '#' {
		return nil
	}
	first := !p.begun
	p.begun = true
	switch {
	case first && (line == "---" || strings.HasPrefix(line, "--- #")):
		return nil
	case p.ended:
		return fmt.Errorf("%q comes after the end of the document", body)
	case line == "...":
		p.ended = true
		return nil
	case body[0] == '\t':
		return fmt.Errorf("it is indented with a tab: use spaces")
	case body == "-" || strings.HasPrefix(body, "- "):
		return p.item(strings.TrimLeft(body[1:], " "))
	case indented:
		return fmt.Errorf("%q is indented: only lists may be indented", body)
	}
	return p.pair(n, body)
}

func (p *parser) item(text string) error {
	if !p.open {
		return fmt.Errorf("%q is a list item outside of a list", text)
	}
	v := p.values[p.key]
	item, _, rest, err := scalar(text, "")
	if err == nil && rest != "" {
		err = fmt.Errorf("%q comes after a scalar", rest)
	}
	if err != nil {
		return err
	}
	v.list, v.null = append(v.list, item), false
	p.values[p.key] = v
	return nil
}

func (p *parser) pair(n int, body string) error {
	key, _, rest, err := scalar(body, ":")
	if err != nil {
		return err
	}
	after, ok := strings.CutPrefix(rest, ":")
	if !ok || after != "" && after[0] != ' ' {
		return fmt.Errorf("%q is not a key with a value", body)
	}
	if _, twice := p.values[key]; twice {
		return fmt.Errorf("the key %q is given twice", key)
	}
	v := value{line: n}
	after = strings.TrimLeft(after, " ")
	switch {
	case after == "" || after[0] == '#':
		v.null, p.open = true, true
		p.key = key
		p.values[key] = v
		return nil
	case after[0] == '[':
		v.list, err = flow(after)
	default:
		v.text, v.plain, rest, err = scalar(after, "")
		if err == nil && rest != "" {
			err = fmt.Errorf("%q comes after a scalar", rest)
		}
		v.null = v.plain && (v.text == "null" || v.text == "~" || v.text == "Null" || v.text == "NULL")
	}
	p.open = false
	p.values[key] = v
	return err
}

// flow reads a list in brackets.
func flow(text string) ([]string, error) {
	list := []string{}
	rest := strings.TrimLeft(text[1:], " ")
	for {
		if after, ok := strings.CutPrefix(rest, "]"); ok {
			if after = strings.TrimLeft(after, " "); after != "" && after[0] != '#' {
				return nil, fmt.Errorf("%q comes after a list", after)
			}
			return list, nil
		}
		item, _, after, err := scalar(rest, ",]")
		if err != nil {
			return nil, err
		}
		list = append(list, item)
		rest = strings.TrimLeft(after, " ")
		if next, ok := strings.CutPrefix(rest, ","); ok {
			rest = strings.TrimLeft(next, " ")
		} else if !strings.HasPrefix(rest, "]") {
			return nil, fmt.Errorf("the list in %q has no end on its line", text)
		}
	}
}

// scalar reads a scalar and returns the rest of the text. A plain scalar ends at
// a comment, in a list at any of the characters in ends, or, where a key is
// expected, at a colon followed by a space.
func scalar(text, ends string) (s string, plain bool, rest string, err error) {
	if text == "" {
		return "", true, "", nil
	}
	switch text[0] {
	case '\'':
		s, rest, err = single(text)
	case '"':
		s, rest, err = double(text)
	case '&', '*', '!', '|', '>', '%', '@', '`', '{', '}', '[', ']', ',', '?':
		return "", false, "", fmt.Errorf("%q is YAML that is not supported in configuration files: write keys with scalars or lists of them", text)
	default:
		end := len(text)
		for i := range len(text) {
			c := text[i]
			comment := c == '#' && i > 0 && text[i-1] == ' '
			colon := c == ':' && (i+1 == len(text) || text[i+1] == ' ')
			if comment || ends == ":" && colon || ends == ",]" && (c == ',' || c == ']') {
				end = i
				break
			}
			if colon {
				return "", false, "", fmt.Errorf("%q has a mapping where a scalar is expected: put it in quotes if it is not a mapping", text)
			}
		}
		s, rest, plain = strings.TrimRight(text[:end], " "), text[end:], true
	}
	if trimmed := strings.TrimLeft(rest, " "); ends == "" || strings.HasPrefix(trimmed, "#") {
		rest = trimmed
	}
	if strings.HasPrefix(rest, "#") {
		rest = ""
	}
	return s, plain, rest, err
}

// single parses a scalar in single quotes, in which two quotes mean one.
func single(text string) (s, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '\'':
			b.WriteByte(text[i])
		case i+1 < len(text) && text[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			return b.String(), text[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("%q has no closing quote on its line", text)
}

// double parses a scalar in double quotes. It supports only the escapes that JSON
// or Go have, too.
func double(text string) (s, rest string, err error) {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			quoted := text[:i+1]
			if json.Unmarshal([]byte(quoted), &s) == nil {
				return s, text[i+1:], nil
			}
			s, err = strconv.Unquote(quoted)
			if err != nil {
				err = fmt.Errorf("%s has an unknown escape sequence", quoted)
			}
			return s, text[i+1:], err
		}
	}
	return "", "", fmt.Errorf("%q has no closing quote on its line", text)
}
