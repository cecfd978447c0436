package kv

import (
	"bytes"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// CompareTarget is the property of a key that a comparison looks at.
type CompareTarget int

// The compare targets, as Compare.CompareTarget numbers them.
const (
	CompareVersion CompareTarget = iota
	CompareCreated
	CompareModified
	CompareValue
	CompareLease
)

// CompareResult is the operator of a comparison, as Compare.CompareResult
// numbers them.
type CompareResult int

// Cmp is one comparison of a transaction. Version, CreateRevision, ModRevision,
// Value and LeaseValue choose which property of a key is compared; Compare adds
// the operator and the value:
//
//	kv.Compare(kv.Version("k"), "=", 0) // k does not exist
//
// A Cmp is a value: changing a copy does not change the original. The zero Cmp,
// and one that was not passed through Compare, are errors when used.
type Cmp struct { //nolint:recvcheck // clientv3's shape
	c        *pb.Compare // immutable unless shown: copies share it
	shown    bool        // by GetCompare, so the program may change it
	compared bool        // completed by Compare or FromCompare
	err      *UsageError
}

// Value compares the key's value with a string. A key that does not exist has no
// value, so the comparison does not hold.
func Value(key string) Cmp { return target(key, pb.Compare_VALUE) }

// Version compares the number of changes to the key since it was created with an
// int or int64. It is 0 for a key that does not exist.
func Version(key string) Cmp { return target(key, pb.Compare_VERSION) }

// CreateRevision compares the revision at which the key was created with an int
// or int64. It is 0 for a key that does not exist.
func CreateRevision(key string) Cmp { return target(key, pb.Compare_CREATE) }

// ModRevision compares the revision of the key's last change with an int or
// int64. It is 0 for a key that does not exist.
func ModRevision(key string) Cmp { return target(key, pb.Compare_MOD) }

// LeaseValue compares the key's lease with a LeaseID, int or int64. It is 0 for a
// key without a lease.
func LeaseValue(key string) Cmp { return target(key, pb.Compare_LEASE) }

//go:noinline
func target(key string, t pb.Compare_CompareTarget) Cmp {
	return Cmp{c: &pb.Compare{Key: []byte(key), Target: t}}
}

// Compare completes cmp: the chosen property must be equal to ("="), not equal to
// ("!="), greater than (">") or less than ("<") v. The type of v depends on the
// property.
func Compare(cmp Cmp, result string, v any) Cmp {
	cmp = cmp.modified()
	cmp.compared = true
	switch result {
	case "=":
		cmp.c.Result = pb.Compare_EQUAL
	case "!=":
		cmp.c.Result = pb.Compare_NOT_EQUAL
	case ">":
		cmp.c.Result = pb.Compare_GREATER
	case "<":
		cmp.c.Result = pb.Compare_LESS
	default:
		cmp.misuse("operator", fmt.Sprintf(`%q is no operator; use "=", "!=", ">" or "<"`, result))
	}
	if cmp.c.Target == pb.Compare_VALUE {
		s, ok := v.(string)
		if !ok {
			cmp.misuse("value", fmt.Sprintf("it is a %T; Value compares with a string", v))
		}
		cmp.c.TargetUnion = &pb.Compare_Value{Value: []byte(s)}
		return cmp
	}
	n, ok := number(v, cmp.c.Target == pb.Compare_LEASE)
	if !ok {
		cmp.misuse("value", fmt.Sprintf("it is a %T; %s", v, numberFor(cmp.c.Target)))
	}
	switch cmp.c.Target {
	case pb.Compare_CREATE:
		cmp.c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: n}
	case pb.Compare_MOD:
		cmp.c.TargetUnion = &pb.Compare_ModRevision{ModRevision: n}
	case pb.Compare_LEASE:
		cmp.c.TargetUnion = &pb.Compare_Lease{Lease: n}
	default:
		cmp.c.TargetUnion = &pb.Compare_Version{Version: n}
	}
	return cmp
}

