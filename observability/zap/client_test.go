package getcdzap_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	getcdzap "github.com/getcd/getcd/observability/zap"
	"github.com/getcd/getcd/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A client's records come to zap with their levels, names and fields.
func TestClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 2)
		core, heard := observer.New(zap.InfoLevel)
		c, err := client.New(client.Config{
			Endpoints: cluster.Addrs(), Resolver: resolver.Options{KeepOrder: true}, DialOptions: cluster.DialOptions(),
			Logger: getcdzap.New(zap.New(core).Named("etcd")),
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cluster.Member(0).Kill()
		time.Sleep(time.Second)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		changes := heard.FilterMessage("etcd: active endpoint changed").FilterField(zap.String("to", "member-2:2379")).All()
		if len(changes) != 1 {
			t.Fatalf("got %v, want one record of the failover", heard.All())
		}
		e := changes[0]
		if e.Level != zap.InfoLevel || e.LoggerName != "etcd" || e.ContextMap()["from"] != "member-1:2379" || e.ContextMap()["cause"] == nil {
			t.Errorf("the record is %+v with %v", e.Entry, e.ContextMap())
		}
	})
}
