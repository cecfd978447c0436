package clientv3_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/etcdtest"
)

// Calls that require a leader fail if no member has one.
func TestRequireLeader(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		grant, err := r.Grant(t.Context(), 600)
		if err != nil {
			t.Fatal(err)
		}
		ctx := clientv3.WithRequireLeader(t.Context())
		kept, err := r.KeepAlive(ctx, grant.ID)
		if err != nil {
			t.Fatal(err)
		}
		easy, err := r.KeepAlive(t.Context(), grant.ID)
		if err != nil {
			t.Fatal(err)
		}
		events, quiet := r.Watch(ctx, "k"), r.Watch(t.Context(), "k")
		<-kept
		<-easy                     // a channel whose first answer is late closes
		r.cluster.Member(2).Kill() // all the others must have refused
		synctest.Wait()
		r.each(func(m *etcdtest.Member) { m.SetNoLeader(true) })
		for name, call := range map[string]func() error{
			"Put":           func() error { _, err := r.Put(ctx, "k", "v"); return err },
			"Get":           func() error { _, err := r.Get(ctx, "k"); return err },
			"Txn":           func() error { _, err := r.Txn(ctx).Then(clientv3.OpPut("k", "v")).Commit(); return err },
			"Grant":         func() error { _, err := r.Grant(ctx, 10); return err },
			"KeepAliveOnce": func() error { _, err := r.KeepAliveOnce(ctx, grant.ID); return err },
			"UserList":      func() error { _, err := r.UserList(ctx); return err },
		} {
			if err := call(); err != rpctypes.ErrNoLeader { //nolint:errorlint // as callers do
				t.Errorf("%s: %v, want %v", name, err, rpctypes.ErrNoLeader)
			}
		}
		resp, ok := <-events
		if !ok || !resp.Canceled || resp.Err() != rpctypes.ErrNoLeader { //nolint:errorlint // as callers do
			t.Errorf("the watch: %+v, %v; want %v", resp, resp.Err(), rpctypes.ErrNoLeader)
		}
		for range kept { // until it closes
		}
		select {
		case resp, ok := <-quiet:
			t.Errorf("a watch that requires none: %+v, %v", resp, ok)
		default:
		}
		r.each(func(m *etcdtest.Member) { m.SetNoLeader(false) })
		if _, err := r.Put(ctx, "k", "v"); err != nil {
			t.Error(err)
		}
		again := r.Watch(ctx, "other")
		time.Sleep(time.Minute)
		select {
		case resp := <-quiet:
			if len(resp.Events) != 1 {
				t.Errorf("a watch that requires none: %+v, want the event", resp)
			}
		default:
			t.Error("a watch that requires none has no event")
		}
		select {
		case resp, ok := <-again:
			t.Errorf("a watch with a leader: %+v, %v", resp, ok)
		default:
		}
		for len(easy) > 0 {
			<-easy
		}
		if a, ok := <-easy; !ok {
			t.Errorf("a keeper that requires none: %v, %v", a, ok)
		}
	})
}

// A watch that requires a leader costs nothing while there is one. kube-apiserver
// has such a watch for every resource.
func TestRequireLeaderIdle(t *testing.T) {
	const watches = 100
	// idle returns the number of allocations in a quiet minute.
	idle := func(require bool) (mallocs uint64) {
		run(t, 3, nil, func(r *rig) {
			ctx := r.t.Context()
			if require {
				ctx = clientv3.WithRequireLeader(ctx)
			}
			for i := range watches {
				r.Watch(ctx, strconv.Itoa(i))
			}
			time.Sleep(time.Minute)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			time.Sleep(time.Minute)
			runtime.ReadMemStats(&after)
			mallocs = after.Mallocs - before.Mallocs
		})
		return mallocs
	}
	with, without := idle(true), idle(false)
	if most := without + 100*watches; with > most { // ten ticks per second would be 600 for each watch
		t.Errorf("%d watches allocate %d times a minute with a leader required, and %d times without; want %d at most", watches, with, without, most)
	}
}

// One member with a leader is enough.
func TestRequireLeaderSomewhere(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.cluster.Member(0).SetNoLeader(true)
		r.cluster.Member(1).SetNoLeader(true)
		if _, err := r.Put(clientv3.WithRequireLeader(t.Context()), "k", "v"); err != nil {
			t.Error(err)
		}
	})
}

