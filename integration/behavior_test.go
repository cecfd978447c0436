package integration_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/maintenance"
	"github.com/getcd/getcd/resolver"
)

// The tests in this file and in behavior_dns_test.go cover the decisions in
// docs/reference/behavior.md, one after another.

// witness keeps reads, writes, a watch and a lease going during a test, and
// records what must not happen to them: a read fails, a write fails without being
// marked ambiguous, an event is lost or doubled, or the lease is given up.
type witness struct {
	*load

	stop    context.CancelFunc
	workers sync.WaitGroup
	keeper  *lease.Keeper
	unwatch context.CancelFunc
	watched sync.WaitGroup

	events    atomic.Int64
	mu        sync.Mutex
	delivered map[string]int64 // the version in each key's last event
}

// keptTTL is the TTL of the witness's lease in seconds.
const keptTTL = 5

func startWitness(t *testing.T, cl *client.Client, prefix string) *witness {
	t.Helper()
	w := &witness{load: newLoad(cl), delivered: make(map[string]int64)}
	w.prefix = prefix
	granted, err := cl.Grant(timeout(t), keptTTL)
	if err != nil {
		t.Fatal(err)
	}
	if w.keeper, err = cl.Keep(timeout(t), granted.ID); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.keeper.Close() })
	first, err := cl.Put(timeout(t), prefix, "")
	if err != nil {
		t.Fatal(err)
	}
	var watching context.Context
	watching, w.unwatch = context.WithCancel(t.Context())
	w.watched.Go(func() { w.watch(watching, first.Header.Revision) })
	var ctx context.Context
	ctx, w.stop = context.WithCancel(t.Context())
	for i := range 2 {
		w.workers.Go(func() { w.count(ctx, i) })
		w.workers.Go(func() { w.put(ctx, i) })
		w.workers.Go(func() { w.get(ctx) })
	}
	t.Cleanup(func() {
		w.stop()
		w.unwatch()
		w.workers.Wait()
		w.watched.Wait()
	})
	w.awaitProgress(t)
	return w
}

// watch checks that each key's versions are consecutive.
func (w *witness) watch(ctx context.Context, rev int64) {
	for e, err := range w.cl.Events(ctx, w.prefix, kv.WithPrefix(), kv.WithRev(rev)) {
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.fault("the watch ended: %v", err)
			return
		}
		w.mu.Lock()
		key := string(e.Kv.Key)
		if got, want := e.Kv.Version, w.delivered[key]+1; got != want {
			w.fault("event of %s: version %d, want %d", key, got, want)
		}
		w.delivered[key] = e.Kv.Version
		w.mu.Unlock()
		w.events.Add(1)
	}
}

// awaitProgress waits until every activity has made progress.
func (w *witness) awaitProgress(t *testing.T) {
	t.Helper()
	const some = 20
	w.load.awaitProgress(t)
	events := w.events.Load() + some
	eventually(t, "events of the watch", func() bool { return w.events.Load() >= events })
}

// finish ends all activities and reports what went wrong.
func (w *witness) finish(t *testing.T) {
	t.Helper()
	w.awaitProgress(t)
	w.stop()
	w.workers.Wait()
	if err := w.keeper.Err(); err != nil {
		t.Errorf("the lease: %v, want it kept", err)
	}
	resp, err := w.cl.Get(timeout(t), w.prefix, kv.WithPrefix(), kv.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last event of each key", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, one := range resp.Kvs {
			if w.delivered[string(one.Key)] < one.Version {
				return false
			}
		}
		return true
	})
	w.unwatch()
	w.watched.Wait()
	w.check(t)
	t.Logf("%d reads; %d writes applied, %d ambiguous; %d events; %+v",
		w.reads.Load(), w.writes.Load(), w.doubts.Load(), w.events.Load(), w.cl.Counters())
}

// activeMember returns the member that the client uses.
func activeMember(t *testing.T, cl *client.Client, c *cluster.Cluster) *cluster.Member {
	t.Helper()
	var found *cluster.Member
	eventually(t, "the client has an active member", func() bool {
		for _, s := range cl.Endpoints() {
			for _, m := range c.Members() {
				if s.Role == balancer.Active && s.Address == m.Endpoint() {
					found = m
				}
			}
		}
		return found != nil
	})
	return found
}

func endpointStatus(cl *client.Client, endpoint string) (balancer.Status, bool) {
	all := cl.Endpoints()
	i := slices.IndexFunc(all, func(s balancer.Status) bool { return s.Address == endpoint })
	if i < 0 {
		return balancer.Status{}, false
	}
	return all[i], true
}

