package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// place says where a setting is. The zero value means nowhere.
type place struct {
	text string // "client.yaml:3: dial-timeout", or "ETCDCTL_DIAL_TIMEOUT"
	file bool
}

func variable(name string) place { return place{text: name} }

func (p place) errorf(format string, args ...any) error {
	return fmt.Errorf("config: %s: %w", p.text, fmt.Errorf(format, args...))
}

// value is a scalar, a list or a mapping.
type value struct {
	text    string
	list    []string          // nil if it is no list
	mapping map[string]string // nil if it is no mapping
	nano    bool              // a number is one of nanoseconds, as in clientv3's files
	at      place
}

// set stores the value in a field.
func (v value) set(field any) error {
	switch field := field.(type) {
	case *[]string:
		return v.setList(field)
	case *map[string]string:
		return v.setMapping(field)
	}
	switch {
	case v.list != nil:
		return errors.New("it is a list: write one value")
	case v.mapping != nil:
		return errors.New("it is a mapping: write one value")
	}
	switch field := field.(type) {
	case *string:
		*field = v.text // which may be a secret: errors don't have it
	case *bool:
		b, ok := booleans[strings.ToLower(v.text)]
		if !ok {
			return fmt.Errorf("%q is not a boolean: write true or false", v.text)
		}
		*field = b
	case *int:
		n, err := strconv.Atoi(v.text)
		if err != nil {
			return fmt.Errorf("%q is not an integer", v.text)
		}
		*field = n
	case *uint64:
		return v.setID(field)
	case *time.Duration:
		return v.setDuration(field)
	case missing:
		if b, ok := booleans[v.text]; (!ok || b) && v.text != "0s" {
			return fmt.Errorf("package client has no such setting: %s", string(field))
		}
	default:
		return fmt.Errorf("it is stored in a %T, which has no text", field) // a mistake in options
	}
	return nil
}

// booleans has YAML 1.1's words, which clientv3's files may have, and Go's.
var booleans = map[string]bool{
	"true": true, "yes": true, "on": true, "y": true, "t": true, "1": true,
	"false": false, "no": false, "off": false, "n": false, "f": false, "0": false,
}

func (v value) setList(field *[]string) error {
	switch {
	case v.mapping != nil:
		return errors.New("it is a mapping: write a list, such as [a, b]")
	case v.list != nil:
		*field = v.list
	default:
		*field = split(v.text)
	}
	return nil
}

// setMapping takes "name=value,name=value" for a mapping, too.
func (v value) setMapping(field *map[string]string) error {
	if v.mapping != nil {
		*field = v.mapping
		return nil
	}
	list := v.list
	if list == nil {
		list = split(v.text)
	}
	m := make(map[string]string)
	for _, pair := range list {
		name, text, ok := strings.Cut(pair, "=")
		if !ok {
			return errors.New("it is not a mapping: write name=value, or name: value in a file")
		}
		m[strings.TrimSpace(name)] = strings.TrimSpace(text)
	}
	*field = m
	return nil
}

func split(text string) []string {
	var out []string
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// setID takes the decimal form of JSON and the hexadecimal one of etcdctl's tables, which
// must say so: digits alone may be either.
func (v value) setID(field *uint64) error {
	text, base := v.text, 10
	if hex, ok := strings.CutPrefix(strings.ToLower(text), "0x"); ok {
		text, base = hex, 16
	}
	n, err := strconv.ParseUint(text, base, 64)
	if err != nil {
		return fmt.Errorf("%q is not an ID: write it as 0xcdf818194e3a8c32 or 14841639068965178418", v.text)
	}
	*field = n
	return nil
}

func (v value) setDuration(field *time.Duration) error {
	d, err := time.ParseDuration(v.text)
	if err != nil {
		n, notInt := strconv.ParseInt(v.text, 10, 64)
		switch {
		case notInt != nil:
			return fmt.Errorf("%q is not a duration: write one such as 500ms, 2s or 1m30s", v.text)
		case !v.nano:
			return fmt.Errorf("%q has no unit: write %ss or %sms", v.text, v.text, v.text)
		case -1e6 < n && n < 1e6:
			// clientv3 takes it for nanoseconds, which nobody means by "5".
			return fmt.Errorf("%q has no unit: write %ss (clientv3 would take it for %dns)", v.text, v.text, n)
		}
		d = time.Duration(n)
	}
	*field = d
	return nil
}
