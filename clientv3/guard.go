package clientv3

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3/internal/bare"
)

// guard is a client's connection on which a call does not wait for what may never
// come: for any member, where its context has no deadline (reach.go), for a leader, where its context requires one (WithRequireLeader), or for a
// voter among endpoints that are learners. Package client waits for both, as long as
// the call's context lets it; clientv3 returns the member's refusal, and so does this,
// once every member that can be reached has refused.
//
// Streams have no refusal to wait for: that of a watch is seen by its connection
// (watchConn), that of a renewal by who guards its context.
type guard struct {
	client *client.Client
	// voter is set when a voter has answered, after which the endpoints are taken
	// for a cluster's, so that calls need no goroutine.
	voter *atomic.Bool
}

func newGuard(c *client.Client) guard { return guard{c, new(atomic.Bool)} }

func (g guard) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	limited, end := bounded(ctx, g.client, opts)
	defer end()
	guarded, stop := g.watchOver(limited, learnerServes(req))
	defer stop()
	err := g.client.Conn().Invoke(guarded, method, req, reply, opts...)
	switch {
	case err == nil:
		if !g.voter.Load() && votersServe(req) {
			g.voter.Store(true)
		}
		return nil
	case client.IsAmbiguous(err) && refusedIn(ctx, guarded) != nil:
		return rpctypes.ErrTimeout // as of a write that was given up (package bare)
	case refusedIn(ctx, guarded) != nil:
		return refusedIn(ctx, guarded)
	}
	return err
}

func (g guard) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return g.client.Conn().NewStream(ctx, desc, method, opts...)
}

// refusal is the cause of a context that a guard has ended.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// refusedIn returns the refusal that has ended guarded, which was made of ctx.
func refusedIn(ctx, guarded context.Context) error {
	if ctx == nil {
		return nil
	}
	if r, ok := errors.AsType[refusal](context.Cause(guarded)); ok && ctx.Err() == nil {
		return r.error
	}
	return nil
}

// What the client knows of the members may be of a while ago. It goes on asking those
// that have refused, so that what they said is believed when it stands for so long.
// Nothing ticks without a refusal, since a program may have a call that waits of each
// kind of thing for years (kube-apiserver).
const refusalTick = 100 * time.Millisecond

// watchOver returns a context that ends with ctx, when stop is called, or with a
// refusal as its cause. With anyone set a learner will do.
func (g guard) watchOver(ctx context.Context, anyone bool) (_ context.Context, stop func()) {
	if g.client == nil || ctx == nil { // nil is refused by who is called
		return ctx, func() {}
	}
	leader, voter := requiresLeader(ctx), !anyone && !g.voter.Load()
	if !leader && !voter {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go g.heed(ctx, cancel, leader, voter, new(standing)) // ends with ctx
	return ctx, func() { cancel(nil) }
}

// heed cancels when there is a refusal, until ctx ends, or a voter has answered and no
// leader is required.
func (g guard) heed(ctx context.Context, cancel context.CancelCauseFunc, leader, voter bool, refusals *standing) {
	for leader || !g.voter.Load() {
		changed := g.client.EndpointsChanged() // before Endpoints, to miss nothing
		answer := refused(g.client.Endpoints(), leader, voter)
		if err := refusals.of(answer); err != nil {
			cancel(refusal{err})
			return
		}
		var tick <-chan time.Time
		if !leader || answer != nil { // the first voter makes no change
			tick = time.After(refusalTick)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick:
		}
	}
}

// standing tells for how long something has been refused.
type standing struct {
	mu          sync.Mutex // guards what follows
	since, last time.Time
}

// of returns a refusal when it has stood for refusalStands. A nil one ends that, and so
// does a time without a question.
func (s *standing) of(refusal error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if refusal == nil {
		s.since = time.Time{}
		return nil
	}
	if s.since.IsZero() || now.Sub(s.last) > 2*refusalStands {
		s.since = now
	}
	s.last = now
	if now.Sub(s.since) < refusalStands {
		return nil
	}
	return refusal
}

// requiresLeader reports whether ctx is one of WithRequireLeader.
func requiresLeader(ctx context.Context) bool {
	md, _ := metadata.FromOutgoingContext(ctx)
	return slices.Contains(md.Get(rpctypes.MetadataRequireLeaderKey), rpctypes.MetadataHasLeader)
}

var errLearner = rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)

// refused returns what all members say that can be reached: that they have no leader,
// or that they are learners. It is nil as long as one says nothing like it, or was
// not tried.
func refused(endpoints []balancer.Status, leader, voter bool) error {
	var answer error
	for _, e := range endpoints {
		switch {
		case e.State == connectivity.Ready && says(e.Demoted, rpctypes.ErrGRPCNoLeader) && leader:
			answer = rpctypes.ErrNoLeader
		case e.State == connectivity.Ready && says(e.Demoted, rpctypes.ErrGRPCNotSupportedForLearner):
			if answer == nil && (leader || voter) {
				answer = errLearner
			}
		case e.State == connectivity.Ready, e.LastError == nil:
			return nil
		}
	}
	return answer
}

// says reports whether err is the given error of etcd's, by its text.
func says(err, etcd error) bool {
	return err != nil && rpctypes.ErrorDesc(bare.Error(err)) == rpctypes.ErrorDesc(etcd)
}

// learnerServes is etcd's isRPCSupportedForLearner (v3rpc/util.go).
func learnerServes(req any) bool {
	switch r := req.(type) {
	case *pb.StatusRequest:
		return true
	case *pb.RangeRequest:
		return r.GetSerializable()
	}
	return false
}

// votersServe reports whether an answer proves a voter.
func votersServe(req any) bool {
	switch r := req.(type) {
	case *pb.RangeRequest:
		return !r.GetSerializable()
	case *pb.PutRequest, *pb.DeleteRangeRequest, *pb.TxnRequest, *pb.LeaseGrantRequest:
		return true
	}
	return false
}
