package request

import (
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/kv"
)

// openEnd is the end of a range without an upper bound.
const openEnd = "\x00"

// Permission holds the flags that select the keys of a permission.
type Permission struct {
	// Prefix selects every key that starts with the argument.
	Prefix bool
	// FromKey selects every key that is not below the argument.
	FromKey bool
}

// Range builds a permission's range from its arguments: a key and, unless Prefix
// or FromKey is set, an exclusive end of a range. The end is empty for a single
// key.
//
// An empty key means the lowest possible key. An end after it is ignored, as in
// etcdctl.
func (p *Permission) Range(args []string) (key, end string, err error) {
	if err := prefixOrFrom(p.Prefix, p.FromKey); err != nil {
		return "", "", err
	}
	key = args[0]
	switch {
	case key == "" && (p.Prefix || p.FromKey):
		return "\x00", openEnd, nil
	case key == "":
		return "\x00", "", nil
	case len(args) > 1 && (p.Prefix || p.FromKey):
		return "", "", exit.Errorf(exit.BadArgs, "--prefix and --from-key take one key and no end of a range; got %q and %q", key, args[1])
	case len(args) > 1:
		return key, args[1], nil
	case p.Prefix:
		return key, kv.GetPrefixRangeEnd(key), nil
	case p.FromKey:
		return key, openEnd, nil
	}
	return key, "", nil
}
