package getcdotel

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/rpcconv"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
)

const scope = "github.com/getcd/getcd/observability/otel"

// Telemetry shows one client, or the sum of several. It is a client.Observer, for
// client.Config.Observers. Use New. It is safe for concurrent use.
type Telemetry struct {
	// Read-only after New.
	tracer       trace.Tracer
	propagator   propagation.TextMapPropagator
	name         []attribute.KeyValue // none or one
	duration     rpcconv.ClientCallDuration
	attempts     metric.Int64Counter
	streams      metric.Int64UpDownCounter
	observables  []observable
	registration metric.Registration

	sets sync.Map // of measured to metric.MeasurementOption

	mu      sync.Mutex
	clients []*client.Client // open ones
	past    totals           // of those that were closed; made by New
}

var _ client.Observer = (*Telemetry)(nil)

// New returns an observer that makes its tracer and its instruments at once. The error says
// what is wrong with an option, or is that of an instrument.
func New(opts ...Option) (*Telemetry, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	t := &Telemetry{
		tracer:     cfg.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		propagator: cfg.propagator,
		past:       make(totals, len(counters)),
	}
	if cfg.name != "" {
		t.name = []attribute.KeyValue{attribute.String("getcd.client.name", cfg.name)}
	}
	if err := t.instrument(cfg.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))); err != nil {
		return nil, err
	}
	return t, nil
}

// Close ends the metrics that are observed, such as the endpoints' states. Calls of clients that
// are still open go on to be recorded. It may be called more than once.
func (t *Telemetry) Close() error { return t.registration.Unregister() }

// ClientOpened implements client.Observer.
func (t *Telemetry) ClientOpened(c *client.Client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clients = append(t.clients, c)
}

// ClientClosed implements client.Observer. What the client has counted stays in the sums.
func (t *Telemetry) ClientClosed(c *client.Client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.past = t.past.add(c)
	t.clients = slices.DeleteFunc(t.clients, func(o *client.Client) bool { return o == c })
}

// span is the span of a call or an attempt, in the context that the observer has made. It is
// not taken from trace.SpanFromContext, where another observer may have its own.
type span struct{ trace.Span }

type (
	callKey    struct{ t *Telemetry }
	attemptKey struct{ t *Telemetry }
)

// BeginCall implements client.Observer.
func (t *Telemetry) BeginCall(ctx context.Context, c *client.Call) context.Context {
	if c.Stream {
		t.streams.Add(ctx, 1, t.set(measured{method: method(c.Method)}))
		if !trace.SpanContextFromContext(ctx).IsValid() {
			return ctx
		}
	}
	name := method(c.Method)
	ctx, s := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(c.Began),
		trace.WithAttributes(semconv.RPCSystemNameGRPC, semconv.RPCMethod(name)), trace.WithAttributes(t.name...))
	return context.WithValue(ctx, callKey{t}, &call{Span: s})
}

// call is a call that has a span.
type call struct {
	trace.Span
	mu       sync.Mutex
	endpoint string // of the last attempt that was not superseded
}

// EndCall implements client.Observer.
func (t *Telemetry) EndCall(ctx context.Context, c *client.Call, err error) {
	code, name := codeName(err), method(c.Method)
	outcome := outcomeOf(err)
	if c.Stream {
		t.streams.Add(ctx, -1, t.set(measured{method: name}))
	} else {
		t.duration.Inst().Record(ctx, time.Since(c.Began).Seconds(), t.set(measured{method: name, code: code, outcome: outcome, failed: err != nil, system: true}))
	}
	s, ok := ctx.Value(callKey{t}).(*call)
	if !ok {
		return
	}
	if s.IsRecording() {
		s.SetAttributes(semconv.RPCResponseStatusCode(code), attribute.Int("getcd.attempts", c.Attempts), attribute.String("getcd.outcome", outcome))
		s.mu.Lock()
		s.SetAttributes(server(s.endpoint)...)
		s.mu.Unlock()
		fail(s, code, err)
	}
	s.End()
}

