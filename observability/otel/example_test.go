package getcdotel_test

import (
	"context"
	"fmt"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	getcdotel "github.com/getcd/getcd/observability/otel"
)

func Example() {
	cluster := etcdtest.NewCluster(3) // in memory, for the example
	defer cluster.Close()
	cfg := client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()}

	// A program that has set otel's global providers needs no options.
	exporter := tracetest.NewInMemoryExporter()
	telemetry, err := getcdotel.New(
		getcdotel.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))),
		getcdotel.WithMeterProvider(sdkmetric.NewMeterProvider()))
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg.Observers = append(cfg.Observers, telemetry)

	c, err := client.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	if _, err := c.Put(context.Background(), "greeting", "hello"); err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range exporter.GetSpans() { // in the order of their ends
		fmt.Println(s.Name)
	}
	// Output:
	// Attempt.etcdserverpb.KV.Put
	// etcdserverpb.KV/Put
}
