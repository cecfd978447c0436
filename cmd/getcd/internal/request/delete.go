package request

import (
	"github.com/spf13/pflag"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/kv"
)

// Delete holds the flags of del.
type Delete struct {
	// Prefix deletes every key that starts with the argument.
	Prefix bool
	// PrevKV requests the previous key-value pairs.
	PrevKV bool
	// FromKey deletes every key that is not below the argument.
	FromKey bool
	// Range confirms that the second argument is meant as the end of a range, so
	// that no warning is needed.
	Range bool
}

// Register defines the flags on fs and sets their defaults.
func (d *Delete) Register(fs *pflag.FlagSet) {
	fs.BoolVar(&d.Prefix, "prefix", false, "delete the keys that start with the given one")
	fs.BoolVar(&d.PrevKV, "prev-kv", false, "print the deleted key-value pairs")
	fs.BoolVar(&d.FromKey, "from-key", false, "delete the keys that are equal to or above the given one, by bytes")
	fs.BoolVar(&d.Range, "range", false, "delete a range of keys without the delay that guards against deleting one by mistake")
}

// Op builds the deletion from its arguments: a key and, unless Prefix or FromKey
// is set, an exclusive end of a range.
//
// A user who writes `del a b` may expect it to delete two keys, and not
// everything between them. So unless Range is set, Op calls warn with both, and
// fails if warn returns an error.
func (d *Delete) Op(args []string, warn func(from, to string) error) (kv.Op, error) {
	if len(args) == 0 || len(args) > 2 {
		return kv.Op{}, exit.Errorf(exit.BadArgs, "del needs a key, and may be given the end of a range; got %d arguments", len(args))
	}
	if err := prefixOrFrom(d.Prefix, d.FromKey); err != nil {
		return kv.Op{}, err
	}
	key, opts, err := keyRange(args, d.Prefix, d.FromKey)
	if err != nil {
		return kv.Op{}, err
	}
	if len(args) == 2 && !d.Range {
		if err := warn(args[0], args[1]); err != nil {
			return kv.Op{}, err
		}
	}
	if d.PrevKV {
		opts = append(opts, kv.WithPrevKV())
	}
	return kv.OpDelete(key, opts...), nil
}
