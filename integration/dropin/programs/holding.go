package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func holdingPrograms() map[string]program {
	return map[string]program{
		"concurrency/header":   holdersHeaders,
		"concurrency/unlock":   unlockedAgain,
		"concurrency/resign":   resignedAgain,
		"concurrency/ownlease": ownLeaseService,
		"lease/refused":        refusedRevoke,
	}
}

// queued runs do in the background, and returns when it has put a key with a prefix.
func queued(ctx context.Context, cli *clientv3.Client, prefix string, do func() error) (<-chan error, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	puts := cli.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithFilterDelete())
	done := make(chan error, 1)
	go func() { done <- do() }()
	put, ok := <-puts
	if !ok {
		return nil, errors.New("the watch has ended")
	}
	return done, put.Err()
}

// createdAt returns a key's create revision.
func createdAt(ctx context.Context, cli *clientv3.Client, key string) (int64, error) {
	resp, err := cli.Get(ctx, key)
	if err != nil || len(resp.Kvs) != 1 {
		return 0, errors.Join(err, errors.New("there is no key "+key))
	}
	return resp.Kvs[0].CreateRevision, nil
}

// holdersHeaders reads the state at the revision of the header, which is what a
// holder may rely on.
func holdersHeaders(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 2)
	if err != nil {
		return err
	}
	first, second := concurrency.NewMutex(s[0], "lock"), concurrency.NewMutex(s[1], "lock")
	p.line("before: %v", first.Header())
	if err := first.Lock(ctx); err != nil {
		return err
	}
	created, err := createdAt(ctx, cli, first.Key())
	if err != nil {
		return err
	}
	p.line("without waiting, of the put: %v", first.Header().Revision == created)
	got, err := queued(ctx, cli, "lock/", func() error { return second.Lock(ctx) })
	if err != nil {
		return err
	}
	written, err := cli.Put(ctx, "state", "written under the lock")
	if err != nil {
		return err
	}
	if err := errors.Join(first.Unlock(ctx), <-got); err != nil {
		return err
	}
	state, err := cli.Get(ctx, "state", clientv3.WithRev(second.Header().Revision))
	if err != nil {
		return err
	}
	p.pairs(state)
	p.line("after the deletion: %v", second.Header().Revision > written.Header.Revision)
	p.line("of this cluster: %v", second.Header().ClusterId == written.Header.ClusterId)
	if err := errors.Join(second.Unlock(ctx), first.TryLock(ctx)); err != nil {
		return err
	}
	if created, err = createdAt(ctx, cli, first.Key()); err != nil {
		return err
	}
	p.line("tried, of the put: %v", first.Header().Revision == created)
	kept := first.Header()
	p.line("kept: %v, %v", first.Unlock(ctx), first.Header() == kept)

	ann, bob := concurrency.NewElection(s[0], "chair"), concurrency.NewElection(s[1], "chair")
	if err := ann.Campaign(ctx, "ann"); err != nil {
		return err
	}
	p.line("ann's is of her put: %v", ann.Header().Revision == ann.Rev())
	if got, err = queued(ctx, cli, "chair/", func() error { return bob.Campaign(ctx, "bob") }); err != nil {
		return err
	}
	if err := errors.Join(ann.Resign(ctx), <-got); err != nil {
		return err
	}
	p.line("bob's is of his put, though he has waited: %v", bob.Header().Revision == bob.Rev())
	p.line("ann's is of her resignation: %v", ann.Header().Revision > bob.Rev())
	if err := bob.Proclaim(ctx, "bob, still"); err != nil {
		return err
	}
	p.line("bob's is of his proclamation: %v", bob.Header().Revision > ann.Header().Revision)
	return errors.Join(bob.Resign(ctx), end(), p.err)
}

// sealed is a KV that may refuse to delete, or not answer.
type sealed struct {
	clientv3.KV
	refuse, silent atomic.Bool
}

func (s *sealed) check(ctx context.Context) error {
	if s.silent.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.refuse.Load() {
		return rpctypes.ErrPermissionDenied
	}
	return nil
}

func (s *sealed) Delete(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.DeleteResponse, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	return s.KV.Delete(ctx, key, opts...)
}

func (s *sealed) Txn(ctx context.Context) clientv3.Txn {
	return &sealedTxn{Txn: s.KV.Txn(ctx), s: s, ctx: ctx}
}

