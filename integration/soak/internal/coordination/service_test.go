package coordination_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

// limit limits how long a test waits.
const limit = 40 * time.Second

func timeout(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	tb.Cleanup(cancel)
	return ctx
}

func dial(tb testing.TB, endpoints ...string) *client.Client {
	tb.Helper()
	c, err := client.Dial(timeout(tb), client.Config{Endpoints: endpoints})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	ctx := timeout(tb)
	for !cond() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			tb.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// A member is asked for a lock and is stopped while somebody else holds the lock.
// When it resumes, it withdraws the waiter, since its client has left. It must
// not withdraw the key that the client has got from another member meanwhile.
func TestForsakenWaiterTakesNothingAway(t *testing.T) {
	for name, acquire := range map[string]func(context.Context, *client.Client) (string, error){
		"locker": func(ctx context.Context, c *client.Client) (string, error) {
			l, err := lock.NewLocker(c.Conn(), lock.Config{TTL: time.Minute, RequestTimeout: 15 * time.Second, Retries: lock.NoRetries, RetryInterval: time.Millisecond})
			if err != nil {
				return "", err
			}
			held, err := l.Lock(ctx, "name")
			if err != nil {
				return "", err
			}
			t.Cleanup(func() { _ = held.Unlock(context.Background()) }) //nolint:contextcheck // its context has ended by then
			return held.Key(), nil
		},
		"campaign": func(ctx context.Context, c *client.Client) (string, error) {
			for {
				id := lease.NewID()
				if _, err := c.GrantID(ctx, id, 60); err != nil {
					return "", err
				}
				resp, err := election.NewService(c.Conn()).Campaign(ctx, "name", id, "value")
				if err == nil {
					return string(resp.Leader.Key), nil
				}
				if !client.IsAmbiguous(err) {
					return "", err
				}
				_, rerr := c.Revoke(ctx, id)
				if rerr != nil {
					return "", errors.Join(err, rerr)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, cluster.Config{})
			ctx := timeout(t)
			waiter := dial(t, c.Endpoints()...)
			asked := waiter.Endpoints()[0].Address
			var others []string
			var first *cluster.Member
			for _, m := range c.Members() {
				if m.Endpoint() == asked {
					first = m
				} else {
					others = append(others, m.Endpoint())
				}
			}
			if first == nil {
				t.Fatalf("the client's member %q is none of %q", asked, c.Endpoints())
			}
			owner := dial(t, others...)
			m, err := lock.New(owner.Conn(), "name")
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Lock(ctx); err != nil {
				t.Fatal(err)
			}

			type result struct {
				key string
				err error
			}
			got := make(chan result, 1)
			go func() {
				key, err := acquire(ctx, waiter)
				got <- result{key, err}
			}()
			eventually(t, "the waiter queues", func() bool { return queued(ctx, t, owner) == 2 })
			if err := first.Pause(); err != nil {
				t.Fatal(err)
			}
			// The waiter's client notices the silent member through other
			// requests.
			if _, err := waiter.Get(ctx, "k"); err != nil {
				t.Fatal(err)
			}
			if err := m.Unlock(ctx); err != nil {
				t.Fatal(err)
			}
			r := <-got
			if r.err != nil {
				t.Fatal(r.err)
			}
			if err := first.Continue(); err != nil {
				t.Fatal(err)
			}
			if err := c.WaitHealthy(ctx); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				resp, err := owner.Get(ctx, r.key, kv.WithKeysOnly())
				if err != nil {
					t.Fatal(err)
				}
				if len(resp.Kvs) == 0 {
					t.Fatalf("the key %q is gone, while its lease lives; want it to stay", r.key)
				}
			}
		})
	}
}

func queued(ctx context.Context, t *testing.T, c *client.Client) int64 {
	t.Helper()
	resp, err := c.Get(ctx, "name/", kv.WithPrefix(), kv.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return resp.Count
}
