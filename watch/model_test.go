package watch_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

var (
	modelSeed = flag.Uint64("seed", 0, "run the model test with this seed alone")
	modelRuns = flag.Int("runs", 8, "how many seeds the model test tries")
)

// Random writes, kills, cuts, hangs, leader losses and compactions, with watches
// of random ranges, some of them slow: each sees exactly what the model says.
func TestModel(t *testing.T) {
	seeds := []uint64{*modelSeed}
	if *modelSeed == 0 {
		seeds = nil
		for range *modelRuns {
			seeds = append(seeds, rand.Uint64())
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newModel(t, seed).run() })
		})
	}
}

// model is a cluster, and what was written to it.
type model struct {
	t     *testing.T
	rnd   *rand.Rand // of the test's goroutine
	c     *etcdtest.Cluster
	w     watch.Watcher
	store kv.KV // on a member that nothing happens to

	mu       sync.Mutex
	log      []change // in the order of revisions
	rev      int64    // of the last change
	compact  int64    // what was compacted
	done     bool     // no more changes
	resyncs  int
	progress int
	cut      *rand.Rand
	cutting  bool
}

type change struct {
	rev      int64
	key, val string // val is empty for a deletion
}

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), cut: rand.New(rand.NewPCG(seed, 2)), rev: 1}
	m.c = etcdtest.Start(t, 4)
	m.c.SetWatchFragment(1 + m.rnd.IntN(4))
	m.c.SetWatchBatch(1 + m.rnd.IntN(8))
	m.store = kv.New(m.c.Member(3).Conn(t))
	r := newRotating(t, m.c)
	r.conns = append(r.conns[:3:3], r.conns[0]) // no stream at the writer's
	m.w = service(t, r, watch.WithBuffer(1+m.rnd.IntN(12), 1+m.rnd.IntN(200)), watch.WithHeartbeat(time.Second, time.Second))
	m.c.SetProgressInterval(time.Duration(10+m.rnd.IntN(200)) * time.Millisecond)
	for _, member := range m.c.Members()[:3] {
		var early func() *pb.ResponseHeader
		if m.rnd.IntN(3) == 0 {
			early = headers(t, m.store)
		}
		member.InterceptStream(func(ss grpc.ServerStream, _ string, next func(grpc.ServerStream) error) error {
			s := newTwoWays(&tapped{ServerStream: ss, sending: func(*pb.WatchResponse) error { return m.chance() }}, early, nil)
			s.holds = func(control bool) bool { return m.holds(s, control) }
			defer s.end()
			return next(s)
		})
	}
	return m
}

// holds holds one way of a stream up now and then, for a while.
func (m *model) holds(s *twoWays, control bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut.IntN(10) > 0 {
		return false
	}
	time.AfterFunc(time.Duration(m.cut.IntN(100))*time.Millisecond, func() { s.release(control) })
	return true
}

// chance cuts a stream at any message now and then.
func (m *model) chance() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cutting && m.cut.IntN(60) == 0 {
		return errCut
	}
	return nil
}

func (m *model) run() {
	var wg sync.WaitGroup
	m.cutting = true
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	for i := range 12 {
		seed := m.rnd.Uint64()
		wg.Go(func() { (&observer{model: m, rnd: rand.New(rand.NewPCG(seed, 3)), name: i}).run(ctx) })
		wg.Go(func() { m.follow(ctx, rand.New(rand.NewPCG(seed, 4))) })
		wg.Go(func() { (&observer{model: m, rnd: rand.New(rand.NewPCG(seed, 5)), name: 100 + i}).visit(ctx) })
	}
	for range 400 {
		m.step()
		time.Sleep(time.Duration(m.rnd.IntN(40)) * time.Millisecond)
	}
	m.mu.Lock()
	m.cutting, m.done = false, true
	m.mu.Unlock()
	for _, member := range m.c.Members() {
		member.Start()
		member.Resume()
		member.SetNoLeader(false)
	}
	m.write("end")
	joined := make(chan struct{})
	go func() { wg.Wait(); close(joined) }()
	select {
	case <-joined:
	case <-time.After(limit):
		cancel()
		m.t.Errorf("the watches did not all see the last change in %v", limit)
		<-joined
	}
	m.t.Logf("%d changes, %d streams, %d resynchronizations, %d times progress", len(m.log), streams(m.c), m.resyncs, m.progress)
}

