package balancer_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// hangLinearizable makes a hook under which a member has not noticed yet that the
// leader is gone: what takes the leader waits.
func hangLinearizable(ctx context.Context, method string, req any, next func() (any, error)) (any, error) {
	r, ok := req.(*pb.RangeRequest)
	if ok && !r.Serializable || method == pb.KV_Put_FullMethodName {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return next()
}

// When the leader is lost, the members that are left take writes that they can't
// pass on. No write is sent to them until one serves.
func TestWritesWaitForTheElection(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		for _, m := range r.cluster.Members()[1:] {
			m.Intercept(hangLinearizable)
		}
		r.cluster.Member(0).Kill()
		synctest.Wait()
		start := time.Now()
		puts := make(chan error, 3)
		for range cap(puts) {
			go func() { puts <- r.put(r.timeout(time.Minute), "k", "v") }()
		}
		// A write that does not live to see the end of the election was not sent.
		if err := r.put(r.timeout(time.Second), "k", "v"); err == nil || client.IsAmbiguous(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("during the election: got %v, want a deadline that leaves no doubt", err)
		}
		if _, err := r.kv.Range(r.timeout(time.Second), &pb.RangeRequest{Key: []byte("k"), Serializable: true}); err != nil {
			t.Errorf("a serializable read during the election: %v", err)
		}
		for _, m := range r.cluster.Members()[1:] {
			m.Intercept(nil)
		}
		for range cap(puts) {
			if err := <-puts; err != nil {
				t.Errorf("a put that waited: %v", err)
			}
		}
		// The proofs that were asked for during the election hang in this fake for
		// as long as they may.
		if d := time.Since(start); d > 2500*time.Millisecond {
			t.Errorf("the election took 1 s, the puts %v", d)
		}
		if got := r.version(); got != 3 {
			t.Errorf("the key was written %d times, want 3", got)
		}
	})
}

// When only a follower is lost, writes go on at once.
func TestWritesDoNotWaitForAFollower(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.warm()
		r.cluster.Member(0).Kill()
		synctest.Wait()
		start := time.Now()
		if err := r.put(r.timeout(time.Minute), "k", "v"); err != nil || time.Since(start) > 0 {
			t.Errorf("got %v after %v, want success at once", err, time.Since(start))
		}
	})
}

// A member that lags behind an election which another has seen end is left, with
// all that waits on it.
func TestMemberOfTheOldTermIsLeft(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil { // tells the term
			t.Fatal(err)
		}
		r.warm()
		for _, m := range r.cluster.Members() {
			m.Intercept(hangLinearizable)
		}
		put := make(chan error, 1)
		start := time.Now()
		go func() { put <- r.put(r.timeout(time.Minute), "k", "v") }()
		time.Sleep(2 * time.Second) // the bubble's clock
		r.cluster.Elect(r.cluster.Member(1))
		r.cluster.Member(1).Intercept(nil)
		if err := <-put; !client.IsAmbiguous(err) {
			t.Errorf("got %v, want an error that is ambiguous", err)
		}
		if d := time.Since(start) - 2*time.Second; d > 1500*time.Millisecond {
			t.Errorf("%v after the election, want soon", d)
		}
		if got := r.active(); got != m2 {
			t.Errorf("active: got %q, want %q", got, m2)
		}
		r.cluster.Member(0).Intercept(nil)
	})
}

// beating makes a watch stream of a fake that sends a message every 20 ms until stop.
func beating(stop <-chan struct{}) etcdtest.StreamHook {
	return func(s grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
		if method != pb.Watch_Watch_FullMethodName {
			return next(s)
		}
		for {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-stop:
				<-s.Context().Done()
				return s.Context().Err()
			}
			if err := s.SendMsg(&pb.WatchResponse{}); err != nil {
				return err
			}
		}
	}
}

// A stream that falls out of its rhythm on a silent member ends at once, so that
// it can be opened on another; one that was never regular does not.
func TestStreamsLeaveASilentMember(t *testing.T) {
	for name, regular := range map[string]bool{"regular": true, "seldom": false} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				r.warm()
				stop := make(chan struct{})
				if !regular {
					close(stop)
				}
				r.cluster.Member(0).InterceptStream(beating(stop))
				stream, err := pb.NewWatchClient(r.Conn()).Watch(r.timeout(20 * time.Second))
				if err != nil {
					t.Fatal(err)
				}
				for range 20 {
					if !regular {
						break
					}
					if _, err := stream.Recv(); err != nil {
						t.Fatal(err)
					}
				}
				r.cluster.Member(0).Freeze()
				start := time.Now()
				for err == nil {
					_, err = stream.Recv()
				}
				d := time.Since(start)
				if errors.Is(err, io.EOF) || regular && (status.Code(err) != codes.Unavailable || d > 300*time.Millisecond) {
					t.Errorf("got %v after %v, want code Unavailable within 0.3 s", err, d)
				}
				if !regular && d < time.Second {
					t.Errorf("got %v after %v, want nothing for a while", err, d)
				}
				r.cluster.Member(0).Thaw()
				if regular {
					close(stop)
				}
			})
		})
	}
}