// The leader dies with a write in progress. That write is ambiguous, and returns
// when the connection breaks, not after an election timeout or its deadline. A
// later write waits for the next leader and is applied. A read in progress is
// answered by another member.
func TestLeaderKilledWithRequestsUnderWay(t *testing.T) {
	c := startCluster(t, cluster.Config{Links: true})
	cl, leader := dialTo(t, c, true)
	if _, err := cl.Put(timeout(t), "k", "before"); err != nil {
		t.Fatal(err)
	}
	// The paused leader receives requests but does not answer, so they are
	// certainly in progress.
	if err := leader.Pause(); err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("v", 16<<10)
	passed := leader.ClientLink().Stats().ToTarget
	type result struct {
		err  error
		took time.Duration
	}
	write, read := make(chan result, 1), make(chan result, 1)
	var killed atomic.Pointer[time.Time]
	report := func(to chan<- result, call func() error) {
		err := call()
		at := killed.Load()
		switch {
		case at != nil:
			to <- result{err, time.Since(*at)}
		case err != nil:
			to <- result{err: fmt.Errorf("before the member was killed: %w", err)}
		default:
			to <- result{} // by another member
		}
	}
	go report(write, func() error { _, err := cl.Put(timeout(t), "k", value); return err })
	eventually(t, "the write has left", func() bool {
		return leader.ClientLink().Stats().ToTarget-passed >= int64(len(value))
	})
	go report(read, func() error { _, err := cl.Get(timeout(t), "k"); return err })
	now := time.Now()
	killed.Store(&now)
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	// If the client has not noticed the broken connection yet, the next write
	// would be in progress, too.
	eventually(t, "the connection's end is noticed", func() bool {
		return !slices.ContainsFunc(cl.Endpoints(), func(s balancer.Status) bool {
			return s.Role == balancer.Active && s.Address == leader.ClientLink().Address()
		})
	})
	if _, err := cl.Put(timeout(t), "k", "after"); err != nil {
		t.Errorf("a write after the leader's death: %v, want it to wait and succeed", err)
	}
	if r := <-read; r.err != nil {
		t.Errorf("the read under way: %v", r.err)
	}
	r := <-write
	if !client.IsAmbiguous(r.err) || errors.Is(r.err, context.DeadlineExceeded) {
		t.Errorf("the write under way: %v, want an ambiguous error that is not the deadline's", r.err)
	}
	if r.took > 5*time.Second { // on a busy machine; etcd itself would report the loss after 7 s
		t.Errorf("the write under way returned %v after its member's death", r.took)
	}
}

// The leadership is transferred again and again.
func TestLeaderTransferred(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	cl, _ := dialTo(t, c, true)
	w := startWitness(t, cl, "transfer/")
	for range 5 {
		eventually(t, "the leadership is transferred", func() bool {
			leader, members := leaderOf(t, c), c.Members()
			return movedTo(t, c, maintain(t, cl), leader, members[(slices.Index(members, leader)+1)%len(members)])
		})
		w.awaitProgress(t)
	}
	w.finish(t)
	if n := cl.Counters().Severed; n > 0 {
		t.Errorf("%d connections were severed, want none: every member answered", n)
	}
}

