package coordination_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/concurrency"
	"github.com/getcd/getcd/concurrency/recipe"
	"github.com/getcd/getcd/concurrency/session"
	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
)

// holderEnv turns a copy of this program into the holder that is frozen.
const holderEnv = "GETCD_COORDINATION_HOLDER"

// findings are what the frozen holder finds after it is thawed.
type findings struct {
	Err    string // what it knew by itself; empty if it believed that it holds the lock
	Wrote  bool   // its guarded write was accepted
	Unlock string // the error of its Unlock
	Typed  bool   // that error is the package's own error for a lost lock
}

// owner is a holder of a lock.
type owner struct {
	err    func() error
	guard  func() kv.Cmp
	unlock func(context.Context) error
	typed  func(error) bool
}

var kinds = []string{"mutex", "locker", "rwmutex", "election", "session election", "facade mutex"}

// acquire acquires a lock of that kind. For the cluster, all kinds but the
// readers' lock are the same, so each has a different name.
func acquire(ctx context.Context, c *client.Client, f *clientv3.Client, kind string, ttl time.Duration) (owner, error) {
	name := "frozen/" + kind
	is := func(target error) func(error) bool {
		return func(err error) bool { return errors.Is(err, target) }
	}
	fine := func(err error) bool { return err == nil }
	switch kind {
	case "mutex":
		m, err := lock.New(c.Conn(), name, lock.WithTTL(ttl))
		if err != nil {
			return owner{}, err
		}
		return owner{m.Err, m.Guard, m.Unlock, is(lock.ErrLost)}, m.Lock(ctx)
	case "locker":
		l, err := lock.NewLocker(c.Conn(), lock.Config{TTL: ttl, Heartbeat: 300 * time.Millisecond, Retries: lock.NoRetries, RequestTimeout: time.Second, RetryInterval: 100 * time.Millisecond})
		if err != nil {
			return owner{}, err
		}
		h, err := l.Lock(ctx, name)
		if err != nil {
			return owner{}, err
		}
		return owner{h.Err, func() kv.Cmp { return kv.Compare(kv.CreateRevision(h.Key()), ">", 0) }, h.Unlock, is(lock.ErrLost)}, nil
	case "rwmutex":
		s, err := session.New(ctx, c, session.WithTTL(ttl))
		if err != nil {
			return owner{}, err
		}
		m := recipe.NewRWMutex(c, s, name)
		return owner{s.Err, m.Guard, m.Unlock, is(recipe.ErrLost)}, m.Lock(ctx)
	case "election":
		e, err := election.New(c.Conn(), name, election.WithTTL(ttl))
		if err != nil {
			return owner{}, err
		}
		return owner{e.Err, e.Guard, e.Resign, fine}, e.Campaign(ctx, "leader")
	case "session election":
		s, err := session.New(ctx, c, session.WithTTL(ttl))
		if err != nil {
			return owner{}, err
		}
		e, err := election.New(c.Conn(), name, election.WithSession(s))
		if err != nil {
			return owner{}, err
		}
		return owner{e.Err, e.Guard, e.Resign, fine}, e.Campaign(ctx, "leader")
	case "facade mutex":
		s, err := concurrency.NewSession(f, concurrency.WithTTL(int(ttl/time.Second)))
		if err != nil {
			return owner{}, err
		}
		m := concurrency.NewMutex(s, name)
		return owner{s.Native().Err, m.IsOwner, m.Unlock, fine}, m.Lock(ctx)
	}
	return owner{}, fmt.Errorf("there is no kind %q", kind)
}

// freezable is the program that is frozen: it acquires all locks, waits for a
// line of input, and then reports what it believes and what it can do.
func freezable(endpoints []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c, err := client.Dial(ctx, client.Config{Endpoints: endpoints})
	if err != nil {
		return err
	}
	f, err := clientv3.New(clientv3.Config{Endpoints: endpoints})
	if err != nil {
		return err
	}
	owners := make(map[string]owner)
	for _, kind := range kinds {
		if owners[kind], err = acquire(ctx, c, f, kind, 2*time.Second); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	fmt.Println("held") //nolint:forbidigo // it is what the test reads
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	verdicts := make(map[string]findings)
	for kind, o := range owners {
		if err := o.err(); err != nil {
			verdicts[kind] = findings{Err: err.Error()}
		}
	}
	for kind, o := range owners {
		v := verdicts[kind]
		resp, err := c.Txn(ctx).If(o.guard()).Then(kv.OpPut("written by the frozen one", kind)).Commit()
		if err != nil {
			return err
		}
		v.Wrote = resp.Succeeded
		err = o.unlock(ctx)
		v.Typed, v.Unlock = o.typed(err), fmt.Sprint(err)
		verdicts[kind] = v
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}
