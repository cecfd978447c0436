package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// ErrDeleted means that the own key is gone, or is another one of the same name:
// the place is lost.
var ErrDeleted = errors.New("its key was deleted, by another client or with its lease")

// ErrInDoubt means that the own key is not there, and may be put yet.
var ErrInDoubt = errors.New("its key may be put yet")

// Place is one's place in a queue. The fields up to Key are set by who makes it;
// Rev too, if the place was taken before, and otherwise by Take.
//
// Take, First, Wait and Hold are called one after the other; Guard and Commit at
// any time after Take. It has goroutines of its own only through the Watcher.
type Place struct {
	KV      kv.KV
	Watcher watch.Watcher
	Leases  lease.Lease   // its requests alone
	Prefix  string        // the queue's
	TTL     time.Duration // of the lease; the place is looked at again in every half of it
	Key     string        // the own key, under Prefix
	Rev     int64         // its create revision: the fencing token
	Doubt   bool          // set by Take when it has sent a request that may yet put the key
	// Looked is set when First or Wait had to ask for the standing: the header of the last
	// answer. After Wait its revision is not before that of the deletion that gave the turn.
	Looked *pb.ResponseHeader
	// Shared says that the lease goes on when the place is left: Take leaves at most one
	// request in doubt, and Hold leaves it to Missing to look at the place by time.
	Shared bool

	gone   bool // Leave has made certain that the key is
	at     standing
	others map[string]int64 // keys that are no contender's, though named so, with their mod revisions
}

// standing is what the cluster says of a place. The zero value is not known.
type standing struct {
	rev   int64  // the revision of the answer
	mine  bool   // the own key is there, with the place's create revision
	older string // the key of the youngest older contender; empty for who is first
}

// Taken is the answer to Take.
type Taken struct {
	Header *pb.ResponseHeader
	Own    *mvccpb.KeyValue // the own key
	New    bool             // it was put just now; otherwise perhaps by somebody else
}

// Take puts the own key with a value and a lease, unless it is there, until that
// is certain, ctx ends, or the server's error is final, an alarm, or that the lease
// has ended. After an error the key may have been put, or may be yet, until the lease
// is revoked.
//
// The transaction puts the key once, however often it is sent. A failure leaves
// open whether it was put, so the key is read, and only if it is not there the
// transaction is sent again. A straggler that the cluster still applies finds the
// key put, or, later, its lease revoked.
func (p *Place) Take(ctx context.Context, val string, id lease.ID) (Taken, error) {
	begin, end := bounds(p.Prefix)
	newest := kv.OpGet(begin, kv.WithRange(end), kv.WithKeysOnly(), kv.WithSort(kv.SortByCreateRevision, kv.SortDescend), kv.WithLimit(2))
	for failures := 0; ; failures++ {
		resp, err := p.KV.Txn(ctx).
			If(kv.Compare(kv.CreateRevision(p.Key), "=", 0)).
			Then(kv.OpPut(p.Key, val, kv.WithLease(id)), newest).
			Else(kv.OpGet(p.Key)).
			Commit()
		if err == nil {
			rev := resp.Header.Revision
			own := &mvccpb.KeyValue{
				Key: []byte(p.Key), Value: []byte(val), Lease: int64(id),
				CreateRevision: rev, ModRevision: rev, Version: 1,
			}
			if !resp.Succeeded {
				own = resp.Responses[0].GetResponseRange().Kvs[0]
			}
			p.Rev = own.CreateRevision
			if resp.Succeeded {
				p.stand(ctx, rev, (*kv.GetResponse)(resp.Responses[1].GetResponseRange()))
			}
			return Taken{Header: resp.Header, Own: own, New: resp.Succeeded}, nil
		}
		p.Doubt = p.Doubt || etcderr.Ambiguous(err)
		if ctx.Err() != nil || etcderr.FinalForCaller(err) || etcderr.NotFound(err) || !Pause(ctx, failures) {
			return Taken{}, err
		}
		if p.Shared && p.Doubt {
			return p.settle(ctx, id, err)
		}
		if got, err := p.KV.Get(ctx, p.Key); err == nil && len(got.Kvs) > 0 {
			p.Rev = got.Kvs[0].CreateRevision
			return Taken{Header: got.Header, Own: got.Kvs[0]}, nil
		}
	}
}

// stand takes the standing from the newest two keys at the revision at which the own one
// was put, which is the newest.
func (p *Place) stand(ctx context.Context, rev int64, newest *kv.GetResponse) {
	if len(newest.Kvs) == 0 || newest.Kvs[0].CreateRevision != p.Rev {
		return
	}
	newest.Kvs = newest.Kvs[1:]
	before, err := p.youngest(ctx, newest)
	if err != nil {
		return // whoever needs the standing asks again
	}
	p.at = standing{rev: rev, mine: true}
	if before != nil {
		p.at.older = string(before.Key)
	}
}

