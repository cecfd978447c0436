package misuse_test

import (
	"context"
	"strings"
	"testing"
	"unicode"

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
	ownOther := ok && strings.HasPrefix(err.Error(), other.prefix)
	if !strings.HasPrefix(err.Error(), pkg+": ") && !ownOther {
		t.Errorf("%s: got %q, want it to begin with %q", name, err, pkg+": ")
	}
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
		"lock.NewMutex":              second(lock.NewMutex(cc, "")),
		"lock.WithTTL":               second(lock.NewMutex(cc, "m", lock.WithTTL(1))),
		"lock.NewLocker":             second(lock.NewLocker(cc, lock.Config{TTL: 1})),
		"lock.Lock":                  second(lock.New(cc).Lock(ctx, "", 1)),
		"lock.Lock without a lease":  second(lock.New(cc).Lock(ctx, "m", lease.NoLease)),
		"lock.Unlock":                second(lock.New(cc).Unlock(ctx, "")),
		"election.NewElection":       second(election.NewElection(cc, "")),
		"election.WithTTL":           second(election.NewElection(cc, "e", election.WithTTL(1))),
		"election.WithSession":       second(election.NewElection(cc, "e", election.WithSession(election.Unproven(lease.NoLease)))),
		"election.Resume":            second(election.Resume(cc, "e", "e/1", 1)),
		"election.Campaign":          second(election.New(cc).Campaign(ctx, "e", lease.NoLease, "")),
		"election.Leader":            second(election.New(cc).Leader(ctx, "")),
		"election.Proclaim":          second(election.New(cc).Proclaim(ctx, nil, "")),
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

func second[T any](_ T, err error) error { return err }
