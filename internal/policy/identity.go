package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/internal/backoff"
)

const (
	// introduction is how long a new connection's member may take to say who it is.
	introduction = 5 * time.Second
	// maxRolls is how often in a row a single address is dialed again because it led to
	// a member that is of no use. After rollPause the count begins anew.
	maxRolls  = 2
	rollPause = 5 * time.Second
)

var errAnonymous = errors.New("connected, but it does not say who it is")

// introduce asks a member that has just been connected who it is. The connection is not
// used before the answer. If a proof is wanted, for which the first write waits (gate.go), it
// is asked for at the same time.
func (p *policy) introduce(m *member, c *conn) {
	ctx, cancel := context.WithTimeout(c.gone, introduction)
	defer cancel()
	if wants, waits := p.wantsProof(m, c); wants {
		p.probes.Go(func() { p.prove(m, c, waits) })
	}
	begun := time.Now()
	header, resp, err := c.identify(ctx)
	if resp != nil {
		m.observeOwn(time.Since(begun))
	}
	rank, ranked, refused := p.rank(ctx, m, c, header.GetMemberId())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || m.conn != c {
		return
	}
	id, cluster := header.GetMemberId(), header.GetClusterId()
	switch want := p.clusterLocked(); {
	case err != nil:
		p.failedLocked(m, fmt.Errorf("%w: %w", errAnonymous, err))
	case want != 0 && cluster != 0 && cluster != want:
		if m.stranger != cluster { // it is dialed again and again
			m.stranger = cluster
			p.opts.Logger.Warn("etcd: endpoint is of another cluster", "endpoint", m.name, "cluster", fmt.Sprintf("%x", cluster), "want", fmt.Sprintf("%x", want))
		}
		p.failedLocked(m, &balancer.ClusterError{Want: want, Got: cluster})
	case p.single && p.knownLocked(m, id) && p.rollLocked(m, time.Now()):
		p.dropLocked(m)
	default:
		if cluster != 0 && cluster != p.cluster {
			if p.cluster != 0 { // another cluster has raft terms of its own
				p.leader, p.leaderTerm = 0, 0
				p.clock.term.Store(0)
			}
			p.cluster = cluster
		}
		if id != 0 && m.id.Swap(id) != id && m.demotion.cause != nil && p.single {
			p.restoreLocked(m) // the demotion was another member's
		}
		m.stranger = 0
		if m.met = true; ranked {
			m.tier.rank = rank
		}
		p.readyLocked(m, c)
		if refused {
			p.probes.Go(func() { p.rankForUser(m, c, id) })
		}
		if resp != nil && p.opts.Routing.WritesToLeader {
			p.learnLocked(resp)
		}
	}
	p.stepLocked()
}

// wantsProof reports whether to ask for a proof before m has said who it is: when writes wait, or
// will as soon as a member is connected, unless another one is being asked, and when m is demoted.
// When many clients connect at once, each question counts. waits is prove's.
func (p *policy) wantsProof(m *member, c *conn) (wants, waits bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := slices.ContainsFunc(p.members, func(o *member) bool { return o.conn != nil && o.conn.proving })
	c.proving = m.demotion.cause != nil || !asked && (p.active == nil || !p.gate.passes(p.active.conn))
	return c.proving, m.refusesLocked(time.Now())
}

// rank asks Routing.Prefer for the rank of m, whose member has the ID id. It must not be called
// with the policy's mutex held, since Prefer is the user's. It reports whether the member keeps
// its name for users.
func (p *policy) rank(ctx context.Context, m *member, c *conn, id uint64) (rank int, ok, refused bool) {
	p.mu.Lock()
	prefer, e := p.opts.Routing.Prefer, describe(m.addr)
	p.mu.Unlock()
	if prefer == nil || id == 0 {
		return 0, false, false
	}
	cc, release := c.rpcs()
	defer release()
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	// Any member answers this from memory, since etcd 3.7 only with a token if there are users
	// (etcdserver/server.go, MemberList). Without an answer the name is unknown.
	list, err := pb.NewClusterClient(cc).MemberList(ctx, &pb.MemberListRequest{})
	e.MemberID = id
	for _, member := range list.GetMembers() {
		if member.GetID() == id {
			e.MemberName = member.GetName()
		}
	}
	m.called.Store(e.MemberName)
	return prefer(e), true, err != nil && refusedFor(err)
}