// BeginAttempt implements client.Observer.
func (t *Telemetry) BeginAttempt(ctx context.Context, a *client.Attempt) context.Context {
	if _, ok := ctx.Value(callKey{t}).(*call); !ok {
		return ctx
	}
	name := "Attempt." + strings.ReplaceAll(method(a.Call.Method), "/", ".")
	ctx, s := t.tracer.Start(ctx, name, trace.WithTimestamp(a.Began), trace.WithAttributes(t.name...), trace.WithAttributes(
		semconv.RPCSystemNameGRPC, semconv.RPCMethod(method(a.Call.Method)),
		attribute.String("getcd.attempt.kind", kind(a)), attribute.Int("previous-rpc-attempts", a.Number-1)))
	return t.send(context.WithValue(ctx, attemptKey{t}, span{s}))
}

// EndAttempt implements client.Observer.
func (t *Telemetry) EndAttempt(ctx context.Context, a *client.Attempt, err error) {
	code := codeName(err)
	outcome := outcomeOf(err)
	if a.Superseded {
		outcome = "superseded"
	}
	if !a.Call.Stream {
		t.attempts.Add(ctx, 1, t.set(measured{method: method(a.Call.Method), code: code, kind: kind(a), outcome: outcome}))
	}
	s, ok := ctx.Value(attemptKey{t}).(span)
	if !ok {
		return
	}
	if c, ok := ctx.Value(callKey{t}).(*call); ok && !a.Superseded && a.Endpoint != "" {
		c.mu.Lock()
		c.endpoint = a.Endpoint
		c.mu.Unlock()
	}
	if s.IsRecording() {
		s.SetAttributes(semconv.RPCResponseStatusCode(code))
		s.SetAttributes(server(a.Endpoint)...)
		if a.Superseded {
			s.SetAttributes(attribute.Bool("getcd.attempt.superseded", true))
		} else {
			fail(s, code, err)
		}
	}
	s.End()
}

// send adds the context of the span to the outgoing metadata.
func (t *Telemetry) send(ctx context.Context) context.Context {
	carrier := propagation.MapCarrier{}
	t.propagator.Inject(ctx, carrier)
	if len(carrier) == 0 {
		return ctx
	}
	md, _ := metadata.FromOutgoingContext(ctx) // a copy
	md = metadata.Join(md)
	for _, key := range carrier.Keys() {
		md.Set(key, carrier.Get(key))
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// fail marks a span as failed, unless err is nil.
func fail(s trace.Span, code string, err error) {
	if err != nil {
		s.SetAttributes(semconv.ErrorTypeKey.String(code))
		s.SetStatus(codes.Error, status.Convert(err).Message())
	}
}

func kind(a *client.Attempt) string {
	switch {
	case a.Hedge:
		return "hedge"
	case a.Number > 1:
		return "retry"
	}
	return "first"
}

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case client.IsAmbiguous(err):
		return "ambiguous"
	}
	return "error"
}

// server returns the attributes of an endpoint.
func server(endpoint string) []attribute.KeyValue {
	if endpoint == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(endpoint)
	if n, numeric := strconv.Atoi(port); err == nil && numeric == nil {
		return []attribute.KeyValue{semconv.ServerAddress(host), semconv.ServerPort(n)}
	}
	return []attribute.KeyValue{semconv.ServerAddress(endpoint)} // a socket's path
}

// method is rpc.method: the full name, or _OTHER for what is not etcd's, so that the number of
// values is bounded whatever a program calls.
func method(full string) string {
	full = strings.TrimPrefix(full, "/")
	if slices.ContainsFunc([]string{"etcdserverpb.", "v3lockpb.", "v3electionpb.", "grpc.health."}, func(known string) bool {
		return strings.HasPrefix(full, known)
	}) {
		return full
	}
	return "_OTHER"
}

// codeNames are the names of gRPC's codes in the conventions.
var codeNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
	"DATA_LOSS", "UNAUTHENTICATED",
}

func codeName(err error) string {
	if c := int(status.Code(err)); c < len(codeNames) {
		return codeNames[c]
	}
	return "UNKNOWN"
}