// settle finds out about the one request of a shared lease that is in doubt. It is not
// sent again: a second copy could not be told from the first, and might put the key
// after the place was left. If the key is there it was applied, and none is to come.
func (p *Place) settle(ctx context.Context, id lease.ID, cause error) (Taken, error) {
	for failures := 0; ; failures++ {
		got, err := p.KV.Get(ctx, p.Key)
		switch {
		case err == nil && len(got.Kvs) > 0 && got.Kvs[0].Lease == int64(id):
			p.Rev, p.Doubt = got.Kvs[0].CreateRevision, false
			return Taken{Header: got.Header, Own: got.Kvs[0]}, nil
		case err == nil:
			return Taken{}, fmt.Errorf("%w: %w", ErrInDoubt, cause)
		case ctx.Err() != nil || etcderr.Final(err) || !Pause(ctx, failures):
			return Taken{}, cause
		}
	}
}

// Find takes up the place of a key that is there, put by somebody else, such as etcd's
// lock service. ErrDeleted means that it is not there.
func (p *Place) Find(ctx context.Context) error {
	resp, err := p.KV.Get(ctx, p.Key, kv.WithKeysOnly())
	if err != nil {
		return err
	}
	if len(resp.Kvs) == 0 {
		return ErrDeleted
	}
	p.Rev, p.at = resp.Kvs[0].CreateRevision, standing{}
	return nil
}

// First reports whether the place is the first, as the cluster said last. It asks
// if that is not known, again after failures, and returns ErrDeleted, a final
// error of the server's, or the cause of ctx.
func (p *Place) First(ctx context.Context) (bool, error) {
	if p.at == (standing{}) {
		if err := p.look(ctx); err != nil {
			return false, err
		}
	}
	if !p.at.mine {
		return false, ErrDeleted
	}
	return p.at.older == "", nil
}

// look asks for the standing until it gets it.
func (p *Place) look(ctx context.Context) error {
	for failures := 0; ; failures++ {
		err := p.read(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil && etcderr.Final(err) {
			return err
		}
		if !Pause(ctx, failures) {
			return context.Cause(ctx)
		}
	}
}

// read reads the standing: the own key and the youngest older one at one revision,
// and more if that one is no contender's.
func (p *Place) read(ctx context.Context) error {
	begin, end := bounds(p.Prefix)
	resp, err := p.KV.Txn(ctx).Then(
		kv.OpGet(p.Key, kv.WithKeysOnly()),
		kv.OpGet(begin, append(older(p.Rev-1, end), kv.WithLimit(1))...),
	).Commit()
	if err != nil {
		return err
	}
	own := resp.Responses[0].GetResponseRange().Kvs
	at := standing{rev: resp.Header.Revision, mine: len(own) > 0 && own[0].CreateRevision == p.Rev}
	if at.mine {
		before, err := p.youngest(ctx, (*kv.GetResponse)(resp.Responses[1].GetResponseRange()))
		if err != nil {
			return err
		}
		if before != nil {
			at.older = string(before.Key)
		}
	}
	p.at, p.Looked = at, resp.Header
	return nil
}

// Guard is the comparison that holds as long as the own key is there.
func (p *Place) Guard() kv.Cmp { return kv.Compare(kv.CreateRevision(p.Key), "=", p.Rev) }

// Never is a comparison on a key that never holds: the guard of who has no place.
func Never(key string) kv.Cmp { return kv.Compare(kv.CreateRevision(key), "=", -1) }

// Leave deletes the own key, and no other of that name, however late the request
// comes and however often it is sent. ErrDeleted means that it was gone.
func (p *Place) Leave(ctx context.Context) error {
	resp, err := p.KV.Txn(ctx).If(p.Guard()).Then(kv.OpDelete(p.Key)).Commit()
	if err == nil && !resp.Succeeded {
		err = ErrDeleted
	}
	p.gone = p.gone || err == nil || errors.Is(err, ErrDeleted)
	return err
}

// Commit sends a transaction nested in one whose comparison is Guard, so that the
// loss of the place, which is ErrDeleted, is told from a comparison of its own
// that does not hold.
func (p *Place) Commit(ctx context.Context, inner kv.Op) (*kv.TxnResponse, error) {
	resp, err := p.KV.Txn(ctx).If(p.Guard()).Then(inner).Commit()
	if err != nil {
		return nil, err
	}
	if !resp.Succeeded {
		return nil, ErrDeleted
	}
	answer := (*kv.TxnResponse)(resp.Responses[0].GetResponseTxn())
	answer.Header = resp.Header // the server fills the outer one alone
	return answer, nil
}
