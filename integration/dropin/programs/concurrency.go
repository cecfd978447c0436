package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	recipe "go.etcd.io/etcd/client/v3/experimental/recipes"
)

func concurrencyPrograms() map[string]program {
	return map[string]program{
		"concurrency/session":  oneSession,
		"concurrency/mutex":    twoMutexes,
		"concurrency/trylock":  tryLock,
		"concurrency/locker":   aLocker,
		"concurrency/election": anElection,
		"concurrency/stm":      transfers,
		"recipes/barrier":      aBarrier,
		"recipes/double":       aDoubleBarrier,
		"recipes/queue":        aQueue,
		"recipes/priority":     aPriorityQueue,
		"recipes/rwmutex":      readersAndWriters,
	}
}

// sessions makes n sessions, and a function that closes them.
func sessions(cli *clientv3.Client, n int) ([]*concurrency.Session, func() error, error) {
	var all []*concurrency.Session
	end := func() error {
		var err error
		for _, s := range all {
			err = errors.Join(err, s.Close())
		}
		return err
	}
	for range n {
		s, err := concurrency.NewSession(cli, concurrency.WithTTL(30))
		if err != nil {
			return nil, nil, errors.Join(err, end())
		}
		all = append(all, s)
	}
	return all, end, nil
}

func oneSession(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, err := concurrency.NewSession(cli)
	if err != nil {
		return err
	}
	if _, err := cli.Put(ctx, "guest", "here", clientv3.WithLease(s.Lease())); err != nil {
		return err
	}
	left, err := cli.TimeToLive(ctx, s.Lease())
	if err != nil {
		return err
	}
	p.line("for %d, its client: %v, its context: %v", left.GrantedTTL, s.Client() == cli, s.Ctx().Err())
	if err := s.Close(); err != nil {
		return err
	}
	<-s.Done()
	p.line("its context: %v", s.Ctx().Err())
	get, err := cli.Get(ctx, "guest")
	if err != nil {
		return err
	}
	p.pairs(get)

	orphan, err := concurrency.NewSession(cli, concurrency.WithContext(ctx))
	if err != nil {
		return err
	}
	orphan.Orphan()
	<-orphan.Done()
	resumed, err := concurrency.NewSession(cli, concurrency.WithLease(orphan.Lease()))
	if err != nil {
		return err
	}
	p.line("the same: %v", resumed.Lease() == orphan.Lease())
	return errors.Join(resumed.Close(), p.err)
}

func twoMutexes(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 2)
	if err != nil {
		return err
	}
	first, second := concurrency.NewMutex(s[0], "lock"), concurrency.NewMutex(s[1], "lock")
	if err := first.Lock(ctx); err != nil {
		return err
	}
	p.line("first, by its key: %v", first.Key() == fmt.Sprintf("lock/%x", s[0].Lease()))
	got := make(chan error)
	go func() { got <- second.Lock(ctx) }()
	txn, err := cli.Txn(ctx).If(first.IsOwner()).Then(clientv3.OpPut("owner", "first")).Commit()
	if err != nil {
		return err
	}
	p.line("owner: %v", txn.Succeeded)
	if err := first.Unlock(ctx); err != nil {
		return err
	}
	if err := <-got; err != nil {
		return err
	}
	p.line("second, later: %v", second.Header().Revision > first.Header().Revision)
	txn, err = cli.Txn(ctx).If(first.IsOwner()).Commit()
	if err != nil {
		return err
	}
	p.line("the first is owner: %v", txn.Succeeded)
	p.line("unlocked again: %v", first.Unlock(ctx))
	return errors.Join(second.Unlock(ctx), end(), p.err)
}

func tryLock(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 2)
	if err != nil {
		return err
	}
	first, second := concurrency.NewMutex(s[0], "lock"), concurrency.NewMutex(s[1], "lock")
	p.line("first: %v", first.TryLock(ctx))
	err = second.TryLock(ctx)
	p.line("second: %v, as told: %v", err, err == concurrency.ErrLocked) //nolint:errorlint // as users of clientv3 do
	get, err := cli.Get(ctx, "lock/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	p.line("%d keys", get.Count)
	p.line("freed: %v", first.Unlock(ctx))
	p.line("second: %v", second.TryLock(ctx))
	return errors.Join(end(), p.err)
}

func aLocker(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 3)
	if err != nil {
		return err
	}
	count := 0
	var wg sync.WaitGroup
	for _, one := range s {
		wg.Go(func() {
			l := concurrency.NewLocker(one, "lock")
			for range 5 {
				l.Lock()
				count++
				l.Unlock()
			}
		})
	}
	wg.Wait()
	p.line("%d, in time: %v", count, ctx.Err() == nil)
	return errors.Join(end(), p.err)
}

