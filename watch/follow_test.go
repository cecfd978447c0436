package watch_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// follower pulls updates one at a time.
func follower(t *testing.T, w watch.Watcher, key string, opts ...kv.OpOption) func() watch.Update {
	t.Helper()
	next, stop := iter.Pull2(w.Follow(t.Context(), key, opts...))
	t.Cleanup(stop)
	return func() watch.Update {
		t.Helper()
		u, err, ok := next()
		if err != nil || !ok {
			t.Fatalf("Follow ended: %v", err)
		}
		return u
	}
}

func keys(s *watch.Snapshot) []string {
	if s == nil {
		return nil
	}
	out := []string{}
	for _, kv := range s.KVs {
		out = append(out, fmt.Sprintf("%d %s=%s", kv.ModRevision, kv.Key, kv.Value))
	}
	return out
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, store := single(t)
		put(t, store, "a", "1")
		put(t, store, "b", "1")
		put(t, store, "a", "2")
		next := follower(t, w, "", kv.WithPrefix())
		u := next()
		if diff := cmp.Diff([]string{"4 a=2", "3 b=1"}, keys(u.Snapshot)); diff != "" || u.Revision != 4 || u.Snapshot.Cause != nil {
			t.Errorf("snapshot %+v, want - and got +:\n%s", u, diff)
		}
		put(t, store, "c", "1") // while nobody watches
		putMany(t, store, "3", "a", "b")
		var got []string
		for len(got) < 3 {
			u = next()
			got = append(got, texts(u.Events)...)
		}
		if diff := cmp.Diff([]string{"5 create c=1", "6 modify a=3", "6 modify b=3"}, got); diff != "" || u.Revision != 6 {
			t.Errorf("events up to %d, want - and got +:\n%s", u.Revision, diff)
		}
	})
}

// A snapshot of many keys is read at one revision, by a stream and a page when that fails, and
// begun again when it is compacted meanwhile.
func TestFollowPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		conn := c.Conn(t)
		store := kv.New(conn)
		const n = 2500
		for i := range n {
			put(t, store, fmt.Sprintf("k/%04d", i), "v")
		}
		reads := 0
		c.Member(0).Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
			resp, err := next()
			if method == pb.KV_Range_FullMethodName {
				if reads++; reads == 2 { // the first has asked for the revision
					return nil, rpctypes.ErrGRPCCompacted
				}
			}
			return resp, err
		})
		streams := 0
		c.Member(0).InterceptStream(func(ss grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
			if method == pb.KV_RangeStream_FullMethodName {
				if streams++; streams == 1 {
					return rpctypes.ErrGRPCCompacted
				}
			}
			return next(ss)
		})
		u := follower(t, service(t, conn), "k/", kv.WithPrefix())()
		if got := len(u.Snapshot.KVs); got != n {
			t.Errorf("got %d keys, want %d", got, n)
		}
		for i, kv := range u.Snapshot.KVs {
			if want := fmt.Sprintf("k/%04d", i); string(kv.Key) != want {
				t.Fatalf("key %d: got %s, want %s", i, kv.Key, want)
			}
		}
		synctest.Wait()
		if reads != 2+1 || streams != 2 {
			t.Errorf("got %d reads and %d streams, want two and one, then one and one", reads, streams)
		}
	})
}

func TestFollowResyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		store := kv.New(c.Member(1).Conn(t))
		w := service(t, c.Conn(t))
		put(t, store, "a", "1")
		put(t, store, "b", "1")
		next := follower(t, w, "", kv.WithPrefix())
		next()
		away := func(while func()) {
			t.Helper()
			c.Member(0).Kill()
			while()
			c.Member(0).Start()
		}
		put(t, store, "a", "2")
		if got := texts(next().Events); got[0] != "4 modify a=2" {
			t.Errorf("got %v, want revision 4", got)
		}

		away(func() {
			if _, err := store.Delete(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			compact(t, store, put(t, store, "b", "2"))
		})
		u := next()
		if diff := cmp.Diff([]string{"6 b=2"}, keys(u.Snapshot)); diff != "" {
			t.Errorf("after the compaction, want - and got +:\n%s", diff)
		} else {
			wantIs(t, "after the compaction", u.Snapshot.Cause, rpctypes.ErrCompacted)
		}

		away(func() { c.SetClusterID(7) })
		var changed *watch.ClusterChangedError
		if u := next(); u.Snapshot == nil || !errors.As(u.Snapshot.Cause, &changed) || changed.Is != 7 {
			t.Errorf("after the change of cluster: got %+v, want a snapshot for it", u)
		}

		backup := c.Backup()
		put(t, store, "b", "lost")
		if got := texts(next().Events); got[0] != "7 modify b=lost" {
			t.Errorf("got %v, want revision 7", got)
		}
		away(func() { c.Restore(backup) })
		u = next()
		var regressed *watch.RevisionRegressedError
		if u.Snapshot == nil || !errors.As(u.Snapshot.Cause, &regressed) || regressed.Seen != 7 || regressed.Now != 6 {
			t.Fatalf("after the restoration: got %+v, want a snapshot for it", u)
		}
		wantIs(t, "cause", u.Snapshot.Cause, watch.ErrRevisionRegressed)
		if diff := cmp.Diff([]string{"6 b=2"}, keys(u.Snapshot)); diff != "" {
			t.Errorf("after the restoration, want - and got +:\n%s", diff)
		}
		put(t, store, "b", "new")
		if got := texts(next().Events); len(got) != 1 || got[0] != "7 modify b=new" {
			t.Errorf("got %v, want the new revision 7", got)
		}
	})
}

