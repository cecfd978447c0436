package policy

import (
	"context"
	"math/rand/v2"
	"time"

	grpcbalancer "google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/etcderr"
)

// picker is an immutable snapshot of the connected members.
type picker struct {
	policy  *policy
	members []*target // the active one first
	spread  int       // reads are spread over that many, from the first
	leader  *target   // writes go there; nil means to the active one
	leading *target   // the same, for streams that leave when it leads no more
	gate    level
	down    bool // no endpoint can be reached: each was tried, and none is connected
}

// target is a member's connection in the snapshot.
type target struct {
	member *member
	conn   *conn
	life   context.Context //nolint:containedctx // the conn's, as of the snapshot
}

var _ attempt.Connection = (*target)(nil)

// Endpoint implements attempt.Connection.
func (c *target) Endpoint() string { return c.member.name }

// Address implements attempt.Connection.
func (c *target) Address() string { return c.member.addr.Addr }

// Life implements attempt.Connection.
func (c *target) Life() context.Context { return c.life }

// Arrived implements attempt.Connection.
func (c *target) Arrived() uint64 { return c.conn.raw.received.Load() }

// Proven implements attempt.Connection.
func (c *target) Proven() bool { return c.conn.proof.Load() > 0 }

// Received implements attempt.Connection: a streamHealth does more.
func (c *target) Received() {}

// Expect implements attempt.Connection: a streamHealth does more.
func (c *target) Expect() {}

// Observe implements attempt.Connection.
func (c *target) Observe(memberID, raftTerm uint64) {
	if memberID != 0 && c.member.id.Load() != memberID {
		c.member.id.Store(memberID)
	}
	if raftTerm > c.conn.clock.term.Load() {
		c.conn.observeTerm(raftTerm)
	}
}

// Pick sends an RPC to the active member, or to the next one that the RPC's Attempt does
// not avoid. If no member may be asked, the RPC waits for the next picker or the end of its
// context: an error would only make the caller ask again. gRPC does not tell the policy
// whether the RPC is wait-for-ready; Attempt.FailFast does.
func (p *picker) Pick(info grpcbalancer.PickInfo) (grpcbalancer.PickResult, error) {
	a := attempt.FromContext(info.Ctx)
	if p.down && a != nil && a.FailFast {
		return grpcbalancer.PickResult{}, attempt.ErrUnreachable
	}
	if len(p.members) == 0 || p.gate.holds(a) {
		return grpcbalancer.PickResult{}, grpcbalancer.ErrNoSubConnAvailable
	}
	to := p.choose(a)
	if to == nil {
		return grpcbalancer.PickResult{}, errNoOther
	}
	if a == nil {
		a = &attempt.Attempt{FromMemory: true, Once: true} // unknown, so it keeps its connection and proves nothing
	}
	r := p.policy.newCall(a, to)
	if a.Flow {
		r.stream = &streamHealth{target: to}
		a.Pick(r.stream)
	} else {
		a.Pick(to)
	}
	to.conn.calls.add(r)
	if to.conn.retired.Load() { // after this picker was made; the next one is on its way
		if to.conn.calls.remove(r) {
			p.policy.emptied(to.conn)
		}
		p.policy.free(r)
		return grpcbalancer.PickResult{}, grpcbalancer.ErrNoSubConnAvailable
	}
	p.policy.watchdog.wake()
	if r.stream != nil {
		p.policy.join(r.stream)
	}
	return grpcbalancer.PickResult{SubConn: to.conn.sc, Done: r.done}, nil
}

// choose returns nil when the RPC is of no use at any of the members.
func (p *picker) choose(a *attempt.Attempt) *target {
	first := 0
	switch {
	case a == nil:
	case a.Flow && a.ToLeader:
		if p.leader != nil && !a.Avoids(p.leader.member.name) {
			return p.leading
		}
	case a.Flow && !a.Spread:
	case a.Write:
		if p.leader != nil && !a.Avoids(p.leader.member.name) {
			return p.leader
		}
	case p.spread > 1:
		first = rand.N(p.spread)
	}
	for i := range p.members {
		at := i
		if i < p.spread {
			at = (first + i) % p.spread
		}
		if c := p.members[at]; !a.Avoids(c.member.name) {
			return c
		}
	}
	if a.Elsewhere {
		return nil
	}
	return p.members[first]
}

// errNoOther ends an RPC with Attempt.Elsewhere when there is no other member. Since it is
// a gRPC status, the RPC does not wait for the next picker.
var errNoOther = status.Error(codes.Unavailable, "no other endpoint is connected")

// finish is gRPC's call when an RPC has ended. It learns from the outcome.
func (p *policy) finish(r *call, info grpcbalancer.DoneInfo) {
	defer p.free(r)
	c, a := r.on, r.attempt
	served := (info.Err == nil || leaderChanged(info.Err)) && info.BytesReceived && !a.AnyMember && !a.FromMemory
	if a.Measure && !a.Elsewhere && unanswered(info) { // a second copy's end is no sign of anything
		c.conn.owe(r)
		p.watchdog.wake()
	}
	if r.stream != nil {
		p.part(r.stream)
	}
	if info.BytesSent {
		a.Send()
	}
	if info.BytesReceived {
		a.Hear()
		if a.Measure {
			c.conn.hear(r.start, served)
			if info.Err == nil {
				c.member.observe(time.Since(r.start), a.Write)
			}
		}
	}
	if c.conn.calls.remove(r) && c.conn.retired.Load() {
		p.emptied(c.conn)
	}
	if served && c.conn.failures.Load() > 0 {
		c.conn.failures.Store(0)
	}
	switch {
	case info.Err != nil && etcderr.LacksService(info.Err) && c.Proven():
	case info.Err != nil && etcderr.CantServe(info.Err):
		p.refused(c.member, r.start, info.Err)
	case served && (c.member.demoted.Load() || p.gate.closed.Load()):
		p.served(c.member, c.conn, r.start)
	case info.Err != nil && info.BytesReceived && a.Measure && vague(info.Err) && c.conn.failures.Add(1) >= maxVague:
		p.suspect(c.conn)
	}
}

// unanswered reports whether the caller has ended an RPC that its member had not served: another
// copy was answered, or the caller would wait no longer. A member may say itself that the deadline
// has passed.
func unanswered(info grpcbalancer.DoneInfo) bool {
	switch status.Code(info.Err) {
	case codes.Canceled:
		return info.BytesSent && !info.BytesReceived
	case codes.DeadlineExceeded:
		return info.BytesSent
	default:
		return false
	}
}

// maxVague is after how many vague errors in a row a member is probed. A proxy whose member is
// gone can answer every request, and at once, so that none waits for long enough to have it probed.
const maxVague = 3

// vague reports whether err says that a request has failed, and neither that the request is to
// blame nor what is wrong with the member.
func vague(err error) bool {
	switch code(err) {
	case codes.Unavailable, codes.Unknown, codes.Internal:
		return !leaderChanged(err) && !etcderr.RefusedByText(err)
	default:
		return false
	}
}

// suspect has c's member probed, unless that was done a moment ago.
func (p *policy) suspect(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); !p.closed && c.member.conn == c && now.After(c.rested) {
		p.startProbeLocked(c)
	}
}
