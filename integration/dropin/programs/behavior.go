package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/ordering"
)

func behaviorPrograms() map[string]program {
	return map[string]program{
		"watch/after":            writeAfterWatch,
		"watch/example":          watchSome,
		"watch/late":             watchDeadline,
		"watch/all":              watchEverything,
		"watch/fragments":        watchFragments,
		"watch/closed":           watcherClosed,
		"watch/future":           watchTheFuture,
		"lease/gone":             keptLeaseGone,
		"lease/missing":          missingLease,
		"lease/halted":           keepingHalted,
		"lease/twice":            keptTwice,
		"lease/short":            shortLease,
		"concurrency/expired":    expiredSession,
		"concurrency/absent":     absentLease,
		"concurrency/waiting":    canceledWaiter,
		"concurrency/lost":       lostLeadership,
		"concurrency/options":    sessionOptions,
		"concurrency/stmaborted": abortedTransactions,
		"concurrency/stmlevels":  isolationLevels,
		"ordering/violation":     orderViolations,
	}
}

// writeAfterWatch relies on Watch returning only after the watch is created.
func writeAfterWatch(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	for i := range 20 {
		key := fmt.Sprintf("fruit/%02d", i)
		one, cancel := context.WithCancel(ctx)
		events := cli.Watch(one, key)
		if _, err := cli.Put(ctx, key, "ripe"); err != nil {
			cancel()
			return err
		}
		err := watched(p, events, 1)
		cancel()
		if err != nil {
			return err
		}
	}
	return p.err
}

// watchSome closes the client while it watches.
func watchSome(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	other, err := clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), DialTimeout: 5 * time.Second})
	if err != nil {
		return err
	}
	events := other.Watch(ctx, "fruit/01", clientv3.WithRange("fruit/04"))
	errs := make(chan error, 1)
	go func() { errs <- fill(ctx, cli, 6) }()
	n := 0
	for resp := range events {
		for _, e := range resp.Events {
			p.line("%s %q : %q", e.Type, e.Kv.Key, e.Kv.Value)
			if n++; n == 3 {
				p.line("closed: %v", other.Close())
			}
		}
	}
	return errors.Join(<-errs, p.err)
}

func watchDeadline(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	late, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	for resp := range cli.Watch(late, "color") {
		p.line("%+v %v", resp, resp.Err())
	}
	p.line("closed: %v", late.Err())
	_, ok := <-cli.Watch(late, "color")
	p.line("begun too late: %v", ok)
	return p.err
}

func watchEverything(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	all := cli.Watch(ctx, "", clientv3.WithPrefix())
	from := cli.Watch(ctx, "fruit/02", clientv3.WithFromKey())
	if err := fill(ctx, cli, 4); err != nil {
		return err
	}
	if _, err := cli.Delete(ctx, "", clientv3.WithPrefix()); err != nil {
		return err
	}
	return errors.Join(watched(p, all, 8), watched(p, from, 4))
}

func watchFragments(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	value := strings.Repeat("x", 1<<20)
	first, err := cli.Put(ctx, "large/0", value)
	if err != nil {
		return err
	}
	for i := 1; i < 5; i++ {
		if _, err := cli.Put(ctx, fmt.Sprintf("large/%d", i), value); err != nil {
			return err
		}
	}
	n, size := 0, 0
	for resp := range cli.Watch(ctx, "large/", clientv3.WithPrefix(), clientv3.WithFragment(), clientv3.WithRev(first.Header.Revision)) {
		for _, e := range resp.Events {
			n, size = n+1, size+len(e.Kv.Value)
		}
		if n == 5 {
			break
		}
	}
	p.line("%d events, %d MiB", n, size>>20)
	return p.err
}

func watcherClosed(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	w := clientv3.NewWatcher(cli)
	events := w.Watch(ctx, "color", clientv3.WithCreatedNotify())
	if err := begun(events); err != nil {
		return err
	}
	p.line("closed: %v", w.Close())
	_, ok := <-events
	p.line("the watch: %v", ok)
	_, ok = <-w.Watch(ctx, "color")
	p.line("another: %v", ok)
	p.line("again: %v", w.Close())
	others := cli.Watch(ctx, "color", clientv3.WithCreatedNotify())
	p.line("the client's own: %v", begun(others))
	return p.err
}

func watchTheFuture(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	put, err := cli.Put(ctx, "color", "green")
	if err != nil {
		return err
	}
	events := cli.Watch(ctx, "color", clientv3.WithRev(put.Header.Revision+2))
	for _, color := range []string{"red", "blue", "white"} {
		if _, err := cli.Put(ctx, "color", color); err != nil {
			return err
		}
	}
	return watched(p, events, 2)
}

