package main

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// soon is how long a session may take to notice that it has ended.
const soon = 3 * time.Second

func lockReports() []report {
	return []report{
		{"etcd-io/etcd#22082", "An Unlock that is tried again frees nothing but the lock that it was called for", "", staleUnlock},
		{"etcd-io/etcd#19597", "Lock ends when its session has ended", "", lockOfEndedSession},
		{"etcd-io/etcd#18082", "Lock ends soon after its context, also when the member does not answer", "", lockAfterContext},
	}
}

func electionReports() []report {
	return []report{
		{"etcd-io/etcd#22123", "Resign can be tried again after it has failed", "", resignAgain},
		{"etcd-io/etcd#21128", "A Campaign that fails leaves no candidate", "", failedCampaign},
		{"cagriekin/charts#326", "Campaign ends when its session has ended", "", campaignOfEndedSession},
	}
}

// loser is an interceptor that loses answers of writes as long as it is on.
type loser struct{ on atomic.Bool }

func (l *loser) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, cc, opts...)
	if l.on.Load() && (method == pb.KV_DeleteRange_FullMethodName || method == pb.KV_Txn_FullMethodName) {
		return status.Error(codes.DeadlineExceeded, "the answer was lost")
	}
	return err
}

func staleUnlock(ctx context.Context, members []string) (string, error) {
	lost := new(loser)
	cli, err := dial(members[0], grpc.WithChainUnaryInterceptor(lost.intercept))
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	s, err := concurrency.NewSession(cli)
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }()
	first, second := concurrency.NewMutex(s, own("22082")), concurrency.NewMutex(s, own("22082"))
	if err := first.Lock(ctx); err != nil {
		return "", err
	}
	lost.on.Store(true)
	err = attempt(ctx, time.Second, first.Unlock)
	lost.on.Store(false)
	if err == nil {
		return "", errNone
	}
	if err := eventually(ctx, cli, own("22082/"), 0); err != nil {
		return "", err
	}
	if err := second.Lock(ctx); err != nil {
		return "", err
	}
	_ = first.Unlock(ctx) // whether it has an error does not matter
	n, err := count(ctx, cli, own("22082/"))
	return seenUnless(n == 1, "it frees a lock that was taken later"), err
}

// contend has one session hold what another one waits for, and ends the other's lease.
func contend(ctx context.Context, endpoint, prefix string, hold, wait func(ctx context.Context, s *concurrency.Session) error) (waiting <-chan error, end func(), err error) {
	cli, err := dial(endpoint)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = cli.Close()
		}
	}()
	holder, err := concurrency.NewSession(cli)
	if err != nil {
		return nil, nil, err
	}
	if err = hold(ctx, holder); err != nil {
		return nil, nil, err
	}
	waiter, err := concurrency.NewSession(cli)
	if err != nil {
		return nil, nil, err
	}
	waiting = started(func() error { return wait(ctx, waiter) })
	if err = eventually(ctx, cli, prefix, 2); err != nil {
		return nil, nil, err
	}
	_, err = cli.Revoke(ctx, waiter.Lease())
	return waiting, func() { _ = cli.Close() }, err
}

func lockOfEndedSession(ctx context.Context, members []string) (string, error) {
	lock := func(ctx context.Context, s *concurrency.Session) error {
		return concurrency.NewMutex(s, own("19597")).Lock(ctx)
	}
	waiting, end, err := contend(ctx, members[0], own("19597/"), lock, lock)
	if err != nil {
		return "", err
	}
	defer end()
	switch err, ended := within(ctx, soon, waiting); {
	case !ended:
		return "it goes on waiting", nil
	case err == nil:
		return "it says that it has the lock", nil
	}
	return "", nil
}

