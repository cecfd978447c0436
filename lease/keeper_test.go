package lease_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/testconn"
	"github.com/getcd/getcd/lease"
)

func TestKeeperRenewsAtAThird(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		renewals := record(c.Member(0), nil)
		k := mustKeep(t, l, mustGrant(t, l, 9))
		time.Sleep(5 * time.Minute)
		if err := k.Err(); err != nil {
			t.Fatalf("Err after 5 minutes: %v", err)
		}
		got := renewals()
		for i := range len(got) - 1 {
			gap := got[i+1].at.Sub(got[i].at)
			low := 2700 * time.Millisecond
			if i == 0 {
				low = 1500 * time.Millisecond // spread over half of the third
			}
			if gap < low || gap > 3*time.Second {
				t.Errorf("renewal %d came %v after the one before, want %v to 3s", i+1, gap, low)
			}
		}
		if want := 100; len(got) < want {
			t.Errorf("%d renewals in 5 minutes, want at least %d", len(got), want)
		}
		if k.TTL() != 9*time.Second {
			t.Errorf("TTL is %v, want 9s", k.TTL())
		}
	})
}

// Whatever the member does, Done closes while the lease is still there, and not
// earlier than the last acknowledged renewal justifies.
func TestDonePrecedesExpiry(t *testing.T) {
	const ttl = 10 * time.Second
	slow := func(d time.Duration) func(m *etcdtest.Member) {
		return func(m *etcdtest.Member) {
			m.Tap(keepAlive, etcdtest.Tap{Sending: func(ctx context.Context, _ any) error { return wait(ctx, d) }})
			m.Kill() // the open stream must not stay as it is
			m.Start()
		}
	}
	for _, tc := range []struct {
		name  string
		fault func(m *etcdtest.Member)
	}{
		{"silent stream", (*etcdtest.Member).Hang},
		{"frozen member", (*etcdtest.Member).Freeze},
		{"killed member", (*etcdtest.Member).Kill},
		{"member without leader", func(m *etcdtest.Member) { m.SetNoLeader(true) }},
		{"answers that come too late", slow(9500 * time.Millisecond)},
		{"answers that are lost", slow(time.Hour)},
		{"streams that break", func(m *etcdtest.Member) {
			m.InterceptStream(func(grpc.ServerStream, string, func(grpc.ServerStream) error) error {
				return rpctypes.ErrGRPCStopped
			})
			m.Kill()
			m.Start()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, c := service(t, 2)
				var lastAcked time.Time
				c.Member(0).Tap(keepAlive, etcdtest.Tap{Sending: func(context.Context, any) error {
					lastAcked = time.Now() // without faults, also when it was sent
					return nil
				}})
				other := c.Member(1).Conn(t)
				id := mustGrant(t, l, int64(ttl/time.Second))
				k := mustKeep(t, l, id)
				time.Sleep(time.Minute)
				if err := k.Err(); err != nil {
					t.Fatalf("Err before the fault: %v", err)
				}
				acked := lastAcked
				tc.fault(c.Member(0))

				<-k.Done()
				if !exists(t, other, id) {
					t.Error("the lease is gone although Done has only now closed")
				}
				if got, want := time.Since(acked), ttl-lease.Margin(ttl); got != want {
					t.Errorf("Done %v after the sending of the last acknowledged renewal, want %v", got, want)
				}
				wantIs(t, "Err", k.Err(), lease.ErrExpired)
				if got := time.Until(k.Deadline()); got != 0 {
					t.Errorf("Done %v before the deadline, want at it", got)
				}
			})
		})
	}
}

func TestLateAnswerCountsFromSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		const delay = 2500 * time.Millisecond
		renewals := record(c.Member(0), func(int) time.Duration { return delay })
		id := mustGrant(t, l, 9)
		begin := time.Now()
		k := mustKeep(t, l, id)
		if got := time.Since(begin); got != delay {
			t.Fatalf("Keep took %v, want %v", got, delay)
		}
		if got, want := k.Deadline().Sub(renewals()[0].at), 9*time.Second-lease.Margin(9*time.Second); got != want {
			t.Errorf("deadline is %v after the sending, want %v", got, want)
		}
		time.Sleep(time.Minute)
		for i, got := range renewals()[1:] {
			if gap := got.at.Sub(renewals()[i].at); gap > 3*time.Second {
				t.Errorf("renewal %d came %v after the one before, want at most 3s, as if answers were quick", i+1, gap)
			}
		}
	})
}

// However often a renewal is sent again, its first sending is not forgotten.
func TestFirstSendingIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		const delay = 3 * time.Second
		record(c.Member(0), func(int) time.Duration { return delay })
		id := mustGrant(t, l, 20)
		begin := time.Now()
		k := mustKeep(t, l, id)
		if got := time.Since(begin); got != delay {
			t.Errorf("Keep took %v, want %v, as long as the first answer", got, delay)
		}
		if got, want := k.Deadline().Sub(begin), 20*time.Second-lease.Margin(20*time.Second); got != want {
			t.Errorf("deadline is %v after the first sending, want %v", got, want)
		}
		if got := c.Member(0).Calls(keepAlive); got != 3 {
			t.Errorf("%d streams, want 3: after 0.5 s and 1 s more it is sent again", got)
		}
	})
}

