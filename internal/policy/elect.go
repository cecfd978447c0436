package policy

import (
	"slices"
	"time"

	"github.com/getcd/getcd/balancer"
)

// dwell is the least time between switches among demoted members.
const dwell = 50 * time.Millisecond

// electLocked chooses the active member and the standby among the connected ones, and
// disconnects the rest.
func (p *policy) electLocked(now time.Time) {
	var ready []*member
	for _, m := range p.members {
		if m.ready() {
			ready = append(ready, m)
		}
	}
	slices.SortFunc(ready, compareServing(now))
	var active, standby *member
	if len(ready) > 0 {
		active = ready[0]
	}
	// If all members are demoted, an election is probably going on. Then the active one
	// does not change with every refusal.
	if a := p.active; a != nil && a != active && a.ready() && !a.unlisted &&
		!active.usable(now) && now.Sub(p.elected) < dwell {
		active = a
	}
	for _, m := range ready {
		switch {
		case m == active:
			m.setRole(balancer.Active)
		case standby == nil && !m.unlisted:
			standby = m
			m.setRole(balancer.Standby)
		case !m.unlisted && (m.passedOver(now) == doubted || !standby.usable(now) || everyone(p.opts.Routing) || m.tier.compare(active.tier) < 0):
			m.setRole(balancer.Idle) // stays connected: its probe runs, or more are wanted
		default:
			p.dropLocked(m)
		}
	}
	if active != p.active {
		from, to := "", ""
		if p.active != nil {
			from = p.active.name
		}
		if active != nil {
			to = active.name
		}
		if from != "" && to != "" {
			p.counters.failovers.Add(1)
		}
		if fault := p.active.fault(now); fault != nil {
			p.opts.Logger.Info("etcd: active endpoint changed", "from", from, "to", to, "cause", fault)
		} else {
			p.opts.Logger.Info("etcd: active endpoint changed", "from", from, "to", to)
		}
		p.elected = now
	}
	p.active, p.standby = active, standby
	p.members = slices.DeleteFunc(p.members, func(m *member) bool {
		gone := m.unlisted && m != active
		if gone {
			p.lapsed = append(p.lapsed, m)
		}
		return gone
	})
}

// compareServing orders members by which should serve: first those that are still listed,
// then usable ones, then the better tier, then the one that serves already, then the
// resolver's order. Among demoted members the one whose penalty ends first is the best.
func compareServing(now time.Time) func(a, b *member) int {
	return func(a, b *member) int {
		if c := falseFirst(a.unlisted, b.unlisted); c != 0 {
			return c
		}
		au, bu := a.usable(now), b.usable(now)
		if c := falseFirst(!au, !bu); c != 0 {
			return c
		}
		if !au {
			if c := falseFirst(a.demotion.lasts(now), b.demotion.lasts(now)); c != 0 {
				return c
			}
			if c := a.demotion.until.Compare(b.demotion.until); c != 0 {
				return c
			}
		}
		if c := a.tier.compare(b.tier); c != 0 {
			return c
		}
		if a.role != b.role {
			return int(b.role) - int(a.role)
		}
		return a.index - b.index
	}
}

// falseFirst orders false before true.
func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
