package lease_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/testconn"
	"github.com/getcd/getcd/lease"
)

// By the bubble's clock: one of its leases has 2 s, in which a busy machine may not get to its end.
func TestUnaryCalls(t *testing.T) { synctest.Test(t, unaryCalls) }

func unaryCalls(t *testing.T) {
	l, c := service(t, 1)
	ctx := t.Context()

	g, err := l.Grant(ctx, 60)
	if err != nil {
		t.Fatalf("Grant: %v", err)
	}
	if g.ID <= 0 || g.TTL != 60 || g.ResponseHeader == nil {
		t.Errorf("Grant: got ID %d, TTL %d, header %v; want a positive ID, 60 and a header", g.ID, g.TTL, g.ResponseHeader)
	}
	chosen, err := l.GrantID(ctx, 7, 1)
	if err != nil {
		t.Fatalf("GrantID: %v", err)
	}
	if chosen.ID != 7 || chosen.TTL != 2 {
		t.Errorf("GrantID: got ID %d, TTL %d; want 7 and the server's minimum, 2", chosen.ID, chosen.TTL)
	}
	if _, err := l.GrantID(ctx, 7, 60); status.Code(err) != status.Code(rpctypes.ErrGRPCLeaseExist) {
		t.Errorf("GrantID of an existing lease: got %v, want %v", err, rpctypes.ErrGRPCLeaseExist)
	}

	put := &pb.PutRequest{Key: []byte("k"), Lease: int64(g.ID)}
	if _, err := pb.NewKVClient(c.Conn(t)).Put(ctx, put); err != nil {
		t.Fatalf("Put: %v", err)
	}
	for _, tc := range []struct {
		opts []lease.Option
		keys int
	}{{nil, 0}, {[]lease.Option{lease.WithAttachedKeys()}, 1}} {
		got, err := l.TimeToLive(ctx, g.ID, tc.opts...)
		if err != nil {
			t.Fatalf("TimeToLive: %v", err)
		}
		if got.ID != g.ID || got.GrantedTTL != 60 || got.TTL < 50 || got.TTL > 60 || len(got.Keys) != tc.keys {
			t.Errorf("TimeToLive: got %+v, want ID %d, granted 60, about 60 left, %d keys", got, g.ID, tc.keys)
		}
	}

	all, err := l.Leases(ctx)
	if err != nil {
		t.Fatalf("Leases: %v", err)
	}
	if len(all.Leases) != 2 || all.Leases[0].ID != 7 || all.Leases[1].ID != g.ID {
		t.Errorf("Leases: got %v, want 7 and %d", all.Leases, g.ID)
	}

	if _, err := l.Revoke(ctx, g.ID); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
	if _, err := l.Revoke(ctx, g.ID); status.Code(err) != codes.NotFound {
		t.Errorf("second Revoke: got %v, want code NotFound", err)
	}
	gone, err := l.TimeToLive(ctx, g.ID)
	if err != nil || gone.TTL != -1 {
		t.Errorf("TimeToLive of a revoked lease: got %+v, %v; want TTL -1", gone, err)
	}
}

func TestGrantChoosesDifferentIDs(t *testing.T) {
	l, _ := service(t, 1)
	seen := make(map[lease.ID]bool)
	for range 100 {
		id := mustGrant(t, l, 60)
		if id <= 0 || seen[id] {
			t.Fatalf("Grant chose %d, want a positive ID that is new", id)
		}
		seen[id] = true
	}
}

