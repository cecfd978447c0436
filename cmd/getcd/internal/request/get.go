package request

import (
	"strings"

	"github.com/spf13/pflag"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/kv"
)

// Get holds the flags of get. The last two do not affect the request: a transaction takes them
// too, as etcdctl's does, and ignores them.
type Get struct {
	// Consistency is "l" for linearizable or "s" for serializable.
	Consistency string
	// Order is "", "ASCEND" or "DESCEND", in any case.
	Order string
	// SortBy is "", "CREATE", "KEY", "MODIFY", "VALUE" or "VERSION", in any case.
	SortBy string
	// Limit is the maximum number of pairs. A value below 1 means no limit.
	Limit int64
	// Prefix reads every key that starts with the argument.
	Prefix bool
	// FromKey reads every key that is not below the argument.
	FromKey bool
	// Rev is the revision to read at. A value below 1 means the latest.
	Rev int64
	// KeysOnly omits the values.
	KeysOnly bool
	// CountOnly omits the pairs.
	CountOnly bool
	// The bounds for revisions. A value below 1 means no bound.
	MinCreateRev, MaxCreateRev, MinModRev, MaxModRev int64
	// ValueOnly prints the values alone.
	ValueOnly bool
	// Stream reads through the RangeStream RPC.
	Stream bool
}

// Register defines the flags on fs and sets their defaults.
func (g *Get) Register(fs *pflag.FlagSet) {
	fs.StringVar(&g.Consistency, "consistency", "l", "linearizable (l) or serializable (s)")
	fs.StringVar(&g.Order, "order", "", "order of the results, ASCEND (the default) or DESCEND")
	fs.StringVar(&g.SortBy, "sort-by", "", "what to sort by: CREATE, KEY, MODIFY, VALUE or VERSION")
	fs.Int64Var(&g.Limit, "limit", 0, "largest number of results; 0 means all")
	fs.BoolVar(&g.Prefix, "prefix", false, "get the keys that start with the given one")
	fs.BoolVar(&g.FromKey, "from-key", false, "get the keys that are equal to or above the given one, by bytes")
	fs.Int64Var(&g.Rev, "rev", 0, "revision to read at; 0 means the latest")
	fs.BoolVar(&g.KeysOnly, "keys-only", false, "get the keys without their values")
	fs.BoolVar(&g.CountOnly, "count-only", false, "get the number of keys alone")
	fs.Int64Var(&g.MinCreateRev, "min-create-rev", 0, "smallest create revision")
	fs.Int64Var(&g.MaxCreateRev, "max-create-rev", 0, "largest create revision")
	fs.Int64Var(&g.MinModRev, "min-mod-rev", 0, "smallest modification revision")
	fs.Int64Var(&g.MaxModRev, "max-mod-rev", 0, "largest modification revision")
	fs.BoolVar(&g.ValueOnly, "print-value-only", false, `print the values alone (with the "simple" output format)`)
	fs.BoolVar(&g.Stream, "stream", false, "read through the RangeStream RPC, in parts")
}

// Op builds the read from its arguments: a key and, unless Prefix or FromKey is
// set, an exclusive end of a range.
func (g *Get) Op(args []string) (kv.Op, error) {
	if len(args) == 0 {
		return kv.Op{}, exit.Errorf(exit.BadArgs, "get needs a key, and may be given the end of a range")
	}
	if g.KeysOnly && g.CountOnly {
		return kv.Op{}, exit.Errorf(exit.BadArgs, "--keys-only and --count-only exclude each other: choose one")
	}
	// The order of the checks is etcdctl's. It decides the exit status if several
	// of them fail.
	if err := prefixOrFrom(g.Prefix, g.FromKey); err != nil {
		return kv.Op{}, err
	}
	serializable, err := Serializable(g.Consistency)
	if err != nil {
		return kv.Op{}, err
	}
	key, opts, err := keyRange(args, g.Prefix, g.FromKey)
	if err != nil {
		return kv.Op{}, err
	}
	if serializable {
		opts = append(opts, kv.WithSerializable())
	}
	if g.Limit > 0 {
		opts = append(opts, kv.WithLimit(g.Limit))
	}
	if g.Rev > 0 {
		opts = append(opts, kv.WithRev(g.Rev))
	}
	by, order, err := g.sort()
	if err != nil {
		return kv.Op{}, err
	}
	opts = append(opts, kv.WithSort(by, order))
	if g.KeysOnly {
		opts = append(opts, kv.WithKeysOnly())
	}
	if g.CountOnly {
		opts = append(opts, kv.WithCountOnly())
	}
	bounds, err := g.bounds()
	if err != nil {
		return kv.Op{}, err
	}
	return kv.OpGet(key, append(opts, bounds...)...), nil
}

