package election_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/watch"
)

// observer collects what Leaders tells: values, and "-" for nobody.
type observer struct {
	r    *rig
	stop context.CancelFunc
	seen []string
	revs []int64
	err  error
	done chan struct{}
}

func (r *rig) observe(e *election.Election) *observer {
	ctx, cancel := context.WithCancel(r.t.Context())
	o := &observer{r: r, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		for resp, err := range e.Leaders(ctx) {
			if err != nil {
				o.err = err
				return
			}
			val := "-"
			if len(resp.Kvs) > 0 {
				val = string(resp.Kvs[0].Value)
			}
			o.seen = append(o.seen, val)
			o.revs = append(o.revs, resp.Header.GetRevision())
		}
	}()
	return o
}

// want looks at what was seen, once all is quiet.
func (o *observer) want(want ...string) {
	o.r.t.Helper()
	synctest.Wait()
	if !slices.Equal(o.seen, want) {
		o.r.t.Errorf("observed %q, want %q", o.seen, want)
	}
	if !slices.IsSorted(o.revs) {
		o.r.t.Errorf("the revisions are %v, want them to grow", o.revs)
	}
}

func (o *observer) end() {
	o.stop()
	<-o.done
	wantIs(o.r.t, "Leaders", o.err, context.Canceled)
}

func TestLeaders(t *testing.T) {
	inBothModes(t, 1, func(r *rig, options func() []election.Option) {
		t := r.t
		o := r.observe(r.election(r.alone(0)))
		o.want("-")
		a, b := r.leader(r.alone(0), "a", options()...), r.election(r.alone(0), options()...)
		o.want("-", "a")
		result := r.campaign(t.Context(), b)
		r.wantCandidates("a", "b")
		o.want("-", "a") // who waits is nobody's business
		for range 2 {
			if err := a.Proclaim(t.Context(), "a2"); err != nil {
				t.Fatal(err)
			}
		}
		o.want("-", "a", "a2", "a2") // what is said twice is told twice
		if got, want := o.revs[3], a.Header().GetRevision(); got != want {
			t.Errorf("the last revision is %d, want the proclamation's, %d", got, want)
		}
		r.resign(a)
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		o.want("-", "a", "a2", "a2", "b")
		late := r.observe(r.election(r.alone(0)))
		late.want("b")
		r.resign(b)
		o.want("-", "a", "a2", "a2", "b", "-")
		late.want("b", "-")
		o.end()
		late.end()
	})
}

func TestObserve(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ch := r.election(r.alone(0)).Observe(ctx)
		next := func() string {
			t.Helper()
			resp, ok := <-ch
			if !ok {
				t.Fatal("the channel is closed")
			}
			if len(resp.Kvs) != 1 || resp.Count != 1 {
				t.Fatalf("got %v, want one key", resp)
			}
			return string(resp.Kvs[0].Value)
		}
		a := r.leader(r.alone(0), "a")
		if got := next(); got != "a" {
			t.Errorf("got %q, want a", got)
		}
		// A consumer that is behind misses nothing.
		for _, val := range []string{"1", "2", "3"} {
			if err := a.Proclaim(t.Context(), val); err != nil {
				t.Fatal(err)
			}
		}
		r.resign(a)
		b := r.leader(r.alone(0), "b")
		for _, want := range []string{"1", "2", "3", "b"} {
			if got := next(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		r.resign(b)
		synctest.Wait()
		select {
		case resp, ok := <-ch:
			t.Errorf("got %v, %v while nobody leads; want nothing", resp, ok)
		default:
		}
		cancel()
		if resp, ok := <-ch; ok {
			t.Errorf("got %v after the end, want a closed channel", resp)
		}
	})
}

// A leader's key that was overwritten without its lease stays when the lease ends. No key
// changes then, and the leader does.
func TestLeadersSeeAnUnboundLeaderEnd(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		o := r.observe(r.election(r.alone(0)))
		o.want("-")
		a, b := r.leader(r.alone(0), "a"), r.election(r.alone(0))
		result := r.campaign(t.Context(), b)
		r.wantCandidates("a", "b")
		if _, err := kv.New(r.admin).Put(t.Context(), a.Key(), "a"); err != nil {
			t.Fatal(err)
		}
		leases := lease.New(r.admin)
		defer leases.Close()
		id, err := strconv.ParseInt(strings.TrimPrefix(a.Key(), "job/"), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		o.want("-", "a")
		if _, err := leases.Revoke(t.Context(), lease.ID(id)); err != nil {
			t.Fatal(err)
		}
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		time.Sleep(election.DefaultTTL / 2)
		o.want("-", "a", "b")
		r.resign(b)
		o.want("-", "a", "b", "-")
		o.end()
		_ = a.Resign(t.Context()) // its key is nobody's
	})
}

