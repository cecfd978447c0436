package client_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
)

func asRoot(c *client.Config) { c.Username, c.Password = "root", "secret" }

var users = map[string]string{"root": "secret"}

func (r *rig) logins() int {
	n := 0
	for _, m := range r.cluster.Members() {
		n += m.Calls(pb.Auth_Authenticate_FullMethodName)
	}
	return n
}

func TestOneAuthenticateForAll(t *testing.T) {
	run(t, 3, asRoot, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		for round := 1; round <= 3; round++ {
			var wg sync.WaitGroup
			for range 1000 {
				wg.Go(func() {
					if err := r.put(t.Context(), "k", "v"); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if got := r.logins(); got != round {
				t.Errorf("after %d tokens: %d logins", round, got)
			}
			if got := r.version(); got != int64(1000*round) {
				t.Errorf("the key was written %d times, want %d", got, 1000*round)
			}
			r.cluster.ExpireTokens()
		}
	})
}

func TestStreamsGetANewTokenToo(t *testing.T) {
	run(t, 1, asRoot, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		watch := func() (*pb.WatchResponse, error) {
			s, err := pb.NewWatchClient(r.Conn()).Watch(t.Context())
			if err != nil {
				return nil, err
			}
			if err := s.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
				CreateRequest: &pb.WatchCreateRequest{Key: []byte("k")},
			}}); err != nil {
				return nil, err
			}
			return s.Recv()
		}
		if resp, err := watch(); err != nil || !resp.Created || resp.Canceled {
			t.Fatalf("got %v and %v, want a watch", resp, err)
		}
		r.cluster.ExpireTokens()
		resp, err := watch()
		if err == nil && !resp.Canceled {
			t.Fatalf("got %v, want a watch that is refused", resp)
		}
		if resp, err := watch(); err != nil || !resp.Created || resp.Canceled {
			t.Errorf("after a refusal: got %v and %v, want a watch with a new token", resp, err)
		}
		if got := r.logins(); got != 2 {
			t.Errorf("%d logins, want 2", got)
		}
	})
}

func TestWrongPassword(t *testing.T) {
	run(t, 3, func(c *client.Config) { c.Username, c.Password = "root", "guess" }, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		for name, err := range map[string]error{
			"WaitReady": r.WaitReady(r.timeout(time.Second)),
			"Put":       r.put(r.timeout(time.Second), "k", "v"),
		} {
			if !errors.Is(err, rpctypes.ErrAuthFailed) || client.IsAmbiguous(err) {
				t.Errorf("%s: got %v, want %v and certainty", name, err, rpctypes.ErrAuthFailed)
			}
		}
	})
}

func TestAuthSwitchedOnLater(t *testing.T) {
	run(t, 3, asRoot, func(r *rig) {
		t := r.t
		if err := r.put(t.Context(), "k", "1"); err != nil {
			t.Fatalf("while authentication is off: %v", err)
		}
		r.cluster.EnableAuth(users)
		if err := r.put(t.Context(), "k", "2"); err != nil {
			t.Errorf("after it was switched on: %v", err)
		}
	})
}

func TestFixedToken(t *testing.T) {
	run(t, 1, func(c *client.Config) { c.Token = "stale" }, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		if err := r.put(r.timeout(time.Minute), "k", "v"); !errors.Is(err, rpctypes.ErrInvalidAuthToken) {
			t.Errorf("got %v, want %v", err, rpctypes.ErrInvalidAuthToken)
		}
		if got := r.cluster.Member(0).LastMetadata(pb.KV_Put_FullMethodName).Get(rpctypes.TokenFieldNameGRPC); len(got) != 1 || got[0] != "stale" {
			t.Errorf("token sent: got %q, want %q", got, "stale")
		}
	})
}

func TestCloseEndsALogin(t *testing.T) {
	run(t, 1, asRoot, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		r.cluster.Member(0).Hang()
		done := make(chan error, 1)
		go func() { done <- r.put(t.Context(), "k", "v") }()
		synctest.Wait()
		_ = r.Close()
		if err := <-done; !errors.Is(err, client.ErrClosed) {
			t.Errorf("got %v, want %v", err, client.ErrClosed)
		}
		r.cluster.Member(0).Resume()
	})
}

// Nobody reads, and there are users. The answers to probes show an election all the same, after
// which a write is not waited for whose proposal went to the old leader.
func TestWriteLostInAnElectionOfUsers(t *testing.T) {
	for _, user := range []string{"root", "anybody"} { // the latter may not read what probes read
		t.Run(user, func(t *testing.T) {
			run(t, 2, func(c *client.Config) { c.Username, c.Password = user, "secret" }, func(r *rig) {
				t := r.t
				r.cluster.EnableAuth(map[string]string{"root": "secret", "anybody": "secret"})
				_ = r.put(r.timeout(time.Second), "k", "v") // whatever may be written, it logs in
				for _, m := range r.cluster.Members() {
					m.Intercept(swallowFirstPut())
				}
				time.AfterFunc(300*time.Millisecond, func() { r.cluster.Elect(r.cluster.Member(1)) })
				began := time.Now()
				err := r.put(r.timeout(time.Minute), "k", "v")
				if took := time.Since(began); !client.IsAmbiguous(err) || took > 1500*time.Millisecond {
					t.Errorf("got %v after %v, want an error that is ambiguous soon after the election, at 0.3 s", err, took)
				}
			})
		})
	}
}
