package getcdotel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
	"google.golang.org/grpc/metadata"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/etcdtest"
	getcdotel "github.com/getcd/getcd/observability/otel"
	"github.com/getcd/getcd/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a client with spans and instruments that are kept in memory.
type rig struct {
	*client.Client

	t         *testing.T
	cluster   *etcdtest.Cluster
	telemetry *getcdotel.Telemetry
	spans     *tracetest.InMemoryExporter
	reader    *sdkmetric.ManualReader
	tracers   *sdktrace.TracerProvider
}

func run(t *testing.T, members int, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, cluster: etcdtest.Start(t, members), spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
		r.tracers = sdktrace.NewTracerProvider(sdktrace.WithSyncer(r.spans))
		var err error
		r.telemetry, err = getcdotel.New(
			getcdotel.WithTracerProvider(r.tracers),
			getcdotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))),
			getcdotel.WithPropagators(propagation.TraceContext{}),
			getcdotel.WithName("orders"))
		must(t, err)
		r.Client, err = client.New(client.Config{
			Endpoints: r.cluster.Addrs(), Resolver: resolver.Options{KeepOrder: true}, DialOptions: r.cluster.DialOptions(),
			Observers: []client.Observer{r.telemetry},
		})
		must(t, err)
		t.Cleanup(func() { _ = r.Close() })
		synctest.Wait()
		test(r)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// intercept has every member treat the first call of a method.
func (r *rig) intercept(method string, hook func(context.Context) error) {
	var done atomic.Bool
	for _, m := range r.cluster.Members() {
		m.Intercept(func(ctx context.Context, called string, _ any, next func() (any, error)) (any, error) {
			if called == method && !done.Swap(true) {
				if err := hook(ctx); err != nil {
					return nil, err
				}
			}
			return next()
		})
	}
}

func refuse(err error) func(context.Context) error { return func(context.Context) error { return err } }