// RangeRequest returns op, which Op has built, as a message for the RangeStream
// RPC.
func (g *Get) RangeRequest(op kv.Op) *pb.RangeRequest {
	r := &pb.RangeRequest{
		Key: op.KeyBytes(), RangeEnd: op.RangeBytes(), Limit: op.Limit(), Revision: op.Rev(),
		Serializable: op.IsSerializable(), KeysOnly: op.IsKeysOnly(), CountOnly: op.IsCountOnly(),
		MinModRevision: op.MinModRev(), MaxModRevision: op.MaxModRev(),
		MinCreateRevision: op.MinCreateRev(), MaxCreateRevision: op.MaxCreateRev(),
	}
	// Op has already refused invalid values.
	by, order, _ := g.sort()
	if by == kv.SortByKey && order == kv.SortAscend {
		// Keys arrive in this order anyway, and RangeStream refuses an explicit
		// order.
		order = kv.SortNone
	}
	r.SortTarget, r.SortOrder = pb.RangeRequest_SortTarget(by), pb.RangeRequest_SortOrder(order)
	return r
}

func (g *Get) sort() (by kv.SortTarget, order kv.SortOrder, err error) {
	switch strings.ToUpper(g.Order) {
	case "":
		order = kv.SortNone
	case "ASCEND":
		order = kv.SortAscend
	case "DESCEND":
		order = kv.SortDescend
	default:
		return 0, 0, exit.Errorf(exit.BadFeature, "bad sort order %q for --order: use ASCEND or DESCEND", g.Order)
	}
	switch strings.ToUpper(g.SortBy) {
	case "", "KEY":
		by = kv.SortByKey
	case "CREATE":
		by = kv.SortByCreateRevision
	case "MODIFY":
		by = kv.SortByModRevision
	case "VALUE":
		by = kv.SortByValue
	case "VERSION":
		by = kv.SortByVersion
	default:
		return 0, 0, exit.Errorf(exit.BadFeature, "bad sort target %q for --sort-by: use CREATE, KEY, MODIFY, VALUE or VERSION", g.SortBy)
	}
	return by, order, nil
}

func (g *Get) bounds() ([]kv.OpOption, error) {
	if g.MaxCreateRev > 0 && g.MinCreateRev > g.MaxCreateRev {
		return nil, exit.Errorf(exit.BadFeature, "--min-create-rev %d is above --max-create-rev %d", g.MinCreateRev, g.MaxCreateRev)
	}
	if g.MaxModRev > 0 && g.MinModRev > g.MaxModRev {
		return nil, exit.Errorf(exit.BadFeature, "--min-mod-rev %d is above --max-mod-rev %d", g.MinModRev, g.MaxModRev)
	}
	var opts []kv.OpOption
	for _, b := range []struct {
		rev  int64
		with func(int64) kv.OpOption
	}{
		{g.MinCreateRev, kv.WithMinCreateRev},
		{g.MaxCreateRev, kv.WithMaxCreateRev},
		{g.MinModRev, kv.WithMinModRev},
		{g.MaxModRev, kv.WithMaxModRev},
	} {
		if b.rev > 0 {
			opts = append(opts, b.with(b.rev))
		}
	}
	return opts, nil
}

// Serializable parses the value of a --consistency flag.
func Serializable(consistency string) (bool, error) {
	switch consistency {
	case "l":
		return false, nil
	case "s":
		return true, nil
	}
	return false, exit.Errorf(exit.BadFeature, "unknown consistency %q for --consistency: use l (linearizable) or s (serializable)", consistency)
}

func prefixOrFrom(prefix, fromKey bool) error {
	if prefix && fromKey {
		return exit.Errorf(exit.BadArgs, "--prefix and --from-key exclude each other: choose one")
	}
	return nil
}

// keyRange parses the key and the range for get and del.
func keyRange(args []string, prefix, fromKey bool) (key string, end []kv.OpOption, err error) {
	key = args[0]
	switch {
	case len(args) > 1 && (prefix || fromKey):
		return "", nil, exit.Errorf(exit.BadArgs, "too many arguments: --prefix and --from-key take one key, got %d arguments", len(args))
	case len(args) > 1:
		end = append(end, kv.WithRange(forward(key, args[1])))
	case (prefix || fromKey) && key == "":
		// No prefix and no lower bound mean all keys. The protocol does not allow
		// an empty key; NUL is the lowest key.
		key = "\x00"
		end = append(end, kv.WithFromKey())
	case prefix:
		end = append(end, kv.WithPrefix())
	case fromKey:
		end = append(end, kv.WithFromKey())
	}
	return key, end, nil
}

// forward replaces an end that is before the key with the key itself. Both ranges
// are empty, and etcdctl gets no keys from either, but the library treats the
// first as a mistake. "" and NUL are not keys: in the protocol they mean a single
// key and no end.
func forward(key, end string) string {
	if end == "" || end == "\x00" {
		return end
	}
	return max(key, end)
}