type sealedTxn struct {
	clientv3.Txn
	s       *sealed
	ctx     context.Context //nolint:containedctx // Txn's
	deletes bool
}

func (t *sealedTxn) If(cs ...clientv3.Cmp) clientv3.Txn   { t.Txn = t.Txn.If(cs...); return t }
func (t *sealedTxn) Else(ops ...clientv3.Op) clientv3.Txn { t.Txn = t.Txn.Else(ops...); return t }

func (t *sealedTxn) Then(ops ...clientv3.Op) clientv3.Txn {
	t.Txn, t.deletes = t.Txn.Then(ops...), slices.ContainsFunc(ops, clientv3.Op.IsDelete)
	return t
}

func (t *sealedTxn) Commit() (*clientv3.TxnResponse, error) {
	if t.deletes {
		if err := t.s.check(t.ctx); err != nil {
			return nil, err
		}
	}
	return t.Txn.Commit()
}

// unlockedAgain unlocks until that has succeeded.
func unlockedAgain(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 2)
	if err != nil {
		return err
	}
	kv := &sealed{KV: cli.KV}
	cli.KV = kv
	m, other := concurrency.NewMutex(s[0], "lock"), concurrency.NewMutex(s[1], "lock")
	if err := m.Lock(ctx); err != nil {
		return err
	}
	got, err := queued(ctx, cli, "lock/", func() error { return other.Lock(ctx) })
	if err != nil {
		return err
	}
	key := m.Key()
	kv.refuse.Store(true)
	for range 2 {
		err := m.Unlock(ctx)
		p.line("refused: %v", err == rpctypes.ErrPermissionDenied) //nolint:errorlint // as users of clientv3 do
		p.line("its key is the same: %v", m.Key() == key)
	}
	kv.refuse.Store(false)
	txn, err := cli.Txn(ctx).If(m.IsOwner()).Commit()
	if err != nil {
		return err
	}
	p.line("still the owner: %v", txn.Succeeded)
	for err := m.Unlock(ctx); err != nil && ctx.Err() == nil; { // until it succeeds
		err = m.Unlock(ctx)
	}
	p.line("the other: %v", <-got)
	p.line("and again: %v", m.Unlock(ctx))

	kv.silent.Store(true)
	late, cancel := context.WithCancel(ctx)
	cancel()
	p.line("in time: %v", other.Unlock(late) == nil)
	kv.silent.Store(false)
	for err := other.Unlock(ctx); err != nil && ctx.Err() == nil; { // until it succeeds
		err = other.Unlock(ctx)
	}
	left, err := cli.Get(ctx, "lock/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	p.line("%d keys", left.Count)

	kv.refuse.Store(true)
	if err := m.Unlock(ctx); err != concurrency.ErrLockReleased { //nolint:errorlint // as users of clientv3 do
		return err
	}
	kv.refuse.Store(false)
	if err := m.Lock(ctx); err != nil {
		return err
	}
	kv.refuse.Store(true)
	p.line("refused: %v", m.Unlock(ctx) != nil)
	kv.refuse.Store(false)
	p.line("locked again: %v", m.Lock(ctx))
	p.line("unlocked: %v, and again: %v", m.Unlock(ctx), m.Unlock(ctx))
	return errors.Join(end(), p.err)
}

// resignedAgain resigns twice when it fails.
func resignedAgain(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	s, end, err := sessions(cli, 2)
	if err != nil {
		return err
	}
	kv := &sealed{KV: cli.KV}
	cli.KV = kv
	e, other := concurrency.NewElection(s[0], "chair"), concurrency.NewElection(s[1], "chair")
	if err := e.Campaign(ctx, "ann"); err != nil {
		return err
	}
	won, err := queued(ctx, cli, "chair/", func() error { return other.Campaign(ctx, "bob") })
	if err != nil {
		return err
	}
	kv.refuse.Store(true)
	err = e.Resign(ctx)
	p.line("refused: %v", err == rpctypes.ErrPermissionDenied) //nolint:errorlint // as users of clientv3 do
	p.line("its key: %q", e.Key())
	p.line("again: %v", e.Resign(ctx))
	kv.refuse.Store(false)
	err = e.Proclaim(ctx, "ann, still")
	p.line("not the leader: %v", err == concurrency.ErrElectionNotLeader) //nolint:errorlint // as users of clientv3 do
	if err := s[0].Close(); err != nil {
		return err
	}
	p.line("the other: %v", <-won)
	_ = end()
	return p.err
}

