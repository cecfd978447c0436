package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/snapshot"
	"github.com/getcd/getcd/integration/certs"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/dropin/internal/twice"
	"github.com/getcd/getcd/kv"
)

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

// Each program behaves and prints the same with getcd as with clientv3.
func TestProgramsAgree(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	theirs, ours := build(ctx, t)
	c, err := cluster.Start(ctx, cluster.Config{Size: 1}) // one member, since on several of them a read may be out of date
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	admin, err := client.Dial(ctx, client.Config{Endpoints: c.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for name := range all() {
		t.Run(name, func(t *testing.T) {
			agree(ctx, t, admin, []string{theirs, ours}, c.Endpoints(), name)
		})
	}
}

// So does each program that needs several members, over TLS.
func TestProgramsAgreeOnSeveralMembers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	theirs, ours := build(ctx, t)
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Server("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	own, err := ca.Client("gardener")
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(ctx, cluster.Config{
		ClientTLS:      &cluster.TLSFiles{Cert: server.CertFile, Key: server.KeyFile, CA: ca.File()},
		ClientCertAuth: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	secure, err := ca.ClientConfig(own)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := client.Dial(ctx, client.Config{Endpoints: c.Endpoints(), TLS: secure})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for name := range severalPrograms() {
		t.Run(name, func(t *testing.T) {
			agree(ctx, t, admin, []string{theirs, ours}, c.Endpoints(), "-cacert", ca.File(), "-cert", own.CertFile, "-key", own.KeyFile, name)
		})
	}
}

// agree runs a program with both clients on an empty cluster.
func agree(ctx context.Context, t *testing.T, admin *client.Client, programs, endpoints []string, args ...string) {
	t.Helper()
	var outputs []string
	for _, program := range programs {
		out, stderr, err := launch(ctx, t, admin, program, endpoints, args...)
		for err != nil && ctx.Err() == nil && cluster.Busy(stderr) {
			time.Sleep(200 * time.Millisecond)
			out, stderr, err = launch(ctx, t, admin, program, endpoints, args...)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s%s", filepath.Base(program), err, out, stderr)
		}
		outputs = append(outputs, out)
	}
	if outputs[0] != outputs[1] {
		t.Errorf("clientv3 prints\n%s\nand getcd\n%s", outputs[0], outputs[1])
	}
	if outputs[0] == "" {
		t.Error("it prints nothing")
	}
}

// launch runs a program once on an empty cluster.
func launch(ctx context.Context, t *testing.T, admin *client.Client, program string, endpoints []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	empty(ctx, t, admin)
	cmd := exec.CommandContext(ctx, program, append([]string{"-endpoints", strings.Join(endpoints, ",")}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// empty removes all keys, the leases that outlive their program, and the members that
// a program which failed has left: none of them has been started, so that they have no names.
func empty(ctx context.Context, t *testing.T, admin *client.Client) {
	t.Helper()
	if _, err := admin.Delete(ctx, "\x00", kv.WithFromKey()); err != nil {
		t.Fatal(err)
	}
	leases, err := admin.Leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leases.Leases {
		if _, err := admin.Revoke(ctx, l.ID); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			t.Fatal(err)
		}
	}
	resp, err := admin.MemberList(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range resp.Members {
		if m.Name != "" {
			continue
		}
		for {
			_, err := admin.MemberRemove(ctx, m.ID)
			if err == nil || errors.Is(err, rpctypes.ErrMemberNotFound) {
				break
			}
			if !cluster.Busy(err.Error()) {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
}

// This cannot be a common program, since it takes a logger.
func TestSaveSnapshot(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Config{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	file, version := filepath.Join(t.TempDir(), "backup.db"), ""
	for version == "" { // a member stores its storage version some seconds after its start
		if version, err = snapshot.SaveWithVersion(ctx, nil, clientv3.Config{Endpoints: c.Endpoints()}, file); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Size()%512 != 32 || !strings.HasPrefix(version, "3.") {
		t.Errorf("%v, %v, of version %q; want a file with a checksum, and a version", info, err, version)
	}
}

// build compiles the programs with clientv3, and with getcd.
func build(ctx context.Context, t *testing.T) (theirs, ours string) {
	t.Helper()
	theirs, ours, err := twice.Build(ctx, ".", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return theirs, ours
}
