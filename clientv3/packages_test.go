package clientv3_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	recipe "github.com/getcd/getcd/clientv3/experimental/recipes"
	"github.com/getcd/getcd/clientv3/kubernetes"
	"github.com/getcd/getcd/clientv3/mirror"
	"github.com/getcd/getcd/clientv3/namespace"
	"github.com/getcd/getcd/clientv3/naming/endpoints"
	"github.com/getcd/getcd/clientv3/naming/resolver"
	"github.com/getcd/getcd/clientv3/ordering"
	"github.com/getcd/getcd/clientv3/snapshot"
)

func newSession(t *testing.T, cli *clientv3.Client, opts ...concurrency.SessionOption) *concurrency.Session {
	t.Helper()
	s, err := concurrency.NewSession(cli, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSession(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	s := newSession(t, cli, concurrency.WithTTL(30), concurrency.WithTTL(0))
	left, err := cli.TimeToLive(t.Context(), s.Lease())
	if err != nil || left.GrantedTTL != 30 {
		t.Errorf("TimeToLive: %v, %v; want 30 s, since 0 s changes nothing", left, err)
	}
	if s.Client() != cli || s.Ctx().Err() != nil {
		t.Error("the session has another client, or has ended")
	}
	s.Orphan()
	<-s.Done()
	if s.Ctx().Err() == nil {
		t.Error("the context goes on after Orphan")
	}
	again := newSession(t, cli, concurrency.WithLease(s.Lease()))
	if again.Lease() != s.Lease() {
		t.Errorf("the lease is %x, want %x", again.Lease(), s.Lease())
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if left, err := cli.TimeToLive(t.Context(), s.Lease()); err != nil || left.TTL != -1 {
		t.Errorf("TimeToLive after Close: %v, %v; want no lease", left, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := newSession(t, cli, concurrency.WithContext(ctx))
	cancel()
	<-ended.Done()
}

func TestMutex(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	a := concurrency.NewMutex(newSession(t, cli), "lock")
	b := concurrency.NewMutex(newSession(t, cli), "lock")
	if err := a.Unlock(t.Context()); err != concurrency.ErrLockReleased { //nolint:errorlint // as callers do
		t.Errorf("Unlock without a lock: %v, want %v", err, concurrency.ErrLockReleased)
	}
	if err := a.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.TryLock(t.Context()); err != concurrency.ErrLocked { //nolint:errorlint // as callers do
		t.Errorf("TryLock of another's: %v, want %v", err, concurrency.ErrLocked)
	}
	if keys, err := cli.Get(t.Context(), "lock/", clientv3.WithPrefix()); err != nil || len(keys.Kvs) != 1 || string(keys.Kvs[0].Key) != a.Key() {
		t.Errorf("the keys are %v, %v; want %q alone", keys, err, a.Key())
	}
	if txn, err := cli.Txn(t.Context()).If(a.IsOwner()).Commit(); err != nil || !txn.Succeeded {
		t.Errorf("the holder's IsOwner does not hold: %v, %v", txn, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Lock(ctx); err != context.DeadlineExceeded { //nolint:errorlint // as callers do
		t.Errorf("Lock until too late: %v, want %v", err, context.DeadlineExceeded)
	}
	if err := a.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	if txn, err := cli.Txn(t.Context()).If(a.IsOwner()).Commit(); err != nil || txn.Succeeded {
		t.Errorf("IsOwner holds after Unlock: %v, %v", txn, err)
	}
	if err := b.TryLock(t.Context()); err != nil {
		t.Error(err)
	}
	if b.Header().GetRevision() <= a.Header().GetRevision() {
		t.Errorf("the headers' revisions are %d and then %d, which does not grow", a.Header().GetRevision(), b.Header().GetRevision())
	}
	if err := b.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	l := concurrency.NewLocker(newSession(t, cli), "lock")
	l.Lock()
	l.Unlock() //nolint:staticcheck // SA2001: that it returns is what is tested
	broken := concurrency.NewMutex(newSession(t, cli), "")
	if err := errors.Join(broken.Lock(t.Context()), broken.TryLock(t.Context())); err == nil || broken.Key() != "" || broken.Header() != nil {
		t.Error("a mutex without a name can be locked")
	}
}

func TestElection(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	s := newSession(t, cli)
	e, other := concurrency.NewElection(s, "chair"), concurrency.NewElection(newSession(t, cli), "chair")
	if _, err := e.Leader(t.Context()); err != concurrency.ErrElectionNoLeader { //nolint:errorlint // as callers do
		t.Errorf("Leader of nobody: %v, want %v", err, concurrency.ErrElectionNoLeader)
	}
	if err := e.Campaign(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	leaders := other.Observe(ctx)
	if l := <-leaders; string(l.Kvs[0].Value) != "ann" || string(l.Kvs[0].Key) != e.Key() || l.Kvs[0].CreateRevision != e.Rev() {
		t.Errorf("the leader is %v, want ann with the key %q and the revision %d", l, e.Key(), e.Rev())
	}
	if err := other.Proclaim(t.Context(), "bob"); err != concurrency.ErrElectionNotLeader { //nolint:errorlint // as callers do
		t.Errorf("Proclaim of another: %v, want %v", err, concurrency.ErrElectionNotLeader)
	}
	resumed := concurrency.ResumeElection(s, "chair", e.Key(), e.Rev())
	if err := resumed.Proclaim(t.Context(), "still ann"); err != nil {
		t.Error(err)
	}
	if l := <-leaders; string(l.Kvs[0].Value) != "still ann" {
		t.Errorf("the leader is %v, want what was proclaimed", l)
	}
	if err := resumed.Resign(t.Context()); err != nil || resumed.Header() == nil {
		t.Errorf("Resign: %v, with the header %v", err, resumed.Header())
	}
	cancel()
	for range leaders { // until it closes
	}
	wrong := concurrency.ResumeElection(s, "chair", "elsewhere", 1)
	if err := wrong.Proclaim(t.Context(), "x"); err == nil || wrong.Key() != "" || wrong.Rev() != 0 {
		t.Error("a leader whose key is none of the election's can be resumed")
	}
	for range wrong.Observe(t.Context()) {
		t.Error("and observed")
	}
}

func TestSTM(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	for _, run := range []func(func(concurrency.STM) error) (*clientv3.TxnResponse, error){
		func(f func(concurrency.STM) error) (*clientv3.TxnResponse, error) {
			return concurrency.NewSTM(cli, f, concurrency.WithPrefetch("n"), concurrency.WithIsolation(concurrency.Serializable))
		},
		func(f func(concurrency.STM) error) (*clientv3.TxnResponse, error) {
			return concurrency.NewSTMRepeatable(t.Context(), cli, f) //nolint:staticcheck // SA1019: it is what is tested
		},
		func(f func(concurrency.STM) error) (*clientv3.TxnResponse, error) {
			return concurrency.NewSTMSerializable(t.Context(), cli, f) //nolint:staticcheck // SA1019: it is what is tested
		},
		func(f func(concurrency.STM) error) (*clientv3.TxnResponse, error) {
			return concurrency.NewSTMReadCommitted(t.Context(), cli, f) //nolint:staticcheck // SA1019: it is what is tested
		},
	} {
		if _, err := run(func(stm concurrency.STM) error {
			stm.Put("n", stm.Get("n")+"x")
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	if resp, err := cli.Get(t.Context(), "n"); err != nil || string(resp.Kvs[0].Value) != "xxxx" {
		t.Errorf("%v, %v; want xxxx", resp, err)
	}
	own := fmt.Errorf("the function's: %w", context.Canceled)
	if _, err := concurrency.NewSTM(cli, func(concurrency.STM) error { return own }); err != own { //nolint:errorlint // it must be the same
		t.Errorf("%v, want %v", err, own)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := concurrency.NewSTM(cli, func(stm concurrency.STM) error { stm.Get("n"); return nil }, concurrency.WithAbortContext(ended))
	if err != context.Canceled { //nolint:errorlint // as callers do
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

// Sessions, mutexes and recipes use the services that a program sets in a
// client's fields.
func TestNamespace(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	outside := cli.KV
	cli.KV = namespace.NewKV(cli.KV, "ns/")
	cli.Watcher = namespace.NewWatcher(cli.Watcher, "ns/")
	cli.Lease = namespace.NewLease(cli.Lease, "ns/")
	s := newSession(t, cli)
	m := concurrency.NewMutex(s, "lock")
	if err := m.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := cli.TimeToLive(t.Context(), s.Lease(), clientv3.WithAttachedKeys())
	if err != nil || len(left.Keys) != 1 || string(left.Keys[0]) != m.Key() {
		t.Errorf("the lease has %q, %v; want %q", left.Keys, err, m.Key())
	}
	resp, err := outside.Get(t.Context(), "ns/"+m.Key())
	if err != nil || len(resp.Kvs) != 1 {
		t.Errorf("outside there is %v, %v; want the lock", resp, err)
	}
	if err := m.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	q := recipe.NewQueue(cli, "queue")
	if err := q.Enqueue("item"); err != nil {
		t.Fatal(err)
	}
	if resp, err := outside.Get(t.Context(), "ns/queue/", clientv3.WithPrefix()); err != nil || len(resp.Kvs) != 1 {
		t.Errorf("outside there is %v, %v; want the item", resp, err)
	}
	stream, err := cli.GetStream(t.Context(), "", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := clientv3.GetStreamToGetResponse(stream); err != nil || resp.Count == 0 {
		t.Errorf("GetStream: %v, %v; want what there is", resp, err)
	}
	if item, err := q.Dequeue(); err != nil || item != "item" {
		t.Errorf("Dequeue: %q, %v", item, err)
	}
}

// foreign wraps a client's services, as programs do.
func foreign(cli *clientv3.Client) {
	cli.KV = struct{ clientv3.KV }{cli.KV}
	cli.Lease = struct{ clientv3.Lease }{cli.Lease}
	cli.Watcher = struct{ clientv3.Watcher }{cli.Watcher}
}

// All packages work if a program wraps a client's services.
func TestForeignServices(t *testing.T) {
	for name, inside := range map[string]bool{"plain": false, "in a namespace": true} {
		t.Run(name, func(t *testing.T) {
			cli, _ := newClient(t, clientv3.Config{})
			foreign(cli)
			if inside {
				cli.KV = namespace.NewKV(cli.KV, "ns/")
				cli.Lease = namespace.NewLease(cli.Lease, "ns/")
				cli.Watcher = namespace.NewWatcher(cli.Watcher, "ns/")
			}
			a, b := newSession(t, cli), newSession(t, cli)
			held := concurrency.NewMutex(a, "lock")
			if err := held.Lock(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := make(chan error)
			go func() { got <- concurrency.NewMutex(b, "lock").Lock(t.Context()) }()
			if err := errors.Join(held.Unlock(t.Context()), <-got); err != nil {
				t.Error(err)
			}
			e := concurrency.NewElection(a, "chair")
			if err := e.Campaign(t.Context(), "ann"); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			leaders := concurrency.NewElection(b, "chair").Observe(ctx)
			for _, want := range []string{"ann", "ann, still"} {
				if l := <-leaders; l == nil || string(l.Kvs[0].Value) != want {
					t.Errorf("the leader is %v, want %q", l, want)
				}
				if err := e.Proclaim(t.Context(), "ann, still"); err != nil {
					t.Error(err)
				}
			}
			stop()
			for range leaders { // until it closes
			}
			q := recipe.NewQueue(cli, "queue")
			item := make(chan string)
			go func() {
				i, err := q.Dequeue()
				if err != nil {
					i = err.Error()
				}
				item <- i
			}()
			if err := q.Enqueue("item"); err != nil {
				t.Fatal(err)
			}
			if i := <-item; i != "item" {
				t.Errorf("Dequeue: %q, want the item", i)
			}
			if _, err := cli.Revoke(t.Context(), a.Lease()); err != nil {
				t.Fatal(err)
			}
			err := concurrency.NewMutex(a, "another").Lock(t.Context())
			if err != rpctypes.ErrLeaseNotFound && err != concurrency.ErrSessionExpired { //nolint:errorlint // as callers do
				t.Errorf("a lock without a lease: %v, want %v", err, rpctypes.ErrLeaseNotFound)
			}
		})
	}
}

// What the recipes' promises need is not below the prefix that clientv3's recipes use.
func TestRecipesPermissions(t *testing.T) {
	root, members := newClient(t, clientv3.Config{})
	ctx := t.Context()
	grant := func(key, end string) {
		t.Helper()
		if _, err := root.RoleGrantPermission(ctx, "worker", key, end, clientv3.PermissionType(clientv3.PermReadWrite)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"root", "u"} {
		if _, err := root.UserAdd(ctx, name, "p"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := root.RoleAdd(ctx, "worker"); err != nil {
		t.Fatal(err)
	}
	for user, role := range map[string]string{"root": "root", "u": "worker"} {
		if _, err := root.UserGrantRole(ctx, user, role); err != nil {
			t.Fatal(err)
		}
	}
	enable := func() {
		t.Helper()
		if _, err := root.AuthEnable(ctx); err != nil {
			t.Fatal(err)
		}
	}
	grant("barrier", "")
	grant("meeting/", clientv3.GetPrefixRangeEnd("meeting/"))
	grant("shared/", clientv3.GetPrefixRangeEnd("shared/"))
	grant("jobs/", clientv3.GetPrefixRangeEnd("jobs/"))
	grant("mutex/", clientv3.GetPrefixRangeEnd("mutex/"))
	enable()
	cli, err := clientv3.New(clientv3.Config{Endpoints: members.Addrs(), DialOptions: []grpc.DialOption{grpc.WithContextDialer(members.Dialer())}, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cli.Close() }()
	s := newSession(t, cli)
	m := concurrency.NewMutex(s, "mutex")
	if err := errors.Join(m.Lock(ctx), m.Unlock(ctx)); err != nil {
		t.Errorf("a mutex, which needs no other key: %v", err)
	}
	b, d := recipe.NewBarrier(cli, "barrier"), recipe.NewDoubleBarrier(s, "meeting", 1)
	rw, q := recipe.NewRWMutex(s, "shared"), recipe.NewQueue(cli, "jobs")
	for name, do := range map[string]func() error{
		"Hold": b.Hold, "Enter": d.Enter, "Lock": rw.Lock, "RLock": rw.RLock,
		"Enqueue": func() error { return q.Enqueue("a") },
		"Dequeue": func() error { _, err := q.Dequeue(); return err },
	} {
		if err := do(); err != rpctypes.ErrPermissionDenied { //nolint:errorlint // as callers do
			t.Errorf("%s: %v, want %v", name, err, rpctypes.ErrPermissionDenied)
		}
	}
	members.DisableAuth()
	for _, key := range []string{"barrier.fence", "meeting.fence", "shared.fence"} {
		grant(key, "")
	}
	grant("__jobs/", clientv3.GetPrefixRangeEnd("__jobs/"))
	enable()
	if err := errors.Join(q.Enqueue("a"), b.Hold(), b.Release(), d.Enter(), d.Leave(), rw.RLock(), rw.RUnlock(), rw.Lock(), rw.Unlock()); err != nil {
		t.Errorf("with the permissions: %v", err)
	}
	if val, err := q.Dequeue(); err != nil || val != "a" {
		t.Errorf("Dequeue: %q, %v", val, err)
	}
}

func TestRecipes(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	b := recipe.NewBarrier(cli, "barrier")
	if err := b.Hold(); err != nil {
		t.Fatal(err)
	}
	if err := b.Hold(); err != recipe.ErrKeyExists { //nolint:errorlint // as callers do
		t.Errorf("Hold again: %v, want %v", err, recipe.ErrKeyExists)
	}
	if err := errors.Join(b.Release(), b.Wait()); err != nil {
		t.Error(err)
	}
	p := recipe.NewPriorityQueue(cli, "urgent")
	if err := errors.Join(p.Enqueue("second", 2), p.Enqueue("first", 1)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first", "second"} {
		if got, err := p.Dequeue(); err != nil || got != want {
			t.Errorf("Dequeue: %q, %v; want %q", got, err, want)
		}
	}
	d := recipe.NewDoubleBarrier(newSession(t, cli), "meeting", 1)
	if err := errors.Join(d.Enter(), d.Leave()); err != nil {
		t.Error(err)
	}
	rw := recipe.NewRWMutex(newSession(t, cli), "shared")
	if err := errors.Join(rw.RLock(), rw.RUnlock(), rw.Lock(), rw.Unlock()); err != nil {
		t.Error(err)
	}
	// As in clientv3 either call releases the lock, and a second one does nothing.
	other := recipe.NewRWMutex(newSession(t, cli), "shared")
	if err := errors.Join(d.Leave(), rw.Unlock(), rw.RLock(), rw.Unlock(), rw.RUnlock(), other.Lock(), other.RUnlock(), other.Unlock()); err != nil {
		t.Error(err)
	}
	if err := rw.Lock(); err != nil {
		t.Error(err)
	}
	if _, err := cli.Delete(t.Context(), "shared/", clientv3.WithPrefix()); err != nil {
		t.Error(err)
	}
	if err := rw.Unlock(); err != nil {
		t.Errorf("Unlock of a lock that was lost: %v", err)
	}
	put, err := cli.Put(t.Context(), "wait/a", "v")
	if err != nil {
		t.Fatal(err)
	}
	kinds := []mvccpb.Event_EventType{clientv3.EventTypePut}
	if e, err := recipe.WaitEvents(cli, "wait/a", put.Header.Revision, kinds); err != nil || string(e.Kv.Value) != "v" {
		t.Errorf("WaitEvents: %v, %v; want the PUT", e, err)
	}
	if e, err := recipe.WaitPrefixEvents(cli, "wait/", put.Header.Revision, kinds); err != nil || string(e.Kv.Value) != "v" {
		t.Errorf("WaitPrefixEvents: %v, %v; want the PUT", e, err)
	}
}

func TestOrdering(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	f := ordering.NewOrderViolationSwitchEndpointClosure(cli)
	for i := range 6 {
		if err := f(clientv3.Op{}, clientv3.OpResponse{}, 7); err != nil {
			t.Errorf("violation %d: %v, want to ask again", i, err)
		}
	}
	if err := f(clientv3.Op{}, clientv3.OpResponse{}, 7); err != ordering.ErrNoGreaterRev { //nolint:errorlint // as callers do
		t.Errorf("the last violation: %v, want %v", err, ordering.ErrNoGreaterRev)
	}
	if err := f(clientv3.Op{}, clientv3.OpResponse{}, 8); err != nil {
		t.Errorf("of another revision: %v, want to ask again", err)
	}
	cli.KV = ordering.NewKV(cli.KV, f)
	if _, err := cli.Put(t.Context(), "k", "v"); err != nil {
		t.Error(err)
	}
	if resp, err := cli.Get(t.Context(), "k", clientv3.WithSerializable()); err != nil || len(resp.Kvs) != 1 {
		t.Errorf("Get: %v, %v", resp, err)
	}
}

func TestMirror(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	for _, key := range []string{"a/1", "a/2", "b/1"} {
		if _, err := cli.Put(t.Context(), key, "v"); err != nil {
			t.Fatal(err)
		}
	}
	for prefix, want := range map[string]int{"a/": 2, "": 3} {
		s := mirror.NewSyncer(cli, prefix, 0)
		parts, errs := s.SyncBase(t.Context())
		got := 0
		for part := range parts {
			got += len(part.Kvs)
		}
		if err := <-errs; err != nil || got != want {
			t.Errorf("prefix %q: %d keys, %v; want %d", prefix, got, err, want)
		}
		ctx, cancel := context.WithCancel(t.Context())
		events := s.SyncUpdates(ctx)
		if _, err := cli.Put(t.Context(), "a/1", "new"); err != nil {
			t.Fatal(err)
		}
		if r := <-events; len(r.Events) != 1 || string(r.Events[0].Kv.Value) != "new" {
			t.Errorf("prefix %q: the update is %+v, want the PUT", prefix, r)
		}
		cancel()
	}
}

func TestNaming(t *testing.T) {
	cli, _ := newClient(t, clientv3.Config{})
	m, err := endpoints.NewManager(cli, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.AddEndpoint(t.Context(), "shop/a", endpoints.Endpoint{Addr: "10.0.0.1:80", Metadata: "red"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes, err := m.NewWatchChannel(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-changes; len(got) != 1 || got[0].Op != endpoints.Add || got[0].Endpoint.Metadata != "red" {
		t.Errorf("the first update is %+v, want what there is", got)
	}
	if err := m.DeleteEndpoint(t.Context(), "shop/a"); err != nil {
		t.Error(err)
	}
	if got := <-changes; len(got) != 1 || got[0].Op != endpoints.Delete || got[0].Key != "shop/a" {
		t.Errorf("the second update is %+v, want the deletion", got)
	}
	if list, err := m.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("List: %v, %v; want none", list, err)
	}
	if err := m.AddEndpoint(t.Context(), "else/a", endpoints.Endpoint{}); err == nil {
		t.Error("an endpoint of another service was added")
	}
	cancel()
	for range changes { // until it closes
	}
	if _, err := endpoints.NewManager(cli, ""); err == nil {
		t.Error("a service without a name")
	}
	if _, err := resolver.NewBuilder(nil); err == nil {
		t.Error("a resolver without a client")
	}
}

// gRPC finds a service by its name in etcd.
func TestNamingResolver(t *testing.T) {
	cli, c := newClient(t, clientv3.Config{})
	m, err := endpoints.NewManager(cli, "etcd-itself")
	if err != nil {
		t.Fatal(err)
	}
	b, err := resolver.NewBuilder(cli)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("etcd:///etcd-itself", grpc.WithResolvers(b),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(c.Dialer()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Connect()
	// As with clientv3's: package naming says more.
	if _, err := pb.NewKVClient(conn).Range(t.Context(), &pb.RangeRequest{Key: []byte("k")}); status.Convert(err).Message() != "name resolver error: produced zero addresses" {
		t.Errorf("a service without endpoints: %v", err)
	}
	if err := m.AddEndpoint(t.Context(), "etcd-itself/1", endpoints.Endpoint{Addr: c.Addrs()[0]}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := clientv3.RetryMaintenanceClient(nil, conn).Status(ctx, &pb.StatusRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Errorf("a request by the service's name: %v", err)
	}
}

// A failed snapshot leaves no file. integration/dropin saves one successfully.
func TestSnapshot(t *testing.T) {
	_, c := newClient(t, clientv3.Config{})
	cfg := clientv3.Config{Endpoints: c.Addrs(), DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())}}
	file := filepath.Join(t.TempDir(), "backup.db")
	if _, err := snapshot.SaveWithVersion(t.Context(), nil, cfg, file); err == nil {
		t.Error("the fake has no snapshots, and one was saved")
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a file was left: %v", err)
	}
	cfg.Endpoints = []string{"a:1", "b:1"}
	if _, err := snapshot.SaveWithVersion(t.Context(), nil, cfg, file); err == nil {
		t.Error("a snapshot of two members")
	}
}

func TestKubernetes(t *testing.T) {
	_, c := newClient(t, clientv3.Config{})
	k, err := kubernetes.New(clientv3.Config{Endpoints: c.Addrs(), DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.Dialer())}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	ctx := t.Context()
	made, err := k.Kubernetes.OptimisticPut(ctx, "pods/a", []byte("1"), 0, kubernetes.PutOptions{})
	if err != nil || !made.Succeeded {
		t.Fatalf("%+v, %v", made, err)
	}
	again, err := k.OptimisticPut(ctx, "pods/a", []byte("2"), 0, kubernetes.PutOptions{GetOnFailure: true})
	if err != nil || again.Succeeded || string(again.KV.GetValue()) != "1" {
		t.Errorf("OptimisticPut of what is there: %+v, %v; want what is there", again, err)
	}
	if list, err := k.List(ctx, "pods/", kubernetes.ListOptions{Limit: 1}); err != nil || len(list.Kvs) != 1 || list.Count != 1 {
		t.Errorf("List: %+v, %v", list, err)
	}
	if list, err := k.List(ctx, "pods/", kubernetes.ListOptions{Continue: "pods/a\x00"}); err != nil || len(list.Kvs) != 0 {
		t.Errorf("List after the last: %+v, %v", list, err)
	}
	if n, err := k.Count(ctx, "pods/", kubernetes.CountOptions{}); err != nil || n != 1 {
		t.Errorf("Count: %d, %v", n, err)
	}
	if gone, err := k.OptimisticDelete(ctx, "pods/a", made.Revision+7, kubernetes.DeleteOptions{GetOnFailure: true}); err != nil || gone.Succeeded || gone.KV == nil {
		t.Errorf("OptimisticDelete of another revision: %+v, %v", gone, err)
	}
	if gone, err := k.OptimisticDelete(ctx, "pods/a", made.Revision, kubernetes.DeleteOptions{}); err != nil || !gone.Succeeded {
		t.Errorf("OptimisticDelete: %+v, %v", gone, err)
	}
	if got, err := k.Get(ctx, "pods/a", kubernetes.GetOptions{}); err != nil || got.KV != nil || got.Revision == 0 {
		t.Errorf("Get of nothing: %+v, %v", got, err)
	}
}