func campaignOfEndedSession(ctx context.Context, members []string) (string, error) {
	campaign := func(ctx context.Context, s *concurrency.Session) error {
		return concurrency.NewElection(s, own("326")).Campaign(ctx, "v")
	}
	waiting, end, err := contend(ctx, members[0], own("326/"), campaign, campaign)
	if err != nil {
		return "", err
	}
	defer end()
	if err, ended := within(ctx, soon, waiting); ended {
		return seenUnless(err != nil, "it says that it leads"), nil
	}
	cli, err := dial(members[0])
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	if _, err := cli.Delete(ctx, own("326/"), clientv3.WithPrefix()); err != nil { // the leader is gone
		return "", err
	}
	if err, ended := within(ctx, soon, waiting); ended && err == nil {
		return "it goes on waiting, and then says that it leads, without a key", nil
	}
	return "it goes on waiting", nil
}

func lockAfterContext(ctx context.Context, members []string) (string, error) {
	way, err := newWay(members[0])
	if err != nil {
		return "", err
	}
	defer func() { _ = way.Close() }()
	direct, err := dial(members[0])
	if err != nil {
		return "", err
	}
	defer func() { _ = direct.Close() }()
	holder, err := concurrency.NewSession(direct)
	if err != nil {
		return "", err
	}
	if err := concurrency.NewMutex(holder, own("18082")).Lock(ctx); err != nil {
		return "", err
	}
	cli, err := dial("http://" + way.Address()) // never closed: that would wait for the member, too
	if err != nil {
		return "", err
	}
	s, err := concurrency.NewSession(cli)
	if err != nil {
		return "", err
	}
	trying, cancel := context.WithCancel(ctx)
	defer cancel()
	waiting := started(func() error { return concurrency.NewMutex(s, own("18082")).Lock(trying) })
	if err := eventually(ctx, direct, own("18082/"), 2); err != nil {
		return "", err
	}
	if err := way.Blackhole(); err != nil {
		return "", err
	}
	cancel()
	switch err, ended := within(ctx, 10*time.Second, waiting); {
	case !ended:
		return "it has not ended 10 s later", nil
	case err == nil:
		return "it says that it has the lock", nil
	}
	return "", nil
}

func resignAgain(ctx context.Context, members []string) (string, error) {
	cli, err := dial(members[0])
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	s, err := concurrency.NewSession(cli)
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }()
	e := concurrency.NewElection(s, own("22123"))
	if err := e.Campaign(ctx, "v"); err != nil {
		return "", err
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_ = e.Resign(ended) // an error is right, and so is none if it resigns all the same
	if err := e.Resign(ctx); err != nil {
		return "", err
	}
	n, err := count(ctx, cli, own("22123/"))
	return seenUnless(n == 0, "the second one says that it has resigned, and the key is there"), err
}

// failer is an interceptor that fails reads of keys as long as it is on.
type failer struct{ on atomic.Bool }

func (f *failer) intercept(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if r, ok := req.(*pb.RangeRequest); ok && f.on.Load() && strings.HasPrefix(string(r.Key), own("21128/")) {
		return status.Error(codes.OutOfRange, "etcdserver: mvcc: required revision has been compacted")
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

func failedCampaign(ctx context.Context, members []string) (string, error) {
	fail := new(failer)
	cli, err := dial(members[0], grpc.WithChainUnaryInterceptor(fail.intercept))
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	var sessions [2]*concurrency.Session
	for i := range sessions {
		if sessions[i], err = concurrency.NewSession(cli); err != nil {
			return "", err
		}
	}
	leader := concurrency.NewElection(sessions[0], own("21128"))
	if err := leader.Campaign(ctx, "leader"); err != nil {
		return "", err
	}
	fail.on.Store(true)
	second := concurrency.NewElection(sessions[1], own("21128"))
	_ = attempt(ctx, time.Second, func(ctx context.Context) error { return second.Campaign(ctx, "second") }) // the error is as it may
	fail.on.Store(false)
	if err := second.Resign(ctx); err != nil {
		return "", err
	}
	n, err := count(ctx, cli, own("21128/"))
	return seenUnless(n == 1, "its key stays, Resign does not remove it, and it may become the leader without knowing"), err
}
