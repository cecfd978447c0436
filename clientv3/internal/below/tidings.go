package below

import (
	"context"
	"io"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/internal/clock"
	"github.com/getcd/getcd/lease"
)

// tidings is what the channel of a service's KeepAlive has said of a lease: until when
// it lives. To package lease it is a connection that answers renewals with the rest
// of that time. It renews nothing itself.
//
// An answer does not say when its renewal was sent, or when the server handled it,
// which is when its TTL begins. That was before the answer was received, so the TTL
// counts from there, less lease.Margin, which has to cover what the answer took. A
// lease whose time is over stays given up: an answer that comes later changes nothing.
type tidings struct {
	known chan struct{} // closes when something is known

	mu       sync.Mutex // guards what follows
	ends     time.Time  // of clock.Now; zero before anything is known
	presumed bool       // ends was presumed: there was no answer
	gone     bool       // the channel has closed
}

// rounding is how much too long the rest may seem, since answers have whole seconds.
// The keeper's own margin, lease.Margin(0) at least, is more.
const rounding = 50 * time.Millisecond

// learn notes a TTL that counts from a moment of clock.Now. It reports whether another one was
// presumed before.
func (t *tidings) learn(from time.Time, ttl int64) (corrected bool) {
	ends := endOf(from, ttl)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noteLocked()
	if t.presumed || ends.After(t.ends) {
		corrected = t.presumed
		t.ends, t.presumed = ends, false
	}
	return corrected
}

// presume is learn for a TTL that nobody has told. It counts until the first answer.
func (t *tidings) presume(from time.Time, ttl int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noteLocked()
	t.ends, t.presumed = endOf(from, ttl), true
}

// endOf returns when a keeper that is told the rest of a TTL should be told of none.
func endOf(from time.Time, ttl int64) time.Time {
	d := time.Duration(min(ttl, lease.MaxTTL)) * time.Second
	return from.Add(d - lease.Margin(d) + lease.Margin(0)) // the keeper takes the latter off, or more
}

// lose notes that the channel has closed.
func (t *tidings) lose() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noteLocked()
	t.gone = true
}

func (t *tidings) noteLocked() {
	if t.ends.IsZero() && !t.gone {
		close(t.known)
	}
}

// rest returns how many seconds are left; 0 if the lease is gone.
func (t *tidings) rest() (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return 0, nil
	}
	left := int64((clock.Until(t.ends) + rounding) / time.Second)
	if left <= 0 {
		return 0, status.Error(codes.Unavailable, "clientv3: the channel of KeepAlive has had no answer in the lease's time to live")
	}
	return left, nil
}

// follow reads the channel until it closes or ctx ends. When it closes, follow has the
// keepers ask, who learn by the answer that the lease is gone.
func (t *tidings) follow(ctx context.Context, answers <-chan *clientv3.LeaseKeepAliveResponse, keepers lease.Lease, id lease.ID) {
	for open := true; open; {
		select {
		case <-ctx.Done():
			return
		case a, ok := <-answers:
			if open = ok; a != nil && a.TTL > 0 { // otherwise it says nothing
				if t.learn(clock.Now(), a.TTL) && !ask(ctx, keepers, id) {
					return
				}
			}
		}
	}
	t.lose()
	for ask(ctx, keepers, id) { // what was asked before has its answer first
	}
}

// ask has the keepers ask, and reports whether the lease lives.
func ask(ctx context.Context, keepers lease.Lease, id lease.ID) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	asked, err := keepers.KeepAlive(ctx, id)
	if err != nil {
		return false
	}
	_, lives := <-asked
	return lives
}

func (*tidings) Invoke(_ context.Context, method string, _, _ any, _ ...grpc.CallOption) error {
	return status.Errorf(codes.Unimplemented, "clientv3: %s is not supported on a connection for renewals", method)
}

func (t *tidings) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	if method != pb.Lease_LeaseKeepAlive_FullMethodName {
		return nil, t.Invoke(ctx, method, nil, nil)
	}
	return &renewal{ctx: ctx, of: t, ids: make(chan int64, 1), sent: make(chan struct{})}, nil
}

// renewal is a stream. The receiver processes the sent requests one after
// another.
type renewal struct {
	ctx  context.Context //nolint:containedctx // the stream's
	of   *tidings
	ids  chan int64
	sent chan struct{} // closed by CloseSend, which is called only once
}

func (r *renewal) SendMsg(m any) error {
	req, ok := m.(*pb.LeaseKeepAliveRequest)
	if !ok {
		return status.Errorf(codes.Internal, "clientv3: the request is a %T", m)
	}
	select {
	case r.ids <- req.GetID():
		return nil
	case <-r.ctx.Done():
		return io.EOF // RecvMsg returns the reason
	}
}

func (r *renewal) RecvMsg(m any) error {
	reply, ok := m.(*pb.LeaseKeepAliveResponse)
	if !ok {
		return status.Errorf(codes.Internal, "clientv3: the answer is a %T", m)
	}
	select {
	case id := <-r.ids:
		return r.renew(id, reply)
	default:
	}
	select {
	case id := <-r.ids:
		return r.renew(id, reply)
	case <-r.sent:
		return io.EOF
	case <-r.ctx.Done():
		return status.FromContextError(r.ctx.Err()).Err()
	}
}

func (r *renewal) renew(id int64, reply *pb.LeaseKeepAliveResponse) error {
	select {
	case <-r.of.known:
	case <-r.ctx.Done():
		return status.FromContextError(r.ctx.Err()).Err()
	}
	rest, err := r.of.rest()
	if err != nil {
		return err
	}
	proto.Merge(reply, &pb.LeaseKeepAliveResponse{ID: id, TTL: rest})
	return nil
}

func (r *renewal) CloseSend() error {
	close(r.sent)
	return nil
}

func (r *renewal) Context() context.Context   { return r.ctx }
func (*renewal) Header() (metadata.MD, error) { return metadata.MD{}, nil }
func (*renewal) Trailer() metadata.MD         { return nil }
