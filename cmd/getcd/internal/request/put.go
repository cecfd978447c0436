package request

import (
	"io"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// Put holds the flags of put.
type Put struct {
	// Lease is the ID of the lease to attach the key to, in hexadecimal. "0"
	// means none.
	Lease string
	// PrevKV requests the previous key-value pair.
	PrevKV bool
	// IgnoreValue keeps the key's current value.
	IgnoreValue bool
	// IgnoreLease keeps the key's current lease.
	IgnoreLease bool
}

// Register defines the flags on fs and sets their defaults.
func (p *Put) Register(fs *pflag.FlagSet) {
	fs.StringVar(&p.Lease, "lease", "0", "ID of the lease to attach the key to, in hexadecimal")
	fs.BoolVar(&p.PrevKV, "prev-kv", false, "print the key-value pair that was there before")
	fs.BoolVar(&p.IgnoreValue, "ignore-value", false, "keep the key's current value")
	fs.BoolVar(&p.IgnoreLease, "ignore-lease", false, "keep the key's current lease")
}

// Op builds the put from its arguments: a key and, unless IgnoreValue is set, a
// value. If the value is not an argument, Op reads it from stdin. A nil stdin
// counts as empty.
func (p *Put) Op(args []string, stdin io.Reader) (kv.Op, error) {
	if len(args) == 0 {
		return kv.Op{}, exit.Errorf(exit.BadArgs, "put needs a key and a value; the value may come from stdin instead")
	}
	var value string
	switch {
	case p.IgnoreValue && len(args) > 1:
		return kv.Op{}, exit.Errorf(exit.BadArgs, "put takes a key and no value when --ignore-value is set; got %d arguments", len(args))
	case p.IgnoreValue:
	case len(args) > 1:
		value = args[1]
	default:
		// If stdin is empty, the argument was probably forgotten. An empty value
		// can be given as ''.
		b, err := readAll(stdin)
		if err != nil {
			return kv.Op{}, exit.Errorf(exit.BadArgs, "put needs a value, as an argument or on stdin: %w", err)
		}
		if len(b) == 0 {
			return kv.Op{}, exit.Errorf(exit.BadArgs, "put needs a value, as an argument or on stdin, and stdin is empty")
		}
		value = string(b)
	}
	id, err := LeaseID(p.Lease)
	if err != nil {
		return kv.Op{}, exit.Errorf(exit.BadArgs, "--lease: %w", err)
	}
	var opts []kv.OpOption
	if id != lease.NoLease {
		opts = append(opts, kv.WithLease(id))
	}
	if p.PrevKV {
		opts = append(opts, kv.WithPrevKV())
	}
	if p.IgnoreValue {
		opts = append(opts, kv.WithIgnoreValue())
	}
	if p.IgnoreLease {
		opts = append(opts, kv.WithIgnoreLease())
	}
	return kv.OpPut(args[0], value, opts...), nil
}

func readAll(r io.Reader) ([]byte, error) {
	if r == nil {
		return nil, nil
	}
	return io.ReadAll(r)
}

// LeaseID parses a lease ID the way the tools print it, in hexadecimal.
func LeaseID(s string) (lease.ID, error) {
	id, err := strconv.ParseInt(s, 16, 64)
	if err != nil {
		return 0, exit.Errorf(exit.BadArgs, "bad lease ID %q: want hexadecimal digits, at most 7fffffffffffffff", s)
	}
	return lease.ID(id), nil
}