// ownLease is a lease service of the program's own, with only what a session needs.
type ownLease struct {
	clientv3.Lease // nil

	of      clientv3.Lease
	calls   []string
	answers chan *clientv3.LeaseKeepAliveResponse
	halt    func()          // closes it
	kept    context.Context //nolint:containedctx // KeepAlive's
	err     error           // KeepAlive's
}

func (l *ownLease) Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	l.calls = append(l.calls, "Grant")
	return l.of.Grant(ctx, ttl)
}

func (l *ownLease) KeepAlive(ctx context.Context, _ clientv3.LeaseID) (<-chan *clientv3.LeaseKeepAliveResponse, error) {
	l.calls = append(l.calls, "KeepAlive")
	l.kept = ctx
	if l.err != nil {
		return nil, l.err
	}
	l.answers = make(chan *clientv3.LeaseKeepAliveResponse, 1)
	answers := l.answers
	l.halt = sync.OnceFunc(func() { close(answers) })
	context.AfterFunc(ctx, l.halt)
	return answers, nil
}

// revoking is an ownLease with what Close needs.
type revoking struct{ *ownLease }

func (r revoking) Revoke(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error) {
	r.calls = append(r.calls, "Revoke")
	return r.of.Revoke(ctx, id)
}

// ownLeaseService makes sessions on a service that the program has made itself.
func ownLeaseService(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	original := cli.Lease
	defer func() { cli.Lease = original }() // which the client closes
	own := &ownLease{of: original}
	cli.Lease = own
	for _, answers := range []bool{true, false} {
		own.calls = nil
		s, err := concurrency.NewSession(cli, concurrency.WithTTL(30))
		if err != nil {
			return err
		}
		p.line("called: %v", own.calls)
		if answers {
			own.answers <- &clientv3.LeaseKeepAliveResponse{ID: s.Lease(), TTL: 30}
		}
		m := concurrency.NewMutex(s, "lock")
		p.line("locked: %v, and unlocked: %v", m.Lock(ctx), m.Unlock(ctx))
		p.line("goes on: %v", s.Ctx().Err() == nil)
		own.halt()
		<-s.Done()
		<-s.Ctx().Done()
		p.line("over: %v", s.Ctx().Err())
	}
	s, err := concurrency.NewSession(cli)
	if err != nil {
		return err
	}
	p.line("kept: %v", own.kept.Err())
	s.Orphan()
	<-s.Done()
	<-own.kept.Done()
	p.line("not any more: %v", own.kept.Err())

	own.err = errors.New("no")
	_, err = concurrency.NewSession(cli)
	p.line("cannot be kept: %v", err == own.err) //nolint:errorlint // it is to be the same
	own.err = nil
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = concurrency.NewSession(cli, concurrency.WithContext(ended))
	p.line("too late: %v", err == context.Canceled) //nolint:errorlint // as users of clientv3 do

	cli.Lease = revoking{own}
	if s, err = concurrency.NewSession(cli, concurrency.WithTTL(5)); err != nil {
		return err
	}
	own.calls = nil
	p.line("closed: %v, by %v", s.Close(), own.calls)
	left, err := original.TimeToLive(ctx, s.Lease())
	if err != nil {
		return err
	}
	p.line("left: %d", left.TTL)
	return p.err
}

// refusedRevoke keeps a lease on that it could not revoke.
func refusedRevoke(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	grant, err := cli.Grant(ctx, 3)
	if err != nil {
		return err
	}
	renewals, err := cli.KeepAlive(ctx, grant.ID)
	if err != nil {
		return err
	}
	p.line("for %d", (<-renewals).TTL)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = cli.Revoke(ended, grant.ID)
	p.line("not revoked: %v", err == context.Canceled) //nolint:errorlint // as users of clientv3 do
	for range 4 {                                      // longer than the lease lives by itself
		_, ok := <-renewals
		p.line("kept: %v", ok)
	}
	left, err := cli.TimeToLive(ctx, grant.ID)
	if err != nil {
		return err
	}
	p.line("it lives: %v", left.TTL > 0)
	if _, err := cli.Revoke(ctx, grant.ID); err != nil {
		return err
	}
	for range renewals { // until it closes
	}
	p.line("not kept any more")
	return p.err
}
