package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

const (
	m1 = "member-1:2379"
	m2 = "member-2:2379"
	m3 = "member-3:2379"
)

var errLostAnswer = status.Error(codes.Unavailable, "error reading from server: EOF")

func TestReadsSurviveEachMember(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
			t.Fatal(err)
		}
		for i, m := range r.cluster.Members() {
			for _, err := range []error{
				errLostAnswer,
				rpctypes.ErrGRPCNoLeader,
				rpctypes.ErrGRPCTimeout,
				rpctypes.ErrGRPCLeaderChanged,
				rpctypes.ErrGRPCStopped,
				rpctypes.ErrGRPCNotSupportedForLearner,
				status.Error(codes.Unknown, "etcdserver: too many requests"),
				status.Error(codes.DeadlineExceeded, "context deadline exceeded"),
				status.Error(codes.Canceled, "context canceled"),
			} {
				m.Intercept(once(pb.KV_Range_FullMethodName, refuse(err)))
				if v, err := r.get(r.timeout(time.Second)); v != "v" || err != nil {
					t.Errorf("get: got %q and %v, want %q and no error", v, err, "v")
				}
			}
			m.Intercept(nil)
			m.Kill()
			if i == 2 {
				break
			}
			if v, err := r.get(r.timeout(time.Second)); v != "v" || err != nil {
				t.Errorf("get after %s was killed: got %q and %v, want %q and no error", m.Name(), v, err, "v")
			}
		}
	})
}

func TestReadsRetryElsewhereAtOnce(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		r.cluster.Member(0).SetNoLeader(true)
		start := time.Now()
		if _, err := r.get(r.timeout(time.Second)); err != nil {
			r.t.Fatal(err)
		}
		if d := time.Since(start); d > 0 {
			r.t.Errorf("the second try came after %v, want at once", d)
		}
	})
}

// A write that was refused for certain is sent again; one whose fate is unknown
// is not, and says so.
func TestWrites(t *testing.T) {
	put := pb.KV_Put_FullMethodName
	tests := map[string]struct {
		hook      etcdtest.UnaryHook
		written   int64
		ambiguous bool
		is        error // nil: no error
	}{
		"served":            {nil, 1, false, nil},
		"no leader":         {once(put, refuse(rpctypes.ErrGRPCNoLeader)), 1, false, nil},
		"learner":           {once(put, refuse(rpctypes.ErrGRPCNotSupportedForLearner)), 1, false, nil},
		"not capable":       {once(put, refuse(rpctypes.ErrGRPCNotCapable)), 1, false, nil},
		"too many requests": {once(put, refuse(rpctypes.ErrGRPCRequestTooManyRequests)), 1, false, nil},
		"too many, as unknown": {
			once(put, refuse(status.Error(codes.Unknown, "etcdserver: too many requests"))), 1, false, nil,
		},
		"dropped proposal": {once(put, refuse(status.Error(codes.Unknown, "raft proposal dropped"))), 1, false, nil},
		"answer lost":      {once(put, applyThen(errLostAnswer)), 1, true, errLostAnswer},
		"request lost":     {once(put, refuse(errLostAnswer)), 0, true, errLostAnswer},
		"timed out":        {once(put, applyThen(rpctypes.ErrGRPCTimeout)), 1, true, rpctypes.ErrTimeout},
		"leader failed": {
			once(put, applyThen(rpctypes.ErrGRPCTimeoutDueToLeaderFail)), 1, true, rpctypes.ErrTimeoutDueToLeaderFail,
		},
		"stopped": {once(put, refuse(rpctypes.ErrGRPCStopped)), 0, true, rpctypes.ErrStopped},
		"server's deadline": {
			once(put, applyThen(status.Error(codes.DeadlineExceeded, "context deadline exceeded"))), 1, true, nil,
		},
		"unknown to us":     {once(put, applyThen(status.Error(codes.Unknown, "etcdserver: new in 3.9"))), 1, true, nil},
		"no space":          {once(put, refuse(rpctypes.ErrGRPCNoSpace)), 0, true, rpctypes.ErrNoSpace},
		"permission denied": {once(put, refuse(rpctypes.ErrGRPCPermissionDenied)), 0, false, rpctypes.ErrPermissionDenied},
		"too large":         {once(put, refuse(rpctypes.ErrGRPCRequestTooLarge)), 0, false, rpctypes.ErrRequestTooLarge},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				t := r.t
				r.cluster.Member(0).Intercept(c.hook)
				err := r.put(r.timeout(10*time.Second), "k", "v")
				if (err != nil) != (c.ambiguous || c.is != nil) {
					t.Errorf("error: got %v", err)
				}
				if got := client.IsAmbiguous(err); got != c.ambiguous {
					t.Errorf("IsAmbiguous(%v): got %v, want %v", err, got, c.ambiguous)
				}
				if c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("got error %v, want one that is %v", err, c.is)
				}
				r.cluster.Member(0).Intercept(nil)
				if got := r.version(); got != c.written {
					t.Errorf("the key was written %d times, want %d", got, c.written)
				}
			})
		})
	}
}

