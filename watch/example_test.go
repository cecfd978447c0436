package watch_test

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// The examples run on an etcd in memory; client.Client.Conn is the connection of
// a real program.
func connect() (w watch.Watcher, store kv.KV, done func()) {
	cluster := etcdtest.NewCluster(1)
	conn, err := cluster.Dial()
	if err != nil {
		panic(err)
	}
	w = watch.New(conn)
	return w, kv.New(conn), func() {
		_ = w.Close()
		_ = conn.Close()
		cluster.Close()
	}
}

func Example() {
	w, store, done := connect()
	defer done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	for _, color := range []string{"red", "blue"} {
		if _, err := store.Put(ctx, "color", color); err != nil {
			fmt.Println(err)
			return
		}
	}
	if _, err := store.Delete(ctx, "color"); err != nil {
		fmt.Println(err)
		return
	}

	for e, err := range w.Events(ctx, "color", kv.WithRev(2)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Kv.ModRevision, e.Type, string(e.Kv.Value))
		if e.Type == watch.EventTypeDelete {
			break
		}
	}
	// Output:
	// 2 PUT red
	// 3 PUT blue
	// 4 DELETE
}

// The channel has clientv3's shape. Its last response says why it closes.
func ExampleWatcher_watch() {
	w, store, done := connect()
	defer done()
	ctx := context.Background()

	ch := w.Watch(ctx, "jobs/", kv.WithPrefix(), kv.WithCreatedNotify())
	fmt.Println("created:", (<-ch).Created)
	if _, err := store.Put(ctx, "jobs/1", "sweep"); err != nil {
		fmt.Println(err)
		return
	}
	resp := <-ch
	if err := resp.Err(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(resp.Events[0].Kv.Key), resp.Events[0].IsCreate())

	if err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}
	resp = <-ch
	fmt.Println(resp.Canceled, resp.Err())
	_, open := <-ch
	fmt.Println("open:", open)
	// Output:
	// created: true
	// jobs/1 true
	// true watch: closed
	// open: false
}

// A follower has a copy of some keys, which is right at every revision that it
// names.
func ExampleWatcher_follow() {
	w, store, done := connect()
	defer done()
	ctx := context.Background()
	for host, addr := range map[string]string{"hosts/a": "10.0.0.1", "hosts/b": "10.0.0.2"} {
		if _, err := store.Put(ctx, host, addr); err != nil {
			fmt.Println(err)
			return
		}
	}

	hosts := map[string]string{}
	for u, err := range w.Follow(ctx, "hosts/", kv.WithPrefix()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if u.Snapshot != nil { // the first, or another when changes were lost
			clear(hosts)
			for _, kv := range u.Snapshot.KVs {
				hosts[string(kv.Key)] = string(kv.Value)
			}
		}
		for _, e := range u.Events {
			if e.Type == watch.EventTypeDelete {
				delete(hosts, string(e.Kv.Key))
			} else {
				hosts[string(e.Kv.Key)] = string(e.Kv.Value)
			}
		}
		fmt.Println(u.Revision, hosts)
		if u.Revision > 3 {
			return
		}
		if _, err := store.Delete(ctx, "hosts/a"); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// 3 map[hosts/a:10.0.0.1 hosts/b:10.0.0.2]
	// 4 map[hosts/b:10.0.0.2]
}

func ExampleCompactedError() {
	w, store, done := connect()
	defer done()
	ctx := context.Background()
	for range 4 {
		if _, err := store.Put(ctx, "k", "v"); err != nil {
			fmt.Println(err)
			return
		}
	}
	if _, err := store.Compact(ctx, 4); err != nil {
		fmt.Println(err)
		return
	}

	for _, err := range w.Events(ctx, "k", kv.WithRev(2)) {
		if compacted, ok := errors.AsType[*watch.CompactedError](err); ok {
			fmt.Println("watch again from", compacted.CompactRevision)
		}
		fmt.Println(errors.Is(err, rpctypes.ErrCompacted))
	}
	// Output:
	// watch again from 4
	// true
}
