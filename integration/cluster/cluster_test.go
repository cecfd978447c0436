package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/integration/cluster"
)

// fast returns a configuration whose elections take a fraction of a second.
func fast() cluster.Config {
	return cluster.Config{ElectionTimeout: 500 * time.Millisecond, HeartbeatInterval: 50 * time.Millisecond}
}

func start(t *testing.T, cfg cluster.Config) *cluster.Cluster {
	t.Helper()
	began := time.Now()
	c, err := cluster.Start(t.Context(), cfg)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d members healthy after %v", len(c.Members()), time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// dial connects to an endpoint the way a client does.
func dial(t *testing.T, endpoint string) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// limit limits how long a test waits. No machine should ever reach it.
const limit = time.Minute

// settled repeats a request that members were too busy for.
func settled[A any](ctx context.Context, request func() (A, error)) (A, error) {
	for {
		answer, err := request()
		if err == nil || !cluster.Busy(err.Error()) || ctx.Err() != nil {
			return answer, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func put(ctx context.Context, cc grpc.ClientConnInterface, key, value string) error {
	_, err := settled(ctx, func() (*etcdserverpb.PutResponse, error) {
		return etcdserverpb.NewKVClient(cc).Put(ctx, &etcdserverpb.PutRequest{Key: []byte(key), Value: []byte(value)}, grpc.WaitForReady(true))
	})
	return err
}

func get(ctx context.Context, cc grpc.ClientConnInterface, key string) (string, error) {
	answer, err := settled(ctx, func() (*etcdserverpb.RangeResponse, error) {
		return etcdserverpb.NewKVClient(cc).Range(ctx, &etcdserverpb.RangeRequest{Key: []byte(key)}, grpc.WaitForReady(true))
	})
	if err != nil {
		return "", err
	}
	if len(answer.GetKvs()) != 1 {
		return "", fmt.Errorf("%d keys %q", len(answer.GetKvs()), key)
	}
	return string(answer.GetKvs()[0].GetValue()), nil
}

func wantValue(t *testing.T, cc grpc.ClientConnInterface, key, want string) {
	t.Helper()
	if got, err := get(within(t, limit), cc, key); err != nil || got != want {
		t.Fatalf("get %s: got %q, %v, want %q", key, got, err, want)
	}
}

func wantRefused(t *testing.T, endpoint string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", endpoint)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dial %s: got %v, want connection refused", endpoint, err)
	}
}

func TestMembersServeClients(t *testing.T) {
	c := start(t, fast())
	if got := len(c.Members()); got != 3 {
		t.Fatalf("got %d members, want 3", got)
	}
	ids := make(map[uint64]bool)
	for i, m := range c.Members() {
		if want := fmt.Sprintf("m%d", i+1); m.Name() != want || c.Member(want) != m {
			t.Errorf("member %d is called %q, want %q", i, m.Name(), want)
		}
		if want := fmt.Sprintf("127.0.0.1:%d", m.Port()); m.Endpoint() != want || m.ClientURL() != "http://"+want {
			t.Errorf("endpoint %q and client URL %q, want %q and http:// in front", m.Endpoint(), m.ClientURL(), want)
		}
		ids[m.ID()] = true
		cc := dial(t, m.Endpoint())
		if err := put(t.Context(), cc, m.Name(), "hello"); err != nil {
			t.Fatal(err)
		}
		wantValue(t, cc, m.Name(), "hello")
	}
	if len(ids) != 3 || ids[0] {
		t.Errorf("got the member IDs %v, want three that are not 0", ids)
	}
	until(t, "the leader's own word", nil, func(ctx context.Context) error { // another one may be elected in between
		leader, err := c.Leader(ctx)
		if err != nil {
			return err
		}
		answer, err := etcdserverpb.NewMaintenanceClient(dial(t, leader.Endpoint())).Status(ctx, &etcdserverpb.StatusRequest{})
		if err == nil && answer.GetLeader() != leader.ID() {
			err = fmt.Errorf("%s says that the leader is %x, want itself, %x", leader.Name(), answer.GetLeader(), leader.ID())
		}
		return err
	})
}

func TestKillAndRestart(t *testing.T) {
	c := start(t, fast())
	leader, err := c.Leader(within(t, limit))
	if err != nil {
		t.Fatal(err)
	}
	endpoint, pid := leader.Endpoint(), leader.PID()
	cc := dial(t, endpoint)
	if err := put(t.Context(), cc, "key", "kept"); err != nil {
		t.Fatal(err)
	}
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	if leader.Running() {
		t.Error("the member runs after Kill")
	}
	wantRefused(t, endpoint)
	next, err := c.Leader(within(t, limit))
	if err != nil {
		t.Fatal(err)
	}
	if next == leader {
		t.Fatal("the killed member is the leader")
	}
	if err := leader.Restart(within(t, limit)); err != nil {
		t.Fatal(err)
	}
	if leader.Endpoint() != endpoint || leader.PID() == pid {
		t.Errorf("after Restart: endpoint %s and PID %d, want %s and another than %d", leader.Endpoint(), leader.PID(), endpoint, pid)
	}
	wantValue(t, dial(t, endpoint), "key", "kept")
}

func TestTerminate(t *testing.T) {
	c := start(t, fast())
	m := c.Members()[1]
	if err := m.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := m.Terminate(); err != nil {
		t.Fatal(err)
	}
	if m.Running() {
		t.Error("the member runs after Terminate")
	}
	wantRefused(t, m.Endpoint())
	if err := m.Terminate(); err != nil {
		t.Errorf("a second Terminate: %v", err)
	}
	if err := m.Pause(); err == nil || !strings.Contains(err.Error(), "m2") {
		t.Errorf("Pause of a member that does not run: got %v, want an error that names m2", err)
	}
}

func TestPauseAndContinue(t *testing.T) {
	c := start(t, fast())
	m := c.Members()[2]
	cc := dial(t, m.Endpoint())
	if err := put(t.Context(), cc, "key", "value"); err != nil {
		t.Fatal(err)
	}
	if err := m.Pause(); err != nil {
		t.Fatal(err)
	}
	if _, err := get(within(t, 300*time.Millisecond), cc, "key"); status.Code(err) != codes.DeadlineExceeded {
		t.Fatalf("get from a paused member: got %v, want DeadlineExceeded", err)
	}
	// The kernel accepts a new connection.
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", m.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := m.Continue(); err != nil {
		t.Fatal(err)
	}
	wantValue(t, cc, "key", "value")
	if err := c.WaitHealthy(within(t, limit)); err != nil {
		t.Fatal(err)
	}
}

func TestMove(t *testing.T) {
	c := start(t, fast())
	before := c.Endpoints()
	if err := put(t.Context(), dial(t, before[0]), "key", "kept"); err != nil {
		t.Fatal(err)
	}
	if err := c.Move(within(t, limit)); err != nil {
		t.Fatal(err)
	}
	after := c.Endpoints()
	for i, endpoint := range after {
		if slices.Contains(before, endpoint) {
			t.Errorf("member %d is on %s, one of the old endpoints %v", i, endpoint, before)
		}
		wantRefused(t, before[i])
		wantValue(t, dial(t, endpoint), "key", "kept")
	}
	list, err := settled(t.Context(), func() (*etcdserverpb.MemberListResponse, error) {
		return etcdserverpb.NewClusterClient(dial(t, after[0])).MemberList(t.Context(), &etcdserverpb.MemberListRequest{Linearizable: true})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range list.GetMembers() {
		m := c.Member(listed.GetName())
		if m == nil {
			t.Errorf("the member list has %q", listed.GetName())
			continue
		}
		if want := []string{m.ClientURL()}; !slices.Equal(listed.GetClientURLs(), want) {
			t.Errorf("%s is listed with %q, want %q", m.Name(), listed.GetClientURLs(), want)
		}
	}
}

func TestRestartWithoutAQuorum(t *testing.T) {
	c := start(t, fast())
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	m := c.Members()
	if err := m[0].Restart(within(t, limit)); err != nil {
		t.Fatalf("the first of three: %v", err)
	}
	if err := m[1].RestartOn(within(t, limit), 0); err != nil {
		t.Fatalf("the second of three: %v", err)
	}
	if err := m[0].WaitHealthy(within(t, limit)); err != nil {
		t.Error(err)
	}
	if err := c.WaitHealthy(within(t, limit)); err == nil || !strings.Contains(err.Error(), "m3") {
		t.Errorf("WaitHealthy: got %v, want an error that names m3", err)
	}
	if err := c.Restart(within(t, limit)); err != nil {
		t.Fatal(err)
	}
}

func TestStopRemovesEverything(t *testing.T) {
	cfg := fast()
	cfg.Size, cfg.Dir = 1, t.TempDir()
	c := start(t, cfg)
	dir, m := c.Dir(), c.Members()[0]
	if !strings.HasPrefix(dir, cfg.Dir) {
		t.Errorf("data is in %s, want it in %s", dir, cfg.Dir)
	}
	for range 2 {
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat %s: got %v, want that it does not exist", dir, err)
	}
	if m.Running() {
		t.Error("the member runs after Stop")
	}
	if err := m.Restart(t.Context()); err == nil {
		t.Error("a member of a stopped cluster restarted")
	}
}

func TestStopReportsAMemberThatExitedByItself(t *testing.T) {
	cfg := fast()
	cfg.Size, cfg.Dir = 1, t.TempDir()
	c, err := cluster.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := c.Members()[0]
	process, err := os.FindProcess(m.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	for m.Running() {
		select {
		case <-t.Context().Done():
			t.Fatal("the member did not exit")
		case <-time.After(10 * time.Millisecond):
		}
	}
	err = c.Stop()
	if err == nil || !strings.Contains(err.Error(), "m1 exited by itself: signal: killed") || !strings.Contains(err.Error(), c.Dir()) {
		t.Fatalf("Stop: got %v, want an error that names m1 and %s", err, c.Dir())
	}
	if err := os.RemoveAll(c.Dir()); err != nil {
		t.Fatal(err)
	}
}

func TestStartRefusesABadConfig(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		change     func(*cluster.Config)
	}{
		{"size", "Size is 12", func(c *cluster.Config) { c.Size = 12 }},
		{"timing", "ElectionTimeout is 100ms", func(c *cluster.Config) { c.ElectionTimeout = 100 * time.Millisecond }},
		{"fraction", "HeartbeatInterval is 1.5ms", func(c *cluster.Config) { c.HeartbeatInterval = 1500 * time.Microsecond }},
		{"token", "AuthTokenTTL is 1ms", func(c *cluster.Config) { c.AuthTokenTTL = time.Millisecond }},
		{"tls", "needs both Cert and Key", func(c *cluster.Config) { c.ClientTLS = &cluster.TLSFiles{Cert: "x"} }},
		{"client certificates", "ClientCertAuth needs ClientTLS", func(c *cluster.Config) { c.ClientCertAuth = true }},
		{"flag", `"snapshot-count"`, func(c *cluster.Config) { c.Flags = []string{"snapshot-count"} }},
		{"flag unknown to etcd", "no-such-flag", func(c *cluster.Config) { c.Flags = []string{"--no-such-flag=1"} }},
		{"directory", "no-such-directory", func(c *cluster.Config) { c.Dir = "no-such-directory" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := cluster.Config{Size: 1}
			tc.change(&cfg)
			c, err := cluster.Start(t.Context(), cfg)
			if err == nil {
				_ = c.Stop()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}