func TestMisuse(t *testing.T) {
	l, c := service(t, 1)
	ctx := t.Context()
	grant := func(id lease.ID, ttl int64) error { _, err := l.GrantID(ctx, id, ttl); return err }
	for _, tc := range []struct {
		name string
		call func() error
		want string // the bound that the error has to name
	}{
		{"Grant 0", func() error { _, err := l.Grant(ctx, 0); return err }, "from 1 s"},
		{"Grant negative", func() error { _, err := l.Grant(ctx, -5); return err }, "-5"},
		{"Grant too long", func() error { _, err := l.Grant(ctx, lease.MaxTTL+1); return err }, "9000000000"},
		{"GrantID without ID", func() error { return grant(lease.NoLease, 10) }, "no lease"},
		{"GrantID 0 s", func() error { return grant(5, 0) }, "from 1 s"},
		{"Revoke", func() error { _, err := l.Revoke(ctx, lease.NoLease); return err }, "no lease"},
		{"TimeToLive", func() error { _, err := l.TimeToLive(ctx, lease.NoLease); return err }, "no lease"},
		{"Keep", func() error { _, err := l.Keep(ctx, lease.NoLease); return err }, "no lease"},
		{"KeepAlive", func() error { _, err := l.KeepAlive(ctx, lease.NoLease); return err }, "no lease"},
		{"KeepAliveOnce", func() error { _, err := l.KeepAliveOnce(ctx, lease.NoLease); return err }, "no lease"},
	} {
		err := tc.call()
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got error %v, want one that says %q", tc.name, err, tc.want)
		}
	}
	_, err := l.Revoke(ctx, lease.NoLease)
	wantIs(t, "no lease", err, rpctypes.ErrLeaseNotFound)
	_, err = l.Grant(ctx, lease.MaxTTL+1)
	wantIs(t, "too long", err, rpctypes.ErrLeaseTTLTooLarge)
	for _, method := range []string{pb.Lease_LeaseGrant_FullMethodName, pb.Lease_LeaseRevoke_FullMethodName, keepAlive} {
		if n := c.Member(0).Calls(method); n != 0 {
			t.Errorf("%s was called %d times, want never", method, n)
		}
	}
}

// plain is a service that chooses IDs itself, as clientv3's does.
type plain struct {
	lease.Lease
	broken error
}

func (plain) GrantID(context.Context, lease.ID, int64) (*lease.GrantResponse, error) {
	return nil, errors.ErrUnsupported
}

func (p plain) Grant(ctx context.Context, ttl int64) (*lease.GrantResponse, error) {
	if p.broken != nil {
		return nil, p.broken
	}
	return p.Lease.Grant(ctx, ttl)
}

func TestGrantNew(t *testing.T) {
	l, c := service(t, 1)
	for name, leases := range map[string]lease.Lease{"of one's own": l, "of the service": plain{Lease: l}} {
		id, err := lease.GrantNew(t.Context(), leases, 10)
		if err != nil || id == lease.NoLease || !exists(t, c.Conn(t), id) {
			t.Errorf("%s: %d, %v; want a lease", name, id, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if id, err := lease.GrantNew(ended, l, 10); err == nil || id == lease.NoLease {
		t.Errorf("lost: %d, %v; want an error, and the ID to revoke", id, err)
	}
	broken := errors.New("broken")
	if id, err := lease.GrantNew(t.Context(), plain{l, broken}, 10); !errors.Is(err, broken) || id != lease.NoLease {
		t.Errorf("not granted: %d, %v; want no ID, and %v", id, err, broken)
	}
}

// headstrong grants leases by an ID of its own, as a server that stands in for etcd may.
type headstrong struct{ lease.Lease }

func (h headstrong) GrantID(ctx context.Context, _ lease.ID, ttl int64) (*lease.GrantResponse, error) {
	return h.Lease.GrantID(ctx, 42, ttl)
}

func TestGrantNewElsewhere(t *testing.T) {
	l, _ := service(t, 1)
	if id, err := lease.GrantNew(t.Context(), headstrong{l}, 10); err != nil || id != 42 {
		t.Errorf("got %d, %v, want the server's ID, 42", id, err)
	}
}

func TestLongestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := service(t, 1)
		k := mustKeep(t, l, mustGrant(t, l, lease.MaxTTL))
		if got, want := k.TTL(), time.Duration(lease.MaxTTL)*time.Second; got != want {
			t.Errorf("TTL is %v, want %v", got, want)
		}
		time.Sleep(time.Hour)
		if err := k.Err(); err != nil {
			t.Errorf("Err after an hour: %v", err)
		}
	})
}

func TestMargin(t *testing.T) {
	for _, tc := range []struct{ ttl, want time.Duration }{
		{500 * time.Millisecond, 100 * time.Millisecond},
		{time.Second, 100 * time.Millisecond},
		{10 * time.Second, time.Second},
		{time.Minute, 5 * time.Second},
		{time.Hour, 5 * time.Second},
		{10 * time.Hour, 36 * time.Second},
	} {
		if got := lease.Margin(tc.ttl); got != tc.want {
			t.Errorf("Margin(%v) = %v, want %v", tc.ttl, got, tc.want)
		}
	}
}

func TestKeepAliveOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 3)
		l := newService(t, testconn.Rotate(t, c.Members()...))
		id := mustGrant(t, l, 10)
		time.Sleep(8 * time.Second)
		resp, err := l.KeepAliveOnce(t.Context(), id)
		if err != nil {
			t.Fatalf("KeepAliveOnce: %v", err)
		}
		if resp.ID != id || resp.TTL != 10 || resp.ResponseHeader == nil {
			t.Errorf("KeepAliveOnce: got %+v, want lease %d with TTL 10 and a header", resp, id)
		}
		time.Sleep(8 * time.Second)
		if !exists(t, c.Conn(t), id) {
			t.Error("the lease was not renewed")
		}

		// The next two members are of no use: one silent, one dead.
		c.Member(1).Hang()
		c.Member(2).Kill()
		begin := time.Now()
		if _, err := l.KeepAliveOnce(t.Context(), id); err != nil {
			t.Errorf("KeepAliveOnce with one member left: %v", err)
		}
		if got, most := time.Since(begin), 600*time.Millisecond; got > most {
			t.Errorf("KeepAliveOnce took %v, want at most %v", got, most)
		}

		c.Member(1).Resume()
		resp, err = l.KeepAliveOnce(t.Context(), 42)
		wantIs(t, "KeepAliveOnce of an unknown lease", err, rpctypes.ErrLeaseNotFound)
		if resp == nil || resp.TTL > 0 {
			t.Errorf("KeepAliveOnce of an unknown lease: got %+v, want the server's answer", resp)
		}

		for _, m := range c.Members() {
			m.Kill()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err = l.KeepAliveOnce(ctx, id)
		wantIs(t, "KeepAliveOnce without a member", err, context.DeadlineExceeded)
		if !strings.Contains(err.Error(), "refused") {
			t.Errorf("KeepAliveOnce without a member: error %q does not tell why", err)
		}
	})
}

// A server that stands in for etcd may have no renewals, and says so in words of its own. Two tries
// are told, and then the caller.
func TestKeepAliveOnceElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		tries := 0
		c.Member(0).InterceptStream(func(grpc.ServerStream, string, func(grpc.ServerStream) error) error {
			tries++
			return errors.New("lease keep alive is not supported")
		})
		begin := time.Now()
		_, err := l.KeepAliveOnce(t.Context(), 42)
		if took := time.Since(begin); err == nil || !strings.Contains(err.Error(), "not supported") || tries != 2 || took > time.Second {
			t.Errorf("got %v after %d tries and %v, want the server's answer after two", err, tries, took)
		}
	})
}

// Keep believes such a server after about a second. A lease that is proven, and one that waits while
// a proxy says the same for a moment, are kept.
func TestKeepElsewhere(t *testing.T) {
	for name, refusal := range map[string]error{
		"in its own words": errors.New("lease keep alive is not supported"),
		"unimplemented":    status.Error(codes.Unimplemented, "method LeaseKeepAlive not implemented"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, c := service(t, 1)
				var refuses atomic.Bool
				c.Member(0).InterceptStream(func(ss grpc.ServerStream, _ string, next func(grpc.ServerStream) error) error {
					if refuses.Load() {
						return refusal
					}
					return next(ss)
				})

				refuses.Store(true)
				time.AfterFunc(300*time.Millisecond, func() { refuses.Store(false) })
				if _, err := l.Keep(t.Context(), mustGrant(t, l, 60)); err != nil {
					t.Errorf("Keep with a refusal for 300 ms: %v", err)
				}
				proven, other := mustKeep(t, l, mustGrant(t, l, 60)), mustGrant(t, l, 60)

				refuses.Store(true)
				c.Member(0).Kill() // ends the stream that is open
				c.Member(0).Start()
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, err := l.Keep(ctx, other)
				if errors.Is(err, context.DeadlineExceeded) || status.Convert(err).Message() != status.Convert(refusal).Message() {
					t.Errorf("Keep: got %v after %v, want %v", err, time.Since(begin), refusal)
				}
				refuses.Store(false)
				time.Sleep(time.Minute)
				if err := proven.Err(); err != nil {
					t.Errorf("the lease that was proven: %v", err)
				}
			})
		})
	}
}

func TestKeepAliveOnceSlowCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		record(c.Member(0), func(int) time.Duration { return 3 * time.Second })
		if _, err := l.KeepAliveOnce(t.Context(), mustGrant(t, l, 60)); err != nil {
			t.Errorf("KeepAliveOnce with answers that take 3 s: %v", err)
		}
	})
}

// However little time there is, a silent member does not get all of it.
func TestKeepAliveOnceSharesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 3)
		l := newService(t, testconn.Rotate(t, c.Members()...))
		id := mustGrant(t, l, 10)
		c.Member(0).Hang()
		c.Member(1).Hang()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := l.KeepAliveOnce(ctx, id); err != nil {
			t.Errorf("KeepAliveOnce in 0.3 s with one member of three: %v", err)
		}
	})
}

func TestKeepAliveOnceDenied(t *testing.T) {
	l, c := service(t, 1)
	id := mustGrant(t, l, 10)
	c.Member(0).InterceptStream(func(grpc.ServerStream, string, func(grpc.ServerStream) error) error {
		return rpctypes.ErrGRPCPermissionDenied
	})
	if _, err := l.KeepAliveOnce(t.Context(), id); status.Code(err) != codes.PermissionDenied {
		t.Errorf("KeepAliveOnce: got %v, want code PermissionDenied at once", err)
	}
}

// Nothing comes of a connection that is closed, however long one waits.
func TestKeepAliveOnceClosedConnection(t *testing.T) {
	_, c := service(t, 1)
	conn, err := c.Dial()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	l := newService(t, conn)
	if _, err := l.KeepAliveOnce(t.Context(), 7); status.Code(err) != codes.Canceled {
		t.Errorf("KeepAliveOnce: got %v, want code Canceled at once", err)
	}
}

func TestKeepAliveChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := service(t, 1)
		id := mustGrant(t, l, 9)
		ctx, cancel := context.WithCancel(t.Context())
		ch, err := l.KeepAlive(ctx, id)
		if err != nil {
			t.Fatalf("KeepAlive: %v", err)
		}
		first := <-ch
		if first.ID != id || first.TTL != 9 || first.ResponseHeader == nil {
			t.Errorf("first response is %+v, want lease %d with TTL 9 and a header", first, id)
		}
		time.Sleep(10 * time.Minute) // some 200 renewals that nobody reads
		if got, want := len(ch), 16; got != want {
			t.Errorf("%d responses wait in the channel, want %d", got, want)
		}
		for len(ch) > 0 {
			<-ch
		}
		if _, ok := <-ch; !ok {
			t.Error("the channel closed because it had been full")
		}
		cancel()
		for range ch { // closes soon, or the test hangs
		}
	})
}

func TestKeepAliveChannelCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := service(t, 1)
		id := mustGrant(t, l, 10)
		ch, err := l.KeepAlive(t.Context(), id)
		if err != nil {
			t.Fatalf("KeepAlive: %v", err)
		}
		<-ch
		c.Member(0).Hang()
		begin := time.Now()
		for range ch {
		}
		if got := time.Since(begin); got > 9*time.Second {
			t.Errorf("the channel closed after %v, want before the lease can expire", got)
		}
		c.Member(0).Resume()

		if ch, err = l.KeepAlive(t.Context(), 42); err != nil {
			t.Fatalf("KeepAlive: %v", err)
		}
		if resp, ok := <-ch; ok {
			t.Errorf("got %+v for an unknown lease, want a closed channel", resp)
		}
	})
}

func TestAfterClose(t *testing.T) {
	l, _ := service(t, 1)
	id := mustGrant(t, l, 10)
	_ = l.Close()
	if _, err := l.Keep(t.Context(), id); !errors.Is(err, lease.ErrClosed) {
		t.Errorf("Keep after Close: got %v, want %v", err, lease.ErrClosed)
	}
	ch, err := l.KeepAlive(t.Context(), id)
	if !errors.Is(err, lease.ErrClosed) {
		t.Errorf("KeepAlive after Close: got %v, want %v", err, lease.ErrClosed)
	}
	if _, ok := <-ch; ok {
		t.Error("KeepAlive after Close: the channel is open")
	}
}
