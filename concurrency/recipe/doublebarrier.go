package recipe

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/kv"
)

// DoubleBarrier lets a group of a known size begin together and end together: Enter
// waits until all have entered, Leave until all have left. A member that dies leaves
// with its session.
//
// It stands for one member of the group, which needs a session that lasts as long;
// a process that is several members needs one DoubleBarrier for each. When all have
// left, the same group, or another, can enter again.
type DoubleBarrier struct {
	c     Client
	s     Session
	key   string
	count int
	mk    *maker

	mu   sync.Mutex // guards what follows
	own  string     // the key that stands for this member, once it has entered
	rev  int64      // its create revision
	left int64      // a revision before it left; 0 until Leave is called
	busy bool       // a call is under way
}

// NewDoubleBarrier returns a member's part in the barrier called key, for count
// members, which must be 1 or more.
func NewDoubleBarrier(c Client, s Session, key string, count int) *DoubleBarrier {
	return &DoubleBarrier{c: c, s: s, key: key, count: count, mk: newMaker(c, s, key)}
}

func (b *DoubleBarrier) waiters() string { return b.key + "/waiters/" }
func (b *DoubleBarrier) ready() string   { return b.key + "/ready" }

// group is what the cluster says of the members.
type group struct {
	rev     int64              // the revision of the answer
	members []*mvccpb.KeyValue // by create revision
	place   int                // the own one among them, from 0; -1 for none
	open    bool               // somebody has seen all of them, since the own key was made
}

func (b *DoubleBarrier) look(ctx context.Context) (group, error) {
	resp, err := commit(ctx, b.c, nil, []kv.Op{
		// With leases, which etcd 3.7 leaves out with the values, which are empty.
		kv.OpGet(b.waiters(), kv.WithPrefix(), kv.WithSort(kv.SortByCreateRevision, kv.SortAscend)),
		kv.OpGet(b.ready(), kv.WithKeysOnly()),
	}, nil)
	if err != nil {
		return group{}, err
	}
	members := slices.DeleteFunc(resp.Responses[0].GetResponseRange().Kvs, func(k *mvccpb.KeyValue) bool { return !ephemeral(b.waiters(), k) })
	g := group{rev: resp.Header.Revision, members: members, place: -1}
	for i, k := range g.members {
		if string(k.Key) == b.own && k.CreateRevision == b.rev {
			g.place = i
		}
	}
	ready := resp.Responses[1].GetResponseRange().Kvs
	g.open = len(ready) > 0 && ready[0].ModRevision > b.rev
	return g, nil
}

// begin reserves the barrier for one call.
func (b *DoubleBarrier) begin(entered bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.count < 1:
		return fmt.Errorf("recipe: %q: a double barrier is for 1 member or more, not %d", b.key, b.count)
	case b.busy || !entered && b.own != "":
		return ErrHeld
	case entered && b.own == "":
		return ErrNotHeld
	}
	b.busy = true
	return nil
}

// end notes which key stands for the member after a call.
func (b *DoubleBarrier) end(own string, rev int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy, b.own, b.rev = false, own, rev
	if own == "" {
		b.left = 0
	}
}

// Enter waits until count members have entered. ErrTooManyClients means that they
// have, without this one. After an error the member has not entered, and its key is
// deleted, for which it takes up to 3 s beyond ctx; if the cluster cannot be reached
// for those, in the background, as soon as it can.
func (b *DoubleBarrier) Enter(ctx context.Context) error {
	if err := usableIn(ctx, "Enter", b.c, b.s); err != nil {
		return err
	}
	if err := b.begin(false); err != nil {
		return err
	}
	outer := ctx
	ctx, done := within(ctx, b.s)
	defer done()
	err := b.enter(ctx)
	if err == nil {
		b.end(b.own, b.rev)
		return nil
	}
	if b.own != "" {
		_, _ = b.mk.remove(outer, b.own, b.rev) // failing that, it goes with the session
	}
	b.end("", 0)
	if ctx.Err() != nil {
		err = ended(ctx, b.key)
	}
	return err
}