// tree prints the spans since it was called last, each below its parent, by their beginnings,
// with the attributes that the test asks for.
func (r *rig) tree(keys ...attribute.Key) string {
	all := r.spans.GetSpans()
	r.spans.Reset()
	slices.SortStableFunc(all, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	var b strings.Builder
	var below func(parent string, indent string)
	below = func(parent, indent string) {
		for _, s := range all {
			if s.Parent.SpanID().String() != parent {
				continue
			}
			fmt.Fprintf(&b, "%s%s %s %s", indent, s.Name, s.SpanKind, s.Status.Code)
			for _, k := range keys {
				for _, a := range s.Attributes {
					if a.Key == k {
						fmt.Fprintf(&b, " %s=%s", k, a.Value.String())
					}
				}
			}
			b.WriteString("\n")
			below(s.SpanContext.SpanID().String(), indent+"  ")
		}
	}
	below("0000000000000000", "")
	return b.String()
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if want = strings.TrimLeft(want, "\n"); got != want {
		t.Errorf("%s: got\n%swant\n%s", what, got, want)
	}
}

func put(ctx context.Context, c *client.Client) error {
	_, err := c.Put(ctx, "some/key", "v")
	return err
}

func TestSpans(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		must(t, put(t.Context(), r.Client))
		want(t, "a put", r.tree("rpc.system.name", "rpc.method", "rpc.response.status_code", "error.type", "server.address", "server.port", "getcd.outcome", "getcd.client.name"), `
etcdserverpb.KV/Put client Unset rpc.system.name=grpc rpc.method=etcdserverpb.KV/Put rpc.response.status_code=OK server.address=member-1 server.port=2379 getcd.outcome=ok getcd.client.name=orders
  Attempt.etcdserverpb.KV.Put internal Unset rpc.system.name=grpc rpc.method=etcdserverpb.KV/Put rpc.response.status_code=OK server.address=member-1 server.port=2379 getcd.client.name=orders
`)
		ctx, parent := r.tracers.Tracer("test").Start(t.Context(), "request")
		must(t, put(ctx, r.Client))
		parent.End()
		want(t, "a put in a trace", r.tree(), `
request internal Unset
  etcdserverpb.KV/Put client Unset
    Attempt.etcdserverpb.KV.Put internal Unset
`)
		r.intercept(pb.KV_Put_FullMethodName, refuse(rpctypes.ErrGRPCRequestTooManyRequests))
		must(t, put(t.Context(), r.Client))
		want(t, "a retry", r.tree("error.type", "getcd.attempts", "getcd.attempt.kind", "previous-rpc-attempts"), `
etcdserverpb.KV/Put client Unset getcd.attempts=2
  Attempt.etcdserverpb.KV.Put internal Error error.type=RESOURCE_EXHAUSTED getcd.attempt.kind=first previous-rpc-attempts=0
  Attempt.etcdserverpb.KV.Put internal Unset getcd.attempt.kind=retry previous-rpc-attempts=1
`)
		r.intercept(pb.KV_Range_FullMethodName, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		_, err := r.Get(t.Context(), "some/key")
		must(t, err)
		want(t, "a hedge", r.tree("rpc.response.status_code", "server.address", "getcd.attempt.kind", "getcd.attempt.superseded"), `
etcdserverpb.KV/Range client Unset rpc.response.status_code=OK server.address=member-2
  Attempt.etcdserverpb.KV.Range internal Unset rpc.response.status_code=CANCELLED server.address=member-1 getcd.attempt.kind=first getcd.attempt.superseded=true
  Attempt.etcdserverpb.KV.Range internal Unset rpc.response.status_code=OK server.address=member-2 getcd.attempt.kind=hedge
`)
		r.intercept(pb.KV_Put_FullMethodName, refuse(rpctypes.ErrGRPCTimeout))
		if err := put(t.Context(), r.Client); !client.IsAmbiguous(err) {
			t.Fatalf("got %v, want an ambiguous error", err)
		}
		all := r.spans.GetSpans()
		if got := all[len(all)-1].Status.Description; !strings.Contains(got, "etcd Put: etcdserver: request timed out (it may have been applied)") {
			t.Errorf("the description is %q, want the error's text", got)
		}
		want(t, "an ambiguous write", r.tree("error.type", "getcd.outcome"), `
etcdserverpb.KV/Put client Error error.type=UNAVAILABLE getcd.outcome=ambiguous
  Attempt.etcdserverpb.KV.Put internal Error error.type=UNAVAILABLE
`)
	})
}

// The attempt's context goes to the server, beside the caller's own metadata.
func TestPropagation(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		ctx, parent := r.tracers.Tracer("test").Start(t.Context(), "request")
		must(t, put(metadata.AppendToOutgoingContext(ctx, "mine", "yes"), r.Client))
		parent.End()
		md := r.cluster.Member(0).LastMetadata(pb.KV_Put_FullMethodName)
		i := slices.IndexFunc(r.spans.GetSpans(), func(s tracetest.SpanStub) bool { return strings.HasPrefix(s.Name, "Attempt.") })
		attempt := r.spans.GetSpans()[i].SpanContext
		if got, want := fmt.Sprint(md["traceparent"]), fmt.Sprintf("[00-%s-%s-01]", attempt.TraceID(), attempt.SpanID()); got != want {
			t.Errorf("traceparent is %s, want the attempt's %s", got, want)
		}
		if fmt.Sprint(md["mine"], md["hasleader"]) != "[yes] [true]" {
			t.Errorf("the metadata are %v, want the caller's and etcd's too", md)
		}
	})
}

