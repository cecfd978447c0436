package integration_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/grpcproxy"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/watch"
)

// behindProxy starts a cluster of one member with etcd's gRPC proxy in front of
// it.
func behindProxy(tb testing.TB) (*cluster.Cluster, *grpcproxy.Proxy) {
	tb.Helper()
	c := startCluster(tb, cluster.Config{Size: 1})
	p, err := grpcproxy.Start(timeout(tb), grpcproxy.Config{Endpoints: c.Endpoints()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the proxy's log ends with:\n%.4000s", p.Log())
		}
		if err := p.Stop(); err != nil {
			tb.Errorf("stopping the proxy: %v", err)
		}
	})
	return c, p
}

// next returns the next response of a watch that has events.
func next(tb testing.TB, ctx context.Context, ch watch.WatchChan) watch.WatchResponse { //nolint:revive // tb first, as in package testing
	tb.Helper()
	for {
		select {
		case resp, ok := <-ch:
			switch {
			case !ok:
				tb.Fatal("the channel is closed")
			case resp.Err() != nil:
				tb.Fatalf("the watch ended: %v", resp.Err())
			case len(resp.Events) > 0:
				return resp
			}
		case <-ctx.Done():
			tb.Fatal("no event")
		}
	}
}

// Watches through a gRPC proxy get their own events, in whatever order the proxy
// confirms them: it confirms a watch that joins another one at once.
func TestGRPCProxyWatches(t *testing.T) {
	_, p := behindProxy(t)
	cl := dial(t, client.Config{Endpoints: []string{p.Endpoint()}})
	ctx := timeout(t)
	// Some of them are heartbeats, whose creation is confirmed as well.
	w := watch.New(cl.Conn(), watch.WithHeartbeat(100*time.Millisecond, 10*time.Second))
	defer func() { _ = w.Close() }()
	const n, shared = 200, 10
	key := func(i int) string {
		if i%4 == 0 {
			return fmt.Sprint("shared", i/4%shared)
		}
		return fmt.Sprint("own", i)
	}
	var rev int64
	for i := range shared {
		resp, err := cl.Put(ctx, fmt.Sprint("shared", i), "")
		if err != nil {
			t.Fatal(err)
		}
		rev = resp.Header.Revision
	}
	for i := range shared {
		ch := w.Watch(ctx, fmt.Sprint("shared", i), kv.WithRev(rev+1), kv.WithCreatedNotify())
		<-ch
	}
	for round := range 3 {
		chans := make([]watch.WatchChan, n)
		for i := range chans {
			chans[i] = w.Watch(ctx, key(i), kv.WithRev(rev+1))
		}
		value := fmt.Sprint(round)
		puts := make(map[string]int64)
		for i := range chans {
			if puts[key(i)] != 0 {
				continue
			}
			resp, err := cl.Put(ctx, key(i), value)
			if err != nil {
				t.Fatal(err)
			}
			rev = resp.Header.Revision
			puts[key(i)] = rev
		}
		wrong := 0
		for i, ch := range chans {
			e := next(t, ctx, ch).Events[0]
			if string(e.Kv.Key) != key(i) || e.Kv.ModRevision != puts[key(i)] {
				wrong++
				t.Logf("round %d: the watch of %s got %s of revision %d", round, key(i), e.Kv.Key, e.Kv.ModRevision)
			}
		}
		if wrong > 0 {
			t.Fatalf("round %d: %d of %d watches got another's event", round, wrong, n)
		}
	}
}

// A watch after a compacted one gets its events, and Follow continues.
func TestGRPCProxyCompacted(t *testing.T) {
	_, p := behindProxy(t)
	cl := dial(t, client.Config{Endpoints: []string{p.Endpoint()}})
	ctx := timeout(t)
	var rev int64
	put := func(value string) {
		t.Helper()
		resp, err := cl.Put(ctx, "k", value)
		if err != nil {
			t.Fatal(err)
		}
		rev = resp.Header.Revision
	}
	for range 5 {
		put("old")
	}
	if _, err := cl.Compact(ctx, rev); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		ch := cl.Watch(ctx, "k", kv.WithRev(2))
		resp := <-ch
		if !errors.Is(resp.Err(), rpctypes.ErrCompacted) {
			t.Fatalf("got %v, want that the revision is compacted", resp.Err())
		}
		ch = cl.Watch(ctx, "k", kv.WithRev(rev+1), kv.WithCreatedNotify())
		<-ch
		put("new")
		if got := next(t, ctx, ch).Events[0].Kv.ModRevision; got != rev {
			t.Errorf("got revision %d, want %d", got, rev)
		}
	}
}

