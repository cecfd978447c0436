package balancer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/internal/policy"
)

// A better tier that returns takes new calls at once, and breaks none that is under way.
func TestBetterTierReturns(t *testing.T) {
	run(t, 3, from(t, tiers{0, 10, 20}), func(r *rig) {
		t := r.t
		r.cluster.Member(0).Kill()
		synctest.Wait()
		r.warm()
		if got := r.active(); got != m2 {
			t.Fatalf("active: got %q, want %q", got, m2)
		}
		slowBoth(r.cluster.Member(1))
		put, lock := make(chan error, 1), make(chan error, 1)
		go func() { lock <- r.lock(10 * time.Minute) }()
		go func() { put <- r.put(r.timeout(10*time.Minute), "k", "v") }()
		time.Sleep(10 * time.Millisecond) // the bubble's clock
		before := r.Counters()
		r.cluster.Member(0).Start()
		time.Sleep(6 * time.Second) // the longest pause between tries is 5 s
		if got := r.active(); got != m1 {
			t.Errorf("active: got %q, want %q", got, m1)
		}
		for name, end := range map[string]chan error{"put": put, "lock": lock} {
			if err := <-end; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if c := r.Counters(); c.Severed > 0 || c.GivenUp > 0 || c.Doubts > before.Doubts || c.Failovers != before.Failovers+1 {
			t.Errorf("got %+v after %+v, want one change of members, and nobody doubted for it", c, before)
		}
	})
}

// waiting are calls that wait by their nature, each a minute at the member that has
// waitAMinute.
var waiting = map[string]func(ctx context.Context, cc grpc.ClientConnInterface) error{
	v3electionpb.Election_Campaign_FullMethodName: func(ctx context.Context, cc grpc.ClientConnInterface) error {
		_, err := v3electionpb.NewElectionClient(cc).Campaign(ctx, &v3electionpb.CampaignRequest{Name: []byte("e"), Lease: 7})
		return err
	},
	pb.KV_Compact_FullMethodName: func(ctx context.Context, cc grpc.ClientConnInterface) error {
		_, err := pb.NewKVClient(cc).Compact(ctx, &pb.CompactionRequest{Revision: 1})
		return err
	},
	pb.Maintenance_Defragment_FullMethodName: func(ctx context.Context, cc grpc.ClientConnInterface) error {
		_, err := pb.NewMaintenanceClient(cc).Defragment(ctx, &pb.DefragmentRequest{})
		return err
	},
	pb.Maintenance_Snapshot_FullMethodName: func(ctx context.Context, cc grpc.ClientConnInterface) error {
		s, err := pb.NewMaintenanceClient(cc).Snapshot(ctx, &pb.SnapshotRequest{})
		if err != nil {
			return err
		}
		return wantMinute(s.Recv)
	},
	v3electionpb.Election_Observe_FullMethodName: func(ctx context.Context, cc grpc.ClientConnInterface) error {
		s, err := v3electionpb.NewElectionClient(cc).Observe(ctx, &v3electionpb.LeaderRequest{Name: []byte("e")})
		if err != nil {
			return err
		}
		return wantMinute(s.Recv)
	},
}

// wantMinute reads a stream of sixty messages.
func wantMinute[T any](recv func() (T, error)) error {
	for n := 0; ; n++ {
		switch _, err := recv(); {
		case errors.Is(err, io.EOF) && n == 60:
			return nil
		case err != nil:
			return fmt.Errorf("after %d messages: %w", n, err)
		}
	}
}

func waitAMinute(m *etcdtest.Member) {
	m.Intercept(func(_ context.Context, method string, _ any, next func() (any, error)) (any, error) {
		if _, ok := waiting[method]; !ok {
			return next()
		}
		time.Sleep(time.Minute) // the bubble's clock
		switch method {
		case v3electionpb.Election_Campaign_FullMethodName:
			return &v3electionpb.CampaignResponse{}, nil
		case pb.Maintenance_Defragment_FullMethodName:
			return &pb.DefragmentResponse{}, nil
		default:
			return &pb.CompactionResponse{}, nil
		}
	})
	m.InterceptStream(func(s grpc.ServerStream, method string, next func(grpc.ServerStream) error) error {
		var msg any
		switch method {
		case v3electionpb.Election_Observe_FullMethodName:
			msg = &v3electionpb.LeaderResponse{}
		case pb.Maintenance_Snapshot_FullMethodName:
			msg = &pb.SnapshotResponse{Blob: []byte("b")}
		default:
			return next(s)
		}
		for range 60 {
			time.Sleep(time.Second)
			if err := s.SendMsg(msg); err != nil {
				return err
			}
		}
		return nil
	})
}

// Calls that wait go on where they are when other endpoints are set. The log says what
// that is: a connection handed over, which is nobody's trouble.
func TestCallsThatWaitAreHandedOver(t *testing.T) {
	logged(t, 3, func(r *rig, logs *records) {
		t := r.t
		r.warm()
		waitAMinute(r.cluster.Member(0))
		logs.take()
		var wg sync.WaitGroup
		for method, call := range waiting {
			wg.Go(func() {
				start := time.Now()
				if err := call(r.timeout(10*time.Minute), r.Conn()); err != nil {
					t.Errorf("%s after %v: %v", method, time.Since(start), err)
				}
			})
		}
		synctest.Wait()
		time.Sleep(100 * time.Millisecond) // the bubble's clock
		if err := r.SetEndpoints(m2, m3); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for method := range waiting {
			for i, want := range []int{1, 0, 0} {
				if n := r.cluster.Member(i).Calls(method); n != want {
					t.Errorf("%s: member %d was called %d times, want %d", method, i+1, n, want)
				}
			}
		}
		synctest.Wait()
		all, handed := logs.take(), 0
		for _, rec := range all {
			if rec == fmt.Sprintf("DEBUG etcd: connection handed over; endpoint=%s; calls=%d", m1, len(waiting)) {
				handed++
			}
			if strings.HasPrefix(rec, "WARN") || strings.HasPrefix(rec, "ERROR") {
				handed = -len(all)
			}
		}
		if handed != 1 {
			t.Errorf("want one record, of a connection handed over, and no warning; got\n%s", strings.Join(all, "\n"))
		}
		if c := r.Counters(); c.HandedOver != 1 || c.Severed > 0 || c.GivenUp > 0 {
			t.Errorf("got %+v, want one connection handed over, and nothing severed or given up", c)
		}
	})
}

// afterGoAway is run with a client whose call, a Put or a Lock, waits for ever at a member
// that has ended its connections with GOAWAY, as all members do at this age.
func afterGoAway(t *testing.T, age time.Duration, configure func(*client.Config, *etcdtest.Cluster), call func(*rig) error, test func(r *rig, at *etcdtest.Member, ended <-chan error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cluster := etcdtest.Start(t, 2, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: age}))
		cfg := client.Config{
			Endpoints:   cluster.Addrs(),
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
		}
		configure(&cfg, cluster)
		c, err := client.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := &rig{t: t, cluster: cluster, Client: c, kv: pb.NewKVClient(c.Conn())}
		r.warm()
		var at atomic.Pointer[etcdtest.Member]
		for _, m := range cluster.Members() {
			m.Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
				if method != pb.KV_Put_FullMethodName && method != v3lockpb.Lock_Lock_FullMethodName {
					return next()
				}
				at.Store(m)
				<-ctx.Done()
				return nil, ctx.Err()
			})
		}
		ended := make(chan error, 1)
		go func() { ended <- call(r) }()
		r.use(func() bool { return r.Counters().HandedOver > 0 })
		test(r, at.Load(), ended)
	})
}

