package ordering

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/misuse"
	"github.com/getcd/getcd/kv"
)

// RegressionError is an answer of a member that is behind what was seen.
type RegressionError struct {
	// Seen is the revision that had been seen before the call, Got the answer's.
	Seen, Got int64
	// MemberID is the member that is behind.
	MemberID uint64
}

// Error implements error.
func (e *RegressionError) Error() string {
	return fmt.Sprintf("ordering: member %x answered at revision %d, but %d was seen before", e.MemberID, e.Got, e.Seen)
}

// Floor is a revision that reads must not be behind. It only rises. The zero Floor
// is no bound. It is safe for concurrent use.
type Floor struct{ rev atomic.Int64 }

// Revision is the greatest revision that was seen.
func (f *Floor) Revision() int64 { return f.rev.Load() }

// Rise notes that a revision was seen, such as that of a watch's event.
func (f *Floor) Rise(rev int64) {
	for {
		seen := f.rev.Load()
		if rev <= seen || f.rev.CompareAndSwap(seen, rev) {
			return
		}
	}
}

// ViolationFunc decides about an answer that is behind the revision seen: nil to
// ask again, or the error that the call returns.
type ViolationFunc func(op kv.Op, resp kv.OpResponse, seen int64) error

// Members knows the endpoints of a cluster's members: a *client.Client does.
type Members[E Endpoint] interface {
	// Endpoints returns what is known of each endpoint at the moment.
	Endpoints() []E
}

// Endpoint is what is known of one endpoint, such as a balancer.Status.
type Endpoint interface {
	// Member returns the endpoint's address, and etcd's ID of the member behind it;
	// 0 until that is known.
	Member() (address string, id uint64)
}

// Option is an option of NewKV.
type Option func(*config)

type config struct {
	floor    *Floor
	members  func() []endpoint // nil without WithRetry
	violated ViolationFunc
}

// WithRetry repeats a read on another member, until ctx ends, when the one that
// answered is behind. When all are, they are asked again after pauses that grow. A
// call that ends so returns a *RegressionError together with the context's.
//
// The KV must be on a client's connection, which can avoid members. A nil m means
// no retry.
func WithRetry[E Endpoint](m Members[E]) Option {
	return func(c *config) {
		if c.members = nil; m != nil {
			c.members = func() []endpoint { return endpoints(m.Endpoints()) }
		}
	}
}

type endpoint struct {
	address string
	member  uint64
}

func endpoints[E Endpoint](all []E) []endpoint {
	out := make([]endpoint, len(all))
	for i, e := range all {
		out[i].address, out[i].member = e.Member()
	}
	return out
}

// WithViolation has f decide about answers that are behind. With WithRetry besides,
// asking again means asking another member; without, whichever is picked. Between
// the tries are pauses that grow.
func WithViolation(f ViolationFunc) Option {
	return func(c *config) { c.violated = f }
}

// WithFloor makes the KV use, and raise, a Floor that others have as well, such as
// another KV, or who consumes a watch. Without it, or with nil, it has its own.
func WithFloor(f *Floor) Option {
	return func(c *config) { c.floor = f }
}

// NewKV returns store with reads that do not go back in time. Its calls return
// store's errors, and *RegressionError.
func NewKV(store kv.KV, opts ...Option) kv.KV {
	o := &ordered{KV: store, misused: cmp.Or(misuse.Nil("ordering: NewKV", "store", store), misuse.Options("ordering: NewKV", opts))}
	for _, opt := range opts {
		if opt != nil { // nil is the error of every call
			opt(&o.config)
		}
	}
	if o.floor == nil {
		o.floor = &Floor{}
	}
	return o
}

type ordered struct {
	kv.KV
	config
	misused error // by NewKV's caller
}

func (o *ordered) Put(ctx context.Context, key, val string, opts ...kv.OpOption) (*kv.PutResponse, error) {
	r, err := o.Do(ctx, kv.OpPut(key, val, opts...))
	return r.Put(), err
}

