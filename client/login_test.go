package client_test

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

	"github.com/getcd/getcd/client"
)

// vault is a store of secrets, as a program has one.
type vault struct {
	secret atomic.Pointer[any] // a string, or sealed
	asked  atomic.Int64
}

func (v *vault) get(context.Context) (string, error) {
	v.asked.Add(1)
	if s, ok := (*v.secret.Load()).(string); ok {
		return s, nil
	}
	return "", errSealed
}

type sealed struct{}

var errSealed = errors.New("the vault is sealed")

func (v *vault) replace(s any) { v.secret.Store(&s) }

func (v *vault) rootsPassword(cfg *client.Config) {
	cfg.Credentials = func(ctx context.Context) (string, string, error) {
		password, err := v.get(ctx)
		return "root", password, err
	}
}

// The password is changed in the cluster first, and then in the vault. Nothing fails that
// waits for longer than the time between, and nobody hammers the members meanwhile.
func TestRotatedPassword(t *testing.T) {
	v := &vault{}
	v.replace("old")
	got := new(records)
	run(t, 3, func(cfg *client.Config) { v.rootsPassword(cfg); logging(got)(cfg) }, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(map[string]string{"root": "old"})
		if err := r.put(r.timeout(time.Second), "k", "1"); err != nil {
			t.Fatal(err)
		}
		events := r.Watch(t.Context(), "k")
		synctest.Wait()
		for round := range 3 {
			before := r.logins()
			r.cluster.EnableAuth(map[string]string{"root": "new"})
			for _, m := range r.cluster.Members() { // the watch has to log in, too
				m.Kill()
				m.Start()
			}
			time.Sleep(time.Second)
			done := make(chan error, 100)
			for range cap(done) {
				go func() { done <- r.put(r.timeout(time.Minute), "k", "2") }()
			}
			err := r.put(r.timeout(3*time.Second), "k", "never")
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, rpctypes.ErrAuthFailed) || client.IsAmbiguous(err) {
				t.Errorf("a call that ends before the new password is there: %v, want both reasons and certainty", err)
			}
			// By now the pauses are longer than a probe of readiness may take.
			err = r.Ping(r.timeout(100 * time.Millisecond))
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, rpctypes.ErrAuthFailed) || !strings.Contains(err.Error(), "waiting for a login: ") {
				t.Errorf("a ping that ends before the next login: %v, want both reasons", err)
			}
			time.Sleep(6 * time.Second)
			v.replace("new")
			for range cap(done) {
				if err := <-done; err != nil {
					t.Fatalf("a call that lives until the new password is there: %v", err)
				}
			}
			if n := r.logins() - before; n < 3 || n > 10 {
				t.Errorf("round %d: %d logins in 10 s without the right password, want a handful", round, n)
			}
			for seen := 0; seen < cap(done); {
				resp, ok := <-events
				if !ok || resp.Err() != nil {
					t.Fatalf("the watch has ended: %v", resp.Err())
				}
				for _, e := range resp.Events {
					if string(e.Kv.Value) == "2" {
						seen++
					}
				}
			}
			v.replace("old") // the next round begins with the old one again
			r.cluster.EnableAuth(map[string]string{"root": "old"})
			if err := r.put(r.timeout(time.Second), "k", "1"); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(got.take(), "can't log in"); n != 3 {
			t.Errorf("%d records of failed logins, want one a round", n)
		}
	})
}

func count(records []string, with string) int {
	n := 0
	for _, s := range records {
		if strings.Contains(s, with) {
			n++
		}
	}
	return n
}

// The vault has the new password when the old one, which it gave a moment ago, is refused.
func TestPasswordChangesDuringTheLogin(t *testing.T) {
	answers := []string{"old", "new"}
	run(t, 1, func(cfg *client.Config) {
		cfg.Credentials = func(context.Context) (string, string, error) {
			defer func() { answers = answers[min(1, len(answers)-1):] }()
			return "root", answers[0], nil
		}
	}, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(map[string]string{"root": "new"})
		begin := time.Now()
		if err := r.put(r.timeout(time.Minute), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > 50*time.Millisecond {
			t.Errorf("the second question took %v, want none of a pause", d)
		}
		if n := r.logins(); n != 2 {
			t.Errorf("%d logins, want 2", n)
		}
	})
}

// Credentials that were never right are a mistake, which is told at once.
func TestCredentialsThatWereNeverRight(t *testing.T) {
	for name, tt := range map[string]struct {
		credentials   func(context.Context) (string, string, error)
		want          error
		text          string
		mostQuestions int64
	}{
		"wrong":       {func(context.Context) (string, string, error) { return "root", "guess", nil }, rpctypes.ErrAuthFailed, "", 2},
		"no answer":   {func(context.Context) (string, string, error) { return "", "", errSealed }, errSealed, "client: Config.Credentials: the vault is sealed", 1},
		"no user":     {func(context.Context) (string, string, error) { return "", "x", nil }, nil, "Config.Credentials returned no user", 1},
		"no password": {func(context.Context) (string, string, error) { return "root", "", nil }, nil, `no password for the user "root"`, 1},
		"in time": {func(ctx context.Context) (string, string, error) {
			<-ctx.Done()
			return "", "", ctx.Err()
		}, context.DeadlineExceeded, "Config.Credentials", 10},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			run(t, 1, func(cfg *client.Config) {
				cfg.Credentials = func(ctx context.Context) (string, string, error) {
					asked.Add(1)
					return tt.credentials(ctx)
				}
			}, func(r *rig) {
				t := r.t
				r.cluster.EnableAuth(users)
				err := r.WaitReady(r.timeout(time.Minute))
				if err == nil || client.IsAmbiguous(err) || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %v, want %v and %q", err, tt.want, tt.text)
				}
				if n := asked.Load(); n > tt.mostQuestions {
					t.Errorf("asked %d times, want at most %d", n, tt.mostQuestions)
				}
			})
		})
	}
}

