package getcdprom

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/connectivity"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
)

const prefix = "getcd_client_"

// reading is what one client has counted so far.
type reading struct {
	client.Counters

	lost uint64
}

// totals has a sum for each of counters.
type totals []uint64

// add returns the sums with those of a client.
func (t totals) add(c *client.Client) totals {
	r := reading{c.Counters(), c.Stats().Leases.Lost}
	sums := make(totals, len(counters))
	copy(sums, t)
	for i := range counters {
		sums[i] += counters[i].value(r)
	}
	return sums
}

// counters are the metrics that come from Client.Counters and the like.
var counters = []struct {
	name, help string
	value      func(reading) uint64
}{
	{"hedges_total", "Reads that were sent to a second member because the first was late.", func(r reading) uint64 { return r.Hedges }},
	{"logins_total", "Tokens that were asked for.", func(r reading) uint64 { return r.Logins }},
	{"resolutions_total", "Resolutions of configured endpoints.", func(r reading) uint64 { return r.Resolutions }},
	{"dials_total", "Connections that were attempted.", func(r reading) uint64 { return r.Dials }},
	{"failovers_total", "Changes of the active endpoint to another one.", func(r reading) uint64 { return r.Failovers }},
	{"probes_total", "Times that an endpoint was probed because it was late.", func(r reading) uint64 { return r.Probes }},
	{"doubts_total", "Times that new requests left an endpoint because it answered a probe later than another one.", func(r reading) uint64 { return r.Doubts }},
	{"demotions_total", "Times that an endpoint was found unable to serve.", func(r reading) uint64 { return r.Demotions }},
	{"severed_connections_total", "Connections that were left because their member was silent.", func(r reading) uint64 { return r.Severed }},
	{"handed_over_connections_total", "Healthy connections that were left with calls in flight.", func(r reading) uint64 { return r.HandedOver }},
	{"given_up_calls_total", "Writes that the client stopped waiting for. Their errors are ambiguous.", func(r reading) uint64 { return r.GivenUp }},
	{"leases_lost_total", "Leases that could not be kept: they can't be proven to live any longer, or the cluster has them no more.", func(r reading) uint64 { return r.lost }},
}

// gauges are all metrics that go up and down, with their labels.
var gauges = []struct {
	name, help string
	labels     []string
}{
	{"open", "Clients that are open.", nil},
	{"endpoint_role", "Clients for which the endpoint has the role: active, standby or idle.", []string{"endpoint", "role"}},
	{"endpoint_connected", "Clients that are connected to the endpoint.", []string{"endpoint"}},
	{"endpoint_demoted", "Clients that are connected to the endpoint and don't use it, since it can't serve or is slow.", []string{"endpoint"}},
	{"endpoint_leader", "Clients that know the endpoint as raft's leader. It is known with Routing.WritesToLeader only.", []string{"endpoint"}},
	{"endpoint_latency_seconds", "Moving average of the time that the endpoint's answers take, the longest of all clients.", []string{"endpoint"}},
	{"endpoint_info", "Clients that know the endpoint's member by this ID.", []string{"endpoint", "member_id"}},
	{"unresolved_endpoints", "Configured endpoints that can't be resolved at present.", nil},
	{"watches", "Open watches: current, resuming (on no stream) or paused (the buffer is full).", []string{"state"}},
	{"watch_buffered_events", "Events that wait for the consumers of watches.", nil},
	{"watch_lag_seconds", "For how long the watch that is furthest behind has been so.", nil},
	{"leases", "Leases that are kept alive: proven or, before their first renewal, unproven.", []string{"state"}},
	{"lease_remaining_seconds", "Time until the nearest deadline of a kept lease. Absent without leases.", nil},
	{"lease_remaining_ratio", "The least part of its time to live that is left to a kept lease: 0.5 or more while renewals work. Absent without leases.", nil},
}

// desc is the description of a counter or gauge.
func (m *Metrics) desc(name, help string, labels []string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, prometheus.Labels{"client": m.name})
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, v := range m.vectors() {
		v.Describe(to)
	}
	for _, c := range counters {
		to <- m.desc(c.name, c.help, nil)
	}
	for _, g := range gauges {
		to <- m.desc(g.name, g.help, g.labels)
	}
}

func (m *Metrics) vectors() []prometheus.Collector {
	return []prometheus.Collector{m.calls, m.errors, m.ambiguous, m.duration, m.attempts, m.opened, m.ended}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	for _, v := range m.vectors() {
		v.Collect(to)
	}
	m.mu.Lock()
	defer m.mu.Unlock() // a client that is closed meanwhile is counted once
	sum := m.past
	for _, c := range m.clients {
		sum = sum.add(c)
	}
	for i, c := range counters {
		to <- prometheus.MustNewConstMetric(m.desc(c.name, c.help, nil), prometheus.CounterValue, float64(sum[i]))
	}
	now := m.nowLocked()
	for _, g := range gauges {
		desc := m.desc(g.name, g.help, g.labels)
		for labels, value := range now[g.name] {
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels.values(len(g.labels))...)
		}
	}
}

// labels are the values of the at most two labels of a gauge.
type labels [2]string

func (l labels) values(n int) []string { return l[:n] }

// nowLocked returns the gauges, by their names and labels.
func (m *Metrics) nowLocked() map[string]map[labels]float64 {
	now := make(map[string]map[labels]float64)
	at := func(name string, l ...string) (map[labels]float64, labels) {
		if now[name] == nil {
			now[name] = make(map[labels]float64)
		}
		var key labels
		copy(key[:], l)
		return now[name], key
	}
	add := func(v float64, name string, l ...string) { g, key := at(name, l...); g[key] += v }
	most := func(v float64, name string, l ...string) { g, key := at(name, l...); g[key] = max(g[key], v) }
	least := func(v float64, name string, l ...string) {
		g, key := at(name, l...)
		if old, ok := g[key]; !ok || v < old {
			g[key] = v
		}
	}

	add(float64(len(m.clients)), "open")
	for _, c := range m.clients {
		for _, e := range c.Endpoints() {
			for _, role := range []balancer.Role{balancer.Active, balancer.Standby, balancer.Idle} {
				add(one(e.Role == role), "endpoint_role", e.Address, role.String())
			}
			add(one(e.State == connectivity.Ready), "endpoint_connected", e.Address)
			add(one(e.Demoted != nil), "endpoint_demoted", e.Address)
			add(one(e.Leader), "endpoint_leader", e.Address)
			most(e.Latency.Seconds(), "endpoint_latency_seconds", e.Address)
			if e.MemberID != 0 {
				add(1, "endpoint_info", e.Address, strconv.FormatUint(e.MemberID, 16))
			}
		}
		add(float64(len(c.ResolverErrors())), "unresolved_endpoints")
		s := c.Stats()
		add(float64(s.Watches.Open-s.Watches.Resuming-s.Watches.Paused), "watches", "current")
		add(float64(s.Watches.Resuming), "watches", "resuming")
		add(float64(s.Watches.Paused), "watches", "paused")
		add(float64(s.Watches.Buffered), "watch_buffered_events")
		most(s.Watches.Lag.Seconds(), "watch_lag_seconds")
		add(float64(s.Leases.Proven), "leases", "proven")
		add(float64(s.Leases.Kept-s.Leases.Proven), "leases", "unproven")
		if s.Leases.Proven > 0 {
			least(s.Leases.Remaining.Seconds(), "lease_remaining_seconds")
			least(s.Leases.RemainingPart, "lease_remaining_ratio")
		}
	}
	return now
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
