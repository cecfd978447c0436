package lock_test

import (
	"context"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

// The table of the algorithm's description comes first.
func TestConfigInequality(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		name   string
		cfg    lock.Config
		giveUp time.Duration
		want   []string // what the error has to say; nil when it is right
	}{
		{
			"wrong: two holders at once",
			lock.Config{TTL: 8 * s, Retries: 2, Heartbeat: 2 * s, RequestTimeout: s},
			9 * s,
			[]string{"(1 + retries) × (heartbeat + request timeout) must be < ttl − margin", "(1 + 2) × (2s + 1s) = 9s", "8s − 800ms = 7.2s"},
		},
		{"right", lock.Config{TTL: 8 * s, Retries: 2, Heartbeat: s, RequestTimeout: s}, 6 * s, nil},
		{"defaults", lock.Config{}, 6 * s, nil},
		{"equal is not less", lock.Config{TTL: 10 * s, Retries: 2, Heartbeat: 2 * s, RequestTimeout: s}, 9 * s, []string{"= 9s is not < 10s − 1s = 9s"}},
		{"less by a little", lock.Config{TTL: 10 * s, Retries: 2, Heartbeat: 2*s - time.Millisecond, RequestTimeout: s}, 9*s - 3*time.Millisecond, nil},
		{"no retries", lock.Config{TTL: 8 * s, Retries: lock.NoRetries, Heartbeat: 5 * s, RequestTimeout: s}, 6 * s, nil},
		{"within the margin", lock.Config{TTL: 8 * s, Retries: lock.NoRetries, Heartbeat: 6500 * time.Millisecond, RequestTimeout: s}, 7500 * time.Millisecond, []string{"two could hold"}},
		{"many retries", lock.Config{TTL: 8 * s, Retries: math.MaxInt, Heartbeat: s, RequestTimeout: s}, math.MaxInt32 * 2 * s, []string{"two could hold"}},
		{"endless heartbeat", lock.Config{TTL: 8 * s, Heartbeat: math.MaxInt64}, math.MaxInt64, []string{"two could hold"}},
		{"fraction", lock.Config{TTL: 8500 * time.Millisecond}, 6 * s, []string{"whole seconds"}},
		{"too long", lock.Config{TTL: (lease.MaxTTL + 1) * s}, 6 * s, []string{"9000000000"}},
		{"negative heartbeat", lock.Config{Heartbeat: -s}, 0, []string{"Heartbeat", "negative"}},
		{"negative timeout", lock.Config{RequestTimeout: -s}, 0, []string{"RequestTimeout", "negative"}},
		{"negative interval", lock.Config{RetryInterval: -s}, 6 * s, []string{"RetryInterval", "negative"}},
		{"negative TTL", lock.Config{TTL: -s}, 6 * s, []string{"TTL", "negative"}},
		{"negative retries", lock.Config{Retries: -2}, 2 * s, []string{"Retries", "-2", "NoRetries"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.cfg.GiveUp(); got != tc.giveUp {
				t.Errorf("GiveUp() = %v, want %v", got, tc.giveUp)
			}
			_, err := lock.NewLocker(nil, tc.cfg)
			if tc.want == nil {
				if err != nil {
					t.Errorf("NewLocker: %v, want no error", err)
				}
				return
			}
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("NewLocker: got error %v, want one that says %q", err, want)
				}
			}
		})
	}
}

func (r *rig) locker(cc grpc.ClientConnInterface) *lock.Locker {
	r.t.Helper()
	l, err := lock.NewLocker(cc, lock.Config{})
	if err != nil {
		r.t.Fatalf("NewLocker: %v", err)
	}
	return l
}

func (r *rig) hold(cc grpc.ClientConnInterface) *lock.Held {
	r.t.Helper()
	h, err := r.locker(cc).Lock(r.t.Context(), "job")
	if err != nil {
		r.t.Fatalf("Lock: %v", err)
	}
	return h
}

