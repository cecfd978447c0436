package etcdtest

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// maxTxnOps is etcd's --max-txn-ops.
const maxTxnOps = 128

func (k *kvServer) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	if err := checkTxn(r, maxTxnOps); err != nil {
		return nil, err
	}
	for _, branch := range [][]*pb.RequestOp{r.Success, r.Failure} {
		if _, err := collectWrites(branch); err != nil {
			return nil, err
		}
	}
	if !txnSerializable(r) {
		if err := k.m.awaitLeader(ctx); err != nil {
			return nil, err
		}
	}
	s := k.m.c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	resp, err := s.doTxnLocked(r)
	if err != nil {
		return nil, err
	}
	resp.Header = k.m.header(s.rev)
	return resp, nil
}

// doTxnLocked applies r, or nothing of it.
func (s *store) doTxnLocked(r *pb.TxnRequest) (*pb.TxnResponse, error) {
	// All comparisons, nested ones too, see the state before the transaction.
	took := make(map[*pb.TxnRequest]bool)
	if err := s.planLocked(r, took); err != nil {
		return nil, err
	}
	w := s.beginLocked()
	resp := w.doTxn(r, took)
	w.commit()
	return resp, nil
}

// planLocked decides which branch r and the transactions inside it take, and
// checks the operations on the way.
func (s *store) planLocked(r *pb.TxnRequest, took map[*pb.TxnRequest]bool) error {
	took[r] = true
	for _, c := range r.Compare {
		if !s.compareLocked(c) {
			took[r] = false
		}
	}
	for _, op := range branch(r, took) {
		var err error
		switch {
		case op.GetRequestRange() != nil:
			// Unlike Range by itself, a transaction takes 0 alone for now.
			if rev := op.GetRequestRange().Revision; rev != 0 && rev < s.compactRev {
				err = rpctypes.ErrGRPCCompacted
			} else {
				err = s.checkRevLocked(rev)
			}
		case op.GetRequestPut() != nil:
			err = s.checkPutLocked(op.GetRequestPut())
		case op.GetRequestTxn() != nil:
			err = s.planLocked(op.GetRequestTxn(), took)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func branch(r *pb.TxnRequest, took map[*pb.TxnRequest]bool) []*pb.RequestOp {
	if took[r] {
		return r.Success
	}
	return r.Failure
}

func (w *write) doTxn(r *pb.TxnRequest, took map[*pb.TxnRequest]bool) *pb.TxnResponse {
	resp := &pb.TxnResponse{Succeeded: took[r]}
	for _, op := range branch(r, took) {
		out := &pb.ResponseOp{}
		switch {
		case op.GetRequestRange() != nil:
			ranged := w.s.doRangeLocked(op.GetRequestRange(), w.rev)
			ranged.Header = &pb.ResponseHeader{Revision: w.visibleRev()}
			out.Response = &pb.ResponseOp_ResponseRange{ResponseRange: ranged}
		case op.GetRequestPut() != nil:
			out.Response = &pb.ResponseOp_ResponsePut{ResponsePut: w.doPut(op.GetRequestPut())}
		case op.GetRequestDeleteRange() != nil:
			out.Response = &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: w.doDelete(op.GetRequestDeleteRange())}
		case op.GetRequestTxn() != nil:
			nested := w.doTxn(op.GetRequestTxn(), took)
			nested.Header = &pb.ResponseHeader{}
			out.Response = &pb.ResponseOp_ResponseTxn{ResponseTxn: nested}
		}
		resp.Responses = append(resp.Responses, out)
	}
	return resp
}

// compareLocked applies one comparison: every key of its range must fit. A key
// that does not exist has zeros to compare, but no value.
func (s *store) compareLocked(c *pb.Compare) bool {
	kvs := s.rangeLocked(keyRange{c.Key, c.RangeEnd}, s.rev)
	if len(kvs) == 0 {
		if c.Target == pb.Compare_VALUE {
			return false
		}
		kvs = []*mvccpb.KeyValue{{}}
	}
	for _, kv := range kvs {
		if !compareOne(c, kv) {
			return false
		}
	}
	return true
}

func compareOne(c *pb.Compare, kv *mvccpb.KeyValue) bool {
	var order int
	switch c.Target {
	case pb.Compare_VALUE:
		order = bytes.Compare(kv.Value, c.GetValue())
	case pb.Compare_CREATE:
		order = cmp.Compare(kv.CreateRevision, c.GetCreateRevision())
	case pb.Compare_MOD:
		order = cmp.Compare(kv.ModRevision, c.GetModRevision())
	case pb.Compare_VERSION:
		order = cmp.Compare(kv.Version, c.GetVersion())
	case pb.Compare_LEASE:
		order = cmp.Compare(kv.Lease, c.GetLease())
	}
	switch c.Result {
	case pb.Compare_EQUAL:
		return order == 0
	case pb.Compare_NOT_EQUAL:
		return order != 0
	case pb.Compare_GREATER:
		return order > 0
	case pb.Compare_LESS:
		return order < 0
	}
	return true
}

// checkTxn checks keys and the number of operations. Each level takes its
// longest list off what the levels below it may have.
func checkTxn(r *pb.TxnRequest, quota int) error {
	longest := max(len(r.Compare), len(r.Success), len(r.Failure))
	if longest > quota {
		return rpctypes.ErrGRPCTooManyOps
	}
	for _, c := range r.Compare {
		if len(c.Key) == 0 {
			return rpctypes.ErrGRPCEmptyKey
		}
	}
	for _, ops := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range ops {
			if err := checkOp(op, quota-longest); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkOp(op *pb.RequestOp, quota int) error {
	switch {
	case op.GetRequestRange() != nil:
		return checkRange(op.GetRequestRange())
	case op.GetRequestPut() != nil:
		return checkPut(op.GetRequestPut())
	case op.GetRequestDeleteRange() != nil:
		if len(op.GetRequestDeleteRange().Key) == 0 {
			return rpctypes.ErrGRPCEmptyKey
		}
		return nil
	case op.GetRequestTxn() != nil:
		return checkTxn(op.GetRequestTxn(), quota)
	}
	return rpctypes.ErrGRPCKeyNotFound // etcd's answer to an operation without a body
}

// writeSet is what a list of operations would write, for the rule that a
// transaction changes a key once.
type writeSet struct {
	puts map[string]bool
	dels []keyRange
}

func (ws writeSet) deletes(key string) bool {
	for _, r := range ws.dels {
		// etcd compares an end of "\x00" literally here, so that a deletion
		// without an end clashes with nothing.
		if !r.unbounded() && r.contains(key) {
			return true
		}
	}
	return false
}

// collectWrites returns what ops write, or ErrGRPCDuplicateKey. The two branches
// of a nested transaction may put the same key, since only one of them runs.
func collectWrites(ops []*pb.RequestOp) (writeSet, error) {
	all := writeSet{puts: make(map[string]bool)}
	for _, op := range ops {
		if d := op.GetRequestDeleteRange(); d != nil {
			all.dels = append(all.dels, keyRange{d.Key, d.RangeEnd})
		}
	}
	var below []keyRange // nested deletions clash with this level's puts alone
	for _, op := range ops {
		nested := op.GetRequestTxn()
		if nested == nil {
			continue
		}
		yes, err := collectWrites(nested.Success)
		if err != nil {
			return writeSet{}, err
		}
		no, err := collectWrites(nested.Failure)
		if err != nil {
			return writeSet{}, err
		}
		taken := writeSet{puts: make(map[string]bool), dels: slices.Concat(all.dels, below)}
		for _, set := range []writeSet{yes, no} {
			for key := range set.puts {
				if all.puts[key] || taken.deletes(key) {
					return writeSet{}, rpctypes.ErrGRPCDuplicateKey
				}
				taken.puts[key] = true
			}
		}
		for key := range taken.puts {
			all.puts[key] = true
		}
		below = append(below, yes.dels...)
		below = append(below, no.dels...)
	}
	all.dels = append(all.dels, below...)
	for _, op := range ops {
		p := op.GetRequestPut()
		if p == nil {
			continue
		}
		key := string(p.Key)
		if all.puts[key] || all.deletes(key) {
			return writeSet{}, rpctypes.ErrGRPCDuplicateKey
		}
		all.puts[key] = true
	}
	return all, nil
}

// txnSerializable reports whether r can be answered without a leader: it has
// serializable reads only.
func txnSerializable(r *pb.TxnRequest) bool {
	for _, ops := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range ops {
			if !op.GetRequestRange().GetSerializable() {
				return false
			}
		}
	}
	return true
}
