package balancer

import (
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/status"
)

// picker is an immutable snapshot of who serves.
type picker struct {
	policy          *policy
	active, standby connection
}

// connection is a member's connection as of the snapshot; zero for none.
type connection struct {
	member *member
	link   *link
}

func connectionOf(m *member) connection {
	if m == nil {
		return connection{}
	}
	return connection{m, m.link}
}

// Pick sends each RPC to the active member, or to the standby when the RPC's
// Attempt avoids the active one. Without a connected member the RPC waits for
// the next picker, or for its context's end, whether it is wait-for-ready or
// not: failing it would only make the caller ask again.
func (p *picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	to := p.active
	if to.link == nil {
		return balancer.PickResult{}, balancer.ErrNoSubConnAvailable
	}
	a := FromContext(info.Ctx)
	if p.standby.link != nil && a.avoids(to.member) && !a.avoids(p.standby.member) {
		to = p.standby
	}
	if a != nil {
		a.member.Store(to.member)
		a.link.Store(to.link)
	}
	start := time.Now()
	if a != nil && a.Measure {
		to.link.sent(a, to.link.slotAt(start))
		p.policy.watch()
	}
	return balancer.PickResult{
		SubConn: to.link.sc,
		Done:    func(info balancer.DoneInfo) { p.policy.done(to, a, start, info) },
	}, nil
}

// done learns from an RPC that has ended.
func (p *policy) done(c connection, a *Attempt, start time.Time, info balancer.DoneInfo) {
	m := c.member
	if a != nil && a.Measure {
		c.link.ended(a, c.link.slotAt(start))
		if info.BytesReceived {
			now := c.link.slotAt(time.Now())
			c.link.heard.Store(now)
			if !a.AnyMember && info.Err == nil {
				c.link.agreed.Store(now)
			}
		}
	}
	if a != nil && info.BytesSent {
		a.sent.Store(true)
	}
	if a != nil && info.BytesReceived {
		a.heard.Store(true)
	}
	switch {
	case info.Err != nil:
		if cantServe(info.Err) {
			p.demote(m, start, info.Err)
		}
	case info.BytesReceived:
		if a != nil && a.Measure {
			m.observe(time.Since(start))
		}
		if m.shunned.Load() && (a == nil || !a.AnyMember) {
			p.restore(m, start)
		}
	}
}

// cantServe reports whether err is the answer of a member that can't serve now,
// whatever the request: etcd gives these before it looks at the request. They
// are told by their texts, since some reach the client with another code.
func cantServe(err error) bool {
	switch status.Convert(err).Message() {
	case noLeader, learner, notCapable:
		return true
	}
	return false
}

var (
	noLeader   = rpctypes.ErrorDesc(rpctypes.ErrGRPCNoLeader)
	learner    = rpctypes.ErrorDesc(rpctypes.ErrGRPCNotSupportedForLearner)
	notCapable = rpctypes.ErrorDesc(rpctypes.ErrGRPCNotCapable)
)