func TestLockerHolds(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		h := r.hold(r.alone(0))
		r.wantKeys(h.Key())
		time.Sleep(time.Minute)
		if err := h.Err(); err != nil || isDone(h.Done()) {
			t.Errorf("after a minute: error %v, done %v; want none", err, isDone(h.Done()))
		}
		if got := r.cluster.Member(0).Messages(pb.Lease_LeaseKeepAlive_FullMethodName); got < 59 || got > 60 {
			t.Errorf("%d renewals in a minute, want one per second", got)
		}
		r.unlock(h)
		wantIs(t, "Err after Unlock", h.Err(), lock.ErrNotHeld)
		wantIs(t, "second Unlock", h.Unlock(t.Context()), lock.ErrNotHeld)
		r.wantNothingLeft()
	})
}

func TestLockerContention(t *testing.T) {
	run(t, 3, func(r *rig) {
		t := r.t
		var holders, locked atomic.Int32
		var wg sync.WaitGroup
		for i := range 5 {
			l := r.locker(r.alone(i % 3))
			wg.Go(func() {
				for range 3 {
					h, err := l.Lock(t.Context(), "job")
					if err != nil {
						t.Errorf("Lock: %v", err)
						return
					}
					if n := holders.Add(1); n != 1 {
						t.Errorf("%d holders at once", n)
					}
					time.Sleep(5 * time.Second)
					holders.Add(-1)
					locked.Add(1)
					if err := h.Unlock(t.Context()); err != nil {
						t.Errorf("Unlock: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if got := locked.Load(); got != 15 {
			t.Errorf("locked %d times, want 15", got)
		}
		r.wantNothingLeft()
	})
}

func TestLockerCancelledWaiterLeavesNothing(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		h := r.hold(r.alone(0))
		begin := time.Now()
		_, err := r.locker(r.alone(0)).Lock(timeout(t, time.Minute), "job")
		wantIs(t, "Lock", err, context.DeadlineExceeded)
		if got := time.Since(begin); got != time.Minute {
			t.Errorf("Lock returned after %v, want when its context ended, 1m0s", got)
		}
		r.wantKeys(h.Key())
		r.unlock(h)
		r.wantNothingLeft()
	})
}

func TestLockerGivesUpInTime(t *testing.T) {
	for name, cut := range cuts() {
		t.Run(name, func(t *testing.T) {
			run(t, 2, func(r *rig) {
				a := r.hold(r.alone(0))
				time.Sleep(10*time.Second + 500*time.Millisecond)
				begin := time.Now().Add(-500 * time.Millisecond) // the last renewal
				lostAt, gotAt := r.succession(a,
					func() { cut(r.cluster.Member(0)) },
					func() holder { return r.hold(r.alone(1)) })
				if got, want := lostAt.Sub(begin), (lock.Config{}).GiveUp(); got != want {
					r.t.Errorf("gave up %v after the last acknowledged renewal, want %v", got, want)
				}
				if got := gotAt.Sub(begin); got < 8*time.Second {
					r.t.Errorf("another got it after %v, want not before the TTL, 8s", got)
				}
			})
		})
	}
}

func TestLockerSurvivesKilledMember(t *testing.T) {
	run(t, 3, func(r *rig) {
		t := r.t
		h := r.hold(r.client())
		for i := range 2 {
			time.Sleep(20 * time.Second)
			r.cluster.Member(i).Kill()
		}
		time.Sleep(20 * time.Second)
		if err := h.Err(); err != nil {
			t.Errorf("Err with one member left: %v", err)
		}
		r.unlock(h)
		r.wantNothingLeft()
	})
}

// A renewal that a member does not answer goes to another one next time.
func TestLockerAvoidsTheSilentMember(t *testing.T) {
	run(t, 3, func(r *rig) {
		t := r.t
		h := r.hold(r.client())
		time.Sleep(10 * time.Second)
		r.cluster.Member(0).InterceptStream(func(ss grpc.ServerStream, _ string, _ func(grpc.ServerStream) error) error {
			<-ss.Context().Done()
			return ss.Context().Err()
		})
		time.Sleep(time.Minute)
		if err := h.Err(); err != nil {
			t.Errorf("Err a minute after the member fell silent for streams: %v", err)
		}
		r.unlock(h)
	})
}

func TestLockerLeaseGone(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		h := r.hold(r.alone(0))
		resp, err := pb.NewLeaseClient(r.admin).LeaseLeases(t.Context(), &pb.LeaseLeasesRequest{})
		if err != nil || len(resp.Leases) != 1 {
			t.Fatalf("LeaseLeases: %v, %v; want one", resp, err)
		}
		if _, err := pb.NewLeaseClient(r.admin).LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: resp.Leases[0].ID}); err != nil {
			t.Fatalf("LeaseRevoke: %v", err)
		}
		begin := time.Now()
		<-h.Done()
		if got := time.Since(begin); got > time.Second {
			t.Errorf("Done after %v, want with the next heartbeat, 1s", got)
		}
		wantIs(t, "Err", h.Err(), lock.ErrLost)
		wantIs(t, "Err", h.Err(), rpctypes.ErrLeaseNotFound)
		wantIs(t, "Unlock", h.Unlock(t.Context()), lock.ErrLost)
	})
}

