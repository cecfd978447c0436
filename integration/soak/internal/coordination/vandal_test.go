package coordination_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/soak/internal/coordination"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// A broken promise is found: on a healthy cluster, a vandal does behind the
// workers' backs what a faulty client would have done.
func TestFindsWhatIsWrong(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	c := startCluster(t, cluster.Config{Size: 1})
	const lingering = "a lease left"
	var left lease.ID
	// first returns the oldest key under a prefix, or the key of the owner that
	// it stands for.
	first := func(ctx context.Context, cl *client.Client, prefix string) (key, val string) {
		resp, err := cl.Get(ctx, prefix, kv.WithFirstCreate()...)
		if err != nil || len(resp.Kvs) == 0 {
			return "", ""
		}
		return string(resp.Kvs[0].Key), string(resp.Kvs[0].Value)
	}
	for name, tc := range map[string]struct {
		part, want string
		// vandal is called repeatedly until it has done enough.
		vandal func(ctx context.Context, cl *client.Client, prefix string) (enough bool)
	}{
		"a holder's key deleted": {
			part: "locks", want: "somebody has deleted its key",
			vandal: func(ctx context.Context, cl *client.Client, prefix string) bool {
				key, _ := first(ctx, cl, prefix+"lock/")
				_, _ = cl.Delete(ctx, key)
				return false
			},
		},
		"a later token's write": {
			part: "elections", want: "had written with a greater token",
			vandal: func(ctx context.Context, cl *client.Client, prefix string) bool {
				_, err := cl.Put(ctx, prefix+"guarded-by-election", fmt.Sprintf("%d 0 vandal", 1<<50))
				return err == nil
			},
		},
		"a write under readers": {
			part: "rwlocks", want: "while it was held for reading",
			vandal: func(ctx context.Context, cl *client.Client, prefix string) bool {
				_, _ = cl.Put(ctx, prefix+"guarded-by-rwlock", "1 0 vandal")
				return false
			},
		},
		"an item lost": {
			part: "queues", want: "have never come out",
			vandal: func(ctx context.Context, cl *client.Client, prefix string) bool {
				key, _ := first(ctx, cl, prefix+"queue/")
				if key == "" {
					return false
				}
				resp, err := cl.Delete(ctx, key)
				return err == nil && resp.Deleted == 1
			},
		},
		"an item doubled": {
			part: "queues", want: "was dequeued twice",
			vandal: func(ctx context.Context, cl *client.Client, prefix string) bool {
				key, val := first(ctx, cl, prefix+"priority/")
				if key == "" {
					return false
				}
				_, err := cl.Put(ctx, key+"-again", val)
				return err == nil
			},
		},
		"a commit lost": {
			part: "counters", want: "commits are certain",
			vandal: func(ctx context.Context, cl *client.Client, prefix string) bool {
				resp, err := cl.Get(ctx, prefix+"counter/0")
				if err != nil || len(resp.Kvs) == 0 || len(resp.Kvs[0].Value) < 2 {
					return false
				}
				_, err = cl.Put(ctx, prefix+"counter/0", "0")
				return err == nil
			},
		},
		"a barrier lifted": {
			part: "barriers", want: "before it was released",
			vandal: func(ctx context.Context, cl *client.Client, prefix string) bool {
				_, _ = cl.Delete(ctx, prefix+"barrier/", kv.WithPrefix())
				return false
			},
		},
		lingering: {
			part: "barriers", want: "leases are still there",
			vandal: func(ctx context.Context, cl *client.Client, _ string) bool {
				g, err := cl.Grant(ctx, 600)
				if err != nil {
					return false
				}
				left = g.ID
				return true
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name != lingering { // every check would find its lease
				t.Parallel()
			}
			cl := dial(t, c.Endpoints()...)
			prefix := strings.ReplaceAll(name, " ", "-") + "/"
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			over := make(chan struct{})
			go func() {
				defer close(over)
				tick := time.NewTicker(3 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						if tc.vandal(ctx, cl, prefix) {
							return
						}
					case <-ctx.Done():
						return
					}
				}
			}()
			r, err := coordination.Run(ctx, coordination.Config{
				Endpoints: c.Endpoints(), Prefix: prefix, Parts: []string{tc.part}, Settle: 5 * time.Second,
			})
			<-over
			if name == lingering {
				if _, err := cl.Revoke(t.Context(), left); err != nil {
					t.Errorf("Revoke: %v", err)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if found := strings.Join(r.Violations, "\n"); !strings.Contains(found, tc.want) {
				t.Errorf("got violations:\n%s\nwant one of %q", found, tc.want)
			}
		})
	}
}