// A watch ends where Follow reads anew.
func TestOtherCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, _ := single(t)
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		c.Member(0).Kill()
		c.SetClusterID(7)
		c.Member(0).Start()
		wantIs(t, "watch", ending(t, ch), watch.ErrClusterChanged)
	})
}

// A restored cluster that is already past what was seen gives itself away by its
// raft term.
func TestRegressedTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		store := kv.New(c.Member(1).Conn(t))
		backup := c.Backup()
		c.Elect(c.Member(1))
		ch := service(t, c.Conn(t)).Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		c.Member(0).Kill()
		c.Restore(backup)
		for range 5 {
			put(t, store, "k", "v")
		}
		c.Member(0).Start()
		wantIs(t, "watch", ending(t, ch), watch.ErrRevisionRegressed)
	})
}

// A member that is cut off may raise its raft term alone. It is believed when it has a leader: when
// the stream begins, unless that is for any member.
func TestTermOfACampaign(t *testing.T) {
	for name, anyMember := range map[string]bool{"later on a stream": false, "on a stream for any member": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 2)
				store := kv.New(c.Member(1).Conn(t))
				creations := 0
				tap(c.Member(0), nil, func(r *pb.WatchResponse) error {
					if r.Created {
						if creations++; creations > 1 || anyMember {
							r.Header.RaftTerm += 10
						}
					}
					return nil
				})
				w := service(t, anyMembers{newRotating(t, c), anyMember})
				var chans []watch.WatchChan
				for _, key := range []string{"a", "b"} {
					ch := w.Watch(t.Context(), key, kv.WithCreatedNotify())
					created(t, ch)
					chans = append(chans, ch)
				}
				c.Member(0).Kill()
				put(t, store, "a", "v")
				put(t, store, "b", "v")
				for _, ch := range chans {
					collect(t, ch, 1)
				}
			})
		})
	}
}

// anyMembers opens streams that any member may serve, if that is set.
type anyMembers struct {
	grpc.ClientConnInterface
	anyMember bool
}

func (c anyMembers) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	attempt.FromContext(ctx).AnyMember = c.anyMember
	return c.ClientConnInterface.NewStream(ctx, desc, method, opts...)
}

// A member that is merely behind is no regression, and the watch waits there for
// what it has not seen.
func TestLaggingMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		store := kv.New(c.Member(1).Conn(t))
		r := newRotating(t, c)
		ch := service(t, r).Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		rev := put(t, store, "k", "v")
		collect(t, ch, 1)
		lagging := lag(c.Member(1), rev-1)
		c.Member(0).Kill()
		time.Sleep(time.Minute)
		c.Member(0).Start()
		synctest.Wait()
		if *lagging < 2 {
			t.Errorf("the member was asked %d times, want a second time when it was found to be behind", *lagging)
		}
		put(t, store, "k", "w")
		if got := collect(t, ch, 1); got[0] != "3 modify k=w" {
			t.Errorf("got %v, want revision 3", got)
		}
	})
}

// Until the read that tells has been answered, nothing is delivered of a cluster
// that may have been restored, and the other watches go on.
func TestHeldUntilVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 2)
		store := kv.New(c.Member(1).Conn(t))
		w := service(t, c.Conn(t))
		backup := c.Backup()
		c.Elect(c.Member(1))
		ch := w.Watch(t.Context(), "k", kv.WithCreatedNotify())
		created(t, ch)
		put(t, store, "k", "old")
		collect(t, ch, 1)
		c.Member(0).Kill()
		c.Restore(backup)
		reads := 0
		c.Member(0).Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
			if reads++; reads < 10 {
				return nil, rpctypes.ErrGRPCTimeout
			}
			return next()
		})
		c.Member(0).Start()
		other := w.Watch(t.Context(), "other", kv.WithCreatedNotify())
		created(t, other)
		put(t, store, "other", "v") // 2 again, which the first watch has seen
		put(t, store, "k", "new")   // 3, for which it waits
		collect(t, other, 1)
		synctest.Wait()
		select {
		case resp := <-ch:
			t.Errorf("got %+v before the cluster's identity was verified", resp)
		default:
		}
		wantIs(t, "watch", ending(t, ch), watch.ErrRevisionRegressed)
		synctest.Wait()
		if reads != 10 {
			t.Errorf("got %d reads, want them repeated until one is answered", reads)
		}
		put(t, store, "other", "v")
		collect(t, other, 1)
	})
}

// Follow waits for a server for as long as its context lives, and no longer than
// that; what a server refuses ends it.
func TestFollowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, _ := single(t)
		c.Member(0).Kill()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var last error
		for _, err := range w.Follow(ctx, "k") {
			last = err
		}
		wantIs(t, "without a server", last, context.DeadlineExceeded)
		c.Member(0).Start()
		c.Member(0).Intercept(func(context.Context, string, any, func() (any, error)) (any, error) {
			return nil, rpctypes.ErrGRPCPermissionDenied
		})
		for _, err := range w.Follow(t.Context(), "k") {
			last = err
		}
		wantIs(t, "denied", rpctypes.Error(last), rpctypes.ErrPermissionDenied)
	})
}