func (b *DoubleBarrier) enter(ctx context.Context) error {
	g, err := b.look(ctx)
	if err != nil {
		return err
	}
	if len(g.members) >= b.count {
		return ErrTooManyClients
	}
	own := b.waiters() + unique()
	if b.rev, err = b.mk.put(ctx, own, "", b.s.ID()); err != nil {
		return err
	}
	b.own = own
	for {
		if g, err = b.look(ctx); err != nil {
			return err
		}
		switch {
		case g.place < 0:
			return fmt.Errorf("%w: %q", ErrLost, b.own)
		case g.place >= b.count:
			return ErrTooManyClients
		case g.open:
			return nil
		case len(g.members) >= b.count:
			return b.release(ctx)
		}
		// Either the last one comes, or it has come and somebody has seen it.
		if err := waitChange(ctx, b.c, b.key+"/", g.rev, mvccpb.Event_PUT, kv.WithPrefix()); err != nil {
			return err
		}
	}
}

// release tells all that the group is complete. It depends on the own key, so that
// a late request does not tell so to the next group.
func (b *DoubleBarrier) release(ctx context.Context) error {
	resp, err := commit(ctx, b.c, []kv.Cmp{kv.Compare(kv.CreateRevision(b.own), "=", b.rev)}, []kv.Op{kv.OpPut(b.ready(), "")}, nil)
	if err == nil && !resp.Succeeded {
		err = fmt.Errorf("%w: %q", ErrLost, b.own)
	}
	return err
}

// Leave waits until all members have left. Once it was called the member counts as
// leaving: after an error, such as the context's, it can only be called again.
// Without Enter it is ErrNotHeld.
//
// The members leave one after the other, the first to enter last, so that each has
// one other to watch.
func (b *DoubleBarrier) Leave(ctx context.Context) error {
	if err := usableIn(ctx, "Leave", b.c, b.s); err != nil {
		return err
	}
	if err := b.begin(true); err != nil {
		return err
	}
	outer := ctx
	ctx, done := within(ctx, b.s)
	defer done()
	err := b.leave(ctx)
	switch {
	case err == nil:
		b.end("", 0)
		return nil
	case b.s.Err() != nil:
		// Its key goes with the session; without one there is nothing to wait for.
		_, _ = b.mk.remove(outer, b.own, b.rev)
		b.end("", 0)
	default:
		b.end(b.own, b.rev)
	}
	if ctx.Err() != nil {
		err = ended(ctx, b.key)
	}
	return err
}

func (b *DoubleBarrier) leave(ctx context.Context) error {
	for {
		g, err := b.look(ctx)
		if err != nil {
			return err
		}
		if b.left == 0 {
			b.left = g.rev
		}
		if g.place < 0 {
			// Who came after it had left is of the next group, which may have it for a member: to
			// wait for that one would be to wait for itself.
			g.members = slices.DeleteFunc(g.members, func(k *mvccpb.KeyValue) bool { return k.CreateRevision > b.left })
		}
		n := len(g.members)
		if n == 0 {
			return nil
		}
		first, last := g.members[0], g.members[n-1]
		own := kv.Compare(kv.CreateRevision(b.own), "=", b.rev)
		watched := first
		switch {
		case n == 1 && g.place == 0:
			// The last one puts out the light.
			_, err := commit(ctx, b.c, []kv.Cmp{own}, []kv.Op{kv.OpDelete(b.own), kv.OpDelete(b.ready())}, nil)
			return err
		case g.place == 0:
			watched = last
		case g.place > 0:
			if _, err := commit(ctx, b.c, []kv.Cmp{own}, []kv.Op{kv.OpDelete(b.own)}, nil); err != nil {
				return err
			}
		}
		if err := waitChange(ctx, b.c, string(watched.Key), g.rev, mvccpb.Event_DELETE); err != nil {
			return err
		}
	}
}
