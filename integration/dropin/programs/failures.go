package main

import (
	"context"
	"errors"
	"io"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func failurePrograms() map[string]program {
	return map[string]program{
		"errors/kinds":   kindsOfErrors,
		"errors/status":  statusOfErrors,
		"errors/closed":  afterClose,
		"errors/misuse":  misuse,
		"errors/refused": refusals,
		"errors/again":   closedTwice,
		"errors/convert": convertedErrors,
	}
}

// kindsOfErrors distinguishes errors as the documentation does.
func kindsOfErrors(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	kvc := clientv3.NewKV(cli)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	late, cancel := context.WithTimeout(ctx, 0)
	defer cancel()
	_, first := kvc.Put(ctx, "", "")
	_, second := kvc.Put(ended, "color", "green")
	_, third := kvc.Put(late, "color", "green")
	_, fourth := kvc.Get(ctx, "color", clientv3.WithRev(1<<40))
	for _, err := range []error{first, second, third, fourth} {
		if err == context.Canceled { //nolint:errorlint,gocritic // as users of clientv3 do
			p.line("canceled by another routine")
		} else if err == context.DeadlineExceeded { //nolint:errorlint // as users of clientv3 do
			p.line("too late")
		} else if err == rpctypes.ErrEmptyKey { //nolint:errorlint // as users of clientv3 do
			p.line("no key")
		} else if s, ok := status.FromError(err); ok {
			p.line("of code %v", s.Code())
		} else {
			p.line("%T: %v", err, err)
		}
	}
	return p.err
}

// statusOfErrors examines errors with gRPC's functions and with etcd's.
func statusOfErrors(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	_, empty := cli.Put(ctx, "", "")
	_, future := cli.Get(ctx, "color", clientv3.WithRev(1<<40))
	_, lease := cli.Revoke(ctx, 4711)
	_, member := cli.MemberRemove(ctx, 4711)
	_, user := cli.UserGet(ctx, "nobody")
	_, role := cli.RoleGet(ctx, "none")
	_, auth := cli.Authenticate(ctx, "nobody", "nothing")
	_, twice := cli.Txn(ctx).Then(clientv3.OpPut("color", "red"), clientv3.OpPut("color", "green")).Commit()
	_, provided := cli.Put(ctx, "color", "red", clientv3.WithIgnoreValue())
	_, ttl := cli.Grant(ctx, 1<<40)
	for _, err := range []error{empty, future, lease, member, user, role, auth, twice, provided, ttl} {
		var etcd rpctypes.EtcdError
		p.line("%v: %v, as etcd's: %v, of code %v", err, status.Code(err), errors.As(err, &etcd), etcd.Code())
		switch err := err.(type) { //nolint:errorlint // as users of clientv3 do
		case rpctypes.EtcdError:
			p.line("code %v, in words %q", err.Code(), rpctypes.ErrorDesc(err))
		default:
			p.line("a %T", err)
		}
	}
	return p.err
}

// afterClose uses a client and services after Close.
func afterClose(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	grant, err := cli.Grant(ctx, 60)
	if err != nil {
		return err
	}
	renewals, err := cli.KeepAlive(ctx, grant.ID)
	if err != nil {
		return err
	}
	<-renewals
	events := cli.Watch(ctx, "color", clientv3.WithCreatedNotify())
	if err := begun(events); err != nil {
		return err
	}
	p.line("closed: %v", cli.Close())
	for range renewals { // until it closes
	}
	p.line("the renewals have ended")
	for resp := range events {
		p.line("%d events", len(resp.Events))
	}
	p.line("the watch has ended")
	_, err = cli.Get(ctx, "color")
	p.line("a read, because of that: %v, with gRPC's own error: %v", clientv3.IsConnCanceled(err), err == grpc.ErrClientConnClosing) //nolint:errorlint,staticcheck // as users of clientv3 do
	_, err = cli.KeepAliveOnce(ctx, grant.ID)
	p.line("a renewal, because of that: %v", clientv3.IsConnCanceled(err))
	_, ok := <-cli.Watch(ctx, "color")
	p.line("a watch: %v", ok)
	renewals, err = cli.KeepAlive(ctx, grant.ID)
	p.line("halted: %v", errors.As(err, new(clientv3.ErrKeepAliveHalted)))
	_, ok = <-renewals
	p.line("renewals: %v", ok)
	p.line("progress: %v", cli.RequestProgress(ctx) != nil)
	return p.err
}

func closedTwice(_ context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	p.line("closed: %v", cli.Close())
	p.line("its context: %v", cli.Ctx().Err())
	p.line("again: %v", cli.Close())
	return p.err
}

// refused reports whether a call panics or returns an error.
func refused(call func() error) (it bool) {
	defer func() {
		if recover() != nil {
			it = true
		}
	}()
	return call() != nil
}

// misuse makes invalid calls. clientv3 panics; getcd returns errors.
func misuse(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	put := clientv3.OpPut("color", "red")
	for name, call := range map[string]func() error{
		"a write of a range":   func() error { _, err := cli.Put(ctx, "color", "red", clientv3.WithPrefix()); return err },
		"a write with a limit": func() error { _, err := cli.Put(ctx, "color", "red", clientv3.WithLimit(1)); return err },
		"a deletion of the past": func() error {
			_, err := cli.Delete(ctx, "color", clientv3.WithRev(1))
			return err
		},
		"two ranges": func() error {
			_, err := cli.Get(ctx, "color", clientv3.WithPrefix(), clientv3.WithFromKey())
			return err
		},
		"If twice":        func() error { _, err := cli.Txn(ctx).If().If().Commit(); return err },
		"If after Then":   func() error { _, err := cli.Txn(ctx).Then(put).If().Commit(); return err },
		"Then after Else": func() error { _, err := cli.Txn(ctx).Else(put).Then(put).Commit(); return err },
		"Else twice":      func() error { _, err := cli.Txn(ctx).Else(put).Else(put).Commit(); return err },
		"an unknown comparison": func() error {
			_, err := cli.Txn(ctx).If(clientv3.Compare(clientv3.Version("color"), "~", 1)).Commit()
			return err
		},
		"a value that is a number": func() error {
			_, err := cli.Txn(ctx).If(clientv3.Compare(clientv3.Value("color"), "=", 1)).Commit()
			return err
		},
		"an order that does not exist": func() error {
			_, err := cli.Get(ctx, "color", clientv3.WithSort(clientv3.SortByKey, 7))
			return err
		},
		"no operation": func() error { _, err := cli.Do(ctx, clientv3.Op{}); return err },
		"a sorted watch": func() error {
			resp := <-cli.Watch(ctx, "color", clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
			return resp.Err()
		},
	} {
		if !refused(call) {
			p.line("%s is allowed", name)
		}
	}
	_, err := cli.Get(ctx, "color", clientv3.WithSort(clientv3.SortByKey, 7))
	p.line("an order that does not exist: %v", err == rpctypes.ErrInvalidSortOption) //nolint:errorlint // as users of clientv3 do
	get, err := cli.Get(ctx, "color")
	if err != nil {
		return err
	}
	p.pairs(get)
	return p.err
}

// refusals causes errors of the server.
func refusals(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	_, err := cli.MoveLeader(ctx, 4711)
	p.line("no such member: %v", err)
	_, err = cli.Downgrade(ctx, clientv3.DowngradeValidate, "3.0")
	p.line("too far down: %v", err)
	_, err = cli.Downgrade(ctx, clientv3.DowngradeCancel, "")
	p.line("nothing to cancel: %v", err)
	_, err = cli.Downgrade(ctx, clientv3.DowngradeAction(99), "")
	p.line("no such action: %v", err != nil)
	_, err = cli.MemberAdd(ctx, []string{"nonsense"})
	p.line("no URL: %v", err != nil)
	_, err = cli.MemberPromote(ctx, 4711)
	p.line("nobody to promote: %v", err)
	_, err = cli.HashKV(ctx, cli.Endpoints()[0], 1<<40)
	p.line("no such revision: %v", err)
	_, err = cli.AuthEnable(ctx)
	p.line("no root: %v", err)
	_, err = cli.UserAdd(ctx, "", "")
	p.line("no name: %v", err)
	_, err = cli.UserDelete(ctx, "nobody")
	p.line("no such user: %v", err)
	_, err = cli.UserGrantRole(ctx, "nobody", "none")
	p.line("neither: %v", err)
	_, err = clientv3.StrToPermissionType("anything")
	p.line("no such permission: %v", err != nil)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = cli.Snapshot(ended)
	p.line("a snapshot: %v", err == context.Canceled || err == nil) //nolint:errorlint // clientv3 tells when it is read
	_, err = cli.Grant(ended, 10)
	p.line("a lease: %v", err == context.Canceled) //nolint:errorlint // as users of clientv3 do
	_, err = cli.Defragment(ended, cli.Endpoints()[0])
	p.line("a defragmentation: %v", err == context.Canceled) //nolint:errorlint // as users of clientv3 do
	return p.err
}

// convertedErrors converts errors of generated stubs on the client's connection.
func convertedErrors(ctx context.Context, _ *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range []error{
		nil, rpctypes.ErrGRPCEmptyKey, rpctypes.ErrGRPCNoLeader, status.Error(codes.Canceled, "canceled"), status.Error(codes.Unavailable, "away"),
		status.Error(codes.DeadlineExceeded, "late"), context.Canceled, errors.New("something"),
	} {
		p.line("%v: %v, ended: %v, of the connection: %v", err, clientv3.ContextError(ctx, err), clientv3.ContextError(ended, err), clientv3.IsConnCanceled(err))
	}
	return p.err
}
