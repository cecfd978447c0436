package integration_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	getcdotel "github.com/getcd/getcd/observability/otel"
	getcdprom "github.com/getcd/getcd/observability/prometheus"
)

// scrapedLines are the samples of a metric, as Prometheus scrapes them.
func scrapedLines(t *testing.T, reg prometheus.Collector, name string) string {
	t.Helper()
	text, err := testutil.CollectAndFormat(reg, expfmt.TypeTextPlain, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The active member of a real cluster is killed, and another one stopped: Prometheus shows a
// failover, the endpoints' states, calls and hedges, and OpenTelemetry the same in instruments
// and spans.
func TestObservabilityUnderFaults(t *testing.T) {
	t.Parallel()
	members := startCluster(t, cluster.Config{Size: 3})
	prom, reg := getcdprom.New("orders"), prometheus.NewPedanticRegistry()
	reg.MustRegister(prom)
	reader, spans := sdkmetric.NewManualReader(), tracetest.NewInMemoryExporter()
	telemetry, err := getcdotel.New(
		getcdotel.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))),
		getcdotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, client.Config{Endpoints: members.Endpoints(), Observers: []client.Observer{prom, telemetry}})
	if _, err := c.Put(timeout(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a standby", func() bool {
		return strings.Count(scrapedLines(t, reg, "getcd_client_endpoint_connected"), "} 1\n") == 2
	})

	killed := activeMember(t, c, members)
	before := c.Counters()
	if err := killed.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "that the killed member is not connected, and another one active", func() bool {
		connected, role := scrapedLines(t, reg, "getcd_client_endpoint_connected"), scrapedLines(t, reg, "getcd_client_endpoint_role")
		return strings.Contains(connected, `endpoint="`+killed.Endpoint()+`"} 0`) &&
			strings.Contains(role, `endpoint="`+killed.Endpoint()+`",role="active"} 0`) && strings.Contains(role, `role="active"} 1`)
	})
	if n := c.Counters().Failovers; n <= before.Failovers || !strings.Contains(scrapedLines(t, reg, "getcd_client_failovers_total"), `{client="orders"} `+strconv.FormatUint(n, 10)+"\n") {
		t.Errorf("%d failovers before, %d after, and Prometheus shows %s", before.Failovers, n, scrapedLines(t, reg, "getcd_client_failovers_total"))
	}
	if err := killed.Restart(timeout(t)); err != nil {
		t.Fatal(err)
	}
	if err := members.WaitHealthy(timeout(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a standby again", func() bool {
		return strings.Count(scrapedLines(t, reg, "getcd_client_endpoint_connected"), "} 1\n") == 2
	})

	// Reads go on while the active member is stopped: by a second copy.
	stopped := activeMember(t, c, members)
	if err := stopped.Pause(); err != nil {
		t.Fatal(err)
	}
	spans.Reset()
	eventually(t, "a hedged read", func() bool {
		if _, err := c.Get(timeout(t), "k"); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(scrapedLines(t, reg, "getcd_client_attempts_total"), `kind="hedge"`)
	})
	if err := stopped.Continue(); err != nil {
		t.Fatal(err)
	}
	wantHedgeSpan(t, spans.GetSpans())

	// A write that was given up or lost is ambiguous in both. A member that is known to be stalled by
	// then is not sent any, so that the write is not ambiguous.
	eventually(t, "a write that was sent to a stopped member", func() bool {
		if err := members.WaitHealthy(timeout(t)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Put(timeout(t), "k", "v"); err != nil {
			t.Fatal(err)
		}
		for _, m := range members.Members() {
			if err := m.Pause(); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, lost := c.Put(ctx, "k", "w")
		for _, m := range members.Members() {
			if err := m.Continue(); err != nil {
				t.Fatal(err)
			}
		}
		if lost == nil {
			t.Fatal("a write to stopped members was answered")
		}
		return client.IsAmbiguous(lost)
	})
	if got := scrapedLines(t, reg, "getcd_client_ambiguous_writes_total"); !strings.Contains(got, `{client="orders"} 1`) {
		t.Errorf("Prometheus shows %s, want an ambiguous write", got)
	}
	if n := otelCalls(t, reader, "ambiguous"); n != 1 {
		t.Errorf("OpenTelemetry has %d ambiguous calls, want 1", n)
	}
	i := slices.IndexFunc(spans.GetSpans(), func(s tracetest.SpanStub) bool {
		return s.Name == "etcdserverpb.KV/Put" && s.Status.Code == codes.Error && slices.Contains(s.Attributes, attribute.String("getcd.outcome", "ambiguous"))
	})
	if i < 0 {
		t.Errorf("no span of an ambiguous write in %+v", spans.GetSpans())
	}
}

// wantHedgeSpan wants a read whose second copy has won, as two attempts below one call.
func wantHedgeSpan(t *testing.T, all tracetest.SpanStubs) {
	t.Helper()
	for _, s := range all {
		if !slices.Contains(s.Attributes, attribute.String("getcd.attempt.kind", "hedge")) {
			continue
		}
		siblings := 0
		for _, o := range all {
			if o.Parent.SpanID() == s.Parent.SpanID() {
				siblings++
			}
		}
		if siblings >= 2 && s.Status.Code != codes.Error {
			return
		}
	}
	t.Errorf("no hedge beside its first copy in %+v", all)
}

// otelCalls is how many calls have an outcome.
func otelCalls(t *testing.T, reader *sdkmetric.ManualReader, outcome string) (n uint64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			d, ok := m.Data.(metricdata.Histogram[float64])
			if !ok || m.Name != "rpc.client.call.duration" {
				continue
			}
			for _, p := range d.DataPoints {
				if v, _ := p.Attributes.Value("getcd.outcome"); v.AsString() == outcome {
					n += p.Count
				}
			}
		}
	}
	return n
}
