package request

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/kv"
)

// Watch holds the flags of watch that affect the request.
type Watch struct {
	// Prefix watches every key that starts with the argument.
	Prefix bool
	// Rev is the first revision to watch. 0 means from now on.
	Rev int64
	// PrevKV adds to each event the pair that it replaced.
	PrevKV bool
	// ProgressNotify makes the server report its revision while there are no
	// events.
	ProgressNotify bool
}

// Register defines the flags on fs and sets their defaults.
func (w *Watch) Register(fs *pflag.FlagSet) {
	fs.BoolVar(&w.Prefix, "prefix", false, "watch the keys that start with the given one")
	fs.Int64Var(&w.Rev, "rev", 0, "revision to start at; 0 means after the present one")
	fs.BoolVar(&w.PrevKV, "prev-kv", false, "get with each event the pair that it replaced")
	fs.BoolVar(&w.ProgressNotify, "progress-notify", false, "have the server tell its revision every now and then while there are no events")
}

// Options builds the watch from its arguments: a key and, unless Prefix is set,
// an exclusive end of a range.
func (w *Watch) Options(args []string) (key string, opts []kv.OpOption, err error) {
	switch {
	case len(args) == 0:
		err = errors.New("watch needs a key, and may be given the end of a range")
	case len(args) > 2:
		err = errors.New("watch takes a key and the end of a range; a command to run comes after '--'")
	case len(args) == 2 && w.Prefix:
		err = errors.New("the end of a range and --prefix are mutually exclusive")
	}
	if err != nil {
		return "", nil, exit.With(exit.BadArgs, err)
	}
	if key = args[0]; key == "" && !w.Prefix {
		key = "\x00" // as the server takes it; the library refuses an empty key
	}
	opts = append(opts, kv.WithRev(w.Rev))
	if len(args) == 2 {
		opts = append(opts, kv.WithRange(args[1]))
	}
	if w.Prefix {
		opts = append(opts, kv.WithPrefix())
	}
	if w.PrevKV {
		opts = append(opts, kv.WithPrevKV())
	}
	if w.ProgressNotify {
		opts = append(opts, kv.WithProgressNotify())
	}
	return key, opts, nil
}
