package getcdprom

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
)

// Metrics shows one client, or the sum of several that have the same name. It is a
// prometheus.Collector, to be registered by the program, and a client.Observer, for
// client.Config.Observers. Use New. It is safe for concurrent use.
type Metrics struct {
	name      string
	calls     *prometheus.CounterVec
	errors    *prometheus.CounterVec
	ambiguous prometheus.Counter // also in calls; this one begins at 0, so that rates see the first
	duration  *prometheus.HistogramVec
	attempts  *prometheus.CounterVec
	opened    *prometheus.CounterVec
	ended     *prometheus.CounterVec

	mu      sync.Mutex
	clients []*client.Client // open ones
	past    totals           // of those that were closed; made by New
}

var (
	_ client.Observer      = (*Metrics)(nil)
	_ prometheus.Collector = (*Metrics)(nil)
)

// buckets are those of the latency, in seconds: from a member on the same machine to the
// longest election.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// New returns the metrics of the clients with that name, which is the value of the label
// client. Different Metrics of one registry need different names, or registering the second
// is an error. The name may be empty if there is one. A name that is not valid UTF-8 is an
// error when the metrics are registered.
func New(name string) *Metrics {
	labels := prometheus.Labels{"client": name}
	counter := func(name, help string, variable ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help, ConstLabels: labels}, variable)
	}
	return &Metrics{
		name: name,
		past: make(totals, len(counters)),
		calls: counter("calls_total", "Requests that have ended, by their outcome: ok, error (certainly not applied) or ambiguous (a write that may have been applied).",
			"grpc_service", "grpc_method", "outcome"),
		errors: counter("call_errors_total", "Requests that have ended in an error, by its code.",
			"grpc_service", "grpc_method", "grpc_code"),
		ambiguous: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "ambiguous_writes_total", ConstLabels: labels,
			Help: "Writes that may or may not have been applied: the calls with the outcome ambiguous.",
		}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "call_duration_seconds", Help: "How long requests took, with all their attempts.",
			ConstLabels: labels, Buckets: buckets,
		}, []string{"grpc_service", "grpc_method"}),
		attempts: counter("attempts_total", "RPCs that were made for requests. The kind is first, retry or hedge; the outcome ok, error, or superseded when another copy was answered first.",
			"grpc_service", "grpc_method", "grpc_code", "kind", "outcome"),
		opened: counter("streams_opened_total", "Streams that were asked for, such as those of watches and of lease renewals.", "grpc_service", "grpc_method"),
		ended:  counter("streams_ended_total", "Streams that have ended. Those that nobody reads any more have the code Canceled.", "grpc_service", "grpc_method", "grpc_code"),
	}
}

// ClientOpened implements client.Observer.
func (m *Metrics) ClientOpened(c *client.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clients = append(m.clients, c)
}

// ClientClosed implements client.Observer. What the client has counted stays in the sums.
func (m *Metrics) ClientClosed(c *client.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.past = m.past.add(c)
	m.clients = slices.DeleteFunc(m.clients, func(o *client.Client) bool { return o == c })
}

// The outcomes of calls.
const (
	ok        = "ok"
	failed    = "error"
	ambiguous = "ambiguous"
)

// BeginCall implements client.Observer. It makes a method's counters, so that they begin at 0
// and the first error is an increase.
func (m *Metrics) BeginCall(ctx context.Context, c *client.Call) context.Context {
	service, method := split(c.Method)
	if c.Stream {
		m.opened.WithLabelValues(service, method).Inc()
		return ctx
	}
	for _, outcome := range []string{ok, failed, ambiguous} {
		m.calls.WithLabelValues(service, method, outcome)
	}
	return ctx
}

// EndCall implements client.Observer.
func (m *Metrics) EndCall(_ context.Context, c *client.Call, err error) {
	service, method := split(c.Method)
	code := status.Code(err).String()
	if c.Stream {
		m.ended.WithLabelValues(service, method, code).Inc()
		return
	}
	outcome := ok
	if err != nil {
		outcome = failed
		m.errors.WithLabelValues(service, method, code).Inc()
	}
	if client.IsAmbiguous(err) {
		outcome = ambiguous
		m.ambiguous.Inc()
	}
	m.calls.WithLabelValues(service, method, outcome).Inc()
	m.duration.WithLabelValues(service, method).Observe(time.Since(c.Began).Seconds())
}

// BeginAttempt implements client.Observer.
func (m *Metrics) BeginAttempt(ctx context.Context, _ *client.Attempt) context.Context { return ctx }

// EndAttempt implements client.Observer.
func (m *Metrics) EndAttempt(_ context.Context, a *client.Attempt, err error) {
	if a.Call.Stream {
		return
	}
	service, method := split(a.Call.Method)
	kind := "first"
	switch {
	case a.Hedge:
		kind = "hedge"
	case a.Number > 1:
		kind = "retry"
	}
	outcome := ok
	switch {
	case a.Superseded:
		outcome = "superseded"
	case err != nil:
		outcome = failed
	}
	m.attempts.WithLabelValues(service, method, status.Code(err).String(), kind, outcome).Inc()
}

// split returns the labels of a method's full name. Methods that are not etcd's have one pair
// together, so that their number is bounded whatever a program calls.
func split(full string) (service, method string) {
	service, method, whole := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	for _, known := range []string{"etcdserverpb.", "v3lockpb.", "v3electionpb.", "grpc.health."} {
		if whole && strings.HasPrefix(service, known) {
			return service, method
		}
	}
	return "other", "other"
}