// keptLeaseGone revokes, with another client, a lease that is being kept alive.
func keptLeaseGone(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	other, err := clientv3.New(clientv3.Config{Endpoints: cli.Endpoints()})
	if err != nil {
		return err
	}
	defer func() { _ = other.Close() }()
	grant, err := cli.Grant(ctx, 3)
	if err != nil {
		return err
	}
	renewals, err := cli.KeepAlive(ctx, grant.ID)
	if err != nil {
		return err
	}
	p.line("for %d", (<-renewals).TTL)
	if _, err := other.Revoke(ctx, grant.ID); err != nil {
		return err
	}
	for range renewals { // until it closes
	}
	p.line("the channel has closed, the context has not ended: %v", ctx.Err() == nil)
	return p.err
}

// missingLease uses a lease that never existed.
func missingLease(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	for _, id := range []clientv3.LeaseID{4711, clientv3.NoLease} {
		renewals, err := cli.KeepAlive(ctx, id)
		p.line("kept: %v", err != nil && id != clientv3.NoLease)
		for range renewals { // until it closes
		}
		_, err = cli.KeepAliveOnce(ctx, id)
		p.line("once: %v", err == rpctypes.ErrLeaseNotFound) //nolint:errorlint // as users of clientv3 do
		_, err = cli.Revoke(ctx, id)
		p.line("revoked: %v", err == rpctypes.ErrLeaseNotFound) //nolint:errorlint // as users of clientv3 do
		left, err := cli.TimeToLive(ctx, id)
		if err != nil {
			return err
		}
		p.line("left: %d of %d", left.TTL, left.GrantedTTL)
	}
	_, err := cli.Put(ctx, "guest", "here", clientv3.WithLease(4711))
	p.line("a key: %v", err == rpctypes.ErrLeaseNotFound) //nolint:errorlint // as users of clientv3 do
	_, err = cli.Grant(ctx, clientv3.MaxLeaseTTL+1)
	p.line("too long: %v", err == rpctypes.ErrLeaseTTLTooLarge) //nolint:errorlint // as users of clientv3 do
	return p.err
}

func keepingHalted(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	grant, err := cli.Grant(ctx, 60)
	if err != nil {
		return err
	}
	leases := clientv3.NewLease(cli)
	renewals, err := leases.KeepAlive(ctx, grant.ID)
	if err != nil {
		return err
	}
	<-renewals
	p.line("closed: %v", leases.Close())
	for range renewals { // until it closes
	}
	_, err = leases.KeepAlive(ctx, grant.ID)
	var halted clientv3.ErrKeepAliveHalted
	p.line("halted: %v, with a reason: %v", errors.As(err, &halted), halted.Reason != nil)
	once, err := leases.KeepAliveOnce(ctx, grant.ID)
	if err != nil {
		return err
	}
	p.line("once more for %d", once.TTL)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	renewals, err = cli.KeepAlive(ended, grant.ID)
	if err != nil {
		return err
	}
	for range renewals { // until it closes
	}
	_, err = cli.KeepAliveOnce(ended, grant.ID)
	p.line("ended: %v", err == context.Canceled) //nolint:errorlint // as users of clientv3 do
	return p.err
}

func keptTwice(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	grant, err := cli.Grant(ctx, 60)
	if err != nil {
		return err
	}
	one, cancel := context.WithCancel(ctx)
	defer cancel()
	first, err := cli.KeepAlive(one, grant.ID)
	if err != nil {
		return err
	}
	p.line("for %d", (<-first).TTL)
	second, err := cli.KeepAlive(ctx, grant.ID)
	if err != nil {
		return err
	}
	cancel()
	for range first { // until it closes
	}
	select {
	case _, ok := <-second:
		if !ok {
			return errors.New("the second has ended with the first")
		}
	default:
	}
	p.line("the second goes on")
	return p.err
}

// shortLease grants a lease whose TTL the server raises to its minimum, and lets
// it expire.
func shortLease(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	for _, ttl := range []int64{0, -1} {
		grant, err := cli.Grant(ctx, ttl)
		if err != nil {
			return err
		}
		p.line("more than asked for: %v", grant.TTL > ttl)
	}
	grant, err := cli.Grant(ctx, 1)
	if err != nil {
		return err
	}
	if _, err := cli.Put(ctx, "guest", "here", clientv3.WithLease(grant.ID)); err != nil {
		return err
	}
	if err := watched(p, cli.Watch(ctx, "guest", clientv3.WithFilterPut(), clientv3.WithPrevKV()), 1); err != nil {
		return err
	}
	left, err := cli.TimeToLive(ctx, grant.ID)
	if err != nil {
		return err
	}
	p.line("left: %d", left.TTL)
	return p.err
}

