package getcdotel_test

import (
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	getcdotel "github.com/getcd/getcd/observability/otel"
)

// What telemetry costs a call to a server in the same process: metrics alone, as when nothing
// is sampled, and with spans.
func BenchmarkObserved(b *testing.B) {
	of := func(tracers *sdktrace.TracerProvider) []client.Observer {
		t, err := getcdotel.New(getcdotel.WithTracerProvider(tracers), getcdotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))))
		if err != nil {
			b.Fatal(err)
		}
		return []client.Observer{t}
	}
	for name, observers := range map[string][]client.Observer{
		"none":    nil,
		"metrics": of(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))),
		"spans":   of(sdktrace.NewTracerProvider()),
	} {
		b.Run(name, func(b *testing.B) {
			cluster := etcdtest.Start(b, 1)
			c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions(), Observers: observers})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Put(b.Context(), "k", "v"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
