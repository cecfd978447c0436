package policy

import (
	"slices"
	"strings"
	"time"

	grpcbalancer "google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/explain"
	getcdresolver "github.com/getcd/getcd/resolver"
)

const (
	// connected is how many members are kept connected: the active one and a standby.
	connected = 2
	// stagger is how long a connection attempt may take before the next member
	// is tried beside it, while there is none to serve (RFC 8305, section 5,
	// recommends 250 ms).
	stagger = 250 * time.Millisecond
	// introductionStagger is stagger for an attempt that has become a connection, and whose member
	// has yet to say who it is. The member is there. It answers late when all its clients connect
	// at once.
	introductionStagger = time.Second
	// redial is the least time between two attempts to reach one member. So a member
	// that accepts connections and closes them at once is not dialed in a loop.
	redial = 250 * time.Millisecond
	// spread is the time within which a lost connection is replaced, at random, while another
	// member serves. When a member dies, its clients don't connect to the next one all at once.
	spread = time.Second
	// The pause after a round in which no member could be connected.
	minPause        = 100 * time.Millisecond
	maxPauseServing = 5 * time.Second // when one still serves and only the standby is missing
	maxPauseOutage  = time.Second     // when none serves
)

// connectLocked dials members if too few are connected, and returns when to look again if
// nothing else happens; zero means never.
func (p *policy) connectLocked(now time.Time) (next time.Time) {
	wanted := p.wantedLocked(now)
	if len(wanted) == 0 {
		return time.Time{}
	}
	if now.Before(p.paused) {
		return p.paused
	}
	if now.Before(p.replaced) && p.servingLocked(now) {
		return p.replaced
	}
	for {
		connecting, patience := 0, stagger
		var candidates []*member
		for _, m := range wanted {
			switch {
			case m.state == connectivity.Connecting:
				connecting++
				if m.conn.greeted {
					patience = introductionStagger
				}
			case !m.tried:
				candidates = append(candidates, m)
			}
		}
		if connecting == len(wanted) || connecting > 0 && p.servingLocked(now) {
			return time.Time{} // its outcome is the next event
		}
		if connecting > 0 && now.Before(p.dialed.Add(patience)) {
			return p.dialed.Add(patience)
		}
		if len(candidates) == 0 {
			return p.endRoundLocked(now)
		}
		slices.SortFunc(candidates, compareDialing(now))
		m := candidates[0]
		if ready := m.dialed.Add(redial); !m.dialed.IsZero() && now.Before(ready) {
			return ready
		}
		p.dialLocked(m, now)
	}
}

// wantedLocked returns the members to connect: all that are not connected while too few can
// serve, and always those of a better tier than the active one's, or whose tier depends on who
// they are.
func (p *policy) wantedLocked(now time.Time) []*member {
	serving := 0
	for _, m := range p.members {
		if m.ready() && m.usable(now) && !m.unlisted {
			serving++
		}
	}
	var wanted []*member
	for _, m := range p.members {
		if !m.ready() && !m.unlisted && (serving < p.connectedLocked() || m.tier.compare(p.active.tier) < 0 || p.opts.Routing.Prefer != nil && !m.met) {
			wanted = append(wanted, m)
		}
	}
	return wanted
}

// connectedLocked is how many members should be connected and able to serve.
func (p *policy) connectedLocked() int {
	if everyone(p.opts.Routing) {
		return len(p.members)
	}
	return connected
}

// compareDialing orders members by which to dial first: usable ones, then those whose last
// connection did not fail, then by tier, then in the resolver's order.
func compareDialing(now time.Time) func(a, b *member) int {
	return func(a, b *member) int {
		if c := falseFirst(!a.usable(now), !b.usable(now)); c != 0 {
			return c
		}
		if c := falseFirst(a.failed, b.failed); c != 0 {
			return c
		}
		if c := a.tier.compare(b.tier); c != 0 {
			return c
		}
		return a.index - b.index
	}
}

