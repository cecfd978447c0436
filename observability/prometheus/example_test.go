package getcdprom_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	getcdprom "github.com/getcd/getcd/observability/prometheus"
)

func Example() {
	cluster := etcdtest.NewCluster(3) // in memory, for the example
	defer cluster.Close()
	cfg := client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()}

	metrics := getcdprom.New("orders")
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	registry.MustRegister(metrics)
	cfg.Observers = append(cfg.Observers, metrics)

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
	text, err := testutil.CollectAndFormat(registry, expfmt.TypeTextPlain, "getcd_client_calls_total")
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			fmt.Print(line)
		}
	}
	// Output:
	// getcd_client_calls_total{client="orders",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="ambiguous"} 0
	// getcd_client_calls_total{client="orders",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="error"} 0
	// getcd_client_calls_total{client="orders",grpc_method="Put",grpc_service="etcdserverpb.KV",outcome="ok"} 1
}
