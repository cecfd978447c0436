package clientv3_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/etcdtest"
)

// rig is a client of a fake cluster, in a synctest bubble.
type rig struct {
	*clientv3.Client

	t       *testing.T
	cluster *etcdtest.Cluster
}

func run(t *testing.T, members int, configure func(*clientv3.Config), test func(r *rig)) {
	t.Helper()
	runWith(t, members, configure, func(*client.Config) {}, test)
}

func runWith(t *testing.T, members int, configure func(*clientv3.Config), change func(*client.Config), test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, members)
		cfg := clientv3.Config{Endpoints: c.Addrs(), DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())}}
		if configure != nil {
			configure(&cfg)
		}
		cli, err := clientv3.NewWith(cfg, change)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cli.Close() })
		synctest.Wait()
		test(&rig{Client: cli, t: t, cluster: c})
	})
}

// each calls do for every member.
func (r *rig) each(do func(*etcdtest.Member)) {
	for _, m := range r.cluster.Members() {
		do(m)
	}
}

// timeout returns the test's context with a time limit.
func (r *rig) timeout(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	r.t.Cleanup(cancel)
	return ctx
}
