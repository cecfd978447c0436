package integration_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
)

// TestKillEachMember kills one member after another under load. Reads never fail.
// A write that fails is marked ambiguous. The results of the workers agree with
// the contents of the keys: nothing is applied twice, and nothing is lost.
func TestKillEachMember(t *testing.T) {
	t.Parallel()
	kills := 20
	if testing.Short() {
		kills = 3
	}
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})

	load := newLoad(cl)
	ctx, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	for i := range 4 {
		workers.Go(func() { load.count(ctx, i) })
		workers.Go(func() { load.put(ctx, i) })
		workers.Go(func() { load.get(ctx) })
	}
	for i := range kills {
		m := c.Members()[i%len(c.Members())]
		load.awaitProgress(t)
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
		load.awaitProgress(t)
		if err := m.Restart(timeout(t)); err != nil {
			t.Fatal(err)
		}
		if err := c.WaitHealthy(timeout(t)); err != nil {
			t.Fatal(err)
		}
	}
	load.awaitProgress(t)
	stop()
	workers.Wait()
	load.check(t)
	t.Logf("%d kills: %d reads; %d writes applied, %d ambiguous", kills, load.reads.Load(), load.writes.Load(), load.doubts.Load())
}

// load works on a cluster and records the results.
type load struct {
	cl     *client.Client
	prefix string // of the keys

	reads, writes, doubts atomic.Int64

	mu    sync.Mutex
	wrong []string       // things that must not happen
	sums  map[string]sum // what each worker knows about its key
}

// sum counts the puts to a key that were acknowledged, and those with an unknown
// outcome.
type sum struct{ acknowledged, doubtful int64 }

func newLoad(cl *client.Client) *load { return &load{cl: cl, sums: make(map[string]sum)} }

func (l *load) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

func (l *load) account(key string, s sum) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sums[key] = s
}

const (
	readTimeout = 15 * time.Second
	// A write in progress when the leader is lost gets no response for 6 s. The
	// workers do not wait that long: a timeout is another way to make a write
	// ambiguous.
	writeTimeout = 2 * time.Second
)

// failed records a write's error, unless the load is over.
func (l *load) failed(what string, err error) {
	if client.IsAmbiguous(err) {
		l.doubts.Add(1)
		return
	}
	l.fault("%s: an error that is not ambiguous: %v", what, err)
}

// count is a worker that increments its own key with compare-and-swap.
func (l *load) count(ctx context.Context, worker int) {
	key := l.prefix + "count/" + strconv.Itoa(worker)
	var n int64 // the count as the worker knows it
	doubt := false
	for pace(ctx) {
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		next := strconv.FormatInt(n+1, 10)
		guard := kv.Compare(kv.Value(key), "=", strconv.FormatInt(n, 10))
		if n == 0 {
			guard = kv.Compare(kv.Version(key), "=", 0)
		}
		resp, err := l.cl.Txn(call).If(guard).Then(kv.OpPut(key, next)).Else(kv.OpGet(key)).Commit()
		cancel()
		switch {
		case err != nil:
			l.failed(key, err)
			doubt = true // the count is, or will be, n+1 or n
		case resp.Succeeded:
			n++
			l.writes.Add(1)
			doubt = false
		default:
			kvs := resp.Responses[0].GetResponseRange().Kvs
			if len(kvs) != 1 || !doubt || string(kvs[0].Value) != next {
				l.fault("%s: the swap from %d was refused without cause: the key holds %v, in doubt: %v", key, n, kvs, doubt)
				return
			}
			n++ // the ambiguous swap was applied
			l.writes.Add(1)
			doubt = false
		}
	}
	s := sum{acknowledged: n}
	if doubt {
		s.doubtful = 1
	}
	l.account(key, s)
}

// put is a worker that puts to its own key and counts the puts.
func (l *load) put(ctx context.Context, worker int) {
	key := l.prefix + "put/" + strconv.Itoa(worker)
	var s sum
	for pace(ctx) {
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		_, err := l.cl.Put(call, key, "v")
		cancel()
		if err != nil {
			l.failed(key, err)
			s.doubtful++
			continue
		}
		s.acknowledged++
		l.writes.Add(1)
	}
	l.account(key, s)
}

// get is a worker that makes linearizable and serializable reads.
func (l *load) get(ctx context.Context) {
	for i := 0; pace(ctx); i++ {
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		var opts []kv.OpOption
		if i%2 == 1 {
			opts = append(opts, kv.WithSerializable())
		}
		_, err := l.cl.Get(call, l.prefix+"count/0", opts...)
		cancel()
		if err != nil {
			l.fault("get: %v", err)
			continue
		}
		l.reads.Add(1)
	}
}

// pace limits a worker to 50 operations per second, until ctx ends.
func pace(ctx context.Context) bool {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// awaitProgress waits until the workers have read and written some more.
func (l *load) awaitProgress(t *testing.T) {
	t.Helper()
	const some = 20
	reads, writes := l.reads.Load()+some, l.writes.Load()+some
	eventually(t, "progress of the load", func() bool {
		return l.reads.Load() >= reads && l.writes.Load() >= writes
	})
}

// check compares what the workers know with the contents of the keys.
func (l *load) check(t *testing.T) {
	t.Helper()
	for _, w := range l.wrong {
		t.Error(w)
	}
	for key, s := range l.sums {
		resp, err := l.cl.Get(timeout(t), key)
		if err != nil || len(resp.Kvs) != 1 {
			t.Errorf("reading %s: %v and error %v", key, resp, err)
			continue
		}
		if v := resp.Kvs[0].Version; v < s.acknowledged || v > s.acknowledged+s.doubtful {
			t.Errorf("%s was written %d times: want %d, and up to %d more that are in doubt", key, v, s.acknowledged, s.doubtful)
		}
	}
}