// A cluster that takes longer than a third of the TTL for every answer is still quick enough:
// what a stream answers after it was given up counts, from its sending.
func TestAnswersOfSilentStreamsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 3)
		l := newService(t, testconn.Rotate(t, c.Members()...))
		for _, m := range c.Members() {
			record(m, func(int) time.Duration { return 4 * time.Second })
		}
		k := mustKeep(t, l, mustGrant(t, l, 10))
		time.Sleep(2 * time.Minute)
		if err := k.Err(); err != nil {
			t.Errorf("Err after 2 minutes: %v", err)
		}
	})
}

func TestMovesToAnotherMember(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fault  func(m *etcdtest.Member)
		within time.Duration // of a renewal that the fault meets
	}{
		{"hang", (*etcdtest.Member).Hang, 450 * time.Millisecond}, // a twentieth of the TTL
		{"freeze", (*etcdtest.Member).Freeze, 450 * time.Millisecond},
		{"kill", (*etcdtest.Member).Kill, 50 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 3)
				l := newService(t, testconn.Rotate(t, c.Members()...))
				second := record(c.Member(1), nil)
				k := mustKeep(t, l, mustGrant(t, l, 9))
				time.Sleep(time.Minute)

				tc.fault(c.Member(0))
				begin := time.Now()
				time.Sleep(time.Minute)
				if err := k.Err(); err != nil {
					t.Fatalf("Err a minute after the fault: %v", err)
				}
				got := second()
				if len(got) == 0 {
					t.Fatal("no renewal reached the second member")
				}
				// The next renewal is due within a third; then the patience runs.
				if d, want := got[0].at.Sub(begin), 3*time.Second+tc.within; d > want {
					t.Errorf("first renewal on the second member after %v, want at most %v", d, want)
				}
				if n := c.Member(2).Messages(keepAlive); n != 0 {
					t.Errorf("the third member got %d renewals, want none", n)
				}
			})
		})
	}
}

func TestRecoversWhenTheMemberReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		k := mustKeep(t, l, mustGrant(t, l, 10))
		for range 5 {
			time.Sleep(20 * time.Second)
			c.Member(0).Kill()
			time.Sleep(2 * time.Second)
			c.Member(0).Start()
		}
		time.Sleep(time.Minute)
		if err := k.Err(); err != nil {
			t.Errorf("Err after five outages shorter than the lease: %v", err)
		}
	})
}

func TestKeeperEnds(t *testing.T) {
	cause := errors.New("shift is over")
	for _, tc := range []struct {
		name string
		end  func(t *testing.T, l lease.Lease, k *lease.Keeper, cancel context.CancelCauseFunc)
		want []error
	}{
		{"closed", func(_ *testing.T, _ lease.Lease, k *lease.Keeper, _ context.CancelCauseFunc) {
			_ = k.Close()
			_ = k.Close()
		}, []error{lease.ErrClosed}},
		{"service closed", func(_ *testing.T, l lease.Lease, _ *lease.Keeper, _ context.CancelCauseFunc) {
			_ = l.Close()
			_ = l.Close()
		}, []error{lease.ErrClosed}},
		{"context", func(_ *testing.T, _ lease.Lease, _ *lease.Keeper, cancel context.CancelCauseFunc) {
			cancel(cause)
		}, []error{context.Canceled, cause}},
		{"revoked here", func(t *testing.T, l lease.Lease, k *lease.Keeper, _ context.CancelCauseFunc) {
			t.Helper()
			if _, err := l.Revoke(t.Context(), k.ID()); err != nil {
				t.Errorf("Revoke: %v", err)
			}
		}, []error{lease.ErrRevoked}},
		{"revoke that fails", func(t *testing.T, l lease.Lease, k *lease.Keeper, _ context.CancelCauseFunc) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := l.Revoke(ctx, k.ID()); err == nil {
				t.Error("Revoke with an ended context succeeded")
			}
		}, []error{lease.ErrRevoked}},
		{"gone", func(t *testing.T, l lease.Lease, k *lease.Keeper, _ context.CancelCauseFunc) {
			t.Helper()
			// The service under test must not know.
			revokeElsewhere(t, l, k.ID())
		}, []error{rpctypes.ErrLeaseNotFound}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 1)
				conn := c.Conn(t)
				l := &withConn{newService(t, conn), conn}
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				k, err := l.Keep(ctx, mustGrant(t, l, 9))
				if err != nil {
					t.Fatalf("Keep: %v", err)
				}
				if k.Err() != nil || isDone(k) {
					t.Fatalf("a new keeper has ended: %v", k.Err())
				}
				begin := time.Now()
				tc.end(t, l, k, cancel)
				<-k.Done()
				if got := time.Since(begin); got > 3*time.Second {
					t.Errorf("ended after %v, want at most a renewal interval, 3s", got)
				}
				for _, want := range tc.want {
					wantIs(t, "Err", k.Err(), want)
				}
				// The last keeper takes the stream with it.
				synctest.Wait()
				n := c.Member(0).Messages(keepAlive)
				time.Sleep(time.Minute)
				if got := c.Member(0).Messages(keepAlive); got != n {
					t.Errorf("%d renewals after the end, want none", got-n)
				}
			})
		})
	}
}

