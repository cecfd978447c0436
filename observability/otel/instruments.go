package getcdotel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/rpcconv"
	"google.golang.org/grpc/connectivity"

	"github.com/getcd/getcd/client"
)

const prefix = "getcd.client."

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

// counters are the instruments that come from Client.Counters and the like.
var counters = []struct {
	name, unit, help string
	value            func(reading) uint64
}{
	{"hedges", "{attempt}", "Reads that were sent to a second member because the first was late.", func(r reading) uint64 { return r.Hedges }},
	{"logins", "{login}", "Tokens that were asked for.", func(r reading) uint64 { return r.Logins }},
	{"resolutions", "{resolution}", "Resolutions of configured endpoints.", func(r reading) uint64 { return r.Resolutions }},
	{"dials", "{attempt}", "Connections that were attempted.", func(r reading) uint64 { return r.Dials }},
	{"failovers", "{failover}", "Changes of the active endpoint to another one.", func(r reading) uint64 { return r.Failovers }},
	{"probes", "{probe}", "Times that an endpoint was probed because it was late.", func(r reading) uint64 { return r.Probes }},
	{"doubts", "{doubt}", "Times that new requests left an endpoint because it answered a probe later than another one.", func(r reading) uint64 { return r.Doubts }},
	{"demotions", "{demotion}", "Times that an endpoint was found unable to serve.", func(r reading) uint64 { return r.Demotions }},
	{"severed_connections", "{connection}", "Connections that were left because their member was silent.", func(r reading) uint64 { return r.Severed }},
	{"handed_over_connections", "{connection}", "Healthy connections that were left with calls in flight.", func(r reading) uint64 { return r.HandedOver }},
	{"given_up_calls", "{call}", "Writes that the client stopped waiting for. Their errors are ambiguous.", func(r reading) uint64 { return r.GivenUp }},
	{"leases_lost", "{lease}", "Leases that could not be kept: they can't be proven to live any longer, or the cluster has them no more.", func(r reading) uint64 { return r.lost }},
}

// numbers are the instruments that can be summed over clients.
var numbers = []struct{ name, unit, help string }{
	{"open", "{client}", "Clients that are open."},
	{"endpoints", "{endpoint}", "Endpoints, by getcd.endpoint.role: active, standby or idle."},
	{"endpoints.connected", "{endpoint}", "Endpoints that are connected."},
	{"endpoints.demoted", "{endpoint}", "Endpoints that are connected and not used, since they can't serve or are slow."},
	{"endpoints.unresolved", "{endpoint}", "Configured endpoints that can't be resolved at present."},
	{"watches", "{watch}", "Open watches, by getcd.watch.state: current, resuming (on no stream) or paused (the buffer is full)."},
	{"watch.buffered", "{event}", "Events that wait for the consumers of watches."},
	{"leases", "{lease}", "Leases that are kept alive, by getcd.lease.state: proven or, before their first renewal, unproven."},
}

// extremes are the instruments of which the worst client counts.
var extremes = []struct{ name, unit, help string }{
	{"endpoint.latency", "s", "Moving average of the time that the endpoint's answers take."},
	{"watch.lag", "s", "For how long the watch that is furthest behind has been so."},
	{"lease.remaining", "s", "Time until the nearest deadline of a kept lease. Absent without leases."},
	{"lease.remaining.ratio", "1", "The least part of its time to live that is left to a kept lease: 0.5 or more while renewals work. Absent without leases."},
}

// observable tells one instrument's values.
type observable struct {
	instrument metric.Observable
	observe    func(metric.Observer, totals, map[string]map[attribute.Distinct]sample)
}

// sample is a value with its attributes.
type sample struct {
	set   attribute.Set
	value float64
}

// instrument makes all instruments.
func (t *Telemetry) instrument(m metric.Meter) error {
	var err error
	if t.duration, err = rpcconv.NewClientCallDuration(m); err != nil {
		return err
	}
	if t.attempts, err = m.Int64Counter(prefix+"attempts", metric.WithUnit("{attempt}"),
		metric.WithDescription("RPCs that were made for requests, by getcd.attempt.kind (first, retry or hedge) and getcd.outcome.")); err != nil {
		return err
	}
	if t.streams, err = m.Int64UpDownCounter(prefix+"streams", metric.WithUnit("{stream}"),
		metric.WithDescription("Streams that are open, or being opened, such as those of watches and of lease renewals.")); err != nil {
		return err
	}
	for n, c := range counters {
		i, err := m.Int64ObservableCounter(prefix+c.name, metric.WithUnit(c.unit), metric.WithDescription(c.help))
		if err != nil {
			return err
		}
		set := metric.WithAttributeSet(attribute.NewSet(t.name...))
		t.observables = append(t.observables, observable{i, func(to metric.Observer, sum totals, _ map[string]map[attribute.Distinct]sample) {
			to.ObserveInt64(i, int64(sum[n]), set) //nolint:gosec // a counter does not come that far
		}})
	}
	for _, n := range numbers {
		i, err := m.Int64ObservableUpDownCounter(prefix+n.name, metric.WithUnit(n.unit), metric.WithDescription(n.help))
		if err != nil {
			return err
		}
		t.observables = append(t.observables, observable{i, func(to metric.Observer, _ totals, now map[string]map[attribute.Distinct]sample) {
			for _, s := range now[n.name] {
				to.ObserveInt64(i, int64(s.value), metric.WithAttributeSet(s.set))
			}
		}})
	}
	for _, e := range extremes {
		i, err := m.Float64ObservableGauge(prefix+e.name, metric.WithUnit(e.unit), metric.WithDescription(e.help))
		if err != nil {
			return err
		}
		t.observables = append(t.observables, observable{i, func(to metric.Observer, _ totals, now map[string]map[attribute.Distinct]sample) {
			for _, s := range now[e.name] {
				to.ObserveFloat64(i, s.value, metric.WithAttributeSet(s.set))
			}
		}})
	}
	instruments := make([]metric.Observable, len(t.observables))
	for i, o := range t.observables {
		instruments[i] = o.instrument
	}
	t.registration, err = m.RegisterCallback(t.observe, instruments...)
	return err
}

