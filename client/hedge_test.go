package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// ranges counts the ranges that members were asked for, probes included.
func (r *rig) ranges() (n []int) {
	for _, m := range r.cluster.Members() {
		n = append(n, m.Calls(pb.KV_Range_FullMethodName))
	}
	return n
}

// A read on a member that has just stalled is answered by another, with the
// other's answer, long before the stall is certain.
func TestReadsAreHedged(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			t.Fatal(err)
		}
		r.warm()
		r.cluster.Member(0).Hang()
		for range 3 {
			start := time.Now()
			got, err := r.get(r.timeout(time.Minute))
			if err != nil || got != "v" {
				t.Fatalf("got %q and error %v, want v", got, err)
			}
			if d := time.Since(start); d > 60*time.Millisecond {
				t.Errorf("took %v, want the delay of a hedge", d)
			}
		}
		r.cluster.Member(0).Resume()
	})
}

// A client that does nothing but read leaves a silent member, although each of its
// reads is answered by another, and waits for none.
func TestHedgesRaiseSuspicion(t *testing.T) {
	for name, silence := range map[string]etcdtest.UnaryHook{
		"silent":          hangAllBut("nothing"),
		"lost its leader": hangLinearizable,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				r.warm()
				r.cluster.Member(0).Intercept(silence)
				for range 8 {
					if _, err := r.get(r.timeout(time.Minute)); err != nil {
						t.Fatal(err)
					}
					if name == "lost its leader" { // it answers what it knows by itself
						if _, err := r.kv.Range(r.timeout(time.Second), &pb.RangeRequest{Key: []byte("k"), Serializable: true}); err != nil {
							t.Fatal(err)
						}
					}
				}
				if got := r.active(); got != m2 {
					t.Errorf("active: got %q, want %q", got, m2)
				}
				time.Sleep(time.Second) // until the verdict; the bubble's clock
				r.cluster.Member(0).Intercept(nil)
			})
		})
	}
}

// The error of a read that was sent twice is that of the first answer.
func TestHedgedReadRefused(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Hang()
		start := time.Now()
		_, err := r.kv.Range(r.timeout(time.Minute), &pb.RangeRequest{Key: []byte("k"), Revision: 1000})
		if d := time.Since(start); !errors.Is(err, rpctypes.ErrFutureRev) || d > 60*time.Millisecond {
			t.Errorf("got %v after %v, want %v after the delay of a hedge", err, d, rpctypes.ErrFutureRev)
		}
		r.cluster.Member(0).Resume()
	})
}

// Reads that are answered in time, writes, and calls that want to know who
// answered are sent once.
func TestWhatIsNotHedged(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		before := r.ranges()
		for range 100 {
			if _, err := r.get(r.timeout(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if after := r.ranges(); after[0] != before[0]+100 || after[1] != before[1] || after[2] != before[2] {
			t.Errorf("100 reads: members had %v ranges before and %v after, want all on the first", before, after)
		}

		slow := func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
			time.Sleep(60 * time.Millisecond) // the bubble's clock: more than a hedge's delay, less than a suspicion
			return next()
		}
		r.cluster.Member(0).Intercept(slow)
		before = r.ranges()
		var header metadata.MD
		if _, err := r.kv.Range(r.timeout(time.Second), &pb.RangeRequest{Key: []byte("k")}, grpc.Header(&header)); err != nil {
			t.Fatal(err)
		}
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if after := r.ranges(); after[0] != before[0]+1 || after[1] != before[1] || after[2] != before[2] {
			t.Errorf("members had %v ranges before and %v after, want one more on the first", before, after)
		}
		if got := r.version(); got != 1 {
			t.Errorf("the key was written %d times, want once", got)
		}
	})
}

// The caller's context ends a hedged read on both members.
func TestHedgedReadCanceled(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		for _, m := range r.cluster.Members() {
			m.Hang()
		}
		ctx, cancel := context.WithCancel(r.timeout(time.Minute))
		time.AfterFunc(80*time.Millisecond, cancel)
		start := time.Now()
		if _, err := r.get(ctx); err == nil || time.Since(start) != 80*time.Millisecond {
			t.Errorf("got %v after %v, want an error after 80 ms", err, time.Since(start))
		}
		start = time.Now()
		if _, err := r.get(r.timeout(70 * time.Millisecond)); err == nil || time.Since(start) != 70*time.Millisecond {
			t.Errorf("got %v after %v, want an error after 70 ms", err, time.Since(start))
		}
		for _, m := range r.cluster.Members() {
			m.Resume()
		}
		if _, err := r.get(r.timeout(time.Second)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// A context that has ended already ends a call before it begins.
func TestEndedContext(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		before := r.Counters().Attempts
		for range 100 {
			_, err := r.get(ctx)
			if put := r.put(ctx, "k", "v"); !errors.Is(err, context.Canceled) || !errors.Is(put, context.Canceled) || client.IsAmbiguous(put) {
				t.Fatalf("got %v and %v, want that the context was canceled, and certainty", err, put)
			}
		}
		if n := r.Counters().Attempts - before; n != 0 {
			t.Errorf("%d attempts, want none", n)
		}
	})
}

// A cluster that is slow as a whole does not get twice the reads for it.
func TestHedgesAreFew(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		for _, m := range r.cluster.Members() {
			m.Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
				time.Sleep(210 * time.Millisecond) // the bubble's clock: more than the longest delay
				return next()
			})
		}
		for range 700 { // spends what was saved up
			if _, err := r.get(r.timeout(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		count := func() int { n := r.ranges(); return n[0] + n[1] }
		const reads = 1000
		before := count()
		for range reads {
			if _, err := r.get(r.timeout(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if n := count() - before; n > reads*102/100 {
			t.Errorf("%d reads made %d requests", reads, n)
		}
	})
}

// A slow member is not asked twice, although a client has two connections to a single address:
// the second copy of a large read would take the time of the first.
func TestHedgesGoToAnotherMember(t *testing.T) {
	for members, hedged := range map[int]bool{1: false, 2: true} {
		run(t, members, nil, func(r *rig) {
			t := r.t
			r.warm()
			time.Sleep(time.Second) // both connections are there
			for _, m := range r.cluster.Members() {
				m.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
					if method == pb.KV_Range_FullMethodName {
						time.Sleep(300 * time.Millisecond)
					}
					return next()
				})
			}
			if _, err := r.get(r.timeout(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if n := r.Counters().Hedges; (n > 0) != hedged {
				t.Errorf("%d members: %d hedges", members, n)
			}
		})
	}
}

// A second copy whose member dies, while no other one is connected, is not the last one.
func TestSecondCopyThatFindsNobody(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			t.Fatal(err)
		}
		dying := r.cluster.Member(1)
		dying.Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			if read, ok := req.(*pb.RangeRequest); ok && string(read.GetKey()) == "k" {
				dying.Kill()
				return nil, status.Error(codes.Unavailable, "killed")
			}
			return next()
		})
		r.cluster.Member(0).Hang()
		begin := time.Now()
		if _, err := r.get(r.timeout(time.Minute)); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("it took %v, want what the third member takes to connect", took)
		}
	})
}
