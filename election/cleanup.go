package election

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/internal/queue"
	"github.com/getcd/getcd/kv"
)

// remove deletes the candidacy's key, and no other's, trying again for 3 s, and
// then in the background. A key that is gone is what was wanted.
func (c *candidacy) remove(ctx context.Context) (*pb.ResponseHeader, error) {
	ctx, cancel := queue.Cleanup(ctx)
	defer cancel()
	for failures := 0; ; {
		resp, err := c.Place.KV.Txn(ctx).If(c.unchanged()...).Then(kv.OpDelete(c.Place.Key)).Else(kv.OpGet(c.Place.Key, kv.WithKeysOnly())).Commit()
		if err == nil {
			if resp.Succeeded {
				return resp.Header, nil
			}
			kvs := resp.Responses[0].GetResponseRange().Kvs
			if len(kvs) == 0 || kvs[0].CreateRevision != c.Place.Rev {
				return resp.Header, nil
			}
			c.note(kvs[0].ModRevision, resp.Header) // a proclamation that was in doubt
			continue
		}
		if etcderr.Final(err) || ctx.Err() != nil || !queue.Pause(ctx, failures) {
			if !etcderr.Final(err) || ctx.Err() != nil {
				c.removeLater(ctx)
			}
			return nil, fmt.Errorf("election: deleting %q, which goes with lease %016x: %w", c.Place.Key, uint64(c.lease.ID()), err)
		}
		failures++
	}
}

// unchanged holds as long as the key is the candidacy's, and as it is known to be.
// Another candidacy of the same session that takes the key on changes it (adopt), so
// that a deletion which comes late does not take it away.
func (c *candidacy) unchanged() []kv.Cmp {
	own := []kv.Cmp{c.Place.Guard()}
	if mod := c.lastMod(); mod != 0 {
		own = append(own, kv.Compare(kv.ModRevision(c.Place.Key), "=", mod))
	}
	return own
}

// removeLater goes on with what remove could not do in its time, in the background and
// for as long as the session lives: otherwise the key would stay, in the way of the
// other candidates, for as long. Meanwhile the session may stand again, and take the
// key on: then it is left alone.
func (c *candidacy) removeLater(ctx context.Context) {
	if c.claimed {
		c.left = true // to the session, which knows who else wants the key
		return
	}
	if c.ownsKey() || c.lease.Done() == nil || c.lease.Err() != nil {
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
			_, err := c.Place.KV.Txn(ctx).If(own...).Then(kv.OpDelete(c.Place.Key)).Commit()
			if err == nil || etcderr.Final(err) || !queue.Pause(ctx, failures) {
				return
			}
		}
	}()
}