// expiredSession uses what depends on a session whose lease is gone.
func expiredSession(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 2)
	if err != nil {
		return err
	}
	holder, waiter := concurrency.NewMutex(s[0], "lock"), concurrency.NewMutex(s[1], "lock")
	if err := holder.Lock(ctx); err != nil {
		return err
	}
	if _, err := cli.Revoke(ctx, s[0].Lease()); err != nil {
		return err
	}
	if err := waiter.Lock(ctx); err != nil {
		return err
	}
	p.line("the next one has it")
	txn, err := cli.Txn(ctx).If(holder.IsOwner()).Commit()
	if err != nil {
		return err
	}
	p.line("the first is owner: %v", txn.Succeeded)
	txn, err = cli.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(holder.Key()), ">", 0)).Commit()
	if err != nil {
		return err
	}
	p.line("its key is there: %v", txn.Succeeded)
	p.line("the first unlocks: %v", holder.Unlock(ctx))
	txn, err = cli.Txn(ctx).If(waiter.IsOwner()).Commit()
	if err != nil {
		return err
	}
	p.line("the second is owner: %v", txn.Succeeded)
	err = concurrency.NewMutex(s[0], "other").Lock(ctx)
	p.line("a lock: %v", err)
	err = concurrency.NewElection(s[0], "chair").Campaign(ctx, "ann")
	p.line("a campaign: %v", err)
	_ = end()
	return p.err
}

// canceledWaiter gives up and leaves nothing behind.
func canceledWaiter(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 2)
	if err != nil {
		return err
	}
	holder, waiter := concurrency.NewMutex(s[0], "lock"), concurrency.NewMutex(s[1], "lock")
	if err := holder.Lock(ctx); err != nil {
		return err
	}
	late, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	err = waiter.Lock(late)
	p.line("the waiter: %v", err == context.DeadlineExceeded) //nolint:errorlint // as users of clientv3 do
	get, err := cli.Get(ctx, "lock/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	p.line("%d keys", get.Count)
	p.line("unlocked without a lock: %v", waiter.Unlock(ctx))
	p.line("locked twice: %v, %v", holder.Lock(ctx), holder.TryLock(ctx))
	candidate := concurrency.NewElection(s[0], "chair")
	if err := candidate.Campaign(ctx, "ann"); err != nil {
		return err
	}
	late, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	err = concurrency.NewElection(s[1], "chair").Campaign(late, "bob")
	p.line("the other candidate: %v", err == context.DeadlineExceeded) //nolint:errorlint // as users of clientv3 do
	get, err = cli.Get(ctx, "chair/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	p.line("%d candidates", get.Count)
	return errors.Join(end(), p.err)
}

func lostLeadership(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 1)
	if err != nil {
		return err
	}
	e := concurrency.NewElection(s[0], "chair")
	p.line("resigned without a chair: %v", e.Resign(ctx))
	if err := e.Campaign(ctx, "ann"); err != nil {
		return err
	}
	if err := e.Campaign(ctx, "ann, again"); err != nil {
		return err
	}
	leader, err := e.Leader(ctx)
	if err != nil {
		return err
	}
	p.line("leads: %s", leader.Kvs[0].Value)
	key := e.Key()
	if _, err := cli.Delete(ctx, key); err != nil {
		return err
	}
	p.line("its key is the same: %v", e.Key() == key)
	err = e.Proclaim(ctx, "ann, still")
	p.line("not the leader: %v", err == concurrency.ErrElectionNotLeader) //nolint:errorlint // as users of clientv3 do
	p.line("its key: %q", e.Key())
	_, err = e.Leader(ctx)
	p.line("nobody: %v", err == concurrency.ErrElectionNoLeader) //nolint:errorlint // as users of clientv3 do
	return errors.Join(end(), p.err)
}

func sessionOptions(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	for _, ttl := range []int{5, 0, -7} {
		s, err := concurrency.NewSession(cli, concurrency.WithTTL(ttl))
		if err != nil {
			return err
		}
		left, err := cli.TimeToLive(ctx, s.Lease())
		if err != nil {
			return err
		}
		p.line("for %d: %d", ttl, left.GrantedTTL)
		if err := s.Close(); err != nil {
			return err
		}
	}
	base, cancel := context.WithCancel(ctx)
	s, err := concurrency.NewSession(cli, concurrency.WithContext(base))
	if err != nil {
		cancel()
		return err
	}
	cancel()
	<-s.Done()
	p.line("ended with its context: %v", s.Ctx().Err())
	p.line("closed: %v", s.Close())
	left, err := cli.TimeToLive(ctx, s.Lease())
	if err != nil {
		return err
	}
	p.line("its lease is left: %v", left.TTL > 0)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = concurrency.NewSession(cli, concurrency.WithContext(ended))
	p.line("begun too late: %v", err == context.Canceled) //nolint:errorlint // as users of clientv3 do
	return p.err
}