// If there are only learners, their refusal is returned.
func TestLearnerAlone(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		r.cluster.Member(0).SetLearner(true)
		const want = "etcdserver: rpc not supported for learner"
		ctx := context.WithoutCancel(t.Context())
		for name, call := range map[string]func() error{
			"Get":     func() error { _, err := r.Get(ctx, "k"); return err },
			"Put":     func() error { _, err := r.Put(ctx, "k", "v"); return err },
			"Members": func() error { _, err := r.MemberList(ctx); return err },
		} {
			if err := call(); err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
		if _, err := r.Get(ctx, "k", clientv3.WithSerializable()); err != nil {
			t.Error(err)
		}
		r.cluster.Member(0).SetLearner(false)
		if _, err := r.Put(ctx, "k", "v"); err != nil {
			t.Error(err)
		}
	})
}

// A program may keep a lease twice, and the second time long before the next renewal is due.
func TestKeepAliveAgain(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		grant, err := r.Grant(t.Context(), 600)
		if err != nil {
			t.Fatal(err)
		}
		for _, which := range []string{"first", "second"} {
			answers, err := r.KeepAlive(t.Context(), grant.ID)
			if err != nil {
				t.Fatal(err)
			}
			if a, ok := <-answers; !ok || a.ID != grant.ID {
				t.Fatalf("the %s KeepAlive: %v, %v, want an answer", which, a, ok)
			}
			time.Sleep(10 * time.Second) // the bubble's clock; a first answer that is late ends it
			select {
			case a, ok := <-answers:
				t.Errorf("the %s KeepAlive: %v, %v, want nothing for minutes", which, a, ok)
			default:
			}
		}
	})
}

// KeepAlive waits for the first response as long as documented.
func TestKeepAliveFirst(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		grant, err := r.Grant(t.Context(), 600)
		if err != nil {
			t.Fatal(err)
		}
		r.cluster.Member(0).Kill()
		begin := time.Now()
		kept, err := r.KeepAlive(t.Context(), grant.ID)
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := <-kept; ok {
			t.Errorf("an answer: %v", a)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("it took %v to close the channel, want 5 s", took)
		}
	})
}

// When a lease is gone, its channel closes at once, and no other channel does.
func TestKeepAliveGone(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		unknown, err := r.KeepAlive(t.Context(), 4711)
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := <-unknown; ok {
			t.Errorf("of an unknown lease: %v", a)
		}
		var kept [2]<-chan *clientv3.LeaseKeepAliveResponse
		var ids [2]clientv3.LeaseID
		for i := range kept {
			grant, err := r.Grant(t.Context(), 5)
			if err != nil {
				t.Fatal(err)
			}
			ids[i] = grant.ID
			if kept[i], err = r.KeepAlive(t.Context(), grant.ID); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if _, err := r.Revoke(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if a, ok := <-kept[0]; ok {
			t.Errorf("of a revoked lease: %v", a)
		}
		time.Sleep(time.Minute)
		for len(kept[1]) > 0 {
			<-kept[1]
		}
		if _, ok := <-kept[1]; !ok {
			t.Error("the other lease is not kept")
		}
	})
}

// A watch that cannot begin reports that at once.
func TestWatchRefused(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		select {
		case resp, ok := <-r.Watch(ended, "k"):
			if ok {
				t.Errorf("of a context that has ended: %+v", resp)
			}
		default:
			t.Error("of a context that has ended the channel is open")
		}
		resp := <-r.Watch(t.Context(), "k", clientv3.WithRev(-1))
		if !resp.Canceled || resp.Err() != rpctypes.ErrCompacted { //nolint:errorlint // as callers do
			t.Errorf("of revision -1: %+v, %v; want %v", resp, resp.Err(), rpctypes.ErrCompacted)
		}
	})
}

// A range that ends before it begins has no keys.
func TestEmptyRange(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		if _, err := r.Put(t.Context(), "b", "v"); err != nil {
			t.Fatal(err)
		}
		back := clientv3.WithRange("a")
		if resp, err := r.Get(t.Context(), "b", back); err != nil || len(resp.Kvs) != 0 || resp.Count != 0 {
			t.Errorf("Get: %v, %v; want nothing", resp, err)
		}
		if resp, err := r.Delete(t.Context(), "b", back); err != nil || resp.Deleted != 0 {
			t.Errorf("Delete: %v, %v; want none", resp, err)
		}
		resp, err := r.Txn(t.Context()).Then(clientv3.OpGet("b", back)).Commit()
		if err != nil || len(resp.Responses[0].GetResponseRange().GetKvs()) != 0 {
			t.Errorf("Txn: %v, %v; want nothing", resp, err)
		}
		stream, err := r.GetStream(t.Context(), "b", back)
		if err != nil {
			t.Fatal(err)
		}
		if all, err := clientv3.GetStreamToGetResponse(stream); err != nil || len(all.Kvs) != 0 {
			t.Errorf("GetStream: %v, %v; want nothing", all, err)
		}
	})
}