// A store that was there once is waited for; it is asked again when somebody needs it.
func TestStoreIsAway(t *testing.T) {
	v := &vault{}
	v.replace("secret")
	run(t, 1, v.rootsPassword, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		if err := r.put(r.timeout(time.Second), "k", "1"); err != nil {
			t.Fatal(err)
		}
		v.replace(sealed{})
		r.cluster.ExpireTokens()
		err := r.put(r.timeout(time.Second), "k", "2")
		if !errors.Is(err, errSealed) || !errors.Is(err, context.DeadlineExceeded) || client.IsAmbiguous(err) {
			t.Errorf("got %v, want both reasons and certainty", err)
		}
		time.Sleep(time.Minute)
		asked := v.asked.Load()
		time.Sleep(time.Hour)
		if n := v.asked.Load() - asked; n > 0 {
			t.Errorf("asked %d times while nobody waits", n)
		}
		v.replace("secret")
		if err := r.put(r.timeout(10*time.Second), "k", "3"); err != nil {
			t.Errorf("when the store is back: %v", err)
		}
	})
}

func TestCloseEndsCredentials(t *testing.T) {
	run(t, 1, func(cfg *client.Config) {
		cfg.Credentials = func(ctx context.Context) (string, string, error) {
			<-ctx.Done()
			return "", "", ctx.Err()
		}
	}, func(r *rig) {
		t := r.t
		done := make(chan error, 1)
		go func() { done <- r.put(t.Context(), "k", "v") }()
		synctest.Wait()
		_ = r.Close()
		if err := <-done; !errors.Is(err, client.ErrClosed) {
			t.Errorf("got %v, want %v", err, client.ErrClosed)
		}
	})
}

// A token is asked for again when the server refuses the last one, and a few times for
// one call.
func TestTokenSource(t *testing.T) {
	v := &vault{}
	run(t, 1, func(cfg *client.Config) { cfg.TokenSource = v.get }, func(r *rig) {
		t := r.t
		r.cluster.EnableAuth(users)
		issue := func() {
			resp, err := pb.NewAuthClient(r.cluster.Conn(t)).Authenticate(t.Context(), &pb.AuthenticateRequest{Name: "root", Password: "secret"})
			if err != nil {
				t.Fatal(err)
			}
			v.replace(resp.GetToken())
		}
		for _, tt := range []struct {
			token any
			want  string
		}{
			{"", "Config.TokenSource returned no token"},
			{"token\n", "unprintable character at index 5"},
			{sealed{}, "client: Config.TokenSource: the vault is sealed"},
			{"stale", rpctypes.ErrInvalidAuthToken.Error()},
		} {
			v.replace(tt.token)
			if err := r.put(r.timeout(time.Minute), "k", "v"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q: got %v, want %q", tt.token, err, tt.want)
			}
		}
		for round := range 3 {
			issue()
			before := v.asked.Load()
			for range 10 {
				if err := r.put(r.timeout(time.Second), "k", "v"); err != nil {
					t.Fatal(err)
				}
			}
			if n := v.asked.Load() - before; n != 1 {
				t.Errorf("round %d: asked %d times, want once", round, n)
			}
			r.cluster.ExpireTokens()
			before = v.asked.Load()
			if err := r.put(r.timeout(time.Minute), "k", "v"); !errors.Is(err, rpctypes.ErrInvalidAuthToken) || client.IsAmbiguous(err) {
				t.Errorf("a token that stays invalid: got %v, want %v and certainty", err, rpctypes.ErrInvalidAuthToken)
			}
			if n := v.asked.Load() - before; n > 3 {
				t.Errorf("asked %d times for one call, want at most 3", n)
			}
		}
	})
}

func TestOneIdentity(t *testing.T) {
	credentials := func(context.Context) (string, string, error) { return "", "", nil }
	source := func(context.Context) (string, error) { return "", nil }
	for _, cfg := range []client.Config{
		{Username: "a", Password: "b", Credentials: credentials},
		{Token: "a", Credentials: credentials},
		{TokenSource: source, Credentials: credentials},
		{TokenSource: source, Token: "a"},
	} {
		cfg.Endpoints = []string{"127.0.0.1:1"}
		c, err := client.New(cfg)
		if err == nil {
			_ = c.Close()
			t.Errorf("%+v: no error", cfg)
		} else if parts := strings.Split(err.Error(), "Config."); len(parts) != 3 || !strings.Contains(err.Error(), "a client has one of them") {
			t.Errorf("%v: want an error that names two fields", err)
		}
	}
}