// Streams that are shared have no span; one of a traced call has.
func TestStreamSpans(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		ctx, cancel := context.WithCancel(t.Context())
		r.Watch(ctx, "k")
		synctest.Wait()
		if got := r.number("getcd.client.streams", "rpc.method=etcdserverpb.Watch/Watch"); got != 1 {
			t.Errorf("%v streams are open, want 1", got)
		}
		cancel()
		synctest.Wait()
		if got := r.number("getcd.client.streams", "rpc.method=etcdserverpb.Watch/Watch"); got != 0 {
			t.Errorf("%v streams are open, want none", got)
		}
		want(t, "a watch", r.tree(), "")
		g, err := r.Grant(t.Context(), 10)
		must(t, err)
		r.spans.Reset()
		traced, parent := r.tracers.Tracer("test").Start(t.Context(), "request")
		_, err = r.KeepAliveOnce(traced, g.ID)
		must(t, err)
		synctest.Wait()
		parent.End()
		want(t, "KeepAliveOnce", strings.ReplaceAll(r.tree(), " Error", " Unset"), `
request internal Unset
  etcdserverpb.Lease/LeaseKeepAlive client Unset
    Attempt.etcdserverpb.Lease.LeaseKeepAlive internal Unset
`)
	})
}

// number is the value of a metric with an attribute, which is KEY=VALUE; NaN if there is none.
func (r *rig) number(name, attr string) float64 {
	r.t.Helper()
	var all metricdata.ResourceMetrics
	must(r.t, r.reader.Collect(context.Background(), &all))
	has := func(set attribute.Set) bool {
		return attr == "" || slices.ContainsFunc(set.ToSlice(), func(kv attribute.KeyValue) bool { return string(kv.Key)+"="+kv.Value.String() == attr })
	}
	sum, found := 0.0, false
	add := func(set attribute.Set, v float64) {
		if v0, ok := set.Value("getcd.client.name"); !ok || v0.AsString() != "orders" {
			r.t.Errorf("%s lacks the client's name: %v", name, set.ToSlice())
		}
		if has(set) {
			sum, found = sum+v, true
		}
	}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			if m.Name != name {
				continue
			}
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					add(p.Attributes, float64(p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					add(p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					add(p.Attributes, float64(p.Count))
				}
			default:
				r.t.Errorf("%s is a %T", name, d)
			}
		}
	}
	if !found {
		return -1
	}
	return sum
}

