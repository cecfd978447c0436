package election

import (
	"context"
	"errors"
	"iter"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/internal/whole"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// Leaders tells who leads, and every change of that: each new leader, each
// proclamation, and, by a response without Kvs, that nobody leads. They come in
// order and none is left out, whatever happens to members and connections; when
// the changes can no longer be learned (package watch says when), it goes on with
// the present leader. The header's revision is the one of the change. When somebody
// has overwritten the leader's key without its lease, the end of that lease is a change
// of which no key tells: it is noticed within half of WithTTL, and has the last
// revision that was known.
//
// It begins with the loop and ends with it. The last pair, and no other, has an
// error: the context's, watch.ErrClosed, or one that retrying cannot fix, such
// as rpctypes.ErrPermissionDenied.
func (e *Election) Leaders(ctx context.Context) iter.Seq2[*kv.GetResponse, error] {
	return func(yield func(*kv.GetResponse, error) bool) {
		if err := misuse.Context(ctx, "election: Leaders"); err != nil {
			yield(nil, err)
			return
		}
		w := e.cfg.Watcher
		if w == nil {
			w = watch.New(e.cfg.Conn)
			defer func() { _ = w.Close() }()
		}
		v := view{contends: func(k *mvccpb.KeyValue) (bool, error) {
			return queue.Contends(ctx, e.cfg.LeaseRequests(), e.cfg.Prefix, k)
		}}
		steps, stop := follow(ctx, w, e.cfg.Prefix)
		defer stop()
		look := time.NewTimer(time.Hour)
		defer look.Stop()
		for {
			if v.unbound(e.cfg.Prefix) {
				look.Reset(backoff.Jitter(e.cfg.TTL / 2)) // as those who wait do
			} else {
				look.Stop()
			}
			var changes iter.Seq2[*kv.GetResponse, error]
			select {
			case s := <-steps:
				if s.err != nil {
					yield(nil, s.err)
					return
				}
				changes = v.update(s.Update)
			case <-look.C:
				changes = v.lookAgain
			}
			for resp, err := range changes {
				if !yield(resp, err) || err != nil {
					return
				}
			}
		}
	}
}

// step is what Follow yields.
type step struct {
	watch.Update
	err error
}

// follow follows the keys under a prefix in a goroutine, until stop. The last step has an error.
func follow(ctx context.Context, w watch.Watcher, prefix string) (steps <-chan step, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	out, left, ended := make(chan step), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for u, err := range whole.Snapshots(w.Follow(ctx, prefix, kv.WithPrefix())) {
			select {
			case out <- step{u, err}:
			case <-left:
				return
			}
		}
	}()
	return out, func() { cancel(); close(left); <-ended }
}

// Observe is Leaders as a channel, in clientv3's shape: each leader and each
// proclamation, and nothing while nobody leads. The channel closes when ctx ends,
// or when Leaders would end with another error, of which it cannot tell.
func (e *Election) Observe(ctx context.Context) <-chan *kv.GetResponse {
	out := make(chan *kv.GetResponse)
	go func() { // ends with ctx, and closes out to say so
		defer close(out)
		for resp, err := range e.Leaders(ctx) {
			if err != nil {
				return
			}
			if len(resp.Kvs) == 0 {
				continue
			}
			select {
			case out <- resp:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// view is an observer's knowledge: the candidates, and who of them it has told of.
type view struct {
	contends   func(*mvccpb.KeyValue) (bool, error) // whether a key is a candidate's
	candidates map[string]*mvccpb.KeyValue          // and what may be others' keys, until they would lead
	header     *pb.ResponseHeader                   // of the last snapshot
	rev        int64                                // of the last step
	told       bool
	leader     *mvccpb.KeyValue // that was told; nil for nobody
}

// update takes a step of the election's history, and returns what it means, one
// revision after the other.
func (v *view) update(u watch.Update) iter.Seq2[*kv.GetResponse, error] {
	return func(yield func(*kv.GetResponse, error) bool) {
		v.rev = u.Revision
		if s := u.Snapshot; s != nil {
			// Revisions of a cluster that was restored are other ones.
			if s.Cause != nil && !isCompacted(s.Cause) {
				v.told = false
			}
			v.header = s.Header
			v.candidates = make(map[string]*mvccpb.KeyValue, len(s.KVs))
			for _, c := range s.KVs {
				v.candidates[string(c.Key)] = c
			}
			if resp, err := v.change(u.Revision); resp != nil || err != nil {
				yield(resp, err)
			}
			return
		}
		for i, ev := range u.Events {
			if ev.Type == mvccpb.Event_DELETE {
				delete(v.candidates, string(ev.Kv.Key))
			} else {
				v.candidates[string(ev.Kv.Key)] = ev.Kv
			}
			rev := ev.Kv.ModRevision
			if i+1 < len(u.Events) && u.Events[i+1].Kv.ModRevision == rev {
				continue // a revision is one change
			}
			if resp, err := v.change(rev); (resp != nil || err != nil) && !yield(resp, err) {
				return
			}
		}
	}
}

// unbound reports whether the leader that was told may cease to lead without a change of
// any key, since its own does not go with its lease.
func (v *view) unbound(prefix string) bool {
	if v.leader == nil {
		return false
	}
	id, _ := queue.LeaseOf(prefix, string(v.leader.Key))
	return v.leader.Lease != int64(id)
}

// lookAgain is update when no key has changed.
func (v *view) lookAgain(yield func(*kv.GetResponse, error) bool) {
	if resp, err := v.change(v.rev); resp != nil || err != nil {
		yield(resp, err)
	}
}

// change is what is to be told at a revision, or nil when nothing has changed.
func (v *view) change(rev int64) (*kv.GetResponse, error) {
	leader, err := v.first()
	if err != nil {
		return nil, err
	}
	if v.told && same(v.leader, leader) {
		v.leader = leader
		return nil, nil //nolint:nilnil // as documented
	}
	v.told, v.leader = true, leader
	h := &pb.ResponseHeader{
		ClusterId: v.header.GetClusterId(), MemberId: v.header.GetMemberId(),
		RaftTerm: v.header.GetRaftTerm(), Revision: rev,
	}
	resp := &kv.GetResponse{Header: h}
	if leader != nil {
		resp.Kvs, resp.Count = []*mvccpb.KeyValue{leader}, 1
	}
	return resp, nil
}

// first is the first of the candidates; nil for none. A key that proves to be none's
// is forgotten until it changes.
func (v *view) first() (*mvccpb.KeyValue, error) {
	for {
		var first *mvccpb.KeyValue
		for _, c := range v.candidates {
			if first == nil || c.CreateRevision < first.CreateRevision {
				first = c
			}
		}
		if first == nil {
			return nil, nil //nolint:nilnil // as documented
		}
		if ok, err := v.contends(first); ok || err != nil {
			return first, err
		}
		delete(v.candidates, string(first.Key))
	}
}

// same reports whether nothing was proclaimed between a and b. A key that was
// only handed to another lease says the same as before.
func same(a, b *mvccpb.KeyValue) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.CreateRevision == b.CreateRevision &&
		(a.ModRevision == b.ModRevision || a.Lease != b.Lease && string(a.Value) == string(b.Value))
}

func isCompacted(err error) bool {
	_, ok := errors.AsType[*watch.CompactedError](err)
	return ok
}