// absentLease makes a session for a lease that is gone, and closes sessions
// twice.
func absentLease(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, err := concurrency.NewSession(cli, concurrency.WithLease(4711))
	if err != nil {
		return err
	}
	<-s.Done()
	p.line("lease %d: %v", s.Lease(), s.Ctx().Err())
	e := concurrency.NewElection(s, "team")
	p.line("campaign: %v, proclaim: %v, resign: %v", e.Campaign(ctx, "ann"), e.Proclaim(ctx, "ann"), e.Resign(ctx))
	_, err = e.Leader(ctx)
	p.line("leader: %v", err)
	m := concurrency.NewMutex(s, "lock")
	p.line("lock: %v, try: %v, unlock: %v", m.Lock(ctx), m.TryLock(ctx), m.Unlock(ctx))
	s.Orphan()
	p.line("close: %v, again: %v", s.Close(), s.Close())

	s, err = concurrency.NewSession(cli, concurrency.WithTTL(5))
	if err != nil {
		return err
	}
	p.line("close: %v, again: %v", s.Close(), s.Close())
	return p.err
}

func abortedTransactions(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := concurrency.NewSTM(cli, func(stm concurrency.STM) error {
		stm.Put("color", stm.Get("color")+"green")
		return nil
	}, concurrency.WithAbortContext(ended))
	p.line("aborted: %v", err == context.Canceled) //nolint:errorlint // as users of clientv3 do
	resp, err := concurrency.NewSTM(cli, func(stm concurrency.STM) error {
		stm.Put("color", "green", clientv3.WithPrevKV())
		p.line("its own write: %s", stm.Get("color"))
		stm.Del("color")
		p.line("deleted: %q", stm.Get("color"))
		stm.Put("color", "red")
		p.line("the first of several: %q", stm.Get("color", "taste"))
		return nil
	})
	if err != nil {
		return err
	}
	p.line("committed: %v", resp.Succeeded)
	get, err := cli.Get(ctx, "color")
	if err != nil {
		return err
	}
	p.pairs(get)
	return p.err
}

// isolationLevels shows what a transaction sees of a concurrent write.
func isolationLevels(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	for _, level := range []concurrency.Isolation{
		concurrency.SerializableSnapshot, concurrency.Serializable, concurrency.RepeatableReads, concurrency.ReadCommitted,
	} {
		for _, key := range []string{"a", "b"} {
			if _, err := cli.Put(ctx, key, "old"); err != nil {
				return err
			}
		}
		tries := 0
		_, err := concurrency.NewSTM(cli, func(stm concurrency.STM) error {
			tries++
			a := stm.Get("a")
			if tries == 1 {
				for _, key := range []string{"a", "b"} {
					if _, err := cli.Put(ctx, key, "new"); err != nil {
						return err
					}
				}
			}
			b := stm.Get("b")
			p.line("%d: %s %s, again %s", tries, a, b, stm.Get("a"))
			stm.Put("sum", a+b)
			return nil
		}, concurrency.WithIsolation(level))
		if err != nil {
			return err
		}
		p.line("after %d tries", tries)
	}
	return p.err
}

// stale is a KV that gives one outdated response.
type stale struct {
	clientv3.KV
	calls int
}

func (s *stale) Do(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	resp, err := s.KV.Do(ctx, op)
	if s.calls++; s.calls == 2 && err == nil {
		resp.Get().Header.Revision--
	}
	return resp, err
}

func (s *stale) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	resp, err := s.Do(ctx, clientv3.OpGet(key, opts...))
	return resp.Get(), err
}

func orderViolations(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	violated := errors.New("it goes back in time")
	ordered := ordering.NewKV(&stale{KV: cli.KV}, func(op clientv3.Op, resp clientv3.OpResponse, prev int64) error {
		p.line("%s: behind: %v", op.KeyBytes(), resp.Get().Header.Revision < prev)
		return violated
	})
	for range 3 {
		_, err := ordered.Get(ctx, "color")
		p.line("%v", err == violated) //nolint:errorlint // it is to be the same
	}
	retried := ordering.NewKV(&stale{KV: cli.KV}, ordering.NewOrderViolationSwitchEndpointClosure(cli))
	for range 3 {
		_, err := retried.Get(ctx, "color")
		p.line("%v", err)
	}
	closure := ordering.NewOrderViolationSwitchEndpointClosure(cli)
	n := 0
	for closure(clientv3.OpGet("k"), clientv3.OpResponse{}, 9) == nil {
		n++
	}
	p.line("given up: %v", closure(clientv3.OpGet("k"), clientv3.OpResponse{}, 9) == ordering.ErrNoGreaterRev) //nolint:errorlint // as users of clientv3 do
	p.line("after %d", n)
	return p.err
}
