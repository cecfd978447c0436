package leasing_test

import (
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/clientv3/leasing"
	"github.com/getcd/getcd/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNewKV(t *testing.T) {
	c := etcdtest.Start(t, 1)
	cli, err := clientv3.New(clientv3.Config{
		Endpoints:   c.Addrs(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, _, err := leasing.NewKV(cli, ""); err == nil {
		t.Error("the empty prefix was accepted")
	}
	one, closeOne, err := leasing.NewKV(cli, "leasing/", concurrency.WithTTL(30))
	if err != nil {
		t.Fatal(err)
	}
	two, _, err := leasing.NewKV(cli, "leasing/")
	if err != nil {
		t.Fatal(err)
	}
	leasingKeys := func() []int64 {
		t.Helper()
		resp, err := cli.Get(ctx, "leasing/", clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		var leases []int64
		for _, kv := range resp.Kvs {
			leases = append(leases, kv.Lease)
		}
		return leases
	}
	if _, err := one.Get(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	owner := leasingKeys()
	if len(owner) != 1 {
		t.Fatalf("the leasing keys have the leases %x, want one", owner)
	}
	left, err := cli.TimeToLive(ctx, clientv3.LeaseID(owner[0]))
	if err != nil || left.GrantedTTL != 30 {
		t.Errorf("TimeToLive: %v, %v; want the option's 30 s", left, err)
	}
	if _, err := two.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	resp, err := one.Get(ctx, "k")
	if err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "v" {
		t.Errorf("Get: %v, %v; want v", resp, err)
	}
	if _, err := one.Get(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	closeOne()
	closeOne()
	if left := leasingKeys(); len(left) != 0 {
		t.Errorf("after its end leasing keys are left, of the leases %x", left)
	}
	if _, err := two.Get(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	// The client closes the second service; goleak checks that.
	if err := cli.Close(); err != nil {
		t.Error(err)
	}
	if _, err := two.Get(ctx, "other"); err == nil {
		t.Error("Get after the client's end has succeeded")
	}
}