// observe is called at each collection.
func (t *Telemetry) observe(_ context.Context, to metric.Observer) error {
	t.mu.Lock()
	defer t.mu.Unlock() // a client that is closed meanwhile is counted once
	sum := t.past
	for _, c := range t.clients {
		sum = sum.add(c)
	}
	now := t.nowLocked()
	for _, o := range t.observables {
		o.observe(to, sum, now)
	}
	return nil
}

// nowLocked returns the values of numbers and extremes, by their names and attributes.
func (t *Telemetry) nowLocked() map[string]map[attribute.Distinct]sample {
	now := make(map[string]map[attribute.Distinct]sample)
	join := func(how func(old, v float64) float64, v float64, name string, attrs ...attribute.KeyValue) {
		set := attribute.NewSet(append(attrs, t.name...)...)
		if now[name] == nil {
			now[name] = make(map[attribute.Distinct]sample)
		}
		if old, ok := now[name][set.Equivalent()]; ok {
			v = how(old.value, v)
		}
		now[name][set.Equivalent()] = sample{set, v}
	}
	sum := func(old, v float64) float64 { return old + v }
	most := func(old, v float64) float64 { return max(old, v) }
	least := func(old, v float64) float64 { return min(old, v) }

	join(sum, float64(len(t.clients)), "open")
	for _, c := range t.clients {
		for _, e := range c.Endpoints() {
			at := server(e.Address)
			join(sum, 1, "endpoints", append(at, attribute.String("getcd.endpoint.role", e.Role.String()))...)
			join(sum, one(e.State == connectivity.Ready), "endpoints.connected", at...)
			join(sum, one(e.Demoted != nil), "endpoints.demoted", at...)
			join(most, e.Latency.Seconds(), "endpoint.latency", at...)
		}
		join(sum, float64(len(c.ResolverErrors())), "endpoints.unresolved")
		s := c.Stats()
		watches, leases := attribute.Key("getcd.watch.state"), attribute.Key("getcd.lease.state")
		join(sum, float64(s.Watches.Open-s.Watches.Resuming-s.Watches.Paused), "watches", watches.String("current"))
		join(sum, float64(s.Watches.Resuming), "watches", watches.String("resuming"))
		join(sum, float64(s.Watches.Paused), "watches", watches.String("paused"))
		join(sum, float64(s.Watches.Buffered), "watch.buffered")
		join(most, s.Watches.Lag.Seconds(), "watch.lag")
		join(sum, float64(s.Leases.Proven), "leases", leases.String("proven"))
		join(sum, float64(s.Leases.Kept-s.Leases.Proven), "leases", leases.String("unproven"))
		if s.Leases.Proven > 0 {
			join(least, s.Leases.Remaining.Seconds(), "lease.remaining")
			join(least, s.Leases.RemainingPart, "lease.remaining.ratio")
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

// measured is what the attributes of a measurement are made of. Empty strings are left out.
type measured struct {
	method, code, kind, outcome string
	failed, system              bool
}

// set returns the attributes of a measurement. They are kept, since there are few.
func (t *Telemetry) set(m measured) metric.MeasurementOption {
	if set, ok := t.sets.Load(m); ok {
		return set.(metric.MeasurementOption)
	}
	attrs := append([]attribute.KeyValue{semconv.RPCMethod(m.method)}, t.name...)
	add := func(key attribute.Key, value string) {
		if value != "" {
			attrs = append(attrs, key.String(value))
		}
	}
	add(semconv.RPCResponseStatusCodeKey, m.code)
	add("getcd.attempt.kind", m.kind)
	add("getcd.outcome", m.outcome)
	if m.failed {
		add(semconv.ErrorTypeKey, m.code)
	}
	if m.system {
		attrs = append(attrs, semconv.RPCSystemNameGRPC)
	}
	set := metric.WithAttributeSet(attribute.NewSet(attrs...))
	t.sets.Store(m, set)
	return set
}