// A learner in the endpoint list cannot serve calls that need agreement, so the
// client leaves it for a voting member. When it is promoted, it serves like any
// other member. When it is removed, the client continues without it.
func TestLearnerPromotedAndRemoved(t *testing.T) {
	long(t)
	c := startCluster(t, cluster.Config{})
	learner, err := c.AddLearner(timeout(t), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	voter := c.Members()[0]
	cl := dial(t, client.Config{
		Endpoints: []string{learner.Endpoint(), voter.Endpoint()},
		Resolver:  resolver.Options{KeepOrder: true},
	})
	w := startWitness(t, cl, "learner/")
	// The client tries it again from time to time. It is not asked if the voter was connected
	// long before.
	eventually(t, "the learner is demoted, or was never asked", func() bool {
		s, ok := endpointStatus(cl, learner.Endpoint())
		v, _ := endpointStatus(cl, voter.Endpoint())
		return ok && s.Role != balancer.Active && (s.Demoted != nil || v.Role == balancer.Active)
	})

	if err := learner.Promote(timeout(t), nil); err != nil {
		t.Fatal(err)
	}
	// The only other endpoint dies, so the former learner must serve.
	if err := voter.Kill(); err != nil {
		t.Fatal(err)
	}
	w.awaitProgress(t)
	eventually(t, "the promoted member serves", func() bool {
		s, _ := endpointStatus(cl, learner.Endpoint())
		return s.Role == balancer.Active && s.Demoted == nil
	})
	if err := voter.Restart(timeout(t)); err != nil {
		t.Fatal(err)
	}

	// It is still the active member.
	if m := activeMember(t, cl, c); m != learner {
		t.Fatalf("the active member is %s, want %s", m.Name(), learner.Name())
	}
	if err := learner.Remove(timeout(t), voter.Control()); err != nil {
		t.Fatal(err)
	}
	if m := activeMember(t, cl, c); m != voter {
		t.Errorf("the active member is %s, want %s", m.Name(), voter.Name())
	}
	w.finish(t)
}

// A hanging disk stops a member's writes, and soon its reads, while its process
// and its connections live.
func TestStalledDisk(t *testing.T) {
	if err := cluster.DisksSupported(); err != nil {
		t.Skip(err)
	}
	c := startCluster(t, cluster.Config{Disks: true})
	for _, role := range []string{"follower", "leader"} {
		t.Run(role, func(t *testing.T) {
			if err := c.WaitHealthy(timeout(t)); err != nil {
				t.Fatal(err)
			}
			cl, victim := dialTo(t, c, role == "leader")
			w := startWitness(t, cl, "disk/"+role+"/")
			if err := victim.StallDisk(timeout(t)); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			w.awaitProgress(t)
			t.Logf("reads, writes and events went on %v after the fault", time.Since(start).Round(time.Millisecond))
			if m := activeMember(t, cl, c); m == victim {
				t.Errorf("the active member is still %s, whose disk hangs", m.Name())
			}
			if err := victim.HealDisk(timeout(t)); err != nil {
				t.Fatal(err)
			}
			w.finish(t)
		})
	}
}

// Defragmentation stops a member for as long as it takes to copy its database.
func TestDefragmentActiveMember(t *testing.T) {
	saying := "--feature-gates=StopGRPCServiceOnDefrag=true"
	if !startCluster(t, cluster.Config{Size: 1}).AtLeast("3.6") {
		saying = "--experimental-stop-grpc-service-on-defrag" // etcd 3.5; 3.4 has no such flag
	}
	for name, flags := range map[string][]string{
		"silent":             nil,
		"saying NOT_SERVING": {saying},
	} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, cluster.Config{Flags: flags})
			cl := dial(t, client.Config{Endpoints: c.Endpoints()})
			const size, count = 1 << 20, 16
			value := strings.Repeat("v", size)
			for i := range count {
				if _, err := cl.Put(timeout(t), "big/"+strconv.Itoa(i), value); err != nil {
					t.Fatal(err)
				}
			}
			w := startWitness(t, cl, "defragment/")
			for range 2 {
				m := activeMember(t, cl, c)
				start := time.Now()
				if _, err := maintain(t, cl).Defragment(timeout(t), m.Endpoint()); err != nil {
					t.Fatal(err)
				}
				t.Logf("defragmenting %s took %v", m.Name(), time.Since(start).Round(time.Millisecond))
				w.awaitProgress(t)
			}
			w.finish(t)
		})
	}
}

