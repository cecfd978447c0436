package policy

import (
	"context"
	"slices"
	"time"

	grpcbalancer "google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"

	"github.com/getcd/getcd/balancer"
)

// row is the published part of a member's state. If the rows have not changed, nothing is
// published.
type row struct {
	member       *member
	role         balancer.Role
	state        connectivity.State
	since        time.Time
	demotedUntil time.Time
	usable       bool
	failed       bool
	leads        bool
	life         context.Context //nolint:containedctx // the connection's, which picks hand out
}

// publishLocked gives gRPC a new picker, and the table new rows, if something has changed.
func (p *policy) publishLocked() {
	state := connectivity.Connecting
	switch {
	case p.active != nil:
		state = connectivity.Ready
	case p.rounds > 0:
		state = connectivity.TransientFailure
	}
	now := time.Now()
	p.boundLeadsLocked()
	rows := make([]row, len(p.members))
	for i, m := range p.members {
		rows[i] = row{m, m.role, m.state, m.since, m.demotion.until, m.usable(now), m.failed, p.leadsLocked(m), m.life()}
	}
	if state == p.state && p.gate.level == p.shownGate && slices.Equal(rows, p.shown) {
		return
	}
	p.state, p.shownGate, p.shown = state, p.gate.level, rows
	p.cc.UpdateState(grpcbalancer.State{ConnectivityState: p.state, Picker: p.pickerLocked(now)})
	status := make([]balancer.Status, len(rows))
	for i, m := range p.members {
		status[i] = balancer.Status{Address: m.addr.Addr, Role: m.role, State: m.state, Since: m.since, LastError: m.lastErr, Leader: rows[i].leads}
		if !rows[i].usable {
			status[i].Demoted = m.fault(now)
		}
	}
	p.opts.Table.publish(slices.Clone(p.members), status, p.settledLocked())
}

// pickerLocked makes a picker of the current state.
func (p *policy) pickerLocked(now time.Time) *picker {
	serving := slices.DeleteFunc(slices.Clone(p.members), func(m *member) bool { return !m.ready() })
	order := compareServing(now)
	slices.SortFunc(serving, func(a, b *member) int {
		if c := falseFirst(a != p.active, b != p.active); c != 0 {
			return c
		}
		return order(a, b)
	})
	pick := &picker{policy: p, gate: p.gate.level, spread: 1, down: p.state == connectivity.TransientFailure}
	for i, m := range serving {
		c := &target{m, m.conn, m.conn.life}
		pick.members = append(pick.members, c)
		if p.opts.Routing.SpreadReads && i == pick.spread && m.usable(now) && !m.unlisted && m.tier == p.active.tier {
			pick.spread++
		}
		if p.leadsLocked(m) && m.usable(now) && (m == p.active || m.demotion.cause == nil) {
			pick.leader, pick.leading = c, &target{m, m.conn, m.conn.leads}
		}
	}
	return pick
}
