package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
)

// gRPC's stats handlers, given as DialOptions, see each attempt as one RPC:
// those that are refused, hedges, and streams.
func TestStatsHandlersSeeEveryAttempt(t *testing.T) {
	m := newMeter()
	withMeter := func(c *client.Config) { c.DialOptions = append(c.DialOptions, grpc.WithStatsHandler(m)) }
	run(t, 3, withMeter, func(r *rig) {
		t := r.t
		const read = pb.KV_Range_FullMethodName
		expect := func(what, method string, began, failed int) {
			t.Helper()
			synctest.Wait()
			if b, f := m.count(method); b != began || f != failed {
				t.Errorf("%s: seen %d attempts, %d of them failed; want %d, %d failed", what, b, f, began, failed)
			}
			if seen, counted := m.total(), r.Counters().Attempts; seen != counted {
				t.Errorf("%s: seen %d attempts in all, want the %d that the client has counted", what, seen, counted)
			}
		}
		r.warm() // 10 reads
		expect("reads", read, 10, 0)

		ctx, cancel := context.WithCancel(t.Context())
		watch := r.Watch(ctx, "k")
		synctest.Wait()
		expect("a watch", pb.Watch_Watch_FullMethodName, 1, 0)

		cancel()
		for range watch {
			continue // until it is closed
		}

		r.cluster.Member(0).Hang()
		if _, err := r.get(r.timeout(time.Minute)); err != nil {
			t.Fatal(err)
		}
		expect("a hedged read", read, 12, 1)
		r.cluster.Member(0).Resume()

		for _, m := range r.cluster.Members() {
			if m.Addr() == r.active() {
				m.SetNoLeader(true)
			}
		}
		if _, err := r.get(r.timeout(time.Minute)); err != nil {
			t.Fatal(err)
		}
		expect("a read that one member refused", read, 14, 2)
	})
}
