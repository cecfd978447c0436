package misuse_test

import (
	"context"
	"strings"
	"testing"
	"unicode"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cluster"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/concurrency/stm"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/maintenance"
	"github.com/getcd/getcd/middleware/leasing"
	"github.com/getcd/getcd/middleware/namespace"
	"github.com/getcd/getcd/middleware/ordering"
	"github.com/getcd/getcd/naming"
	"github.com/getcd/getcd/watch"
)

// otherPrefixes are those of errors that do not begin with the name of their package,
// for the reason given.
var otherPrefixes = map[string]struct{ prefix, why string }{
	"client":            {"etcd ", "a call's error begins with what was called (client.Error)"},
	"gateway":           {"rpc error: code = InvalidArgument desc = gateway: ", "it stands in for a grpc.ClientConn, and its errors for gRPC's"},
	"leasing":           {"kv: ", "it is a kv.KV, and the options are kv's"},
	"ordering":          {"kv: ", "likewise"},
	"naming":            {"kv: ", "the options are kv's"},
	"recipe.WaitEvents": {"watch: ", "the options are a watch's"},
}

// checkPrefix wants an error to begin with the package of the function that returned
// it, so that whoever reads it in a log knows where to look.
func checkPrefix(t *testing.T, name string, err error) {
	t.Helper()
	if err == nil || err == errClosedChannel { //nolint:errorlint // it is that very one
		return
	}
	pkg := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) })[0]
	other, ok := otherPrefixes[name]
	if !ok {
		other, ok = otherPrefixes[pkg]
	}
	if strings.HasPrefix(err.Error(), pkg+": ") || ok && strings.HasPrefix(err.Error(), other.prefix) {
		return
	}
	t.Errorf("%s: got %q, want it to begin with %q", name, err, pkg+": ")
}

// What is no call's, whatever the context and the options, begins so, too.
func TestMisuseNamesItsPackage(t *testing.T) {
	cc := etcdtest.Start(t, 1).Conn(t)
	ctx := t.Context()
	store := kv.New(cc)
	leases := lease.New(cc)
	watcher := watch.New(cc)
	clients := recipe.NewClient(store, watcher)
	s, err := session.New(ctx, leases)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, err := range []error{s.Close(context.WithoutCancel(ctx)), leases.Close(), watcher.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	}()
	for name, err := range map[string]error{
		"kv.Get":                     second(store.Get(ctx, "")),
		"kv.Put":                     second(store.Put(ctx, "", "")),
		"kv.Compact":                 second(store.Compact(ctx, -1)),
		"kv.Txn":                     second(store.Txn(ctx).Then(kv.OpPut("", "")).Commit()),
		"kv.Parts":                   firstOf(kv.NewStreamer(cc).Parts(ctx, "")),
		"kv.Scan":                    firstOf(kv.NewStreamer(cc).Scan(ctx, "")),
		"kv.Do":                      second(store.Do(ctx, kv.OpWatch("k"))),
		"watch.Events":               firstOf(watcher.Events(ctx, "")),
		"watch.Events of a range":    firstOf(watcher.Events(ctx, "b", kv.WithRange("a"))),
		"watch.Events with a limit":  firstOf(watcher.Events(ctx, "k", kv.WithLimit(1))),
		"watch.Follow":               firstOf(watcher.Follow(ctx, "k", kv.WithRev(1))),
		"lease.Grant":                second(leases.Grant(ctx, 0)),
		"lease.Revoke":               second(leases.Revoke(ctx, lease.NoLease)),
		"lease.TimeToLive":           second(leases.TimeToLive(ctx, lease.NoLease)),
		"lease.KeepAlive":            second(leases.KeepAlive(ctx, lease.NoLease)),
		"lease.KeepAliveOnce":        second(leases.KeepAliveOnce(ctx, lease.NoLease)),
		"lease.Keep":                 second(leases.Keep(ctx, lease.NoLease)),
		"lock.New":                   second(lock.New(cc, "")),
		"lock.WithTTL":               second(lock.New(cc, "m", lock.WithTTL(1))),
		"lock.NewPool":               second(lock.NewPool(cc, lock.WithTTL(1))),
		"lock.NewLocker":             second(lock.NewLocker(cc, lock.Config{TTL: 1})),
		"lock.Lock":                  second(lock.NewService(cc).Lock(ctx, "", 1)),
		"lock.Lock without a lease":  second(lock.NewService(cc).Lock(ctx, "m", lease.NoLease)),
		"lock.Unlock":                second(lock.NewService(cc).Unlock(ctx, "")),
		"election.New":               second(election.New(cc, "")),
		"election.WithTTL":           second(election.New(cc, "e", election.WithTTL(1))),
		"election.WithSession":       second(election.New(cc, "e", election.WithSession(election.Unproven(lease.NoLease)))),
		"election.Resume":            second(election.Resume(cc, "e", "e/1", 1)),
		"election.Campaign":          second(election.NewService(cc).Campaign(ctx, "e", lease.NoLease, "")),
		"election.Leader":            second(election.NewService(cc).Leader(ctx, "")),
		"election.Proclaim":          second(election.NewService(cc).Proclaim(ctx, nil, "")),
		"session.WithTTL":            second(session.New(ctx, leases, session.WithTTL(1))),
		"stm.WithIsolation":          second(stm.Run(ctx, store, func(stm.STM) error { return nil }, stm.WithIsolation(9))),
		"recipe.DoubleBarrier.Enter": recipe.NewDoubleBarrier(clients, s, "b", 0).Enter(ctx),
		"recipe.WaitEvents of none":  second(recipe.WaitEvents(ctx, watcher, "k", 0, nil)),
		"naming.New":                 second(naming.New(clients, "")),
		"leasing.New":                second(leasing.New(ctx, store, watcher, leases, "")),
		"cluster.MemberAdd":          second(cluster.New(cc).MemberAdd(ctx, nil)),
		"maintenance.AlarmDisarm":    second(maintenance.New(cc).AlarmDisarm(ctx, nil)),
		"client.New":                 second(client.New(client.Config{})),
	} {
		if err == nil {
			t.Errorf("%s: want an error", name)
		}
		checkPrefix(t, name, err)
	}
}