// The watcher is shared, and its end is the observer's.
func TestObserveOnAClosedWatcher(t *testing.T) {
	run(t, 1, func(r *rig) {
		w := watch.New(r.alone(0))
		e := r.election(r.alone(0), election.WithWatcher(w))
		o, ch := r.observe(e), e.Observe(r.t.Context())
		o.want("-")
		_ = w.Close()
		<-o.done
		wantIs(r.t, "Leaders", o.err, watch.ErrClosed)
		if resp, ok := <-ch; ok {
			r.t.Errorf("got %v, want a closed channel", resp)
		}
	})
}

// Members die, and no leader is left out.
func TestObserveThroughFailures(t *testing.T) {
	run(t, 3, func(r *rig) {
		t := r.t
		o := r.observe(r.election(r.client()))
		o.want("-")
		want := []string{"-"}
		for i, val := range []string{"a", "b", "c", "d"} {
			r.cluster.Member(i % 2).Kill()
			e := r.leader(r.alone(2), val)
			time.Sleep(time.Second)
			r.cluster.Member(i % 2).Start()
			r.resign(e)
			time.Sleep(time.Second)
			want = append(want, val, "-")
		}
		o.want(want...)
		o.end()
		if t.Failed() {
			t.Logf("revisions: %v", o.revs)
		}
	})
}

// What was compacted cannot be told; the present can.
func TestObserveAfterCompaction(t *testing.T) {
	run(t, 2, func(r *rig) {
		t := r.t
		a := r.leader(r.alone(1), "a")
		o := r.observe(r.election(r.alone(0)))
		o.want("a")
		compact := func() {
			t.Helper()
			rev := r.cluster.Revision()
			if _, err := kv.New(r.admin).Compact(t.Context(), rev); err != nil {
				t.Fatal(err)
			}
		}
		r.cluster.Member(0).Kill()
		for _, val := range []string{"a2", "a3"} {
			if err := a.Proclaim(t.Context(), val); err != nil {
				t.Fatal(err)
			}
		}
		compact()
		r.cluster.Member(0).Start()
		time.Sleep(time.Minute)
		o.want("a", "a3")

		// With nothing new, nothing is said again.
		r.cluster.Member(0).Kill()
		for range 3 {
			if _, err := kv.New(r.admin).Put(t.Context(), "other", "x"); err != nil {
				t.Fatal(err)
			}
		}
		compact()
		r.cluster.Member(0).Start()
		time.Sleep(time.Minute)
		o.want("a", "a3")
		o.end()
		r.resign(a)
	})
}

func TestObserveWithoutPermission(t *testing.T) {
	run(t, 1, func(r *rig) {
		r.cluster.Member(0).Intercept(func(_ context.Context, m string, _ any, next func() (any, error)) (any, error) {
			if m == pb.KV_Range_FullMethodName {
				return nil, rpctypes.ErrGRPCPermissionDenied
			}
			return next()
		})
		e := r.election(r.alone(0))
		o := r.observe(e)
		<-o.done
		if status.Code(o.err) != codes.PermissionDenied {
			r.t.Errorf("Leaders: got %v, want code PermissionDenied", o.err)
		}
		if _, err := e.Leader(r.t.Context()); status.Code(err) != codes.PermissionDenied {
			r.t.Errorf("Leader: got %v, want code PermissionDenied", err)
		}
		if resp, ok := <-e.Observe(r.t.Context()); ok {
			r.t.Errorf("Observe: got %v, want a closed channel", resp)
		}
	})
}

// A watcher may yield its snapshots in parts. The leader is the first of all candidates.
func TestLeadersInParts(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		w := watch.New(r.admin, watch.WithParts())
		defer w.Close()
		store, leases := kv.New(r.admin), lease.New(r.admin)
		defer leases.Close()
		// By the order of their keys the leader comes last.
		const first = 0x30
		for id := lease.ID(first); id >= 0x10; id-- { // more than the fake sends in a part
			if _, err := leases.GrantID(t.Context(), id, 60); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Put(t.Context(), fmt.Sprintf("job/%x", int64(id)), "v", kv.WithLease(id)); err != nil {
				t.Fatal(err)
			}
		}
		e := r.election(r.admin, election.WithWatcher(w))
		for resp, err := range e.Leaders(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if key := string(resp.Kvs[0].Key); key != fmt.Sprintf("job/%x", first) {
				t.Errorf("%s leads, want job/%x", key, first)
			}
			break
		}
	})
}
