package watching

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
)

// reader reads the history, revision by revision, with etcd's generated stubs. It
// asks any member for its own state (serializable reads), which at a given
// revision is the same on all members. So neither faults of links nor the loss of
// the quorum stop it.
type reader struct {
	members []*cluster.Member
	h       *history
	rand    *rand.Rand
	state   map[int]change // at the history's head
}

const (
	perRead  = 16 // revisions
	readTime = 2 * time.Second
	idle     = 10 * time.Millisecond
	perTurn  = 40 // reads from one member before another is asked
)

// run reads until ctx ends. An error means that the store contradicts itself.
func (r *reader) run(ctx context.Context) error {
	for ctx.Err() == nil {
		m := r.members[r.rand.IntN(len(r.members))]
		for range perTurn {
			more, err := r.step(ctx, pb.NewKVClient(m.Control()))
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
		pause(ctx, idle)
	}
	return nil
}

// step reads some revisions from a member, and reports whether it may have more.
func (r *reader) step(ctx context.Context, member pb.KVClient) (more bool, _ error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	there, err := member.Range(ctx, &pb.RangeRequest{Key: []byte(Prefix), CountOnly: true, Serializable: true}, grpc.WaitForReady(false))
	if err != nil {
		return false, nil // ask another member
	}
	head := r.h.head()
	n := min(there.Header.Revision-head, perRead)
	if n <= 0 {
		return false, nil
	}
	txn := &pb.TxnRequest{}
	for i := range n {
		all := &pb.RangeRequest{
			Key: []byte(Prefix), RangeEnd: []byte(kv.GetPrefixRangeEnd(Prefix)),
			Revision: head + 1 + i, Serializable: true, KeysOnly: true,
		}
		changed := &pb.RangeRequest{
			Key: all.Key, RangeEnd: all.RangeEnd, Revision: all.Revision, Serializable: true,
			MinModRevision: all.Revision, MaxModRevision: all.Revision,
		}
		txn.Success = append(txn.Success,
			&pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: all}},
			&pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: changed}})
	}
	resp, err := member.Txn(ctx, txn)
	if err != nil {
		return false, nil // ask another member
	}
	for i := range n {
		changes, err := r.compare(head+1+i, resp.Responses[2*i].GetResponseRange().Kvs, resp.Responses[2*i+1].GetResponseRange().Kvs)
		if err != nil {
			return false, err
		}
		r.h.add(changes)
	}
	return n == perRead, nil
}

// compare determines what a revision has changed. all has the keys that exist at
// it, without values, and changed has those that it has put.
func (r *reader) compare(rev int64, all, changed []*mvccpb.KeyValue) ([]change, error) {
	values := make(map[string]*mvccpb.KeyValue, len(changed))
	for _, kv := range changed {
		values[string(kv.Key)] = kv
	}
	var changes []change
	there := make(map[int]bool, len(all))
	for _, k := range all {
		i, ok := r.h.keys.index(k.Key)
		if !ok {
			return nil, fmt.Errorf("reading revision %d: nobody writes the key %q", rev, k.Key)
		}
		there[i] = true
		was, had := r.state[i]
		switch full := values[string(k.Key)]; {
		case k.ModRevision == rev && full != nil:
			t, _ := tagOf(full.Value)
			c := change{
				// In a read without values, etcd may omit the lease, too.
				rev: rev, version: full.Version, create: full.CreateRevision, lease: full.Lease,
				sum: maphash.Bytes(r.h.seed, full.Value), tag: t, key: uint16(i),
			}
			if had && (c.version != was.version+1 || c.create != was.create) || !had && (c.version != 1 || c.create != rev) {
				return nil, fmt.Errorf("reading revision %d: %s has version %d, created at %d, after version %d, created at %d",
					rev, k.Key, c.version, c.create, was.version, was.create)
			}
			changes = append(changes, c)
		case !had || k.ModRevision != was.rev:
			return nil, fmt.Errorf("reading revision %d: %s was changed at %d, and before at %d", rev, k.Key, k.ModRevision, was.rev)
		}
	}
	for i := range r.h.keys {
		if _, had := r.state[i]; had && !there[i] {
			changes = append(changes, change{rev: rev, key: uint16(i), deleted: true})
		}
	}
	for _, c := range changes {
		if c.deleted {
			delete(r.state, int(c.key))
		} else {
			r.state[int(c.key)] = c
		}
	}
	return changes, nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
