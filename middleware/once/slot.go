package once

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// slot is a key that one write at a time may advance. Who has taken it owns it.
type slot struct {
	key []byte
	of  *writer
	mod int64 // the key's mod revision, as far as is known
}

// put advances the slot. It stays bound to its lease, which the server knows: a lease that is
// named is checked against all of its keys when there are users (etcdserver/apply/auth.go,
// checkLeasePuts).
func (s *slot) put(value string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: s.key, Value: []byte(value), IgnoreLease: true}}}
}

func (s *slot) remove() *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: s.key}}}
}

// advanced reports whether at is the slot after its owner's write. Nobody else puts it, except
// that a late copy of the transaction which made it may make it once more, empty, if somebody
// has deleted it.
func (s *slot) advanced(at *mvccpb.KeyValue) bool {
	return at.GetModRevision() > s.mod && len(at.GetValue()) > 0
}

// history returns the slot as the first change after s.mod left it; nil if that was its
// deletion. The slot is known to have changed by revision now. Its mod revision is s.mod until
// that change, and never again, so a binary search finds it. If the change was compacted, the oldest
// revision that is left tells nothing but that the slot was advanced.
func (p *slots) history(ctx context.Context, s *slot, now int64) (*mvccpb.KeyValue, error) {
	same, changed := s.mod, now
	var unread error // why nobody knows the slot at same
	for changed-same > 1 {
		middle := same + (changed-same)/2
		switch at, err := p.at(ctx, s.key, middle); {
		case compacted(err):
			same, unread = middle, err
		case err != nil:
			return nil, err
		case at.GetModRevision() == s.mod:
			same, unread = middle, nil
		default:
			changed = middle
		}
	}
	at, err := p.at(ctx, s.key, changed)
	if err == nil && unread != nil && !s.advanced(at) {
		return nil, unread
	}
	return at, err
}

// compacted takes the error of a client, or of a plain connection.
func compacted(err error) bool {
	return errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, rpctypes.ErrGRPCCompacted)
}

// at returns the key as it was at a revision; nil if it was not there.
func (p *slots) at(ctx context.Context, key []byte, rev int64) (*mvccpb.KeyValue, error) {
	resp, err := p.get(ctx, &pb.RangeRequest{Key: key, Revision: rev})
	if err != nil || len(resp.GetKvs()) == 0 {
		return nil, err
	}
	return resp.GetKvs()[0], nil
}
