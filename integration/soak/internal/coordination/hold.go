package coordination

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// contender is who wants what only one can hold at a time, by one way of getcd's.
type contender interface {
	// prepare gets what it needs for that, such as a session, however long it takes.
	prepare(ctx context.Context) error
	// acquire waits until it has it, or ctx ends.
	acquire(ctx context.Context) (*hold, error)
	// session is the lease that what it leaves behind would have, if it has one that
	// is not made for each acquisition.
	session() lease.ID
	// close ends the contender for good.
	close()
}

// timeless is a contender whose acquire does not heed its context: some of clientv3's
// methods have none.
type timeless interface{ timeless() }

// hold is what a contender has acquired.
type hold struct {
	who   string
	key   string   // what stands for it on the cluster; empty if it cannot be known
	token int64    // the fencing token: the key's create revision; 0 if not known
	lease lease.ID // what the key goes with

	shared bool // others may hold it, too, that are shared
	// commit applies operations if it is held, as the server sees it, which it reports
	// with the answers. Nil when there is no token.
	commit func(context.Context, ...kv.Op) (*kv.TxnResponse, bool, error)
	// done closes when it is lost; err is then why, and nil before.
	done <-chan struct{}
	err  func() error
	// unlock gives it up. knows says that it tells of what was lost by an error.
	unlock func(context.Context) error
	knows  func(error) bool
	// proclaim changes a leader's value, and denied recognizes its answer to who does
	// not lead. Nil for locks.
	proclaim func(context.Context, string) error
	denied   func(error) bool

	revoked atomic.Bool // behind its back
}

func (h *hold) String() string {
	return fmt.Sprintf("%s (token %d, key %q, lease %016x)", h.who, h.token, h.key, uint64(h.lease))
}

// believes reports whether the holder has no reason to think that it lost it.
func (h *hold) believes() bool {
	select {
	case <-h.done:
		return false
	default:
		return h.err() == nil
	}
}

// guarded is commit for those who have nothing but a comparison.
func guarded(store kv.KV, guard kv.Cmp) func(context.Context, ...kv.Op) (*kv.TxnResponse, bool, error) {
	return func(ctx context.Context, ops ...kv.Op) (*kv.TxnResponse, bool, error) {
		resp, err := store.Txn(ctx).If(guard).Then(ops...).Commit()
		if err != nil {
			return nil, false, err
		}
		return resp, resp.Succeeded, nil
	}
}

// mark is what a holder writes to the resource.
type mark struct {
	token int64
	seq   int
	who   string
}

func (m mark) String() string { return fmt.Sprintf("%d %d %s", m.token, m.seq, m.who) }

func parseMark(text []byte) (m mark) {
	parts := strings.SplitN(string(text), " ", 3)
	if len(parts) == 3 {
		m.token, _ = strconv.ParseInt(parts[0], 10, 64)
		m.seq, _ = strconv.Atoi(parts[1])
		m.who = parts[2]
	}
	return m
}

// leaseOf is the lease in a key NAME/LEASE.
func leaseOf(key string) lease.ID {
	n, err := strconv.ParseUint(key[strings.LastIndexByte(key, '/')+1:], 16, 64)
	if err != nil {
		return lease.NoLease
	}
	return lease.ID(n) //nolint:gosec // a lease's ID is printed as an unsigned number
}

// within bounds one operation of a worker, whatever has become of its context: what
// was begun is to be finished.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}