func TestLockerFinalError(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		r.cluster.Member(0).Intercept(func(_ context.Context, m string, _ any, next func() (any, error)) (any, error) {
			if m == v3lockpb.Lock_Lock_FullMethodName {
				// As the lock service sends it, without a code.
				return nil, rpctypes.Error(rpctypes.ErrGRPCPermissionDenied)
			}
			return next()
		})
		_, err := r.locker(r.alone(0)).Lock(timeout(t, time.Minute), "job")
		if err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("Lock: got %v, want the server's refusal at once", err)
		}
		r.wantNothingLeft()
	})
}

func TestServiceMisuse(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		rpc := lock.NewService(r.alone(0))
		for _, tc := range []struct {
			name string
			call func() error
			want string
		}{
			{"no lease", func() error { _, err := rpc.Lock(t.Context(), "job", lease.NoLease); return err }, "60 s"},
			{"no name", func() error { _, err := rpc.Lock(t.Context(), "", 7); return err }, "name is empty"},
			{"no key", func() error { _, err := rpc.Unlock(t.Context(), ""); return err }, "key is empty"},
			{"locker without name", func() error { _, err := r.locker(r.alone(0)).Lock(t.Context(), ""); return err }, "name is empty"},
		} {
			if err := tc.call(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got error %v, want one that says %q", tc.name, err, tc.want)
			}
		}
		for _, method := range []string{v3lockpb.Lock_Lock_FullMethodName, v3lockpb.Lock_Unlock_FullMethodName, pb.Lease_LeaseGrant_FullMethodName} {
			if n := r.cluster.Member(0).Calls(method); n != 0 {
				t.Errorf("%s was called %d times, want never", method, n)
			}
		}
	})
}

func TestServiceIsReentrant(t *testing.T) {
	run(t, 1, func(r *rig) {
		t := r.t
		cc := r.alone(0)
		leases := lease.New(cc)
		g, err := leases.Grant(t.Context(), 60)
		if err != nil {
			t.Fatalf("Grant: %v", err)
		}
		rpc := lock.NewService(cc)
		var keys []string
		for range 2 {
			resp, err := rpc.Lock(t.Context(), "job", g.ID)
			if err != nil {
				t.Fatalf("Lock: %v", err)
			}
			keys = append(keys, string(resp.Key))
		}
		if keys[0] != keys[1] {
			t.Errorf("the same lease got keys %q, want one", keys)
		}
		if _, err := rpc.Unlock(t.Context(), keys[0]); err != nil {
			t.Fatalf("Unlock: %v", err)
		}
		if r.exists(keys[0]) {
			t.Error("the key is there after Unlock")
		}
	})
}
