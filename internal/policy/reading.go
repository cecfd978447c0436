package policy

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/etcderr"
)

// reading is a linearizable read that is under way on a connection.
type reading struct {
	start time.Time
	done  chan struct{} // closed when err is set
	err   error

	opened atomic.Bool // it has a stream
}

// keptBack reports whether a linearizable read of the policy's waits for a stream on c.
func (c *conn) keptBack() bool {
	c.readingMu.Lock()
	defer c.readingMu.Unlock()
	return c.reading != nil && !c.reading.opened.Load()
}

// linearizable asks c's member for a linearizable read, or waits for the answer to one that is
// under way already and was begun at since or later: in an outage a probe and the gate (gate.go)
// want to know the same. It waits until the read is older than patience, or ctx ends, and
// returns when the read was begun.
func (c *conn) linearizable(ctx context.Context, since time.Time, patience time.Duration) (start time.Time, err error) {
	c.readingMu.Lock()
	r := c.reading
	if r == nil || r.start.Before(since) || time.Since(r.start) >= patience { // it may be lost
		r = &reading{start: time.Now(), done: make(chan struct{})}
		c.reading = r
		c.policy.probes.Go(func() { c.read(r) }) //nolint:contextcheck // it goes on for the others who wait
	}
	c.readingMu.Unlock()
	late := time.NewTimer(patience - time.Since(r.start))
	defer late.Stop()
	select {
	case <-r.done:
		return r.start, r.err
	case <-ctx.Done():
		return r.start, status.FromContextError(ctx.Err()).Err()
	case <-late.C:
		return r.start, status.FromContextError(context.DeadlineExceeded).Err()
	}
}

// read gets the answer for all who wait for r.
func (c *conn) read(r *reading) {
	ctx, cancel := context.WithTimeout(c.gone, maxProbe)
	defer cancel()
	if c.introduced.Load() { // nobody else gets to see the token
		ctx, _ = c.policy.signed(ctx)
	}
	r.err = c.readProbe(ctx, false, &r.opened)
	c.readingMu.Lock()
	if c.reading == r {
		c.reading = nil
	}
	c.readingMu.Unlock()
	close(r.done)
}

// readProbe is a linearizable read, which takes a leader and a quorum. A refusal for want of a
// user or a permission proves as much, but does not have the term; the member's status does,
// unless it wants a user, too. A member without a leader says so, or, if waits, answers when it has
// one: with an error that says that the leader has changed (server/etcdserver/v3_server.go).
func (c *conn) readProbe(ctx context.Context, waits bool, opened *atomic.Bool) error {
	cc, release := c.rpcs()
	defer release()
	start := time.Now()
	if !waits {
		ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	}
	resp, err := pb.NewKVClient(opening{cc, opened}).Range(ctx, &pb.RangeRequest{Key: []byte{0}, CountOnly: true})
	if err != nil && !proves(err) {
		return err
	}
	term := resp.GetHeader().GetRaftTerm() // 0 in a refusal
	if term > c.provenTerm.Load() {
		c.provenTerm.Store(term)
	}
	c.hear(start, true)
	c.observeTerm(term) //nolint:contextcheck // what follows is the policy's
	if refusedFor(err) && (code(err) == codes.PermissionDenied || !c.policy.discreet.Load()) {
		of, _ := c.status(ctx)
		c.observeTerm(of.GetRaftTerm()) //nolint:contextcheck // likewise
	}
	return nil
}

// proves reports whether the refusal of a linearizable read proves as much as its answer:
// it comes after consensus, or shows in another way that the member works. Above all this
// is the refusal of a read without a token, since etcd checks the token after it has read
// (server/etcdserver/v3_server.go, Range). The text decides, since proxies change codes.
//
// A member that answers that the leader has changed has learned of the new one while the read
// waited (server/etcdserver/raft.go: notified of a leader that is another one, and of none never).
func proves(err error) bool {
	switch {
	case etcderr.CantServe(err):
		return false
	case leaderChanged(err), etcderr.RefusedByText(err):
		return true
	}
	switch code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.DataLoss, codes.Unimplemented:
		return true
	default:
		return false
	}
}

func leaderChanged(err error) bool {
	return status.Convert(err).Message() == rpctypes.ErrorDesc(rpctypes.ErrGRPCLeaderChanged)
}

// code is the code of one of etcd's errors by its text, and of others as it came.
func code(err error) codes.Code {
	if e, ok := errors.AsType[rpctypes.EtcdError](rpctypes.Error(status.Error(codes.Unknown, status.Convert(err).Message()))); ok {
		return e.Code()
	}
	return status.Code(err)
}

// ask sends a linearizable read that counts as a call in flight, so that the watchdog
// notices when it is not answered.
func (p *policy) ask(c *conn) {
	ctx, cancel := context.WithTimeout(c.gone, maxProbe)
	defer cancel()
	r := p.newCall(&attempt.Attempt{Measure: true, Cancel: cancel}, &target{member: c.member, conn: c})
	c.calls.add(r)
	p.watchdog.wake()
	switch err := c.readProbe(ctx, false, nil); {
	case err == nil:
		c.member.observe(time.Since(r.start), false) // no other request tells how quick the member is
	case ctx.Err() != nil:
		c.owe(r)
	case !c.raw.failed.Load():
		c.hear(r.start, false)
		if etcderr.CantServe(err) {
			p.refused(c.member, r.start, err)
		}
	}
	if c.calls.remove(r) && c.retired.Load() {
		p.emptied(c)
	}
	p.free(r)
}