func TestWriteToNobodyIsNotAmbiguous(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		synctest.Wait()
		err := r.put(r.timeout(3*time.Second), "k", "v")
		if !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) {
			t.Errorf("got %v (ambiguous: %v), want the deadline, and certainty", err, client.IsAmbiguous(err))
		}
		if c := status.Code(err); c != codes.DeadlineExceeded {
			t.Errorf("code: got %v, want %v", c, codes.DeadlineExceeded)
		}
		var e *client.Error
		if !errors.As(err, &e) || e.Op != "Put" {
			t.Fatalf("got %#v, want a *client.Error of Put", err)
		}
		if diff := cmp.Diff([]string{m1, m2, m3}, endpointsOf(e)); diff != "" {
			t.Errorf("endpoints named (-want +got):\n%s", diff)
		}
		if !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("the text does not tell why: %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- r.put(t.Context(), "k", "v") }()
		time.Sleep(time.Second) // the bubble's clock
		r.cluster.Member(1).Start()
		if err := <-done; err != nil {
			t.Errorf("a write that waited for the cluster: %v", err)
		}
		if got := r.version(); got != 1 {
			t.Errorf("the key was written %d times, want once", got)
		}
	})
}

func TestWriteUnderWayAtTheDeadlineIsAmbiguous(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		r.cluster.Member(0).Intercept(hangAllBut(healthCheck))
		err := r.put(r.timeout(time.Second), "k", "v")
		if !errors.Is(err, context.DeadlineExceeded) || !client.IsAmbiguous(err) {
			t.Errorf("put: got %v (ambiguous: %v), want the deadline, and doubt", err, client.IsAmbiguous(err))
		}
		if _, err := r.get(r.timeout(time.Second)); !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) {
			t.Errorf("get: got %v (ambiguous: %v), want the deadline, and no doubt", err, client.IsAmbiguous(err))
		}
	})
}

// unknownRevision checks the header of an answer that was lost: it is there, and empty.
func (r *rig) unknownRevision(h *pb.ResponseHeader) {
	r.t.Helper()
	if h == nil || !proto.Equal(h, &pb.ResponseHeader{}) {
		r.t.Errorf("got the header %v, want an empty one", h)
	}
}