func anElection(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 2)
	if err != nil {
		return err
	}
	first, second := concurrency.NewElection(s[0], "chair"), concurrency.NewElection(s[1], "chair")
	_, err = first.Leader(ctx)
	p.line("nobody: %v", err == concurrency.ErrElectionNoLeader) //nolint:errorlint // as users of clientv3 do
	if err := first.Campaign(ctx, "ann"); err != nil {
		return err
	}
	observing, stop := context.WithCancel(ctx)
	defer stop()
	leaders := second.Observe(observing)
	p.line("leads: %s", (<-leaders).Kvs[0].Value)
	if err := first.Proclaim(ctx, "ann, still"); err != nil {
		return err
	}
	p.line("leads: %s", (<-leaders).Kvs[0].Value)
	err = second.Proclaim(ctx, "bob")
	p.line("not the leader: %v", err == concurrency.ErrElectionNotLeader) //nolint:errorlint // as users of clientv3 do
	won := make(chan error)
	go func() { won <- second.Campaign(ctx, "bob") }()
	resumed := concurrency.ResumeElection(s[0], "chair", first.Key(), first.Rev())
	if err := resumed.Proclaim(ctx, "ann, resumed"); err != nil {
		return err
	}
	p.line("leads: %s", (<-leaders).Kvs[0].Value)
	if err := resumed.Resign(ctx); err != nil {
		return err
	}
	if err := <-won; err != nil {
		return err
	}
	p.line("leads: %s", (<-leaders).Kvs[0].Value)
	leader, err := first.Leader(ctx)
	if err != nil {
		return err
	}
	p.line("%s, by its key: %v, with its revision: %v", leader.Kvs[0].Value, string(leader.Kvs[0].Key) == second.Key(), leader.Kvs[0].CreateRevision == second.Rev())
	stop()
	for range leaders { // until it closes
	}
	return errors.Join(second.Resign(ctx), end(), p.err)
}

// transfers moves money between accounts, with all isolation levels that allow
// it.
func transfers(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	const accounts = 4
	for _, level := range []concurrency.Isolation{concurrency.SerializableSnapshot, concurrency.Serializable, concurrency.RepeatableReads} {
		for i := range accounts {
			if _, err := cli.Put(ctx, fmt.Sprintf("account/%d", i), "100"); err != nil {
				return err
			}
		}
		var wg sync.WaitGroup
		errs := make(chan error, accounts)
		for i := range accounts {
			wg.Go(func() {
				from, to := fmt.Sprintf("account/%d", i), fmt.Sprintf("account/%d", (i+1)%accounts)
				_, err := concurrency.NewSTM(cli, func(stm concurrency.STM) error {
					var a, b int
					if _, err := fmt.Sscan(stm.Get(from), &a); err != nil {
						return err
					}
					if _, err := fmt.Sscan(stm.Get(to), &b); err != nil {
						return err
					}
					stm.Put(from, fmt.Sprint(a-10*i))
					stm.Put(to, fmt.Sprint(b+10*i))
					return nil
				}, concurrency.WithIsolation(level), concurrency.WithAbortContext(ctx), concurrency.WithPrefetch(from, to))
				errs <- err
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				return err
			}
		}
		get, err := cli.Get(ctx, "account/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		for _, kv := range get.Kvs {
			p.line("%s has %s", kv.Key, kv.Value)
		}
	}
	failure := errors.New("no")
	_, err := concurrency.NewSTM(cli, func(stm concurrency.STM) error {
		stm.Put("account/0", "0")
		stm.Del("account/1")
		return failure
	})
	p.line("the function's error: %v", err == failure) //nolint:errorlint // it is to be the same
	_, err = concurrency.NewSTMSerializable(ctx, cli, func(stm concurrency.STM) error {
		p.line("a key that is not there: %q, revision %d", stm.Get("account/x"), stm.Rev("account/x"))
		return nil
	})
	return errors.Join(err, p.err)
}

func aBarrier(_ context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	b := recipe.NewBarrier(cli, "barrier")
	if err := b.Hold(); err != nil {
		return err
	}
	p.line("held twice: %v", b.Hold() == recipe.ErrKeyExists) //nolint:errorlint // as users of clientv3 do
	passed := make(chan error)
	go func() { passed <- recipe.NewBarrier(cli, "barrier").Wait() }()
	if err := b.Release(); err != nil {
		return err
	}
	p.line("passed: %v", <-passed)
	p.line("without a barrier: %v", b.Wait())
	return p.err
}

func aDoubleBarrier(_ context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 3)
	if err != nil {
		return err
	}
	results := make(chan error)
	for _, one := range s {
		go func() {
			b := recipe.NewDoubleBarrier(one, "meeting", 3)
			err := b.Enter()
			if err == nil {
				err = b.Leave()
			}
			results <- err
		}()
	}
	for range s {
		p.line("entered and left: %v", <-results)
	}
	return errors.Join(end(), p.err)
}

func aQueue(_ context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	q := recipe.NewQueue(cli, "queue")
	for i := range 5 {
		if err := q.Enqueue(fmt.Sprintf("item %d", i)); err != nil {
			return err
		}
	}
	for range 5 {
		item, err := q.Dequeue()
		if err != nil {
			return err
		}
		p.line("%s", item)
	}
	return p.err
}

func aPriorityQueue(_ context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	q := recipe.NewPriorityQueue(cli, "urgent")
	for i := range 6 {
		if err := q.Enqueue(fmt.Sprintf("item %d", i), uint16(10-i%3)); err != nil {
			return err
		}
	}
	for range 6 {
		item, err := q.Dequeue()
		if err != nil {
			return err
		}
		p.line("%s", item)
	}
	return p.err
}

func readersAndWriters(_ context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 3)
	if err != nil {
		return err
	}
	a, b, w := recipe.NewRWMutex(s[0], "shared"), recipe.NewRWMutex(s[1], "shared"), recipe.NewRWMutex(s[2], "shared")
	if err := errors.Join(a.RLock(), b.RLock()); err != nil {
		return err
	}
	p.line("two readers")
	written := make(chan error)
	go func() { written <- w.Lock() }()
	if err := errors.Join(a.RUnlock(), b.RUnlock()); err != nil {
		return err
	}
	p.line("a writer: %v", <-written)
	return errors.Join(w.Unlock(), end(), p.err)
}
