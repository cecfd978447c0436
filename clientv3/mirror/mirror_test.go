package mirror_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/mirror"
	"github.com/getcd/getcd/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// filled returns a client of a cluster with 2000 keys.
func filled(t *testing.T) *clientv3.Client {
	t.Helper()
	c := etcdtest.Start(t, 1)
	cli, err := clientv3.New(clientv3.Config{
		Endpoints:   c.Addrs(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cli.Close() })
	for i := range 20 {
		var puts []clientv3.Op
		for j := range 100 {
			puts = append(puts, clientv3.OpPut(fmt.Sprintf("k%d", i*100+j), "v"))
		}
		if _, err := cli.Txn(t.Context()).Then(puts...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	return cli
}

// Consumers read until More is false.
func TestSyncBaseMore(t *testing.T) {
	cli := filled(t)
	for _, prefix := range []string{"k", ""} {
		parts, errs := mirror.NewSyncer(cli, prefix, 0).SyncBase(t.Context())
		keys, n := 0, 0
		for part := range parts {
			keys += len(part.Kvs)
			if n++; part.More != (keys < 2000) || part.Header.GetRevision() == 0 {
				t.Errorf("part %d of %q, with %d keys by now, has More %v and the revision %d", n, prefix, keys, part.More, part.Header.GetRevision())
			}
		}
		if err := <-errs; err != nil || keys != 2000 || n < 2 {
			t.Errorf("%d keys in %d parts of %q, %v; want 2000 in more than one", keys, n, prefix, err)
		}
	}
}

// A program may wait for the error before it reads the parts.
func TestSyncBaseErrorFirst(t *testing.T) {
	cli := filled(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	parts, errs := mirror.NewSyncer(cli, "", 0).SyncBase(ctx)
	if err := <-errs; err != nil {
		t.Errorf("got %v before a part was read, want none", err)
	}
	keys := 0
	for part := range parts {
		keys += len(part.Kvs)
	}
	if keys != 2000 {
		t.Errorf("got %d keys, want 2000", keys)
	}
}