// Requests that leave the same state when applied twice are sent again even when
// their fate is unknown, and the answer to the repetition is understood.
func TestRepeatable(t *testing.T) {
	tests := map[string]struct {
		method string
		call   func(ctx context.Context, r *rig) error
		check  func(r *rig)
	}{
		"LeaseGrant": {
			pb.Lease_LeaseGrant_FullMethodName,
			func(ctx context.Context, r *rig) error {
				resp, err := r.Grant(ctx, 60)
				if err == nil && (resp.ID == 0 || resp.TTL != 60) {
					r.t.Errorf("got %v, want an ID and TTL 60", resp)
				}
				if err == nil {
					r.unknownRevision(resp.ResponseHeader)
				}
				return err
			},
			func(r *rig) {
				resp, err := pb.NewLeaseClient(r.Conn()).LeaseLeases(r.t.Context(), &pb.LeaseLeasesRequest{})
				if err != nil || len(resp.Leases) != 1 {
					r.t.Errorf("got leases %v and error %v, want one", resp.GetLeases(), err)
				}
			},
		},
		"LeaseRevoke": {
			pb.Lease_LeaseRevoke_FullMethodName,
			func(ctx context.Context, r *rig) error {
				granted, err := r.Grant(ctx, 60)
				if err != nil {
					return err
				}
				resp, err := r.Revoke(ctx, granted.ID)
				if err == nil {
					r.unknownRevision(resp.Header)
				}
				return err
			},
			func(*rig) {},
		},
		"Compact": {
			pb.KV_Compact_FullMethodName,
			func(ctx context.Context, r *rig) error {
				if err := r.put(ctx, "k", "v"); err != nil {
					return err
				}
				resp, err := r.kv.Compact(ctx, &pb.CompactionRequest{Revision: 2})
				if err == nil {
					r.unknownRevision(resp.Header)
				}
				return err
			},
			func(*rig) {},
		},
		"read-only Txn": {
			pb.KV_Txn_FullMethodName,
			func(ctx context.Context, r *rig) error {
				_, err := r.kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
					{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("k")}}},
				}})
				return err
			},
			func(*rig) {},
		},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			run(t, 3, nil, func(r *rig) {
				r.cluster.Member(0).Intercept(once(c.method, applyThen(errLostAnswer)))
				if err := c.call(r.timeout(10*time.Second), r); err != nil {
					r.t.Error(err)
				}
				c.check(r)
			})
		})
	}
}

// The first grant's LeaseExists is the caller's mistake, not a repetition.
func TestLeaseExistsWithoutRepetition(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		lease := pb.NewLeaseClient(r.Conn())
		if _, err := lease.LeaseGrant(r.t.Context(), &pb.LeaseGrantRequest{ID: 7, TTL: 60}); err != nil {
			r.t.Fatal(err)
		}
		if _, err := lease.LeaseGrant(r.t.Context(), &pb.LeaseGrantRequest{ID: 7, TTL: 60}); !errors.Is(err, rpctypes.ErrLeaseExist) {
			r.t.Errorf("got %v, want %v", err, rpctypes.ErrLeaseExist)
		}
	})
}

func TestHasLeaderMetadata(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		ctx := metadata.AppendToOutgoingContext(t.Context(), "mine", "1")
		for _, c := range []struct {
			method string
			call   func() error
			want   int
		}{
			{pb.KV_Range_FullMethodName, func() error { _, err := r.get(ctx); return err }, 1},
			{pb.KV_Range_FullMethodName, func() error {
				_, err := r.kv.Range(ctx, &pb.RangeRequest{Key: []byte("k"), Serializable: true})
				return err
			}, 0},
			{pb.KV_Put_FullMethodName, func() error { return r.put(ctx, "k", "v") }, 1},
			{pb.Maintenance_Status_FullMethodName, func() error {
				_, err := pb.NewMaintenanceClient(r.Conn()).Status(ctx, &pb.StatusRequest{})
				return err
			}, 0},
		} {
			if err := c.call(); err != nil {
				t.Fatal(err)
			}
			md := r.cluster.Member(0).LastMetadata(c.method)
			if got := len(md.Get(rpctypes.MetadataRequireLeaderKey)); got != c.want {
				t.Errorf("%s: hasleader was sent %d times, want %d", c.method, got, c.want)
			}
			if got := md.Get("mine"); len(got) != 1 {
				t.Errorf("%s: the caller's metadata: got %q, want one value", c.method, got)
			}
		}
	})
}

