package once

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/misuse"
)

// write is what the caller wants done.
type write struct {
	name  string // of the RPC
	reply any
	txn   *pb.TxnRequest // the caller's; or one with a Put or DeleteRange alone
}

// newWrite returns nil for a call that is not a write of keys.
func newWrite(method string, args, reply any) (*write, error) {
	w := &write{reply: reply}
	var fits, answers bool
	switch method {
	case pb.KV_Put_FullMethodName:
		var r *pb.PutRequest
		r, fits = args.(*pb.PutRequest)
		_, answers = reply.(*pb.PutResponse)
		w.name, w.txn = "Put", &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: r}}}}
	case pb.KV_DeleteRange_FullMethodName:
		var r *pb.DeleteRangeRequest
		r, fits = args.(*pb.DeleteRangeRequest)
		_, answers = reply.(*pb.DeleteRangeResponse)
		w.name, w.txn = "DeleteRange", &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r}}}}
	case pb.KV_Txn_FullMethodName:
		w.name = "Txn"
		w.txn, fits = args.(*pb.TxnRequest)
		_, answers = reply.(*pb.TxnResponse)
		if fits && readOnly(w.txn) {
			return nil, nil
		}
	default:
		return nil, nil
	}
	if !fits || !answers {
		return nil, misuse.Error(fmt.Sprintf("once: %s with a %T, answered by a %T: what it writes is not known; use etcd's own messages", method, args, reply))
	}
	return w, nil
}

// readOnly reports whether t changes nothing, whichever way its comparisons go.
func readOnly(t *pb.TxnRequest) bool {
	for _, ops := range [...][]*pb.RequestOp{t.GetSuccess(), t.GetFailure()} {
		for _, op := range ops {
			nested := op.GetRequestTxn()
			if op.GetRequestRange() == nil && (nested == nil || !readOnly(nested)) {
				return false
			}
		}
	}
	return true
}

// ops returns all operations of w, for those who look at each.
func (w *write) ops() []*pb.RequestOp { return slices.Concat(w.txn.GetSuccess(), w.txn.GetFailure()) }

// blind reports whether w has one way only, so that its operations can stand beside the slot's.
// That leaves one more of them to the caller, of those that the server permits.
func (w *write) blind() bool { return len(w.txn.GetCompare()) == 0 && len(w.txn.GetFailure()) == 0 }

// The values of a slot: which branch the slot's last write took. A slot that was made and not
// used yet is empty.
const (
	tookThen = "+"
	tookElse = "-"
)

// request is w in a transaction that is applied if the slot is as it was, and advances it.
//
// A transaction may put a key once on each of its ways (api/v3rpc/key.go, checkIntervals), so
// each branch of the caller's puts the slot itself, and says by the value which one it is. The
// slot comes last: what the caller's operations see and return is what it would be without.
func (w *write) request(s *slot) *pb.TxnRequest {
	r := &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: s.key, Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: s.mod}}},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: s.key}}}},
	}
	if w.blind() {
		r.Success = append(slices.Clip(w.txn.GetSuccess()), s.put(tookThen))
		return r
	}
	r.Success = []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{
		Compare: w.txn.GetCompare(),
		Success: append(slices.Clip(w.txn.GetSuccess()), s.put(tookThen)),
		Failure: append(slices.Clip(w.txn.GetFailure()), s.put(tookElse)),
	}}}}
	return r
}

// pauses are those between the copies of a write on a connection that does not send it again by
// itself, as a client's does.
var pauses = backoff.Exponential{First: 20 * time.Millisecond, Max: 500 * time.Millisecond}

// write does w once.
func (c *Conn) write(ctx context.Context, w *write, opts []grpc.CallOption) error {
	for {
		s, err := c.slots.take(ctx)
		if errors.Is(err, errClosed) {
			err = c.closed(ctx)
		}
		if err != nil {
			return newNotApplied("the write was not sent, since it has no slot", err)
		}
		fenced, err := c.send(ctx, s, w, opts)
		if !fenced {
			return err
		}
	}
}

