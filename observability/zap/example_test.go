package getcdzap_test

import (
	"context"
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	getcdzap "github.com/getcd/getcd/observability/zap"
)

func Example() {
	cluster := etcdtest.NewCluster(1) // in memory, for the example
	defer cluster.Close()
	cfg := client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()}

	core, records := observer.New(zap.InfoLevel) // or the program's own logger
	cfg.Logger = getcdzap.New(zap.New(core).Named("etcd"))
	c, err := client.Dial(context.Background(), cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Close(); err != nil { // the last record is written
		fmt.Println(err)
	}
	for _, r := range records.FilterMessage("etcd: active endpoint changed").All() {
		fmt.Println(r.LoggerName, r.Level, r.Message, r.ContextMap()["to"])
	}
	// Output: etcd info etcd: active endpoint changed member-1:2379
}
