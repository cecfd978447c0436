package clientv3

import (
	"cmp"
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

// guard is a client's connection whose calls do not wait for something that may
// never come. With WithRequireLeader, a call does not wait for a leader. If all
// endpoints are learners, it does not wait for a voter. If no server is etcd, it
// does not wait for one that is (see reach.go).
// Package client waits in these cases as long as the call's context allows.
// clientv3 returns the server's refusal, and so does guard once every server that
// can be reached has refused. While none can be reached, both wait.
//
// Streams wait elsewhere: watchConn handles the refusal of a watch, and the
// caller of watchOver that of a renewal.
type guard struct {
	client *client.Client
	// voter is set once a voter has answered. The endpoints then count as those
	// of a cluster, so that calls need no goroutine.
	voter *atomic.Bool
}

func newGuard(c *client.Client) guard { return guard{c, new(atomic.Bool)} }

func (g guard) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	limited, end := answerable(ctx, g.client, g.voter.Load())
	defer end()
	guarded, stop := g.watchOver(limited, learnerServes(req))
	defer stop()
	err := g.client.Conn().Invoke(guarded, method, req, reply, patient(opts)...)
	switch {
	case err == nil:
		if !g.voter.Load() && votersServe(req) {
			g.voter.Store(true)
		}
		return nil
	case client.IsAmbiguous(err) && refusedIn(ctx, guarded) != nil:
		return rpctypes.ErrTimeout // as for a write that the client stopped waiting for (package bare)
	case refusedIn(ctx, guarded) != nil:
		return refusedIn(ctx, guarded)
	case ctx != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && !client.IsAmbiguous(err):
		return cmp.Or(foreign(g.client.Endpoints()), err)
	}
	return err
}

func (g guard) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return g.client.Conn().NewStream(ctx, desc, method, patient(opts)...)
}

// refusal is the cause of a context that guard has canceled.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// refusedIn returns the refusal that has canceled guarded, a context derived from
// ctx.
func refusedIn(ctx, guarded context.Context) error {
	if ctx == nil {
		return nil
	}
	if r, ok := errors.AsType[refusal](context.Cause(guarded)); ok && ctx.Err() == nil {
		return r.error
	}
	return nil
}

// The client's view of the members may be out of date. The client keeps asking
// members that refuse, so a refusal that stands long enough is current. Nothing
// ticks without a refusal, since a program such as kube-apiserver may have a
// waiting call for every kind of object, for years.
const refusalTick = 100 * time.Millisecond

// watchOver returns a context that ends with ctx, when stop is called, or with a
// refusal as its cause. If anyone is set, a learner is good enough.
func (g guard) watchOver(ctx context.Context, anyone bool) (_ context.Context, stop func()) {
	if g.client == nil || ctx == nil { // the call refuses a nil context
		return ctx, func() {}
	}
	leader, voter := requiresLeader(ctx), !anyone && !g.voter.Load()
	if !leader && !voter {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go g.watchRefusals(ctx, cancel, leader, voter, new(standing)) // ends with ctx
	return ctx, func() { cancel(nil) }
}

// watchRefusals cancels the context when there is a refusal. It returns when ctx
// ends, or when a voter has answered and no leader is required.
func (g guard) watchRefusals(ctx context.Context, cancel context.CancelCauseFunc, leader, voter bool, refusals *standing) {
	for leader || !g.voter.Load() {
		changed := g.client.EndpointsChanged() // before Endpoints, so that no change is missed
		answer := refused(g.client.Endpoints(), leader, voter)
		if err := refusals.check(answer); err != nil {
			cancel(refusal{err})
			return
		}
		var tick <-chan time.Time
		if !leader || answer != nil { // the first answer of a voter makes no change
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

// standing measures how long a refusal has stood.
type standing struct {
	mu          sync.Mutex // guards the fields below
	since, last time.Time
}

// check returns refusal if it has stood for refusalStands. A nil refusal, or a
// long time without a call of check, starts the measurement over.
func (s *standing) check(refusal error) error {
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

// requiresLeader reports whether ctx comes from WithRequireLeader.
func requiresLeader(ctx context.Context) bool {
	md, _ := metadata.FromOutgoingContext(ctx)
	return slices.Contains(md.Get(rpctypes.MetadataRequireLeaderKey), rpctypes.MetadataHasLeader)
}

var errLearner = rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)

// refused returns the refusal of all reachable members: that they have no leader,
// or that they are learners. It is nil as long as one member does not refuse, or
// was not tried.
func refused(endpoints []balancer.Status, leader, voter bool) error {
	var answer error
	for _, e := range endpoints {
		switch {
		case e.State == connectivity.Ready && isEtcdError(e.Demoted, rpctypes.ErrGRPCNoLeader) && leader:
			answer = rpctypes.ErrNoLeader
		case e.State == connectivity.Ready && isEtcdError(e.Demoted, rpctypes.ErrGRPCNotSupportedForLearner):
			if answer == nil && (leader || voter) {
				answer = errLearner
			}
		case e.State == connectivity.Ready, e.LastError == nil:
			return nil
		}
	}
	return answer
}

// isEtcdError reports whether err is the given error of etcd, by its text.
func isEtcdError(err, etcd error) bool {
	return err != nil && rpctypes.ErrorDesc(bare.Error(err)) == rpctypes.ErrorDesc(etcd)
}

// learnerServes is isRPCSupportedForLearner of etcd (v3rpc/util.go).
func learnerServes(req any) bool {
	switch r := req.(type) {
	case *pb.StatusRequest:
		return true
	case *pb.RangeRequest:
		return r.GetSerializable()
	}
	return false
}

// votersServe reports whether an answer to req proves that the member is a voter.
func votersServe(req any) bool {
	switch r := req.(type) {
	case *pb.RangeRequest:
		return !r.GetSerializable()
	case *pb.PutRequest, *pb.DeleteRangeRequest, *pb.TxnRequest, *pb.LeaseGrantRequest:
		return true
	}
	return false
}