// servingLocked reports whether requests are served in the meantime, so there is no hurry.
func (p *policy) servingLocked(now time.Time) bool {
	return p.active != nil && p.active.usable(now)
}

// endRoundLocked ends a round: each wanted member was tried, and some could not be
// connected or are still connecting. The next round begins after a pause, which grows.
func (p *policy) endRoundLocked(now time.Time) time.Time {
	longest := maxPauseServing
	if !p.servingLocked(now) {
		longest = maxPauseOutage
		if p.active == nil && p.rounds == 0 {
			reasons := p.reasonsLocked()
			p.opts.Logger.Warn("etcd: no endpoint can be reached", "endpoints", len(reasons), "cause", strings.Join(reasons, "; "))
		}
		p.cc.ResolveNow(resolver.ResolveNowOptions{})
	}
	pauses := backoff.Exponential{First: minPause, Max: longest}
	p.paused = now.Add(pauses.Pause(p.rounds))
	p.rounds++
	for _, m := range p.members {
		m.tried = false
	}
	return p.paused
}

// reasonsLocked says of each address why it can't be used.
func (p *policy) reasonsLocked() []string {
	var seen, reasons []string
	for _, m := range p.members {
		if slices.Contains(seen, m.addr.Addr) {
			continue // the second connection to a single address
		}
		seen = append(seen, m.addr.Addr)
		reason := "not connected yet"
		if m.lastErr != nil {
			reason = explain.Plain(m.lastErr)
		}
		reasons = append(reasons, m.addr.Addr+": "+reason)
	}
	return reasons
}

func (p *policy) dialLocked(m *member, now time.Time) {
	m.tried, m.dialed, p.dialed = true, now, now
	p.counters.dials.Add(1)
	c := newConn(p, m)
	//nolint:staticcheck // SA1019: deprecated for the lists of several addresses that it also takes.
	sc, err := p.cc.NewSubConn([]resolver.Address{c.raw.address(m.addr)}, grpcbalancer.NewSubConnOptions{
		StateListener: func(s grpcbalancer.SubConnState) { p.connectionChanged(m, c, s) },
	})
	if err != nil {
		c.end(err)
		c.cancel()
		p.failedLocked(m, err)
		return
	}
	c.sc, m.conn = sc, c
	m.setState(connectivity.Connecting)
	sc.Connect()
}

// endpoint is a place in the resolver's list.
type endpoint struct {
	name string // as in Status.Address
	addr resolver.Address
	tier tier
}

// endpoints returns one endpoint for each address, in the resolver's order. A single address
// may lead to many members (a virtual IP, a Kubernetes service), to another one with each
// connection. So it becomes two endpoints, one of which is the standby.
func endpoints(s resolver.State) []endpoint {
	var addrs []resolver.Address
	for _, e := range s.Endpoints {
		addrs = append(addrs, e.Addresses...)
	}
	if len(s.Endpoints) == 0 {
		addrs = s.Addresses
	}
	o, _ := s.Attributes.Value(optionsKey{}).(Options)
	var out []endpoint
	for _, a := range addrs {
		if !slices.ContainsFunc(out, func(e endpoint) bool { return sameAddress(e.addr, a) }) {
			out = append(out, endpoint{a.Addr, a, tierOf(a)})
		}
	}
	if len(out) == 1 && !o.OneMember {
		second := out[0]
		second.name += "#2"
		out = append(out, second)
	}
	return out
}

// sameAddress reports whether one connection can serve for both. It does not matter under
// which SRV target an address was found.
func sameAddress(a, b resolver.Address) bool {
	if a.Addr != b.Addr || a.ServerName != b.ServerName {
		return false
	}
	x, ok := getcdresolver.FromAttributes(a.Attributes)
	y, both := getcdresolver.FromAttributes(b.Attributes)
	if ok && both {
		return x.TLS == y.TLS
	}
	return a.Attributes.Equal(b.Attributes)
}
