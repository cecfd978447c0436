package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/internal/measure"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/cache"
	"github.com/getcd/getcd/view"
)

// cacheRows are reads as getcd's cache answers them, beside clientv3's from the cluster.
var cacheRows = []row{
	{name: "cache-get", text: "linearizable Get of a key, %d callers (getcd: cached)", size: 256, fixed: true, prepare: cachedKeys, measure: cachedReads(false, dialReader), notes: cachedNotes},
	{name: "cache-serializable", text: "serializable Get of a key, %d callers (getcd: cached)", size: 256, fixed: true, prepare: cachedKeys, measure: cachedReads(true, dialReader), notes: cachedNotes},
	{
		name: "cache-view", text: "serializable Get of a key, %d callers (getcd: a view's Get)", size: 256, fixed: true, prepare: cachedKeys, measure: cachedReads(true, dialViewer),
		notes: "A view decodes each value once, when it comes, so its Get gives a value away and makes no messages.",
	},
	{
		name: "cache-memory", text: "%d keys in the cache", size: 1_000_000, prepare: keys(streamPrefix), measure: cacheMemory, clients: []string{"getcd"},
		notes: "A key has 26 bytes and its value 100.",
	},
}

const cachedNotes = "clientv3's figures are those of the member, with which it shares the processors. In getcd each caller gets messages\n" +
	"of its own, which it may change; to make them, and to collect them again, takes about half of a serializable read. Those of linearizable\n" +
	"reads also wait for round trips, all together. A view needs no messages."

const (
	cachePrefix = "scalebench/cached/"
	cachedCount = 1000
)

func cachedKeys(ctx context.Context, s *stage) error { return s.fill(ctx, cachePrefix, cachedCount) }

// dialCached is dialOurs with a cache that is filled.
func dialCached(ctx context.Context, s settings, prefix string) (peer, *cache.Conn, error) {
	var cached *cache.Conn
	c, err := client.New(client.Config{
		Endpoints: s.endpoints, Username: s.user, Password: s.password, DialOptions: s.options,
		Middleware: []client.Middleware{func(cc grpc.ClientConnInterface) grpc.ClientConnInterface {
			cached = cache.NewConn(cc, []string{prefix})
			return cached
		}},
	})
	if err != nil {
		return nil, nil, err
	}
	if err := cached.WaitReady(ctx); err != nil {
		_ = c.Close()
		return nil, nil, err
	}
	o, err := newOurs(c)
	return o, cached, err
}

// reader reads a key.
type reader func(ctx context.Context, key string, serializable bool) error

// dialReader returns one that reads from the cache.
func dialReader(ctx context.Context, s settings) (read reader, end func() error, err error) {
	c, _, err := dialCached(ctx, s, cachePrefix)
	if err != nil {
		return nil, nil, err
	}
	return c.getOne, c.close, nil
}

// dialViewer returns one that reads from a view.
func dialViewer(ctx context.Context, s settings) (read reader, end func() error, err error) {
	c, err := client.New(client.Config{Endpoints: s.endpoints, Username: s.user, Password: s.password, DialOptions: s.options})
	if err != nil {
		return nil, nil, err
	}
	v, err := view.New(ctx, c, cachePrefix, view.Config[string]{
		Decode: func(_ string, value []byte) (string, error) { return string(value), nil },
	}, kv.WithPrefix())
	if err == nil {
		err = v.WaitSync(ctx)
	}
	if err != nil {
		_ = c.Close()
		return nil, nil, err
	}
	return func(_ context.Context, key string, _ bool) error {
		if value, ok := v.Get(key); !ok || value == "" {
			return fmt.Errorf("%s is not in the view", key)
		}
		return nil
	}, c.Close, nil
}

// cachedReads has many callers read keys, each one after another. getcd's reader is dialed.
func cachedReads(serializable bool, dial func(context.Context, settings) (reader, func() error, error)) func(ctx context.Context, w *work) error {
	return func(ctx context.Context, w *work) (err error) {
		read := reader(w.getOne)
		if w.Client == "getcd" {
			var end func() error
			if read, end, err = dial(ctx, w.settings(grpc.WithStatsHandler(w.wire))); err != nil {
				return err
			}
			defer func() { _ = end() }()
		}
		names := make([]string, cachedCount)
		for i := range names {
			names[i] = fmt.Sprintf("%s%08d", cachePrefix, i)
		}
		made := make([]counter, w.Size)
		done := make(chan struct{})
		failed := make(chan error, 1)
		go func() {
			failed <- each(ctx, w.Size, w.Size, func(ctx context.Context, i int) error {
				for n := i; ; n++ {
					select {
					case <-done:
						return nil
					default:
					}
					if err := read(ctx, names[n%cachedCount], serializable); err != nil {
						return err
					}
					made[i].Add(1)
				}
			})
		}()
		if err := wait(ctx, w.For/10); err != nil { // until everything is warm
			return err
		}
		n, sent, cpu, begin := sum(made), w.wire.sent.Load(), measure.CPU(), time.Now()
		for answered := false; !answered; answered = sum(made) > n { // on a busy machine none may have been yet
			if err := wait(ctx, w.For/3); err != nil {
				return err
			}
		}
		took, used, reads, requests := time.Since(begin), measure.CPU()-cpu, float64(sum(made)-n), float64(w.wire.sent.Load()-sent)
		close(done)
		if err := <-failed; err != nil {
			return err
		}
		w.add("gets a second", reads/took.Seconds(), "").main().more()
		w.add("CPU of a get", float64(used)/float64(time.Microsecond)/reads, "µs").main()
		w.add("requests of a get", requests/reads, "")
		return nil
	}
}

// counter is a caller's own, in a cache line of its own, so that counting costs nothing.
type counter struct {
	atomic.Int64
	_ [56]byte
}

func sum(all []counter) (n int64) {
	for i := range all {
		n += all[i].Load()
	}
	return n
}

// cacheMemory is what the cache takes.
func cacheMemory(ctx context.Context, w *work) error {
	n := w.Size / perTxn * perTxn
	before, begin := memory(), time.Now()
	c, cached, err := dialCached(ctx, w.settings(), streamPrefix)
	if err != nil {
		return err
	}
	defer func() { _ = c.close() }()
	took := time.Since(begin)
	if have := cached.Stats().Prefixes[0].Keys; have != n {
		return fmt.Errorf("%d keys in the cache, want %d", have, n)
	}
	own := float64(len(streamPrefix) + 8 + len(value))
	w.add("memory a key", float64(memory()-before)/float64(n), "B").main()
	w.add("1.5 × key and value, and 100 bytes", 1.5*own+100, "B")
	w.add("filled in", took.Seconds(), "s").main()
	return nil
}
