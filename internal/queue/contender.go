package queue

import (
	"context"
	"math"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// A contender's key is the queue's prefix and its lease's ID in lower-case
// hexadecimal, as clientv3/concurrency (mutex.go, election.go: "%s%x") and, by
// means of it, etcd's lock and election services write it. Nothing else below the
// prefix has a place in the queue: not what is deeper, not another name, not a
// key whose name happens to be a number.
//
// etcd's own clients count every key. They see the contenders here among what
// they count, so they wait for whom they must, and perhaps for more; and all of
// theirs are contenders here. So no two who count differently have the turn at
// once.
//
// What makes one safe must not change while the key lives, or somebody would lose
// the turn without knowing. The binding to the lease may: a candidate of a session
// may be bound to a lease of its own at first (package election), and who has the turn
// may find its key overwritten without a lease, which its guard, like that of
// etcd's clients, does not look at. So a key that is not bound to the lease in its
// name is a contender all the same while that lease lives. A lease that is gone
// never comes back, unless somebody grants the same ID again on purpose.

// Key is the key of the contender with a lease, in the queue with a prefix.
func Key(prefix string, id lease.ID) string {
	return prefix + strconv.FormatInt(int64(id), 16)
}

// LeaseOf is the lease that a key's name says it has; ok is false if it is not
// named like a contender's.
func LeaseOf(prefix, key string) (id lease.ID, ok bool) {
	name, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return lease.NoLease, false
	}
	n, err := strconv.ParseInt(name, 16, 64)
	// ParseInt takes upper case, signs and leading zeros, too.
	return lease.ID(n), err == nil && n != 0 && Key(prefix, lease.ID(n)) == key
}

// bounds are those between which all names of contenders are: most of what else
// is below the prefix is not even read. IDs that a client has chosen may be
// negative.
func bounds(prefix string) (first, end string) { return prefix + "-", prefix + "g" }

// Contends reports whether a key, as read with its lease, is a contender's. It asks
// for the lease if it is not bound to it, again after failures, and returns a final
// error of the server's, or the cause of ctx.
func Contends(ctx context.Context, leases lease.Lease, prefix string, k *mvccpb.KeyValue) (bool, error) {
	id, ok := LeaseOf(prefix, string(k.Key))
	if !ok || k.Lease == int64(id) {
		return ok, nil
	}
	return lives(ctx, leases, id)
}

// First reads the first contender of a queue; nil for none.
func First(ctx context.Context, store kv.KV, leases lease.Lease, prefix string) (*kv.GetResponse, error) {
	begin, end := bounds(prefix)
	from := int64(0)
	for limit := int64(1); ; limit = more(limit) {
		resp, err := store.Get(ctx, begin, kv.WithRange(end), kv.WithMinCreateRev(from),
			kv.WithSort(kv.SortByCreateRevision, kv.SortAscend), kv.WithLimit(limit))
		if err != nil {
			return nil, err
		}
		for _, k := range resp.Kvs {
			switch first, err := Contends(ctx, leases, prefix, k); {
			case err != nil:
				return nil, err
			case first:
				resp.Kvs = []*mvccpb.KeyValue{k}
				return resp, nil
			}
		}
		if !resp.More {
			resp.Kvs = nil
			return resp, nil
		}
		// Once more, since a revision can have created many.
		from = resp.Kvs[len(resp.Kvs)-1].CreateRevision
	}
}

// youngest returns the first contender among keys by falling create revision, all
// older than the place, that were read without values; nil for none. If there are
// more keys than were read it goes on with those. Later reads cannot miss one: who
// is older than the place has been there ever since.
func (p *Place) youngest(ctx context.Context, resp *kv.GetResponse) (*mvccpb.KeyValue, error) {
	begin, end := bounds(p.Prefix)
	for limit := more(1); ; limit = more(limit) {
		for _, k := range resp.Kvs {
			if ok, err := p.contends(ctx, k); ok || err != nil {
				return k, err
			}
		}
		if !resp.More {
			return nil, nil //nolint:nilnil // as documented
		}
		var err error
		if resp, err = p.KV.Get(ctx, begin, append(older(resp.Kvs[len(resp.Kvs)-1].CreateRevision, end), kv.WithLimit(limit))...); err != nil {
			return nil, err
		}
	}
}

// older gets keys up to a create revision, the youngest first. Without values it
// costs etcd 3.7 its index alone, and gets no leases either (kvstore_txn.go).
func older(rev int64, end string) []kv.OpOption {
	return []kv.OpOption{
		kv.WithRange(end), kv.WithMaxCreateRev(rev), kv.WithKeysOnly(),
		kv.WithSort(kv.SortByCreateRevision, kv.SortDescend),
	}
}

// more is the next limit for who has not found what it looks for.
func more(limit int64) int64 { return min(limit, math.MaxInt64/8) * 8 }

// contends reports whether a key, as read without its value and lease, is a
// contender's. What was found to be none stays none until it is changed.
func (p *Place) contends(ctx context.Context, k *mvccpb.KeyValue) (bool, error) {
	key := string(k.Key)
	id, ok := LeaseOf(p.Prefix, key)
	if !ok || p.others[key] == k.ModRevision {
		return false, nil
	}
	// Without a read etcd takes the comparison for one that need not be linearizable.
	read := kv.OpGet(key, kv.WithCountOnly())
	resp, err := p.KV.Txn(ctx).If(kv.Compare(kv.LeaseValue(key), "=", id)).Then(read).Else(read).Commit()
	if err != nil || resp.Succeeded {
		return err == nil, err
	}
	if ok, err = lives(ctx, p.Leases, id); !ok && err == nil {
		if p.others == nil {
			p.others = make(map[string]int64)
		}
		p.others[key] = k.ModRevision
	}
	return ok, err
}

// lives asks whether there is such a lease. The leader answers from its memory; one
// that was deposed and does not know it yet may miss a lease of the last moments.
func lives(ctx context.Context, leases lease.Lease, id lease.ID) (bool, error) {
	for failures := 0; ; failures++ {
		resp, err := leases.TimeToLive(ctx, id)
		switch {
		case err == nil:
			// v3rpc/lease.go answers TTL -1 for a lease that it does not find. One that
			// was not revoked yet, though its time is over, has been granted some.
			return resp.TTL >= 0 || resp.GrantedTTL > 0, nil
		case etcderr.NotFound(err):
			return false, nil
		case ctx.Err() == nil && etcderr.Final(err):
			return false, err
		case !Pause(ctx, failures):
			return false, context.Cause(ctx)
		}
	}
}