func (o *ordered) Get(ctx context.Context, key string, opts ...kv.OpOption) (*kv.GetResponse, error) {
	r, err := o.Do(ctx, kv.OpGet(key, opts...))
	return r.Get(), err
}

func (o *ordered) Delete(ctx context.Context, key string, opts ...kv.OpOption) (*kv.DeleteResponse, error) {
	r, err := o.Do(ctx, kv.OpDelete(key, opts...))
	return r.Del(), err
}

func (o *ordered) Txn(ctx context.Context) kv.Txn {
	return kv.NewTxn(func(op kv.Op) (*kv.TxnResponse, error) {
		r, err := o.Do(ctx, op)
		return r.Txn(), err
	})
}

// pauses are those between rounds over the members.
var pauses = backoff.Exponential{First: 10 * time.Millisecond, Max: 250 * time.Millisecond}

// Do asks until the answer is not behind.
func (o *ordered) Do(ctx context.Context, op kv.Op) (kv.OpResponse, error) {
	if err := cmp.Or(o.misused, misuse.Context(ctx, "ordering: Do")); err != nil {
		return kv.OpResponse{}, err
	}
	seen := o.floor.Revision()
	var avoid []string
	var behind *RegressionError // what was found out before
	for rounds := 0; ; {
		resp, err := o.KV.Do(avoiding(ctx, avoid), op)
		switch {
		case err != nil && behind != nil && ctx.Err() != nil:
			return kv.OpResponse{}, fmt.Errorf("%w: %w", behind, err)
		case err != nil:
			return resp, err
		}
		header := headerOf(resp)
		o.floor.Rise(header.GetRevision())
		if header.GetRevision() >= seen || !readOnly(op) {
			return resp, nil
		}
		behind = &RegressionError{Seen: seen, Got: header.GetRevision(), MemberID: header.GetMemberId()}
		switch {
		case o.violated != nil:
			if err := o.violated(op, resp, seen); err != nil {
				return kv.OpResponse{}, err
			}
		case o.members == nil:
			return kv.OpResponse{}, behind
		}
		if next, ok := o.elsewhere(avoid, behind.MemberID); ok {
			avoid = next
			continue
		}
		avoid = nil
		if !backoff.Sleep(ctx, pauses.Pause(rounds)) {
			return kv.OpResponse{}, fmt.Errorf("%w: %w", behind, ctx.Err())
		}
		rounds++
	}
}

// elsewhere adds the member that is behind to those to avoid, and reports whether
// there is another one to ask. One that has answered although it was to be avoided
// was the only one.
func (o *ordered) elsewhere(avoid []string, id uint64) ([]string, bool) {
	if o.members == nil {
		return nil, false
	}
	endpoints := o.members()
	more := false
	for _, e := range endpoints {
		if e.member == id && !slices.Contains(avoid, e.address) {
			avoid, more = append(avoid, e.address), true
		}
	}
	return avoid, more && len(avoid) < len(endpoints)
}

// avoiding adds to what ctx says of endpoints to avoid.
func avoiding(ctx context.Context, avoid []string) context.Context {
	if len(avoid) == 0 {
		return ctx
	}
	if a := attempt.FromContext(ctx); a != nil {
		avoid = slices.Concat(a.Avoid, avoid)
	}
	return attempt.NewContext(ctx, &attempt.Attempt{Avoid: slices.Clone(avoid)})
}

// readOnly reports whether an operation changes nothing.
func readOnly(op kv.Op) bool {
	if !op.IsTxn() {
		return op.IsGet()
	}
	_, thenOps, elseOps := op.Txn()
	changes := func(op kv.Op) bool { return !readOnly(op) }
	return !slices.ContainsFunc(thenOps, changes) && !slices.ContainsFunc(elseOps, changes)
}

func headerOf(r kv.OpResponse) *pb.ResponseHeader {
	switch {
	case r.Put() != nil:
		return r.Put().Header
	case r.Get() != nil:
		return r.Get().Header
	case r.Del() != nil:
		return r.Del().Header
	case r.Txn() != nil:
		return r.Txn().Header
	}
	return nil
}