// With a full database, etcd refuses writes and serves everything else. A refused
// write is sent only once, since another member would give the same response. It
// is ambiguous, since the write that raises the alarm gets the same response
// although it is applied.
func TestNoSpace(t *testing.T) {
	c := startCluster(t, cluster.Config{QuotaBytes: 1 << 20})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	granted, err := cl.Grant(timeout(t), keptTTL)
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := cl.Keep(timeout(t), granted.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	value := strings.Repeat("v", 64<<10)
	eventually(t, "the quota is passed", func() bool {
		_, err := cl.Put(timeout(t), "k", value)
		if err != nil && !errors.Is(err, rpctypes.ErrNoSpace) {
			t.Fatal(err)
		}
		return err != nil
	})
	eventually(t, "every member has the alarm", func() bool {
		for _, m := range c.Members() {
			_, err := pb.NewKVClient(m.Control()).Put(timeout(t), &pb.PutRequest{Key: []byte("probe")})
			if !errors.Is(rpctypes.Error(err), rpctypes.ErrNoSpace) {
				return false
			}
		}
		return true
	})

	events := cl.Watch(timeout(t), "k", kv.WithCreatedNotify())
	if resp := <-events; !resp.Created {
		t.Fatalf("the watch got %+v, want that it was created", resp)
	}
	before := cl.Counters()
	const writes = 20
	refused := map[string]func() error{
		"put":   func() error { _, err := cl.Put(timeout(t), "k", "v"); return err },
		"txn":   func() error { _, err := cl.Txn(timeout(t)).Then(kv.OpPut("k", "v")).Commit(); return err },
		"lease": func() error { _, err := cl.Grant(timeout(t), keptTTL); return err },
	}
	for name, write := range refused {
		for range writes {
			if err := write(); !errors.Is(err, rpctypes.ErrNoSpace) || !client.IsAmbiguous(err) {
				t.Fatalf("%s: %v, want %v, and that to be ambiguous", name, err, rpctypes.ErrNoSpace)
			}
		}
	}
	after := cl.Counters()
	if calls, attempts := after.Calls-before.Calls, after.Attempts-before.Attempts-(after.Hedges-before.Hedges); attempts != calls {
		t.Errorf("%d calls took %d attempts, want one each", calls, attempts)
	}
	if after.Demotions != before.Demotions || after.Failovers != before.Failovers {
		t.Errorf("the client has changed members: %+v, and before %+v", after, before)
	}

	// Calls that need no space still succeed.
	for name, opts := range map[string][]kv.OpOption{"linearizable": nil, "serializable": {kv.WithSerializable()}} {
		if resp, err := cl.Get(timeout(t), "k", opts...); err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != value {
			t.Errorf("%s read: %d keys and error %v, want the value before the alarm", name, len(resp.Kvs), err)
		}
	}
	deleted, err := cl.Delete(timeout(t), "k")
	if err != nil || deleted.Deleted != 1 {
		t.Fatalf("delete: %v and error %v, want one", deleted, err)
	}
	if resp := <-events; resp.Err() != nil || len(resp.Events) != 1 || resp.Events[0].Kv.ModRevision != deleted.Header.Revision {
		t.Errorf("the watch got %+v, want the deletion", resp)
	}

	// Free the space again.
	if _, err := cl.Compact(timeout(t), deleted.Header.Revision, kv.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Members() {
		if _, err := maintain(t, cl).Defragment(timeout(t), m.Endpoint()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := maintain(t, cl).AlarmDisarm(timeout(t), &maintenance.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Put(timeout(t), "k", "v"); err != nil {
		t.Errorf("a write when the alarm is off: %v", err)
	}
	if err := keeper.Err(); err != nil {
		t.Errorf("the lease: %v, want it kept through the alarm", err)
	}
}

// A cluster whose members differ refuses writes. That refusal is certain: all
// members apply the alarm at the same position in the log.
func TestCorruptAlarm(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	cl := dial(t, client.Config{Endpoints: c.Endpoints()})
	if _, err := cl.Put(timeout(t), "k", "v"); err != nil {
		t.Fatal(err)
	}
	alarm := pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: c.Members()[0].ID(), Alarm: pb.AlarmType_CORRUPT}
	alarms := pb.NewMaintenanceClient(cl.Conn())
	if _, err := alarms.Alarm(timeout(t), &alarm); err != nil {
		t.Fatal(err)
	}
	before := cl.Counters()
	if _, err := cl.Put(timeout(t), "k", "w"); !errors.Is(err, rpctypes.ErrCorrupt) || client.IsAmbiguous(err) {
		t.Errorf("a write: %v, want %v, and that not to be ambiguous", err, rpctypes.ErrCorrupt)
	}
	if _, err := cl.Delete(timeout(t), "k"); !errors.Is(err, rpctypes.ErrCorrupt) || client.IsAmbiguous(err) {
		t.Errorf("a deletion: %v, want %v, and that not to be ambiguous", err, rpctypes.ErrCorrupt)
	}
	after := cl.Counters()
	if calls, attempts := after.Calls-before.Calls, after.Attempts-before.Attempts; attempts != calls {
		t.Errorf("%d calls took %d attempts, want one each", calls, attempts)
	}
	if resp, err := cl.Get(timeout(t), "k"); err != nil || len(resp.Kvs) != 1 || string(resp.Kvs[0].Value) != "v" {
		t.Errorf("a read: %v and error %v, want the value before the alarm", resp, err)
	}
	alarm.Action = pb.AlarmRequest_DEACTIVATE
	if _, err := alarms.Alarm(timeout(t), &alarm); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Put(timeout(t), "k", "w"); err != nil {
		t.Errorf("a write when the alarm is off: %v", err)
	}
}