// use reads now and then until it is enough, for 2 minutes at most.
func (r *rig) use(until func() bool) {
	for start := time.Now(); !until(); time.Sleep(20 * time.Millisecond) { // the bubble's clock
		if _, err := r.get(r.timeout(10 * time.Second)); err != nil {
			r.t.Errorf("get: %v", err)
		}
		if time.Since(start) > 2*time.Minute {
			r.t.Fatalf("it does not come; active: %q, %+v", r.active(), r.Counters())
		}
	}
}

// wantGivenUp freezes m, where the call waits.
func (r *rig) wantGivenUp(m *etcdtest.Member, ended <-chan error, within time.Duration) {
	r.t.Helper()
	start := time.Now()
	m.Freeze()
	r.use(func() bool { return len(ended) > 0 })
	if err := <-ended; !client.IsAmbiguous(err) || time.Since(start) > within {
		r.t.Errorf("it was given up with %v, %v after its member fell silent, want an ambiguous error within %v", err, time.Since(start), within)
	}
	m.Thaw()
}

// A server that has said goodbye can't be asked on that connection any more. When it falls
// silent, what is under way there is given up all the same: with its next connection when
// that is in use, and by HTTP/2's pings otherwise.
func TestSilenceAfterAGoAway(t *testing.T) {
	put := func(r *rig) error { return r.put(r.timeout(10*time.Minute), "k", "v") }
	lock := func(r *rig) error { return r.lock(10 * time.Minute) }
	t.Run("its next connection is in use", func(t *testing.T) {
		afterGoAway(t, 5*time.Second, func(*client.Config, *etcdtest.Cluster) {}, put, func(r *rig, at *etcdtest.Member, ended <-chan error) {
			begun := time.Now() // its next connection is made within 0.3 s, and lives for 4.5 s at least
			r.use(func() bool { return r.active() == at.Addr() && time.Since(begun) > 300*time.Millisecond })
			r.wantGivenUp(at, ended, policy.DefaultPatience+time.Second)
		})
	})
	t.Run("its next connection is idle", func(t *testing.T) {
		better := func(cfg *client.Config, cluster *etcdtest.Cluster) {
			from(t, tiers{0, 10})(cfg)
			cluster.Member(0).Kill()
		}
		afterGoAway(t, 30*time.Second, better, lock, func(r *rig, at *etcdtest.Member, ended <-chan error) {
			r.cluster.Member(0).Start()
			r.use(func() bool { return r.active() != at.Addr() })
			r.wantGivenUp(at, ended, 14*time.Second) // a ping after 10 s, unanswered for 3 s
		})
	})
}
