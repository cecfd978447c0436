package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func accessPrograms() map[string]program {
	return map[string]program{
		"auth/txn":     deniedTransaction,
		"auth/watch":   deniedWatch,
		"auth/changes": changedUsers,
	}
}

// guarded runs do on a cluster with two users: root, and ann, who may read and
// write keys that begin with "fruit/".
func guarded(ctx context.Context, cli *clientv3.Client, do func(root, ann *clientv3.Client) error) (err error) {
	as := func(user string) (*clientv3.Client, error) {
		return clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), Username: user, Password: "secret of " + user})
	}
	for _, name := range []string{"root", "ann"} {
		if _, err := cli.RoleAdd(ctx, name); err != nil {
			return err
		}
		if _, err := cli.UserAdd(ctx, name, "secret of "+name); err != nil {
			return err
		}
		if _, err := cli.UserGrantRole(ctx, name, name); err != nil {
			return err
		}
	}
	if _, err := cli.RoleGrantPermission(ctx, "ann", "fruit/", "fruit0", clientv3.PermissionType(clientv3.PermReadWrite)); err != nil {
		return err
	}
	if _, err := cli.AuthEnable(ctx); err != nil {
		return err
	}
	root, err := as("root")
	if err != nil {
		return err
	}
	defer func() {
		_, disabled := root.AuthDisable(ctx)
		err = errors.Join(err, disabled, root.Close())
		for _, name := range []string{"root", "ann"} {
			_, user := cli.UserDelete(ctx, name)
			_, role := cli.RoleDelete(ctx, name)
			err = errors.Join(err, user, role)
		}
	}()
	ann, err := as("ann")
	if err != nil {
		return err
	}
	return errors.Join(do(root, ann), ann.Close())
}

func deniedTransaction(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	return errors.Join(guarded(ctx, cli, func(root, ann *clientv3.Client) error {
		if _, err := ann.Put(ctx, "fruit/apple", "red"); err != nil {
			return err
		}
		_, err := ann.Txn(ctx).
			If(clientv3.Compare(clientv3.Value("vegetable"), ">", "a")).
			Then(clientv3.OpPut("vegetable", "leek")).
			Else(clientv3.OpPut("vegetable", "bean")).
			Commit()
		p.line("%v", err)
		role, err := root.RoleGet(ctx, "ann")
		if err != nil {
			return err
		}
		for _, perm := range role.Perm {
			p.line("%v of %q to %q", perm.PermType, perm.Key, perm.RangeEnd)
		}
		_, err = cli.Get(ctx, "fruit/apple")
		p.line("nobody: %v", err == rpctypes.ErrUserEmpty) //nolint:errorlint // as users of clientv3 do
		return nil
	}), p.err)
}

func deniedWatch(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	return errors.Join(guarded(ctx, cli, func(_, ann *clientv3.Client) error {
		for resp := range ann.Watch(ctx, "vegetable") {
			p.line("canceled: %v, because of %v", resp.Canceled, strings.Contains(resp.Err().Error(), "permission denied"))
		}
		events := ann.Watch(ctx, "fruit/", clientv3.WithPrefix())
		if _, err := ann.Put(ctx, "fruit/apple", "red"); err != nil {
			return err
		}
		return watched(p, events, 1)
	}), p.err)
}

func changedUsers(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	return errors.Join(guarded(ctx, cli, func(root, ann *clientv3.Client) error {
		if _, err := root.UserChangePassword(ctx, "ann", "new"); err != nil {
			return err
		}
		_, err := clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), Username: "ann", Password: "secret of ann"})
		p.line("the old password: %v", err)
		fresh, err := clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), Username: "ann", Password: "new"})
		if err != nil {
			return err
		}
		defer func() { _ = fresh.Close() }()
		_, err = fresh.Put(ctx, "fruit/apple", "red")
		p.line("the new one: %v", err)
		_, err = ann.UserAdd(ctx, "bob", "bob")
		p.line("a user's own user: %v", err)
		if _, err := root.UserAddWithOptions(ctx, "bob", "", &clientv3.UserAddOptions{NoPassword: true}); err != nil {
			return err
		}
		_, err = root.Authenticate(ctx, "bob", "")
		p.line("without a password: %v", err != nil)
		_, err = root.UserAdd(ctx, "bob", "again")
		p.line("twice: %v", err == rpctypes.ErrUserAlreadyExist) //nolint:errorlint // as users of clientv3 do
		if _, err := root.UserGrantRole(ctx, "bob", "ann"); err != nil {
			return err
		}
		bob, err := root.UserGet(ctx, "bob")
		if err != nil {
			return err
		}
		p.line("bob has %v", bob.Roles)
		if _, err := root.UserRevokeRole(ctx, "bob", "ann"); err != nil {
			return err
		}
		if _, err := root.RoleRevokePermission(ctx, "ann", "fruit/", "fruit0"); err != nil {
			return err
		}
		_, err = fresh.Get(ctx, "fruit/apple")
		p.line("no more: %v", err == rpctypes.ErrPermissionDenied) //nolint:errorlint // as users of clientv3 do
		users, err := root.UserList(ctx)
		if err != nil {
			return err
		}
		roles, err := root.RoleList(ctx)
		if err != nil {
			return err
		}
		p.line("%v %v", slices.Sorted(slices.Values(users.Users)), slices.Sorted(slices.Values(roles.Roles)))
		if _, err := root.UserDelete(ctx, "bob"); err != nil {
			return err
		}
		login, err := root.Authenticate(ctx, "ann", "new")
		if err != nil {
			return err
		}
		token, err := clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), Token: login.Token})
		if err != nil {
			return err
		}
		defer func() { _ = token.Close() }()
		_, err = token.Get(ctx, "fruit/apple")
		p.line("with a token: %v", err)
		return nil
	}), p.err)
}