// rankForUser ranks m anew when there is a token, with which its member tells its name. The
// first token takes a connection, so m was connected and ranked without one.
func (p *policy) rankForUser(m *member, c *conn, id uint64) {
	for pause := minSeekPause; backoff.Sleep(c.gone, pause); pause = min(2*pause, maxSeekPause) {
		ctx, ok := p.signed(c.gone)
		if !ok {
			continue
		}
		rank, ranked, refused := p.rank(ctx, m, c, id)
		if refused {
			continue
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if ranked && !p.closed && m.conn == c {
			m.tier.rank = rank
			p.stepLocked()
		}
		return
	}
}

// clusterLocked returns the only cluster whose members are used; 0 means any.
func (p *policy) clusterLocked() uint64 {
	switch {
	case p.opts.Cluster != 0:
		return p.opts.Cluster
	case p.opts.AnyCluster:
		return 0
	default:
		return p.cluster
	}
}

// identify asks the member for a response header, which has its ID and its cluster's. All
// results are nil if the member does not tell, such as a proxy that has only some of etcd's
// services.
func (c *conn) identify(ctx context.Context) (*pb.ResponseHeader, *pb.StatusResponse, error) {
	if c.policy.discreet.Load() {
		if header, refused, err := c.refusedWatch(ctx); err == nil && refused {
			return header, nil, nil
		}
	}
	var resp *pb.StatusResponse
	var err error
	for deadline := time.Now().Add(introduction / 2); ; {
		if resp, err = c.status(ctx); err == nil {
			c.policy.discreet.Store(false) // a connection that broke would not have shown that
			return resp.GetHeader(), resp, nil
		}
		if ctx.Err() != nil {
			return nil, nil, err
		}
		if !temporary(err) {
			break
		}
		c.policy.introductionRefused(c) //nolint:contextcheck // what follows is the policy's
		if time.Now().After(deadline) || !backoff.Sleep(ctx, minSeekPause) {
			break
		}
	}
	certain := c.policy.oneCluster() // a member of another one may refuse for now, too
	if temporary(err) && certain {
		var header *pb.ResponseHeader
		if header, err = c.ownHeader(ctx); err == nil || !refusedFor(err) {
			return header, nil, err
		}
	}
	if !refusedFor(err) {
		return nil, nil, nil // if something is wrong with it, requests will show
	}
	header, refused, err := c.refusedWatch(ctx)
	if err != nil && (ctx.Err() != nil || certain && temporary(err)) {
		return nil, nil, err
	}
	c.policy.discreet.Store(err == nil && refused)
	return header, nil, nil
}

// temporary reports whether a member that has refused a question with err may answer it later.
func temporary(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted, codes.FailedPrecondition:
		return true
	default:
		return false
	}
}

// introductionRefused is called when the question who c's member is was refused for now, for
// example by a proxy whose member is away. The next member is not kept waiting for c then.
func (p *policy) introductionRefused(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.greeted && !p.closed {
		c.greeted = false
		p.stepLocked()
	}
}

// refusedWatch gets a header from a member that requires a token for Status, as etcd does
// since 3.7. The member refuses a watch for the same reason, but with a header
// (server/etcdserver/api/v3rpc/watch.go, recvLoop).
func (c *conn) refusedWatch(ctx context.Context) (_ *pb.ResponseHeader, refused bool, _ error) {
	cc, release := c.rpcs()
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewWatchClient(cc).Watch(ctx)
	if err != nil {
		return nil, false, err
	}
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
		CreateRequest: &pb.WatchCreateRequest{Key: []byte{0}, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT, pb.WatchCreateRequest_NODELETE}},
	}})
	if err != nil && !errors.Is(err, io.EOF) { // of EOF Recv has the reason
		return nil, false, err
	}
	answer, err := stream.Recv()
	return answer.GetHeader(), answer.GetCanceled(), err
}

// knownLocked reports whether the member that m has reached through the only address is of
// no use: the other connection has it already, or m's last connection was given up because
// of it.
func (p *policy) knownLocked(m *member, id uint64) bool {
	for _, o := range p.members {
		if id == 0 || o.id.Load() != id {
			continue
		}
		if o != m && o.ready() || o == m && (m.demotion.cause != nil || errors.Is(m.lastErr, ErrSilent) && m.failed) {
			return true
		}
	}
	return false
}

// rollLocked reports whether m may be dialed again in the hope for another member.
func (p *policy) rollLocked(m *member, now time.Time) bool {
	if now.Sub(m.rolled) >= rollPause {
		m.rolls = 0
	}
	if m.rolls >= maxRolls {
		return false
	}
	m.rolls++
	m.rolled = now
	m.tried = false
	return true
}

// rerollLocked gives up a connection through the only address if its member can't serve.
// The next connection may reach another member.
func (p *policy) rerollLocked(now time.Time) {
	if !p.single {
		return
	}
	for _, m := range p.members {
		if m != p.active && m.ready() && m.demotion.lasts(now) && m.id.Load() != 0 && p.rollLocked(m, now) {
			p.dropLocked(m)
		}
	}
}

// ownHeader gets a header by a read that the member answers from its own data.
func (c *conn) ownHeader(ctx context.Context) (*pb.ResponseHeader, error) {
	cc, release := c.rpcs()
	defer release()
	resp, err := pb.NewKVClient(cc).Range(ctx, &pb.RangeRequest{Key: []byte{0}, CountOnly: true, Serializable: true})
	return resp.GetHeader(), err
}

// oneCluster reports whether the policy uses members of one cluster only, and knows which.
func (p *policy) oneCluster() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clusterLocked() != 0
}

// refusedFor reports whether err refuses a request because it has no user.
func refusedFor(err error) bool {
	switch status.Convert(err).Message() {
	case rpctypes.ErrorDesc(rpctypes.ErrGRPCUserEmpty), rpctypes.ErrorDesc(rpctypes.ErrGRPCInvalidAuthToken), rpctypes.ErrorDesc(rpctypes.ErrGRPCPermissionDenied):
		return true
	default:
		return false
	}
}