// A service that is nil is an error, too, of New or, where that has none, of the calls.
func TestNilService(t *testing.T) {
	ctx := t.Context()
	cc := etcdtest.Start(t, 1).Conn(t)
	store, watcher, leases := kv.New(cc), watch.New(cc), lease.New(cc)
	defer func() { _, _ = watcher.Close(), leases.Close() }()
	clients := recipe.NewClient(store, watcher)
	mutex, err := lock.New(nil, "m")
	if err != nil {
		t.Fatal(err)
	}
	pool, err := lock.NewPool(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close(ctx) }()
	pooled, err := pool.Mutex("m")
	if err != nil {
		t.Fatal(err)
	}
	candidate, err := election.New(nil, "e")
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"kv.New":                   second(kv.New(nil).Get(ctx, "k")),
		"kv.StreamerOf":            firstOf(kv.StreamerOf(nil).Scan(ctx, "k")),
		"kv, nothing of a stream":  second(kv.GetStreamToGetResponse(nil)),
		"lease.New":                second(lease.New(nil).Grant(ctx, 10)),
		"watch.New":                firstOf(watch.New(nil).Events(ctx, "k")),
		"lock.New":                 mutex.TryLock(ctx),
		"lock.NewPool":             pooled.TryLock(ctx),
		"lock.NewService":          second(lock.NewService(nil).Unlock(ctx, "k")),
		"election.New":             candidate.Campaign(ctx, ""),
		"election.NewService":      second(election.NewService(nil).Leader(ctx, "e")),
		"session.New":              second(session.New(ctx, nil)),
		"lease.GrantNew":           second(lease.GrantNew(ctx, nil, 10)),
		"maintenance.Save":         second(maintenance.New(cc).Save(ctx, nil)),
		"stm.Run":                  second(stm.Run(ctx, nil, func(stm.STM) error { return nil })),
		"stm.Run of nothing":       second(stm.Run(ctx, store, nil)),
		"leasing.New":              second(leasing.New(ctx, nil, watcher, leases, "p/")),
		"leasing.New, no watcher":  second(leasing.New(ctx, store, nil, leases, "p/")),
		"leasing.New, no leases":   second(leasing.New(ctx, store, watcher, nil, "p/")),
		"ordering.NewKV":           second(ordering.NewKV(nil).Get(ctx, "k")),
		"namespace.NewConn":        second(kv.New(namespace.NewConn(nil, "p/")).Get(ctx, "k")),
		"namespace.NewKV":          second(namespace.NewKV(nil, "p/").Get(ctx, "k")),
		"namespace.NewLease":       second(namespace.NewLease(nil, "p/").TimeToLive(ctx, 1)),
		"namespace.NewWatcher":     firstOf(namespace.NewWatcher(nil, "p/").Events(ctx, "k")),
		"naming.New":               second(naming.New(nil, "n")),
		"naming.NewBuilder":        second(naming.NewBuilder(nil)),
		"recipe.NewBarrier":        recipe.NewBarrier(recipe.NewClient(nil, nil), "b").Hold(ctx),
		"recipe.NewQueue":          recipe.NewQueue(nil, "q").Enqueue(ctx, ""),
		"recipe.NewPriorityQueue":  recipe.NewPriorityQueue(nil, "q").Enqueue(ctx, "", 1),
		"recipe.NewQueue, dequeue": second(recipe.NewQueue(nil, "q").Dequeue(ctx)),
		"recipe.NewRWMutex":        recipe.NewRWMutex(clients, nil, "m").Lock(ctx),
		"recipe.NewDoubleBarrier":  recipe.NewDoubleBarrier(clients, nil, "b", 1).Enter(ctx),
		"recipe.WaitEvents":        second(recipe.WaitEvents(ctx, nil, "k", 0, []mvccpb.Event_EventType{mvccpb.Event_PUT})),
	} {
		if err == nil || !strings.Contains(err.Error(), "nil") {
			t.Errorf("%s with a nil service: got %v, want an error that says so", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
