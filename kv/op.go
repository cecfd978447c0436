package kv

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/internal/leaseid"
)

// opKind is the kind of an Op. Kinds are bits, so that an option can name all the
// kinds that it applies to.
type opKind uint8

const (
	opGet opKind = 1 << iota
	opPut
	opDelete
	opTxn
	opWatch
)

func (k opKind) String() string {
	names := make([]string, 0, 5)
	for i, name := range [...]string{"Get", "Put", "Delete", "Txn", "Watch"} {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "Op"
	}
	return strings.Join(names, " and ")
}

// pkg returns the name of the package that accepts an operation of the kind, for
// its errors.
func (k opKind) pkg() string {
	if k == opWatch {
		return "watch"
	}
	return "kv"
}

// rangeBy says which option set an Op's range end.
type rangeBy uint8

const (
	byNothing rangeBy = iota
	byRange
	byPrefix
	byFromKey
)

func (r rangeBy) String() string {
	return [...]string{"nothing", "WithRange", "WithPrefix", "WithFromKey"}[r]
}

// LeaseID is the ID of a lease. It is the same type as lease.ID. 0 means no lease.
type LeaseID = leaseid.ID

// Op is one operation, made by OpGet, OpPut, OpDelete or OpTxn, to pass to Do or
// to a transaction. OpWatch makes one that only package watch accepts. An Op is a
// value: changing a copy does not change the original. Using the zero Op is an
// error.
type Op struct { //nolint:recvcheck // clientv3's shape: mutators take a pointer, accessors work on any Op
	kind opKind
	err  *UsageError // the first misuse of an option

	key []byte
	end []byte
	by  rangeBy

	rev int64 // Get and Watch

	// Get
	limit        int64
	sort         SortOption
	sorted       bool
	serializable bool
	keysOnly     bool
	countOnly    bool
	minModRev    int64
	maxModRev    int64
	minCreateRev int64
	maxCreateRev int64

	// Put
	val         []byte
	leaseID     LeaseID
	ignoreValue bool
	ignoreLease bool

	prevKV bool // Put, Delete and Watch

	// Watch
	progressNotify bool
	createdNotify  bool
	filterPut      bool
	filterDelete   bool
	fragment       bool

	// Txn
	cmps    []Cmp
	thenOps []Op
	elseOps []Op
}

// NewOp returns an Op without an operation. Apply options to it to inspect them.
// Using it in a call is an error.
func NewOp() *Op { return &Op{} }

// OpGet builds the operation that KV.Get sends.
func OpGet(key string, opts ...OpOption) Op {
	op := Op{kind: opGet, key: []byte(key)}
	return op.with(opts)
}

// OpPut builds the operation that KV.Put sends.
func OpPut(key, val string, opts ...OpOption) Op {
	op := Op{kind: opPut, key: []byte(key), val: []byte(val)}
	return op.with(opts)
}

// OpDelete builds the operation that KV.Delete sends.
func OpDelete(key string, opts ...OpOption) Op {
	op := Op{kind: opDelete, key: []byte(key)}
	return op.with(opts)
}

// OpWatch builds the operation that Watcher.Watch of package watch uses. It is
// meant for that package and for inspecting options; Do and transactions refuse
// it.
func OpWatch(key string, opts ...OpOption) Op {
	op := Op{kind: opWatch, key: []byte(key)}
	return op.with(opts)
}

// OpTxn builds a whole transaction as one operation: if all cmps hold, thenOps
// are applied, otherwise elseOps. It can be nested in another transaction; its
// comparisons then see the state before the outermost one. A transaction,
// including nested ones, may change each key only once.
func OpTxn(cmps []Cmp, thenOps []Op, elseOps []Op) Op {
	return Op{kind: opTxn, cmps: taken(cmps), thenOps: thenOps, elseOps: elseOps}
}

// scratch has Ops to apply options to. An option is a function, so what it is given escapes
// to the heap.
var scratch = sync.Pool{New: func() any { return new(Op) }}

// with applies the options to a copy.
func (op Op) with(opts []OpOption) Op {
	if len(opts) == 0 {
		return op
	}
	applied := scratch.Get().(*Op) //nolint:forcetypeassert // it has no others
	*applied = op
	for i, opt := range opts {
		if opt == nil {
			applied.misuse(fmt.Sprintf("option %d", i+1), "it is nil; leave it out", nil)
			continue
		}
		opt(applied)
	}
	op = *applied
	*applied = Op{}
	scratch.Put(applied)
	return op
}

// misuse records what is wrong with an option. The first error wins.
//
//go:noinline
func (op *Op) misuse(option, reason string, same error) {
	if op.err == nil {
		op.err = &UsageError{Package: op.kind.pkg(), Op: op.kind.String(), Option: option, Reason: reason, Err: same}
	}
}

// Err returns the *UsageError that using the Op will return, or nil.
func (op Op) Err() error { return errOrNil(op.check()) }