func number(v any, isLease bool) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	case LeaseID:
		return int64(n), isLease
	}
	return 0, false
}

func numberFor(t pb.Compare_CompareTarget) string {
	switch t {
	case pb.Compare_VERSION:
		return "Version compares with an int or int64"
	case pb.Compare_CREATE:
		return "CreateRevision compares with an int or int64"
	case pb.Compare_MOD:
		return "ModRevision compares with an int or int64"
	default:
		return "LeaseValue compares with a lease.ID, int or int64"
	}
}

// FromCompare makes a Cmp from a copy of a protocol message. A message without a
// value compares with zero or with the empty string, as on the server.
func FromCompare(c *pb.Compare) Cmp {
	if c == nil {
		return Cmp{}
	}
	cmp := Cmp{c: proto.CloneOf(c), compared: true}
	_, knownTarget := pb.Compare_CompareTarget_name[int32(c.Target)]
	_, knownResult := pb.Compare_CompareResult_name[int32(c.Result)]
	fits := c.TargetUnion == nil
	switch c.TargetUnion.(type) {
	case *pb.Compare_Version:
		fits = c.Target == pb.Compare_VERSION
	case *pb.Compare_CreateRevision:
		fits = c.Target == pb.Compare_CREATE
	case *pb.Compare_ModRevision:
		fits = c.Target == pb.Compare_MOD
	case *pb.Compare_Value:
		fits = c.Target == pb.Compare_VALUE
	case *pb.Compare_Lease:
		fits = c.Target == pb.Compare_LEASE
	}
	switch {
	case !knownTarget:
		cmp.misuse("target", fmt.Sprintf("there is no target %d; see pb.Compare_CompareTarget", c.Target))
	case !knownResult:
		cmp.misuse("result", fmt.Sprintf("there is no result %d; see pb.Compare_CompareResult", c.Result))
	case !fits:
		cmp.misuse("value", fmt.Sprintf("it is a %T, which the server takes for 0 when the target is %v; set the target's own field", c.TargetUnion, c.Target))
	}
	return cmp
}

// WithRange applies the comparison to every key in [key, end); it holds if it
// holds for all of them. If the range has no keys, it holds if it would hold for
// a key that does not exist.
func (cmp Cmp) WithRange(end string) Cmp {
	cmp = cmp.ranged("WithRange")
	cmp.c.RangeEnd = []byte(end)
	return cmp
}

// WithPrefix applies the comparison to every key that begins with key, or to all
// keys if key is empty; it holds if it holds for all of them. If there are no
// such keys, it holds if it would hold for a key that does not exist.
func (cmp Cmp) WithPrefix() Cmp {
	cmp = cmp.ranged("WithPrefix")
	if len(cmp.c.Key) == 0 {
		cmp.c.Key = zeroKey
		cmp.c.RangeEnd = toInfinity
		return cmp
	}
	cmp.c.RangeEnd = prefixEnd(cmp.c.Key)
	return cmp
}

func (cmp Cmp) ranged(option string) Cmp {
	cmp = cmp.modified()
	if len(cmp.c.RangeEnd) > 0 {
		cmp.misuse(option, fmt.Sprintf("the range end is already %q; a comparison has one range", cmp.c.RangeEnd))
	}
	return cmp
}

// modified returns a copy of cmp whose message may be modified.
func (cmp Cmp) modified() Cmp {
	cmp.c, cmp.shown = cmp.message(), false
	return cmp
}

// misuse is not inlined, nor is Op's: it would be machine code for each of many mistakes.
//
//go:noinline
func (cmp *Cmp) misuse(option, reason string) {
	if cmp.err == nil {
		cmp.err = &UsageError{Op: "Compare", Option: option, Reason: reason}
	}
}

// Err returns the *UsageError that using the Cmp will return, or nil.
func (cmp Cmp) Err() error { return errOrNil(cmp.check()) }

