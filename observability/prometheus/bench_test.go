package getcdprom_test

import (
	"testing"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	getcdprom "github.com/getcd/getcd/observability/prometheus"
)

// What metrics cost a call to a server in the same process.
func BenchmarkObserved(b *testing.B) {
	for name, observers := range map[string][]client.Observer{"none": nil, "prometheus": {getcdprom.New("x")}} {
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