func TestErrorText(t *testing.T) {
	run(t, 3, nil, func(r *rig) {
		t := r.t
		r.cluster.Member(0).Intercept(once(pb.KV_Put_FullMethodName, applyThen(rpctypes.ErrGRPCTimeout)))
		r.cluster.Member(1).Intercept(once(pb.KV_Put_FullMethodName, refuse(rpctypes.ErrGRPCTooManyOps)))
		err := r.put(r.timeout(time.Second), "k", "v")
		want := "etcd Put: etcdserver: request timed out (it may have been applied) [" + m1 + "]"
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		r.cluster.Member(0).SetNoLeader(true)
		err = r.put(r.timeout(time.Second), "k", "v")
		want = "etcd Put: etcdserver: too many operations in txn request [" + m1 + ": etcdserver: no leader; " + m2 + ": etcdserver: too many operations in txn request]"
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if c := status.Code(err); c != codes.InvalidArgument {
			t.Errorf("code: got %v, want %v", c, codes.ResourceExhausted)
		}
	})
}

func TestClose(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		r.cluster.Member(0).Hang()
		results := make(chan error, 3)
		go func() { results <- r.put(t.Context(), "k", "v") }()
		go func() { _, err := r.get(t.Context()); results <- err }()
		stream, err := pb.NewWatchClient(r.Conn()).Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, err := stream.Recv(); results <- err }()
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		for range 3 {
			if err := <-results; !errors.Is(err, client.ErrClosed) {
				t.Errorf("a call under way: got %v, want %v", err, client.ErrClosed)
			}
		}
		if err := r.put(t.Context(), "k", "v"); !errors.Is(err, client.ErrClosed) || client.IsAmbiguous(err) {
			t.Errorf("a call afterwards: got %v, want %v and certainty", err, client.ErrClosed)
		}
		if err := r.WaitReady(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("WaitReady: got %v, want %v", err, client.ErrClosed)
		}
		if err := r.SetEndpoints(m1); !errors.Is(err, client.ErrClosed) {
			t.Errorf("SetEndpoints: got %v, want %v", err, client.ErrClosed)
		}
		r.cluster.Member(0).Resume()
	})
}

func TestWaitReady(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		if err := r.WaitReady(t.Context()); err != nil {
			t.Error(err)
		}
		for _, m := range r.cluster.Members() {
			m.Kill()
		}
		synctest.Wait()
		err := r.WaitReady(r.timeout(time.Second))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), m1) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v, want a deadline that names %s and its failure", err, m1)
		}
	})
}

// The time that a member takes to say who it is counts as a latency only if the member answers. A
// latency that is too large would make the client suspect the member too late from then on.
func TestFailedIntroductionIsNoLatency(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		m := r.cluster.Member(0)
		m.Kill()
		m.Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.Maintenance_Status_FullMethodName {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return next()
		})
		m.Start()
		time.Sleep(12 * time.Second) // the bubble's clock; longer than an introduction
		m.Intercept(nil)
		if _, err := r.get(r.timeout(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Endpoints() {
			if s.Latency > 10*time.Millisecond {
				t.Errorf("a latency of %v, want that of the answers, which came at once", s.Latency)
			}
		}
	})
}

func TestMessageSizes(t *testing.T) {
	run(t, 1, func(c *client.Config) { c.MaxCallSendMsgSize, c.MaxCallRecvMsgSize = 1000, 1500 }, func(r *rig) {
		t := r.t
		err := r.put(r.timeout(time.Second), "k", strings.Repeat("v", 2000))
		if status.Code(err) != codes.ResourceExhausted || client.IsAmbiguous(err) {
			t.Errorf("too large to send: got %v (ambiguous: %v), want ResourceExhausted, and certainty", err, client.IsAmbiguous(err))
		}
		for _, k := range []string{"a", "b"} {
			if err := r.put(t.Context(), k, strings.Repeat("v", 900)); err != nil {
				t.Fatal(err)
			}
		}
		_, err = r.kv.Range(r.timeout(time.Second), &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("c")})
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("too large to receive: got %v, want ResourceExhausted", err)
		}
	})
}