type withConn struct {
	lease.Lease
	conn *grpc.ClientConn
}

func revokeElsewhere(t *testing.T, l lease.Lease, id lease.ID) {
	t.Helper()
	_, err := pb.NewLeaseClient(l.(*withConn).conn).LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: int64(id)})
	if err != nil {
		t.Fatalf("LeaseRevoke: %v", err)
	}
}

func TestKeepersOfOneLeaseShareRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		id := mustGrant(t, l, 9)
		a, b := mustKeep(t, l, id), mustKeep(t, l, id)
		n := c.Member(0).Messages(keepAlive)
		if n != 1 {
			t.Errorf("%d renewals for two keepers, want 1", n)
		}
		_ = a.Close()
		time.Sleep(time.Minute)
		if err := b.Err(); err != nil {
			t.Errorf("the second keeper ended with the first: %v", err)
		}
		if a.Err() == nil {
			t.Error("the closed keeper has no error")
		}
	})
}

// A keeper that is closed with its renewal unanswered must not lend that answer
// to a later keeper of the lease, which has sent its own renewal later.
func TestAnswersAreNotMistaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		renewals := record(c.Member(0), func(n int) time.Duration {
			return []time.Duration{0, 900 * time.Millisecond, 300 * time.Millisecond}[n-1]
		})
		other := mustGrant(t, l, 3600) // keeps the stream open
		mustKeep(t, l, other)
		id := mustGrant(t, l, 9)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := l.Keep(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Keep on a silent stream: got %v, want %v", err, context.DeadlineExceeded)
		}
		sent := time.Now()
		k := mustKeep(t, l, id)
		got := renewals()
		if len(got) != 3 {
			t.Fatalf("%d renewals, want 3", len(got))
		}
		if got, want := k.Deadline().Sub(sent), 9*time.Second-lease.Margin(9*time.Second); got != want {
			t.Errorf("deadline is %v after the second keeper's renewal was sent, want %v", got, want)
		}
		if got := time.Since(sent); got != 700*time.Millisecond {
			t.Errorf("second Keep took %v, want 700ms: the first answer is not its own", got)
		}
	})
}

func TestKeepWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		id := mustGrant(t, l, 60)
		c.Member(0).Kill()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := l.Keep(ctx, id)
		wantIs(t, "Keep", err, context.DeadlineExceeded)
		if rpctypes.ErrorDesc(err) == context.DeadlineExceeded.Error() {
			t.Errorf("Keep: error %q does not tell the last failure", err)
		}
		if got := time.Since(begin); got != 5*time.Second {
			t.Errorf("Keep took %v, want as long as its context, 5s", got)
		}
	})
}

func TestKeepUnknownLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := service(t, 1)
		_, err := l.Keep(t.Context(), 42)
		wantIs(t, "Keep", err, rpctypes.ErrLeaseNotFound)
	})
}

// The server ends a stream when it refuses one renewal; only that lease may
// suffer.
func TestDeniedRenewalEndsOneKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		const denied = 666
		c.Member(0).Tap(keepAlive, etcdtest.Tap{Received: func(_ context.Context, req any) error {
			if req.(*pb.LeaseKeepAliveRequest).ID == denied {
				return rpctypes.ErrGRPCPermissionDenied
			}
			return nil
		}})
		var keepers []*lease.Keeper
		for range 10 {
			keepers = append(keepers, mustKeep(t, l, mustGrant(t, l, 9)))
		}
		if _, err := l.GrantID(t.Context(), denied, 9); err != nil {
			t.Fatalf("GrantID: %v", err)
		}
		begin := time.Now()
		if _, err := l.Keep(t.Context(), denied); rpctypes.ErrorDesc(err) != rpctypes.ErrorDesc(rpctypes.ErrGRPCPermissionDenied) {
			t.Errorf("Keep: got %v, want %v", err, rpctypes.ErrGRPCPermissionDenied)
		}
		if got := time.Since(begin); got > time.Second {
			t.Errorf("Keep took %v, want to end with the refusal", got)
		}
		time.Sleep(time.Minute)
		for _, k := range keepers {
			if err := k.Err(); err != nil {
				t.Errorf("a keeper with another lease ended: %v", err)
			}
		}
	})
}