func (m *model) step() {
	member := m.c.Member(m.rnd.IntN(3))
	switch n := m.rnd.IntN(100); {
	case n < 70:
		keys := make(map[string]bool)
		for range 1 + m.rnd.IntN(5) {
			keys[[]string{"a", "b", "elm", "emb", "k", "l"}[m.rnd.IntN(6)]] = true
		}
		m.write(slices.Sorted(maps.Keys(keys))...)
	case n < 76:
		member.Kill()
	case n < 88:
		member.Start()
		member.Resume()
		member.SetNoLeader(false)
	case n < 91:
		member.Hang()
	case n < 94:
		member.SetNoLeader(true)
	case n < 97:
		if err := m.w.RequestProgress(m.t.Context()); err != nil && !errors.Is(err, errors.ErrUnsupported) { // an early server
			m.t.Errorf("RequestProgress: %v", err)
		}
	default:
		m.mu.Lock()
		defer m.mu.Unlock()
		if rev := m.rev - int64(m.rnd.IntN(30)); rev > m.compact && rev > 1 {
			compact(m.t, m.store, rev)
			m.compact = rev
		}
	}
}

// write puts or deletes some keys at one revision.
func (m *model) write(keys ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ops []kv.Op
	var all []change
	for _, key := range keys {
		c := change{rev: m.rev + 1, key: key}
		exists := false
		for _, old := range slices.Backward(m.log) {
			if old.key == key {
				exists = old.val != ""
				break
			}
		}
		if exists && m.rnd.IntN(4) == 0 {
			ops = append(ops, kv.OpDelete(key))
		} else {
			c.val = fmt.Sprintf("v%d", m.rnd.IntN(1000))
			ops = append(ops, kv.OpPut(key, c.val))
		}
		all = append(all, c)
	}
	resp, err := m.store.Txn(m.t.Context()).Then(ops...).Commit()
	if err != nil || resp.Header.Revision != m.rev+1 {
		m.t.Fatalf("write: got %v, %v, want revision %d", resp, err, m.rev+1)
	}
	m.rev++
	m.log = append(m.log, all...)
}

// after is the first change of a range with a revision of at least rev.
func (m *model) after(rev int64, in func(string) bool, skip int) (change, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.log {
		if c.rev >= rev && in(c.key) {
			if skip == 0 {
				return c, true
			}
			skip--
		}
	}
	return change{}, false
}

// observer is one watch, which begins again where it was told to when a
// revision was compacted.
type observer struct {
	*model
	rnd  *rand.Rand
	name int
}

func (o *observer) run(ctx context.Context) {
	key, opts := "", []kv.OpOption{kv.WithPrefix()}
	if o.rnd.IntN(2) == 0 { // not all keys, but the last change
		key, opts = []string{"ema", "end"}[o.rnd.IntN(2)], []kv.OpOption{kv.WithFromKey()}
	}
	if o.rnd.IntN(2) == 0 {
		opts = append(opts, kv.WithProgressNotify())
	}
	in := func(k string) bool { return k >= key }
	next := int64(1 + o.rnd.IntN(3))
	slow := o.rnd.IntN(3) == 0
	for {
		err := o.watch(ctx, key, append(slices.Clip(opts), kv.WithRev(next)), in, &next, slow)
		var compacted *watch.CompactedError
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case !errors.As(err, &compacted):
			o.t.Errorf("observer %d: the watch ended: %v", o.name, err)
			return
		}
		o.mu.Lock()
		o.resyncs++
		if compacted.Revision < next || compacted.CompactRevision > o.compact || compacted.Revision >= compacted.CompactRevision {
			o.t.Errorf("observer %d: %+v at revision %d, and %d was compacted", o.name, compacted, next, o.compact)
		}
		o.mu.Unlock()
		if c, ok := o.after(next, in, 0); ok && c.rev < compacted.Revision {
			o.t.Errorf("observer %d: revision %d was not delivered before the watch ended at %d", o.name, c.rev, compacted.Revision)
		}
		next = compacted.CompactRevision
	}
}

func (m *model) noteProgress() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progress++
}

