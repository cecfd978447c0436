package client_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
)

// etcd's quota is looked at once more when a write is applied, and the write is
// applied all the same: "database space exceeded" is no proof of anything.
func TestNoSpaceLeavesDoubt(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		r.cluster.Member(0).Intercept(once(pb.KV_Put_FullMethodName, applyThen(rpctypes.ErrGRPCNoSpace)))
		err := r.put(r.timeout(time.Second), "k", "v")
		if !errors.Is(err, rpctypes.ErrNoSpace) || !client.IsAmbiguous(err) {
			t.Errorf("put: got %v (ambiguous: %v), want %v, and doubt", err, client.IsAmbiguous(err), rpctypes.ErrNoSpace)
		}
		if got := r.version(); got != 1 {
			t.Errorf("the key was written %d times, want once", got)
		}
		// Nor is it a reason to ask again.
		grant := pb.Lease_LeaseGrant_FullMethodName
		r.cluster.Member(0).Intercept(times(100, grant, refuse(rpctypes.ErrGRPCNoSpace)))
		_, err = pb.NewLeaseClient(r.Conn()).LeaseGrant(r.timeout(time.Second), &pb.LeaseGrantRequest{ID: 7, TTL: 60})
		if n := r.cluster.Member(0).Calls(grant); !errors.Is(err, rpctypes.ErrNoSpace) || n != 1 {
			t.Errorf("grant: got %v after %d calls, want %v after one", err, n, rpctypes.ErrNoSpace)
		}
		r.cluster.Member(0).Intercept(once(pb.KV_Range_FullMethodName, refuse(rpctypes.ErrGRPCNoSpace)))
		if _, err := r.get(r.timeout(time.Second)); client.IsAmbiguous(err) {
			t.Errorf("get: %v is in doubt, want a read never to be", err)
		}
	})
}

// A server that can't encode its answer has served the request; its error has
// the text of a client that can't encode the request.
func TestAnswerThatCannotBeEncoded(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		cluster := pb.NewClusterClient(r.Conn())
		r.cluster.Member(0).Intercept(once(pb.Cluster_MemberAdd_FullMethodName,
			func(context.Context, string, any, func() (any, error)) (any, error) {
				return &pb.MemberAddResponse{Member: &pb.Member{Name: "\xff"}}, nil
			}))
		if _, err := cluster.MemberAdd(r.timeout(time.Second), &pb.MemberAddRequest{}); !client.IsAmbiguous(err) {
			t.Errorf("an answer that can't be encoded: got %v, want doubt", err)
		}
		_, err := cluster.MemberAdd(r.timeout(time.Second), &pb.MemberAddRequest{PeerURLs: []string{"\xff"}})
		if err == nil || client.IsAmbiguous(err) {
			t.Errorf("a request that can't be encoded: got %v (ambiguous: %v), want an error, and certainty", err, client.IsAmbiguous(err))
		}
		if n := r.cluster.Member(0).Calls(pb.Cluster_MemberAdd_FullMethodName); n != 1 {
			t.Errorf("the member was called %d times, want once", n)
		}
	})
}

// A login that fails says nothing of an earlier try of the call.
func TestDoubtOutlivesAFailedLogin(t *testing.T) {
	run(t, 2, asRoot, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		granted, err := r.Grant(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		r.cluster.Member(0).Intercept(once(pb.Lease_LeaseRevoke_FullMethodName, func(_ context.Context, _ string, _ any, next func() (any, error)) (any, error) {
			_, _ = next()
			r.cluster.EnableAuth(map[string]string{"root": "another"}) // tokens are void, the password is wrong
			return nil, errLostAnswer
		}))
		_, err = r.Revoke(r.timeout(time.Minute), granted.ID)
		if !errors.Is(err, rpctypes.ErrAuthFailed) || !client.IsAmbiguous(err) {
			t.Errorf("got %v (ambiguous: %v), want %v, and doubt", err, client.IsAmbiguous(err), rpctypes.ErrAuthFailed)
		}
		var e *client.Error
		if !errors.As(err, &e) || e.Op != "LeaseRevoke" || !strings.Contains(err.Error(), "LeaseRevoke: login failed: ") {
			t.Errorf("got %v, want LeaseRevoke's error, telling of the login", err)
		}
		if c := status.Code(err); c != codes.InvalidArgument {
			t.Errorf("code: got %v, want %v", c, codes.InvalidArgument)
		}
	})
}