func TestInstruments(t *testing.T) {
	run(t, 3, func(r *rig) {
		t := r.t
		events := r.Watch(t.Context(), "some/key")
		synctest.Wait()
		must(t, put(t.Context(), r.Client))
		r.intercept(pb.KV_Put_FullMethodName, refuse(rpctypes.ErrGRPCTimeout))
		if err := put(t.Context(), r.Client); !client.IsAmbiguous(err) {
			t.Fatalf("got %v, want an ambiguous error", err)
		}
		r.intercept(pb.KV_Range_FullMethodName, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		_, err := r.Get(t.Context(), "some/key")
		must(t, err)
		g, err := r.Grant(t.Context(), 10)
		must(t, err)
		_, err = r.Keep(t.Context(), g.ID)
		must(t, err)
		time.Sleep(time.Second) // less than until the first renewal
		synctest.Wait()
		check := func(name, attr string, want float64) {
			t.Helper()
			if got := r.number(name, attr); got < want-1e-9 || got > want+1e-9 {
				t.Errorf("%s with %s is %v, want %v", name, attr, got, want)
			}
		}
		check("rpc.client.call.duration", "getcd.outcome=ok", 3)
		check("rpc.client.call.duration", "getcd.outcome=ambiguous", 1)
		check("rpc.client.call.duration", "error.type=UNAVAILABLE", 1)
		check("rpc.client.call.duration", "rpc.method=etcdserverpb.KV/Put", 2)
		check("rpc.client.call.duration", "rpc.system.name=grpc", 4)
		check("getcd.client.attempts", "getcd.attempt.kind=hedge", 1)
		check("getcd.client.attempts", "getcd.outcome=superseded", 1)
		check("getcd.client.hedges", "", 1)
		check("getcd.client.failovers", "", 0)
		check("getcd.client.open", "", 1)
		check("getcd.client.endpoints", "getcd.endpoint.role=active", 1)
		check("getcd.client.endpoints", "getcd.endpoint.role=idle", 1)
		check("getcd.client.endpoints.connected", "", 2)
		check("getcd.client.endpoints.demoted", "server.address=member-1", 0)
		check("getcd.client.watches", "getcd.watch.state=current", 1)
		check("getcd.client.watch.lag", "", 1.1) // of the put, before the hedge's 100 ms
		check("getcd.client.leases", "getcd.lease.state=proven", 1)
		check("getcd.client.lease.remaining", "", 8)
		check("getcd.client.lease.remaining.ratio", "", 0.8)
		check("getcd.client.endpoints.unresolved", "", 0)
		<-events
		r.cluster.Member(0).Kill()
		time.Sleep(time.Second)
		synctest.Wait()
		check("getcd.client.failovers", "", 1)
		check("getcd.client.endpoints.connected", "server.address=member-1", 0)
		check("getcd.client.watch.lag", "", 0)

		if err := r.Conn().Invoke(t.Context(), "/a.B/C", &pb.RangeRequest{}, &pb.RangeResponse{}); err == nil {
			t.Error("a method that is not etcd's succeeded")
		}
		check("rpc.client.call.duration", "rpc.method=_OTHER", 1)

		must(t, r.Close())
		check("getcd.client.open", "", 0)
		check("getcd.client.failovers", "", 1)
		must(t, r.telemetry.Close())
		if got := r.number("getcd.client.failovers", ""); got != -1 {
			t.Errorf("closed, the failovers are %v, want none", got)
		}
	})
}

func TestFacade(t *testing.T) {
	cluster, reader := etcdtest.Start(t, 1), sdkmetric.NewManualReader()
	telemetry, err := getcdotel.New(getcdotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))), getcdotel.WithName("orders"))
	must(t, err)
	c, err := clientv3.NewWith(
		clientv3.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()},
		func(n *client.Config) { n.Observers = append(n.Observers, telemetry) })
	must(t, err)
	defer c.Close()
	c.Watch(t.Context(), "k")
	_, err = c.Put(t.Context(), "k", "v")
	must(t, err)
	r := &rig{t: t, reader: reader}
	if puts, watches := r.number("rpc.client.call.duration", "rpc.method=etcdserverpb.KV/Put"), r.number("getcd.client.watches", "getcd.watch.state=current"); puts != 1 || watches != 1 {
		t.Errorf("%v puts and %v watches, want 1 and 1", puts, watches)
	}
}

func TestMisuse(t *testing.T) {
	_, err := getcdotel.New(nil, getcdotel.WithTracerProvider(nil), getcdotel.WithMeterProvider(nil), getcdotel.WithPropagators(nil))
	for _, want := range []string{"option 1 is nil", "WithTracerProvider", "WithMeterProvider", "WithPropagators"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want that %s", err, want)
		}
	}
	if errors.Unwrap(err) != nil {
		t.Error("one mistake hides the others")
	}
}

// The page lists the instruments as they are: name, unit, description.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/observability.md")
	must(t, err)
	run(t, 1, func(r *rig) {
		t := r.t
		r.Watch(t.Context(), "k")
		must(t, put(t.Context(), r.Client))
		g, err := r.Grant(t.Context(), 10)
		must(t, err)
		_, err = r.Keep(t.Context(), g.ID)
		must(t, err)
		var all metricdata.ResourceMetrics
		must(t, r.reader.Collect(t.Context(), &all))
		count := 0
		for _, s := range all.ScopeMetrics {
			for _, m := range s.Metrics {
				count++
				if row := "\n| `" + m.Name + "` | `" + m.Unit + "` | " + m.Description + " |"; !strings.Contains(string(page), row) {
					t.Errorf("the page lacks%s", row)
				}
			}
		}
		if n := strings.Count(string(page), "\n| `getcd.client.") + strings.Count(string(page), "\n| `rpc.client."); n != count {
			t.Errorf("the page has %d instruments, want the %d that there are", n, count)
		}
	})
}
