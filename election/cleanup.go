package election

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// cleanupTime bounds the cleaning up after a candidacy, which goes on when the
// caller's context has ended: it is then that it is needed.
const cleanupTime = 3 * time.Second

type cleaning struct{}

// cleanup is a context for cleaning up, whatever has become of ctx. One that is
// made in another has no more time than that.
func cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Value(cleaning{}) != nil {
		return context.WithCancel(ctx)
	}
	ctx = context.WithValue(context.WithoutCancel(ctx), cleaning{}, true)
	return context.WithTimeout(ctx, cleanupTime)
}

// revoke revokes a lease, and what has it, trying again for cleanupTime. A lease
// that does not exist is what was wanted. When all fails the lease ends by its
// TTL, since nobody renews it any more.
func revoke(ctx context.Context, leases lease.Lease, id lease.ID) error {
	ctx, cancel := cleanup(ctx)
	defer cancel()
	for failures := 0; ; failures++ {
		_, err := leases.Revoke(ctx, id)
		if err == nil || leaseGone(err) {
			return nil
		}
		if final(err) || ctx.Err() != nil || !backoff.Sleep(ctx, pauses.Pause(failures)) {
			return fmt.Errorf("election: revoking lease %016x, which ends by itself when its TTL has passed: %w", uint64(id), err)
		}
	}
}

// remove deletes the candidacy's key, and no other's, trying again for cleanupTime, and
// then in the background. A key that is gone is what was wanted.
func (c *candidacy) remove(ctx context.Context) (*pb.ResponseHeader, error) {
	ctx, cancel := cleanup(ctx)
	defer cancel()
	for failures := 0; ; {
		resp, err := c.e.kv.Txn(ctx).If(c.unchanged()...).Then(kv.OpDelete(c.key)).Else(kv.OpGet(c.key, kv.WithKeysOnly())).Commit()
		if err == nil {
			if resp.Succeeded {
				return resp.Header, nil
			}
			kvs := resp.Responses[0].GetResponseRange().Kvs
			if len(kvs) == 0 || kvs[0].CreateRevision != c.rev {
				return resp.Header, nil
			}
			c.note(kvs[0].ModRevision, resp.Header) // a proclamation that was in doubt
			continue
		}
		if final(err) || ctx.Err() != nil || !backoff.Sleep(ctx, pauses.Pause(failures)) {
			if !final(err) || ctx.Err() != nil {
				c.removeLater(ctx)
			}
			return nil, fmt.Errorf("election: deleting %q, which goes with lease %016x: %w", c.key, uint64(c.lease.ID()), err)
		}
		failures++
	}
}

// unchanged holds as long as the key is the candidacy's, and as it is known to be.
// Another candidacy of the same session that takes the key on changes it (adopt), so
// that a deletion which comes late does not take it away.
func (c *candidacy) unchanged() []kv.Cmp {
	own := []kv.Cmp{c.cmp()}
	if mod := c.lastMod(); mod != 0 {
		own = append(own, kv.Compare(kv.ModRevision(c.key), "=", mod))
	}
	return own
}

// removeLater goes on with what remove could not do in its time, in the background and
// for as long as the session lives: otherwise the key would stay, in the way of the
// other candidates, for as long. Meanwhile the session may stand again, and take the
// key on: then it is left alone.
func (c *candidacy) removeLater(ctx context.Context) {
	if c.own() || c.lease.Done() == nil || c.lease.Err() != nil {
		return
	}
	own := c.unchanged()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() { // ends with the next
		defer cancel()
		select {
		case <-c.lease.Done():
		case <-ctx.Done():
		}
	}()
	go func() { // ends with the session, if not before
		defer cancel()
		for failures := 0; ; failures++ {
			_, err := c.e.kv.Txn(ctx).If(own...).Then(kv.OpDelete(c.key)).Commit()
			if err == nil || final(err) || !backoff.Sleep(ctx, pauses.Pause(failures)) {
				return
			}
		}
	}()
}