// A login whose answers are lost puts no write in doubt that was never sent.
func TestLoginIsNeverInDoubt(t *testing.T) {
	run(t, 2, asRoot, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		for _, m := range r.cluster.Members() {
			m.Intercept(times(1000, pb.Auth_Authenticate_FullMethodName, applyThen(status.Error(codes.Unknown, "etcdserver: new in 3.9"))))
		}
		err := r.put(r.timeout(time.Second), "k", "v")
		if err == nil || client.IsAmbiguous(err) || strings.Contains(err.Error(), "may have been applied") {
			t.Errorf("got %v (ambiguous: %v), want an error, and certainty", err, client.IsAmbiguous(err))
		}
	})
}

// The time that one login has is not that of the calls which wait for it.
func TestCallsOutliveALogin(t *testing.T) {
	run(t, 1, asRoot, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		hold := make(chan struct{})
		r.cluster.Member(0).Intercept(func(ctx context.Context, method string, _ any, next func() (any, error)) (any, error) {
			if method == pb.Auth_Authenticate_FullMethodName {
				select {
				case <-hold:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			return next()
		})
		done := make(chan error, 1)
		go func() { done <- r.put(t.Context(), "k", "v") }()
		time.Sleep(25 * time.Second) // the bubble's clock; a login has 10 s
		err := r.put(r.timeout(time.Second), "k", "v")
		if !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) || strings.Contains(err.Error(), "not connected") {
			t.Errorf("got %v (ambiguous: %v), want the deadline, certainty, and no doubt of the connection", err, client.IsAmbiguous(err))
		}
		close(hold)
		if err := <-done; err != nil {
			t.Errorf("a call without a deadline: %v", err)
		}
		if got := r.logins(); got > 6 {
			t.Errorf("%d logins in 25 s, want one every 5 s, when the one before is given up as lost", got)
		}
	})
}

// A server that refuses every token ends the call, and is not stormed with
// logins. UserAdd without a name gets the same error for another reason.
func TestRefusedTokensEnd(t *testing.T) {
	for name, refusal := range map[string]struct{ sent, want error }{
		"invalid token": {rpctypes.ErrGRPCInvalidAuthToken, rpctypes.ErrInvalidAuthToken},
		"old revision":  {rpctypes.ErrGRPCAuthOldRevision, rpctypes.ErrAuthOldRevision},
		"no name":       {rpctypes.ErrGRPCUserEmpty, rpctypes.ErrUserEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 2, asRoot, func(r *rig) {
				t := r.t
				r.cluster.EnableAuth(users)
				for _, m := range r.cluster.Members() {
					m.Intercept(times(1000, pb.Auth_UserAdd_FullMethodName, refuse(refusal.sent)))
				}
				_, err := pb.NewAuthClient(r.Conn()).UserAdd(r.timeout(time.Minute), &pb.AuthUserAddRequest{})
				if !errors.Is(err, refusal.want) || client.IsAmbiguous(err) {
					t.Errorf("got %v (ambiguous: %v), want %v, and certainty", err, client.IsAmbiguous(err), refusal.want)
				}
				if got := r.logins(); got > 5 {
					t.Errorf("%d logins, want a few", got)
				}
			})
		})
	}
}

// Defragment is for one member. When its fate is unknown no other is stopped in
// its stead.
func TestDefragmentStaysWithItsMember(t *testing.T) {
	run(t, 2, nil, func(r *rig) {
		t := r.t
		method := pb.Maintenance_Defragment_FullMethodName
		r.cluster.Member(0).Intercept(once(method, refuse(errLostAnswer)))
		_, err := pb.NewMaintenanceClient(r.Conn()).Defragment(r.timeout(time.Second), &pb.DefragmentRequest{})
		if n := r.cluster.Member(1).Calls(method); !client.IsAmbiguous(err) || n != 0 {
			t.Errorf("got %v, and the other member was asked %d times, want doubt, and that it is left alone", err, n)
		}
		if got := r.cluster.Member(0).LastMetadata(method).Get(rpctypes.MetadataRequireLeaderKey); len(got) > 0 {
			t.Error("a member without a leader was not to be defragmented")
		}
	})
}

// All methods of a stream explain their errors.
func TestStreamErrors(t *testing.T) {
	run(t, 1, nil, func(r *rig) {
		t := r.t
		r.cluster.Member(0).Hang()
		ctx, cancel := context.WithCancel(t.Context())
		s, err := pb.NewWatchClient(r.Conn()).Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		var e *client.Error
		if _, err := s.Recv(); !errors.As(err, &e) || !errors.Is(err, context.Canceled) || e.Op != "Watch" {
			t.Errorf("Recv: got %v, want Watch's *client.Error that is %v", err, context.Canceled)
		}
		if err := s.Send(&pb.WatchRequest{}); err == nil {
			t.Error("Send on an ended stream: got no error")
		} else if !errors.Is(err, io.EOF) && !errors.As(err, &e) {
			t.Errorf("Send: got %v, want io.EOF or a *client.Error", err)
		}
		r.cluster.Member(0).Resume()
	})
}