// check finds the errors that only the finished Op shows, since its key, range
// end and value can be changed after the options are applied.
func (op *Op) check() *UsageError {
	if op.err != nil {
		return op.err
	}
	name := op.kind.String()
	switch op.kind {
	case opTxn:
		_, err := op.txnRequest()
		return err
	case opGet, opDelete:
		if len(op.key) == 0 {
			return errEmptyKey(name, "it is empty; name a key, or add WithPrefix or WithFromKey for all keys")
		}
		if len(op.end) > 0 && !bytes.Equal(op.end, toInfinity) && bytes.Compare(op.key, op.end) > 0 {
			return &UsageError{Op: name, Option: "WithRange", Reason: fmt.Sprintf(
				"the end %q is before the key %q; a range is [key, end)", op.end, op.key)}
		}
	case opWatch:
		if len(op.key) == 0 {
			err := errEmptyKey(name, "it is empty; name a key, or add WithPrefix or WithFromKey for all keys")
			err.Package = op.kind.pkg()
			return err
		}
		// Unlike for a Get, the server refuses to watch an empty range.
		if len(op.end) > 0 && !bytes.Equal(op.end, toInfinity) && bytes.Compare(op.key, op.end) >= 0 {
			return &UsageError{Package: op.kind.pkg(), Op: name, Option: "WithRange", Reason: fmt.Sprintf(
				"the end %q is not after the key %q; a range is [key, end)", op.end, op.key)}
		}
	case opPut:
		switch {
		case len(op.key) == 0:
			return errEmptyKey(name, "it is empty; name a key")
		case op.ignoreValue && len(op.val) > 0:
			return &UsageError{
				Op: name, Option: "WithIgnoreValue", Reason: "it keeps the key's present value; give it an empty one, or leave the option out",
				Err: rpctypes.ErrValueProvided,
			}
		case op.ignoreLease && op.leaseID != leaseid.None:
			return &UsageError{
				Op: name, Option: "WithIgnoreLease", Reason: "it keeps the key's present lease; leave it or WithLease out",
				Err: rpctypes.ErrLeaseProvided,
			}
		}
	default:
		return &UsageError{Op: name, Reason: "it has no operation; make it with OpGet, OpPut, OpDelete or OpTxn"}
	}
	return nil
}

// The following do not check the Op: their callers have done that.

func (op *Op) rangeRequest() *pb.RangeRequest {
	return &pb.RangeRequest{
		Key:               op.key,
		RangeEnd:          op.end,
		Limit:             op.limit,
		Revision:          op.rev,
		SortOrder:         op.sort.order(),
		SortTarget:        pb.RangeRequest_SortTarget(op.sort.Target),
		Serializable:      op.serializable,
		KeysOnly:          op.keysOnly,
		CountOnly:         op.countOnly,
		MinModRevision:    op.minModRev,
		MaxModRevision:    op.maxModRev,
		MinCreateRevision: op.minCreateRev,
		MaxCreateRevision: op.maxCreateRev,
	}
}

func (op *Op) putRequest() *pb.PutRequest {
	return &pb.PutRequest{
		Key:         op.key,
		Value:       op.val,
		Lease:       int64(op.leaseID),
		PrevKv:      op.prevKV,
		IgnoreValue: op.ignoreValue,
		IgnoreLease: op.ignoreLease,
	}
}

func (op *Op) deleteRequest() *pb.DeleteRangeRequest {
	return &pb.DeleteRangeRequest{Key: op.key, RangeEnd: op.end, PrevKv: op.prevKV}
}

// txnRequest builds the message of a transaction and checks everything in it.
func (op *Op) txnRequest() (*pb.TxnRequest, *UsageError) {
	var err *UsageError
	r := &pb.TxnRequest{}
	if r.Compare, err = compares(op.cmps); err != nil {
		return nil, err.within("Txn")
	}
	if r.Success, err = requestOps("Then", op.thenOps); err != nil {
		return nil, err.within("Txn")
	}
	if r.Failure, err = requestOps("Else", op.elseOps); err != nil {
		return nil, err.within("Txn")
	}
	return r, nil
}

func requestOps(branch string, ops []Op) ([]*pb.RequestOp, *UsageError) {
	if len(ops) == 0 {
		return nil, nil
	}
	out := make([]*pb.RequestOp, len(ops))
	for i := range ops {
		r, err := ops[i].requestOp()
		if err != nil {
			return nil, err.within(fmt.Sprintf("%s[%d]", branch, i))
		}
		out[i] = r
	}
	return out, nil
}

func (op *Op) requestOp() (*pb.RequestOp, *UsageError) {
	if op.kind == opTxn && op.err == nil {
		r, err := op.txnRequest() // checks the operation
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: r}}, err
	}
	if err := op.check(); err != nil {
		return nil, err
	}
	if op.kind == opWatch {
		return nil, errWatchOp()
	}
	switch op.kind {
	case opPut:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: op.putRequest()}}, nil
	case opDelete:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: op.deleteRequest()}}, nil
	default:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: op.rangeRequest()}}, nil
	}
}