// closed returns why c is closed. If it is the client that was closed, it says so, and at once. What
// else becomes of the question, which may take an answer of the cluster, does not matter.
func (c *Conn) closed(ctx context.Context) error {
	const patience = 10 * time.Millisecond
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := c.slots.get(asking, &pb.RangeRequest{Key: c.prefix.from, CountOnly: true})
	if err != nil && asking.Err() == nil && etcderr.Closed(err) {
		return err
	}
	return errClosed
}

// send sends w by the slot s until its fate is known or ctx ends. fenced is true when w was not
// applied and will not be, since the slot had been lost: it may be sent by another one.
func (c *Conn) send(ctx context.Context, s *slot, w *write, opts []grpc.CallOption) (fenced bool, _ error) {
	req := w.request(s)
	doubt := false // an earlier copy may have been applied
	for n := 0; ; n++ {
		resp, only, err := c.slots.send(ctx, req, opts)
		if err == nil {
			if resp.GetSucceeded() {
				s.mod = resp.GetHeader().GetRevision()
				c.slots.give(s)
				w.answer(resp)
				return false, nil
			}
			return c.found(ctx, s, w, resp, only && !doubt)
		}
		err = named(err, w.name)
		certain := !etcderr.Ambiguous(err)
		switch {
		case certain && !doubt:
			c.slots.give(s) // it is as it was
			return false, err
		case ctx.Err() != nil, etcderr.Closed(err), errors.Is(err, context.DeadlineExceeded): // the last by client.Config.CallTimeout
			c.slots.abandon(s)
			return false, doubted(err)
		case !passes(err):
			return c.settle(ctx, s, w, err)
		}
		doubt = true
		if !backoff.Sleep(ctx, pauses.Pause(n)) {
			c.slots.abandon(s)
			return false, doubted(ctx.Err())
		}
	}
}

// settle finds out what became of w when one copy was refused, for cause, while others may have
// been applied or may yet be. It deletes the slot unless a copy has advanced it; then none ever
// will. A deletion is possible even when the store is full.
func (c *Conn) settle(ctx context.Context, s *slot, w *write, cause error) (fenced bool, _ error) {
	fence := &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: s.key, Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: s.mod}}},
		Success: []*pb.RequestOp{s.remove()},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: s.key}}}},
	}
	for n := 0; ; n++ {
		resp, err := c.slots.txn(ctx, fence)
		switch {
		case err == nil && resp.GetSucceeded():
			c.slots.drop(s)
			return false, newNotApplied("the write was not applied", cause)
		case err == nil:
			fenced, err := c.found(ctx, s, w, resp, false)
			if fenced { // by an earlier copy of the fence, or because the lease has ended
				return false, newNotApplied("the write was not applied", cause)
			}
			return false, err
		case ctx.Err() != nil || !passes(err) || !backoff.Sleep(ctx, pauses.Pause(n)):
			c.slots.abandon(s)
			return false, doubted(cause)
		}
	}
}

// found goes on when the slot is not as it was. Either w has advanced it, and the answer is
// made up again, or the slot is gone. only is true when resp is the answer of the only copy of w.
func (c *Conn) found(ctx context.Context, s *slot, w *write, resp *pb.TxnResponse, only bool) (fenced bool, _ error) {
	var at *mvccpb.KeyValue
	if len(resp.GetResponses()) > 0 {
		if kvs := resp.GetResponses()[0].GetResponseRange().GetKvs(); len(kvs) > 0 {
			at = kvs[0]
		}
	}
	if s.advanced(at) {
		s.mod = at.GetModRevision()
		c.slots.give(s)
		return false, c.rebuild(ctx, w, at, resp.GetHeader())
	}
	c.slots.lose(s)
	if only {
		return true, nil // the slot was gone before the copy came
	}
	at, err := c.slots.history(ctx, s, resp.GetHeader().GetRevision())
	switch {
	case err != nil:
		return false, &inDoubtError{fmt.Errorf("the slot is gone, and its history can't be read: %w", err)}
	case s.advanced(at):
		return false, c.rebuild(ctx, w, at, resp.GetHeader())
	default:
		return true, nil
	}
}