// The proxy's invented headers are not trusted: watches continue when the proxy
// comes back, even though the revision in such a header is in the future.
func TestGRPCProxyRestarted(t *testing.T) {
	_, p := behindProxy(t)
	cl := dial(t, client.Config{Endpoints: []string{p.Endpoint()}})
	ctx := timeout(t)
	resp, err := cl.Put(ctx, "k", "0")
	if err != nil {
		t.Fatal(err)
	}
	rev := resp.Header.Revision
	var chans []watch.WatchChan
	for range 4 { // the later ones join the first, and get a revision in the future
		ch := cl.Watch(ctx, "k", kv.WithRev(rev+1), kv.WithCreatedNotify())
		<-ch
		chans = append(chans, ch)
	}
	for i := range 3 {
		if err := p.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		<-cl.Watch(ctx, "other", kv.WithCreatedNotify()) // after the others, on their stream
		if _, err := cl.Get(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		resp, err := cl.Put(ctx, "k", fmt.Sprint(i+1))
		if err != nil {
			t.Fatal(err)
		}
		for j, ch := range chans {
			if got := next(t, ctx, ch).Events; len(got) != 1 || got[0].Kv.ModRevision != resp.Header.Revision {
				t.Errorf("watch %d after restart %d: got %v, want revision %d", j, i, got, resp.Header.Revision)
			}
		}
	}
}

// The proxy does not answer progress requests and logs each of them as an error.
// The client soon stops sending them, and the stream stays where it is.
func TestGRPCProxyProgress(t *testing.T) {
	_, p := behindProxy(t)
	cl := dial(t, client.Config{Endpoints: []string{p.Endpoint()}})
	ctx := timeout(t)
	const beat = 50 * time.Millisecond
	w := watch.New(cl.Conn(), watch.WithHeartbeat(beat, 10*time.Second))
	defer func() { _ = w.Close() }()
	ch := w.Watch(ctx, "k", kv.WithCreatedNotify())
	<-ch
	eventually(t, "RequestProgress says that it is of no use", func() bool {
		return errors.Is(w.RequestProgress(ctx), errors.ErrUnsupported)
	})
	const refusal = "not supported request type"
	<-w.Watch(ctx, "other", kv.WithCreatedNotify()) // after all requests before it, on their stream
	before := p.Logged(refusal)
	time.Sleep(20 * beat) // heartbeats continue
	if after := p.Logged(refusal); after != before {
		t.Errorf("got %d more progress requests in 20 heartbeats, want none", after-before)
	}
	if _, err := cl.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	next(t, ctx, ch)
}

// Leases stay alive and locks stay held through the proxy: one renewal, a keeper
// over several TTLs, the locker, and the mutex.
func TestGRPCProxyLeases(t *testing.T) {
	t.Parallel()
	_, p := behindProxy(t)
	cl := dial(t, client.Config{Endpoints: []string{p.Endpoint()}})
	ctx := timeout(t)

	granted, err := cl.Grant(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for range 3 {
		if resp, err := cl.KeepAliveOnce(ctx, granted.ID); err != nil || resp.TTL != 5 {
			t.Fatalf("KeepAliveOnce: got %+v, %v, want a TTL of 5", resp, err)
		}
	}
	t.Logf("three renewals took %v", time.Since(start))
	k, err := cl.Keep(ctx, granted.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()

	// The proxy answers a renewal up to a third of the TTL late, which is as long
	// as a request may take then (docs/reference/behavior.md).
	locker, err := lock.NewLocker(cl.Conn(), lock.Config{TTL: 16 * time.Second, Retries: 1, Heartbeat: time.Second, RequestTimeout: 6 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	held, err := locker.Lock(ctx, "five")
	if err != nil {
		t.Fatal(err)
	}
	mutex, err := lock.New(cl.Conn(), "mutex", lock.WithTTL(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if err := mutex.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-k.Done():
		t.Errorf("the lease is no longer kept: %v", k.Err())
	case <-held.Done():
		t.Errorf("the five-step lock is lost: %v", held.Err())
	case <-mutex.Done():
		t.Errorf("the mutex is lost: %v", mutex.Err())
	case <-time.After(12 * time.Second):
	}
	if err := mutex.Unlock(ctx); err != nil {
		t.Errorf("unlocking the mutex: %v", err)
	}
	if err := held.Unlock(ctx); err != nil {
		t.Errorf("unlocking the five-step lock: %v", err)
	}
}
