package policy

import (
	"context"
	"errors"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/internal/backoff"
)

const (
	// The bounds of the pauses between two questions who leads.
	minSeekPause = 50 * time.Millisecond
	maxSeekPause = time.Second
)

// status asks the member for its status, which it answers from memory, since etcd 3.7 only with
// a token if there are users (v3rpc/maintenance.go, requireAuthInfo).
func (c *conn) status(ctx context.Context) (*pb.StatusResponse, error) {
	cc, release := c.rpcs()
	defer release()
	return pb.NewMaintenanceClient(cc).Status(ctx, &pb.StatusRequest{})
}

// signed returns ctx with the user's token, and reports whether there is one.
func (p *policy) signed(ctx context.Context) (context.Context, bool) {
	p.mu.Lock()
	sign := p.opts.Sign
	p.mu.Unlock()
	if sign == nil {
		return ctx, false
	}
	return sign(ctx)
}

// learn notes who leads, unless the answer is older than what is known.
func (p *policy) learn(resp *pb.StatusResponse) (known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.learnLocked(resp)
}

func (p *policy) learnLocked(resp *pb.StatusResponse) (known bool) {
	if p.closed || resp.Leader == 0 || resp.RaftTerm < p.leaderTerm {
		return p.closed
	}
	if p.leader != resp.Leader {
		p.opts.Logger.Info("etcd: leader changed", "member", resp.Leader, "term", resp.RaftTerm)
	}
	p.leader, p.leaderTerm = resp.Leader, resp.RaftTerm
	p.publishLocked() // the ID of the member that has answered may be new too
	return resp.RaftTerm >= p.clock.term.Load()
}

// termChanged is called when an answer has a new raft term.
func (p *policy) termChanged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	// The active member may be the former leader, which is cut off, or may not know of the
	// new one. So writes wait for its proof, and first of all those that were lost.
	if since := p.clock.termSince.Load(); since != 0 && !p.opts.OneMember {
		p.gate.elected = p.clock.term.Load()
		p.stepLocked()
	}
	for _, c := range p.connsLocked() {
		c.rested = time.Time{}
	}
	p.reviewLocked()
	if !p.opts.Routing.WritesToLeader || p.seeking || p.active == nil { // new members are asked when they are connected
		return
	}
	p.seeking = true
	p.probes.Go(p.seek)
}

// seek asks the active member who leads, until the leader of the newest term is known.
func (p *policy) seek() {
	for pause := minSeekPause; ; pause = min(2*pause, maxSeekPause) {
		p.mu.Lock()
		var c *conn
		if p.active != nil {
			c = p.active.conn
		}
		if p.closed {
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		if c != nil {
			ctx, cancel := context.WithTimeout(c.gone, proofTime)
			ctx, _ = p.signed(ctx)
			resp, err := c.status(ctx)
			cancel()
			if err == nil && p.learn(resp) && p.foundLeader() {
				return
			}
		}
		backoff.Sleep(p.ctx, pause)
	}
}

// foundLeader ends the search, unless the term has changed again.
func (p *policy) foundLeader() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seeking = !p.closed && p.leaderTerm < p.clock.term.Load()
	return !p.seeking
}

// leadsLocked reports whether m is the leader to which writes go.
func (p *policy) leadsLocked(m *member) bool {
	return p.opts.Routing.WritesToLeader && p.leader != 0 && m.id.Load() == p.leader
}

// boundLeadsLocked ends the streams that are on a member because it led, when it does no more.
func (p *policy) boundLeadsLocked() {
	for _, m := range p.members {
		if m.conn != nil {
			m.conn.leadLocked(m.ready() && p.leadsLocked(m))
		}
	}
}

// leadLocked sets c.leads. It is made anew when life has ended since.
func (c *conn) leadLocked(leads bool) {
	switch {
	case leads && (c.leads == nil || c.leads.Err() != nil):
		c.leads, c.leave = context.WithCancelCause(c.life)
	case !leads && c.leads != nil:
		c.leave(errDeposed)
		c.leads, c.leave = nil, nil
	}
}

var errDeposed = errors.New("another member leads")

// settledLocked is Table.Settled.
func (p *policy) settledLocked() bool {
	if !p.opts.Routing.WritesToLeader {
		return true
	}
	for _, m := range p.members {
		if p.leadsLocked(m) && m.ready() {
			return true
		}
	}
	return len(p.members) > 0 && !slices.ContainsFunc(p.members, func(m *member) bool { return !m.ready() && !m.failed })
}

// follow asks a connected member who leads whenever no answer has come for the time pulse: a
// client that is idle learns of a new leader before it sends its next write. Each time it asks
// another member, since one that has lost its peers knows only the former leader.
func (p *policy) follow(pulse time.Duration) {
	for i := 0; backoff.Sleep(p.ctx, pulse); i++ {
		c := p.quietConn(pulse, i)
		if c == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(c.gone, min(pulse, proofTime))
		ctx, _ = p.signed(ctx)
		if resp, err := c.status(ctx); err == nil {
			p.learn(resp)
			c.observeTerm(resp.RaftTerm)
		}
		cancel()
	}
}

// quietConn returns the i-th connection, unless some connection has carried an answer within the
// last pulse.
func (p *policy) quietConn(pulse time.Duration, i int) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.at(time.Now())
	var ready []*conn
	for _, m := range p.members {
		if !m.ready() {
			continue
		}
		if now-m.conn.heard.Load() < int64(pulse) && m.conn.heard.Load() != 0 {
			return nil
		}
		ready = append(ready, m.conn)
	}
	if len(ready) == 0 {
		return nil
	}
	return ready[i%len(ready)]
}
