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

// contender contends for something that only one can hold at a time, through one
// of getcd's APIs.
type contender interface {
	// prepare makes what it needs, such as a session, however long that takes.
	prepare(ctx context.Context) error
	// acquire waits until it holds the lock, or ctx ends.
	acquire(ctx context.Context) (*hold, error)
	// session returns the lease of the keys that it might leave behind. It is
	// NoLease if each acquisition has a new lease.
	session() lease.ID
	// close ends the contender permanently.
	close()
}

// timeless is a contender whose acquire ignores its context, since some of
// clientv3's methods have none.
type timeless interface{ timeless() }

// hold is what a contender has acquired.
type hold struct {
	who   string
	key   string   // its key on the cluster; empty if unknown
	token int64    // the fencing token: the key's create revision; 0 if unknown
	seq   int      // of its next write under that token
	lease lease.ID // the key's lease

	shared bool // other shared holders may hold it at the same time
	// commit applies operations if the server says that the lock is held, and
	// returns whether it is, with the responses. It is nil if there is no token.
	commit func(context.Context, ...kv.Op) (*kv.TxnResponse, bool, error)
	// done closes when the lock is lost. err then returns the reason; before that
	// it returns nil.
	done <-chan struct{}
	err  func() error
	// unlock releases the lock. knows reports whether its error says that the
	// lock was lost.
	unlock func(context.Context) error
	knows  func(error) bool
	// proclaim changes a leader's value, and denied recognizes its error for a
	// candidate that does not lead. Both are nil for locks.
	proclaim func(context.Context, string) error
	denied   func(error) bool

	revoked atomic.Bool // the lease was revoked behind the holder's back
}

func (h *hold) String() string {
	return fmt.Sprintf("%s (token %d, key %q, lease %016x)", h.who, h.token, h.key, uint64(h.lease))
}

// believes reports whether the holder has no reason to believe that it has lost
// the lock.
func (h *hold) believes() bool {
	select {
	case <-h.done:
		return false
	default:
		return h.err() == nil
	}
}

// guarded makes a commit function from a comparison.
func guarded(store kv.KV, guard kv.Cmp) func(context.Context, ...kv.Op) (*kv.TxnResponse, bool, error) {
	return func(ctx context.Context, ops ...kv.Op) (*kv.TxnResponse, bool, error) {
		resp, err := store.Txn(ctx).If(guard).Then(ops...).Commit()
		if err != nil {
			return nil, false, err
		}
		return resp, resp.Succeeded, nil
	}
}

// mark is a holder's write to the resource.
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

// leaseOf returns the lease in a key of the form NAME/LEASE.
func leaseOf(key string) lease.ID {
	n, err := strconv.ParseUint(key[strings.LastIndexByte(key, '/')+1:], 16, 64)
	if err != nil {
		return lease.NoLease
	}
	return lease.ID(n) //nolint:gosec // a lease's ID is printed as an unsigned number
}

// within limits one operation of a worker, but not by the end of its context: an
// operation that has begun should finish.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}
