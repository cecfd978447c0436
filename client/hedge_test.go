package client_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
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

// A read that pauses, since its member has refused it for having too much to do, ends when its
// second copy is answered.
func TestHedgeEndsAPause(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.warm()
		for range 10 {
			var asked, answered atomic.Int64
			begin := time.Now()
			for _, m := range r.cluster.Members() {
				m.Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
					switch r, ok := req.(*pb.RangeRequest); {
					case !ok || string(r.Key) != "k":
					case asked.Add(1) == 1:
						return nil, rpctypes.ErrGRPCRequestTooManyRequests
					default:
						answered.CompareAndSwap(0, int64(time.Since(begin)))
					}
					return next()
				})
			}
			if _, err := r.get(r.timeout(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if late := time.Since(begin) - time.Duration(answered.Load()); late != 0 {
				t.Errorf("the read ended %v after it was answered, want at once", late)
			}
		}
		if n := r.Counters().Hedges; n == 0 {
			t.Error("no read had a second copy")
		}
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

// A read whose first copy's connection breaks, while its second copy is at a member that can't
// serve, goes back to the first member when that is there again. Neither copy waits for the other.
func TestSecondCopyAtAMemberThatCantServe(t *testing.T) {
	for name, set := range map[string]func(*etcdtest.Member, bool){
		"no leader": (*etcdtest.Member).SetNoLeader,
		"learner":   (*etcdtest.Member).SetLearner,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, nil, func(r *rig) {
				t := r.t
				r.warm()
				first, second := r.cluster.Member(0), r.cluster.Member(1)
				set(second, true)
				first.Hang()
				start := time.Now()
				done := make(chan error, 1)
				go func() {
					_, err := r.get(r.timeout(time.Minute))
					done <- err
				}()
				time.Sleep(100 * time.Millisecond) // the bubble's clock; the second copy is sent meanwhile
				first.Resume()
				first.Kill()
				time.Sleep(100 * time.Millisecond)
				first.Start()
				if err := <-done; err != nil || time.Since(start) > 3*time.Second {
					t.Errorf("error %v after %v, want success within 3 s", err, time.Since(start))
				}
				set(second, false)
			})
		})
	}
}

// An error that a proxy has put in the place of a second copy's answer does not end the read: the
// first copy may yet be answered.
func TestSecondCopyMeetsAProxysError(t *testing.T) {
	for name, answer := range map[string]error{
		"reset":                 status.Error(codes.Internal, "stream terminated by RST_STREAM with error code: INTERNAL_ERROR"),
		"HTTP 500":              status.Error(codes.Unknown, "unexpected HTTP status code received from server: 500 (Internal Server Error)"),
		"Envoy without a route": status.Error(codes.Unimplemented, ""),
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, nil, func(r *rig) {
				t := r.t
				r.warm()
				r.cluster.Member(0).Intercept(func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
					time.Sleep(90 * time.Millisecond) // more than a hedge's delay, less than a suspicion
					return next()
				})
				r.cluster.Member(1).Intercept(refuse(answer))
				start := time.Now()
				if _, err := r.get(r.timeout(time.Minute)); err != nil || time.Since(start) != 90*time.Millisecond {
					t.Errorf("error %v after %v, want success after 90 ms", err, time.Since(start))
				}
				if n := r.Counters().Hedges; n != 1 {
					t.Errorf("%d hedges, want 1", n)
				}
				r.cluster.Member(0).Intercept(nil)
				r.cluster.Member(1).Intercept(nil)
			})
		})
	}
}

// A second copy is kept when the first one has failed and waits for it, even if bytes of another
// answer arrive on the first one's connection. Its answer is that of the read.
func TestSecondCopyWhoseFirstHasFailed(t *testing.T) {
	// The second copy is answered after 195 ms, and decoded after 205 ms. The hedge looks at both in
	// between, after 200 ms.
	decode := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoke(ctx, method, req, reply, cc, opts...)
		if read, ok := req.(*pb.RangeRequest); ok && string(read.Key) == "k" && err == nil {
			time.Sleep(10 * time.Millisecond)
		}
		return err
	}
	keyOf := func(req any) string {
		read, _ := req.(*pb.RangeRequest)
		return string(read.GetKey())
	}
	run(t, 2, func(c *client.Config) { c.DialOptions = append(c.DialOptions, grpc.WithUnaryInterceptor(decode)) }, func(r *rig) {
		t := r.t
		if err := r.put(r.timeout(time.Second), "large", strings.Repeat("x", 4096)); err != nil {
			t.Fatal(err)
		}
		r.cluster.Member(0).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			switch keyOf(req) {
			case "k":
				time.Sleep(150 * time.Millisecond)
				return nil, rpctypes.ErrGRPCTimeout
			case "large":
				time.Sleep(160 * time.Millisecond)
			}
			return next()
		})
		r.cluster.Member(1).Intercept(func(_ context.Context, _ string, req any, next func() (any, error)) (any, error) {
			if keyOf(req) == "k" {
				time.Sleep(95 * time.Millisecond)
			}
			return next()
		})
		large := make(chan error, 1)
		go func() {
			header := grpc.Header(new(metadata.MD)) // so that it is not hedged
			_, err := r.kv.Range(r.timeout(time.Second), &pb.RangeRequest{Key: []byte("large")}, header)
			large <- err
		}()
		start := time.Now()
		if _, err := r.get(r.timeout(time.Minute)); err != nil || time.Since(start) != 205*time.Millisecond {
			t.Errorf("error %v after %v, want success after 205 ms", err, time.Since(start))
		}
		if err := <-large; err != nil {
			t.Errorf("the other read: %v", err)
		}
		r.cluster.Member(0).Intercept(nil)
		r.cluster.Member(1).Intercept(nil)
	})
}
