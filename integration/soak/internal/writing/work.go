package writing

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// The keys of the workers.
const (
	root  = "w/"
	mark  = "mark" // written by the checker itself
	slots = "writing-once/"
)

// id names a write: it is in all values that the write puts.
type id struct{ worker, n int }

func (i id) String() string { return fmt.Sprintf("%d.%d", i.worker, i.n) }

// idOf returns the id in a value.
func idOf(value []byte) (i id, ok bool) {
	worker, rest, ok := strings.Cut(string(value), ".")
	n, _, _ := strings.Cut(rest, "/")
	if !ok {
		return i, false
	}
	var errs [2]error
	i.worker, errs[0] = strconv.Atoi(worker)
	i.n, errs[1] = strconv.Atoi(n)
	return i, errs[0] == nil && errs[1] == nil
}

// fate is what a worker was told of its write.
type fate uint8

const (
	answered fate = iota // reply has the answer
	applied              // at revision, and no more is known
	doubtful
	failed // certainly not applied
)

// write is one write and what its worker was told.
type write struct {
	id       id
	req      proto.Message
	fate     fate
	reply    proto.Message
	revision int64
	err      error
	hurried  bool // it had little time
}

// deletes reports whether w puts nothing by which it could be recognized.
func (w *write) deletes() bool { _, ok := w.req.(*pb.DeleteRangeRequest); return ok }

// journal has the writes of a round.
type journal struct {
	mu     sync.Mutex
	writes []*write
}

func (j *journal) add(w *write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.writes = append(j.writes, w)
}

// take returns the writes so far, and begins anew.
func (j *journal) take() []*write {
	j.mu.Lock()
	defer j.mu.Unlock()
	w := j.writes
	j.writes = nil
	return w
}

// plan draws a worker's writes.
type plan struct {
	*rand.Rand
	worker, n int
}

func (p *plan) one(n int) bool { return p.IntN(n) == 0 }

func shared(i int) []byte { return fmt.Appendf(nil, "%sshared/%d", root, i) }

func own(worker, i int) []byte { return fmt.Appendf(nil, "%sown/%d/%d", root, worker, i) }

// next draws a write.
func (p *plan) next() *write {
	p.n++
	w := &write{id: id{p.worker, p.n}}
	switch p.IntN(10) {
	case 0, 1, 2:
		w.req = p.put(w.id, 0, shared(p.IntN(4)))
	case 3:
		w.req = p.put(w.id, 0, own(p.worker, p.IntN(8)))
	case 4:
		w.req = &pb.DeleteRangeRequest{Key: own(p.worker, 2), RangeEnd: own(p.worker, 7), PrevKv: p.one(2)}
	case 5, 6:
		// An append: a new entry, the tail, and what was there before.
		entry := fmt.Appendf(nil, "%slog/%d/%02d", root, p.worker, p.n%64)
		w.req = &pb.TxnRequest{Success: []*pb.RequestOp{
			opPut(p.put(w.id, 0, entry)), opPut(p.put(w.id, 1, []byte(root+"tail"))), opGet(shared(0), shared(9)),
		}}
	default:
		w.req = p.txn(w.id)
	}
	return w
}

func (p *plan) put(i id, part int, key []byte) *pb.PutRequest {
	return &pb.PutRequest{Key: key, Value: fmt.Appendf(nil, "%v/%d", i, part), PrevKv: p.one(2)}
}

// txn has comparisons that hold or not, and a nested transaction with its own. Each way puts
// something.
func (p *plan) txn(i id) *pb.TxnRequest {
	a, b := p.IntN(4), 4+p.IntN(4)
	odd := &pb.Compare{Key: shared(a), Result: pb.Compare_LESS, Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte(strconv.Itoa(p.IntN(9)))}}
	old := &pb.Compare{Key: shared(p.IntN(8)), Result: pb.Compare_GREATER, Target: pb.Compare_VERSION, TargetUnion: &pb.Compare_Version{Version: int64(p.IntN(12))}}
	nested := &pb.TxnRequest{
		Compare: []*pb.Compare{old},
		Success: []*pb.RequestOp{opPut(p.put(i, 1, shared(b))), opGet(shared(4), shared(9))},
		Failure: []*pb.RequestOp{opDelete(shared(b), nil, true), opGet(shared(b), nil)},
	}
	return &pb.TxnRequest{
		Compare: []*pb.Compare{odd},
		Success: []*pb.RequestOp{opGet(shared(0), shared(9)), opPut(p.put(i, 0, shared(a))), {Request: &pb.RequestOp_RequestTxn{RequestTxn: nested}}, opGet(shared(0), shared(9))},
		Failure: []*pb.RequestOp{opPut(p.put(i, 2, own(p.worker, 0))), opDelete(own(p.worker, 1), own(p.worker, 5), p.one(2)), opPut(p.put(i, 3, shared(8)))},
	}
}

func opPut(r *pb.PutRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
}

func opGet(key, end []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key, RangeEnd: end}}}
}

func opDelete(key, end []byte, prev bool) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key, RangeEnd: end, PrevKv: prev}}}
}
