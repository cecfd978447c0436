package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func clusterPrograms() map[string]program {
	return map[string]program{
		"cluster/list":         listMembers,
		"cluster/learner":      addLearner,
		"cluster/endpoints":    connections,
		"cluster/url":          fromURL,
		"maintenance/status":   memberStatus,
		"maintenance/snapshot": saveSnapshot,
		"maintenance/alarms":   alarms,
		"auth/users":           usersAndRoles,
	}
}

func listMembers(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	resp, err := cli.MemberList(ctx)
	if err != nil {
		return err
	}
	p.line("%d members", len(resp.Members))
	_, err = cli.MemberList(ctx, clientv3.WithSerializable())
	return errors.Join(err, p.err)
}

func addLearner(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	// A member's ID is derived from its URLs and from the second in which it was
	// added, and is never used again.
	peer := "http://127.0.0.1:" + strconv.Itoa(1024+os.Getpid()%60000)
	added, err := cli.MemberAddAsLearner(ctx, []string{peer})
	if err != nil {
		return err
	}
	p.line("%d members, a learner: %v", len(added.Members), added.Member.IsLearner)
	if _, err := cli.MemberUpdate(ctx, added.Member.ID, []string{"http://127.0.0.1:2"}); err != nil {
		return err
	}
	_, err = cli.MemberPromote(ctx, added.Member.ID)
	p.line("not ready: %v", err == rpctypes.ErrMemberLearnerNotReady) //nolint:errorlint // as users of clientv3 do
	removed, err := cli.MemberRemove(ctx, added.Member.ID)
	if err != nil {
		return err
	}
	p.line("%d members", len(removed.Members))
	_, err = cli.MemberRemove(ctx, added.Member.ID)
	p.line("again: %v", err == rpctypes.ErrMemberNotFound) //nolint:errorlint // as users of clientv3 do
	return p.err
}

func connections(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	p.line("%d endpoints", len(cli.Endpoints()))
	conn, err := cli.Dial(cli.Endpoints()[0])
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: []byte("color"), Value: []byte("green")}); err != nil {
		return err
	}
	resp, err := pb.NewKVClient(cli.ActiveConnection()).Range(ctx, &pb.RangeRequest{Key: []byte("color")})
	if err != nil {
		return err
	}
	p.line("%s", resp.Kvs[0].Value)
	again, err := clientv3.RetryKVClient(cli).Range(ctx, &pb.RangeRequest{Key: []byte("color")})
	if err != nil {
		return err
	}
	p.line("%s", again.Kvs[0].Value)
	return p.err
}

func fromURL(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	other, err := clientv3.NewFromURL(cli.Endpoints()[0])
	if err != nil {
		return err
	}
	if _, err := other.Put(ctx, "color", "green"); err != nil {
		return err
	}
	p.line("closed: %v", other.Close())
	p.line("its context: %v", other.Ctx().Err())
	_, err = clientv3.New(clientv3.Config{})
	p.line("without endpoints: %v", err)
	_, err = clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), Username: "u", Password: "p", Token: "t"})
	p.line("two ways at once: %v", err)
	return p.err
}

func memberStatus(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	leaders, hashes := 0, make(map[uint32]bool)
	get, err := cli.Get(ctx, "color")
	if err != nil {
		return err
	}
	for _, e := range cli.Endpoints() {
		status, err := cli.Status(ctx, e)
		if err != nil {
			return err
		}
		if status.Leader == status.Header.MemberId {
			leaders++
		}
		if _, err := cli.Defragment(ctx, e); err != nil {
			return err
		}
		if _, err := cli.Get(ctx, "color"); err != nil {
			return err
		}
		hash, err := cli.HashKV(ctx, e, get.Header.Revision)
		if err != nil {
			return err
		}
		hashes[hash.Hash] = true
	}
	p.line("%d leader, %d hash", leaders, len(hashes))
	return p.err
}

func saveSnapshot(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	dir, err := os.MkdirTemp("", "snapshot")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	resp, err := cli.SnapshotWithVersion(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Snapshot.Close() }()
	f, err := os.Create(filepath.Join(dir, "backup.db"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	n, err := io.Copy(f, resp.Snapshot)
	if err != nil {
		return err
	}
	p.line("version %s, with a checksum: %v", resp.Version, n%512 == 32)
	return p.err
}

func alarms(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	list, err := cli.AlarmList(ctx)
	if err != nil {
		return err
	}
	p.line("%d alarms", len(list.Alarms))
	ended, err := cli.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	if err != nil {
		return err
	}
	p.line("%d ended", len(ended.Alarms))
	return p.err
}

func usersAndRoles(ctx context.Context, cli *clientv3.Client, out io.Writer) (err error) {
	p := &printer{out: out}
	steps := []func() error{
		func() error { _, err := cli.RoleAdd(ctx, "root"); return err },
		func() error { _, err := cli.UserAdd(ctx, "root", "secret"); return err },
		func() error { _, err := cli.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := cli.RoleAdd(ctx, "gardener"); return err },
		func() error {
			_, err := cli.RoleGrantPermission(ctx, "gardener", "fruit/", clientv3.GetPrefixRangeEnd("fruit/"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := cli.UserAdd(ctx, "ann", "green"); return err },
		func() error { _, err := cli.UserGrantRole(ctx, "ann", "gardener"); return err },
		func() error { _, err := cli.AuthEnable(ctx); return err },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	root, err := clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), Username: "root", Password: "secret"})
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	defer func() {
		_, disabled := root.AuthDisable(ctx)
		err = errors.Join(err, disabled)
		for _, user := range []string{"root", "ann"} {
			_, gone := cli.UserDelete(ctx, user)
			err = errors.Join(err, gone)
		}
		for _, role := range []string{"root", "gardener"} {
			_, gone := cli.RoleDelete(ctx, role)
			err = errors.Join(err, gone)
		}
	}()
	_, err = clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), Username: "ann", Password: "wrong"})
	p.line("a wrong password: %v", err == rpctypes.ErrAuthFailed) //nolint:errorlint // as users of clientv3 do
	ann, err := clientv3.New(clientv3.Config{Endpoints: cli.Endpoints(), Username: "ann", Password: "green"})
	if err != nil {
		return err
	}
	defer func() { _ = ann.Close() }()
	_, err = ann.Put(ctx, "fruit/apple", "red")
	p.line("may: %v", err)
	_, err = ann.Put(ctx, "color", "red")
	p.line("may not: %v", err == rpctypes.ErrPermissionDenied) //nolint:errorlint // as users of clientv3 do
	role, err := root.RoleGet(ctx, "gardener")
	if err != nil {
		return err
	}
	for _, perm := range role.Perm {
		p.line("%v [%s, %s)", perm.PermType, perm.Key, perm.RangeEnd)
	}
	users, err := root.UserList(ctx)
	if err != nil {
		return err
	}
	slices.Sort(users.Users)
	p.line("%s", fmt.Sprint(users.Users))
	status, err := root.AuthStatus(ctx)
	if err != nil {
		return err
	}
	p.line("enabled: %v", status.Enabled)
	return p.err
}
