package integration_test

import (
	"math"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/proxy"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// A message that takes longer than the client's patience with a server does not
// count as silence: etcd's proxy sends a thousand revisions in one message. A
// getcd connection sees the bytes arrive; on another connection, each attempt
// waits longer.
func TestWatchCatchesUpOnASlowLine(t *testing.T) {
	long(t)
	c, p := behindProxy(t)
	store := pb.NewKVClient(c.Members()[0].Control())
	const events, size, rate = 12, 500_000, 1_500_000 // 4 s
	for range events {
		if _, err := store.Put(timeout(t), &pb.PutRequest{Key: []byte("k"), Value: []byte(strings.Repeat("v", size))}); err != nil {
			t.Fatal(err)
		}
	}
	link, err := proxy.New(proxy.Config{Target: p.Endpoint()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = link.Close() })
	if err := link.SetLine(proxy.NewLine(rate, rate)); err != nil {
		t.Fatal(err)
	}
	plain, err := grpc.NewClient(link.Address(), append(checkedPlain(t), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plain.Close() })
	for name, conn := range map[string]grpc.ClientConnInterface{
		"getcd's": dial(t, client.Config{Endpoints: []string{link.Address()}}).Conn(),
		"plain":   plain,
	} {
		t.Run(name, func(t *testing.T) {
			w := watch.New(conn, watch.WithHeartbeat(500*time.Millisecond, 500*time.Millisecond))
			defer func() { _ = w.Close() }()
			seen := int64(0)
			for e, err := range w.Events(timeout(t), "k", kv.WithRev(2)) {
				if err != nil {
					t.Fatalf("after %d events: %v", seen, err)
				}
				if seen++; e.Kv.Version != seen {
					t.Fatalf("event %d is the key's version %d", seen, e.Kv.Version)
				}
				if seen == events {
					break
				}
			}
		})
	}
}