func (cmp *Cmp) check() *UsageError {
	switch {
	case cmp.err != nil:
		return cmp.err
	case cmp.c == nil:
		return &UsageError{Op: "Compare", Reason: `it is the zero Cmp; make it with Compare, such as Compare(Version(key), "=", 0)`}
	case !cmp.compared:
		return &UsageError{Op: "Compare", Reason: fmt.Sprintf(
			`it names %v of %q but nothing to compare it with; complete it with Compare, such as Compare(Version(key), "=", 0)`, cmp.c.Target, cmp.c.Key)}
	case len(cmp.c.Key) == 0:
		return errEmptyKey("Compare", "it is empty; name a key, or add WithPrefix for all keys")
	case len(cmp.c.RangeEnd) > 0 && !bytes.Equal(cmp.c.RangeEnd, toInfinity) && bytes.Compare(cmp.c.Key, cmp.c.RangeEnd) > 0:
		return &UsageError{Op: "Compare", Option: "WithRange", Reason: fmt.Sprintf(
			"the end %q is before the key %q; a range is [key, end)", cmp.c.RangeEnd, cmp.c.Key)}
	}
	return nil
}

// taken returns cmps as they are now: what a program may still change is copied.
func taken(cmps []Cmp) []Cmp {
	for i := range cmps {
		if cmps[i].shown {
			copied := make([]Cmp, len(cmps))
			for i := range cmps {
				copied[i] = cmps[i].modified()
			}
			return copied
		}
	}
	return cmps
}

func compares(cmps []Cmp) ([]*pb.Compare, *UsageError) {
	if len(cmps) == 0 {
		return nil, nil
	}
	out := make([]*pb.Compare, len(cmps))
	for i := range cmps {
		if err := cmps[i].check(); err != nil {
			return nil, err.within(fmt.Sprintf("If[%d]", i))
		}
		if out[i] = cmps[i].c; cmps[i].shown {
			out[i] = proto.CloneOf(out[i])
		}
	}
	return out, nil
}

// GetCompare returns the comparison's protocol message. Changing the message changes cmp, and
// copies that are made of cmp afterward, until they are used: a transaction and OpTxn keep what
// the message was. The byte slices are shared with other copies; replace them instead of writing
// into them.
func (cmp *Cmp) GetCompare() *pb.Compare {
	if !cmp.shown {
		cmp.c, cmp.shown = cmp.message(), true
	}
	return cmp.c
}

// message returns a new message with what cmp's has. The byte slices are shared.
func (cmp *Cmp) message() *pb.Compare {
	return &pb.Compare{
		Result:      cmp.c.GetResult(),
		Target:      cmp.c.GetTarget(),
		Key:         cmp.c.GetKey(),
		TargetUnion: cmp.c.GetTargetUnion(),
		RangeEnd:    cmp.c.GetRangeEnd(),
	}
}

// Clone returns a copy that shares nothing with cmp.
func (cmp *Cmp) Clone() Cmp {
	clone := *cmp
	if cmp.c != nil {
		clone.c = proto.CloneOf(cmp.c)
	}
	return clone
}

// KeyBytes returns the key. Do not modify it.
func (cmp *Cmp) KeyBytes() []byte {
	if cmp == nil {
		return nil
	}
	return cmp.c.GetKey()
}

// WithKeyBytes sets the key.
func (cmp *Cmp) WithKeyBytes(key []byte) {
	*cmp = cmp.modified()
	cmp.c.Key = key
}

// ValueBytes returns the value to compare with, or nil unless Value is compared.
// Do not modify it.
func (cmp *Cmp) ValueBytes() []byte { return cmp.c.GetValue() }

// WithValueBytes sets the value to compare with. The Cmp must come from Value and
// Compare.
func (cmp *Cmp) WithValueBytes(v []byte) {
	if _, ok := cmp.c.GetTargetUnion().(*pb.Compare_Value); !ok {
		cmp.misuse("WithValueBytes", `there is no value to replace; complete the comparison first, with Compare(Value(key), "=", "")`)
		return
	}
	*cmp = cmp.modified()
	cmp.c.TargetUnion = &pb.Compare_Value{Value: v}
}