// visit makes one watch after the other that begins now, or some revisions before, and
// stays for a while. They share with each other, and with those that run all the time.
func (o *observer) visit(ctx context.Context) {
	for {
		o.mu.Lock()
		done, now, compacted := o.done, o.rev, o.compact
		o.mu.Unlock()
		if done {
			return
		}
		key, opts := "", []kv.OpOption{kv.WithPrefix(), kv.WithCreatedNotify()}
		if o.rnd.IntN(2) == 0 {
			key, opts[0] = "ema", kv.WithFromKey()
		}
		next := -now // at the earliest
		if past := now - int64(o.rnd.IntN(10)); past > compacted && o.rnd.IntN(3) == 0 {
			next, opts = past, append(opts, kv.WithRev(past))
		}
		in := func(k string) bool { return k >= key }
		stay, cancel := context.WithTimeout(ctx, time.Duration(o.rnd.IntN(2000))*time.Millisecond)
		err := o.watch(stay, key, opts, in, &next, o.rnd.IntN(4) == 0)
		left := stay.Err() != nil
		cancel()
		if err != nil && !left && !errors.Is(err, rpctypes.ErrCompacted) {
			o.t.Errorf("visitor %d: the watch ended: %v", o.name, err)
			return
		}
	}
}

// begin takes note of where a watch that was made now begins: after all that was
// written before it was asked for.
func (o *observer) begin(next *int64, created int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if *next > 0 {
		return // it was said
	}
	if created < -*next || created > o.rev {
		o.t.Errorf("observer %d: made at revision %d, want %d to %d", o.name, created, -*next, o.rev)
	}
	*next = created + 1
}

// watch checks one watch, and returns nil when it has seen the last change.
func (o *observer) watch(ctx context.Context, key string, opts []kv.OpOption, in func(string) bool, next *int64, slow bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ch := o.w.Watch(ctx, key, opts...)
	for {
		resp, ok := <-ch
		switch {
		case !ok:
			return errors.New("closed without a cause")
		case resp.Err() != nil:
			return resp.Err()
		}
		if resp.Created {
			o.begin(next, resp.Header.Revision)
		}
		if resp.IsProgressNotify() {
			o.noteProgress()
			if c, ok := o.after(*next, in, 0); ok && c.rev <= resp.Header.Revision {
				o.t.Errorf("observer %d: got progress up to %d before %v", o.name, resp.Header.Revision, c)
			}
		}
		at, torn := *next, 0
		for _, e := range resp.Events {
			if e.Kv.ModRevision > at {
				at, torn = e.Kv.ModRevision, 0
			}
			want, ok := o.after(*next, in, torn)
			got := change{e.Kv.ModRevision, string(e.Kv.Key), string(e.Kv.Value)}
			if !ok || got != want {
				cancel()
				o.t.Errorf("observer %d: got %v, want %v", o.name, got, want)
				return nil
			}
			torn++
			if want, ok := o.after(*next, in, torn); !ok || want.rev > at {
				*next, torn = at+1, 0 // the whole revision was there
			}
			if got.key == "end" {
				return nil
			}
		}
		if torn > 0 {
			o.t.Errorf("observer %d: revision %d is torn", o.name, at)
		}
		if slow {
			time.Sleep(time.Duration(o.rnd.IntN(300)) * time.Millisecond)
		}
	}
}

// follow keeps a copy of the store, which is right at every revision that it
// names.
func (m *model) follow(ctx context.Context, rnd *rand.Rand) {
	state := map[string]string{}
	opts := []kv.OpOption{kv.WithPrefix()}
	if rnd.IntN(2) == 0 {
		opts = append(opts, kv.WithProgressNotify())
	}
	for u, err := range m.w.Follow(ctx, "", opts...) {
		if err != nil {
			if ctx.Err() == nil {
				m.t.Errorf("Follow: %v", err)
			}
			return
		}
		if u.Snapshot != nil {
			clear(state)
			for _, kv := range u.Snapshot.KVs {
				state[string(kv.Key)] = string(kv.Value)
			}
		}
		for _, e := range u.Events {
			if e.Type == watch.EventTypeDelete {
				delete(state, string(e.Kv.Key))
			} else {
				state[string(e.Kv.Key)] = string(e.Kv.Value)
			}
		}
		want := map[string]string{}
		m.mu.Lock()
		for _, c := range m.log {
			if c.rev > u.Revision {
				break
			}
			if want[c.key] = c.val; c.val == "" {
				delete(want, c.key)
			}
		}
		m.mu.Unlock()
		if !maps.Equal(state, want) {
			m.t.Errorf("Follow at revision %d: got %v, want %v", u.Revision, state, want)
			return
		}
		if _, ok := state["end"]; ok {
			return
		}
		if rnd.IntN(4) == 0 {
			time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
		}
	}
}
