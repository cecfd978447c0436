package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/loopback"
)

// bind is a BIND 9 server for one zone on a loopback port. It is a third-party
// server, so the test shows that the resolver speaks DNS, and not only the
// dialect of our own server.
type bind struct {
	t      *testing.T
	cmd    *exec.Cmd
	addr   string
	zone   string // the zone file
	serial int
}

const zoneConfig = `
options {
	directory "%[1]s";
	listen-on port %[2]d { 127.0.0.1; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	recursion no;
	dnssec-validation no;
};
controls { };
zone "%[3]s" { type primary; file "zone"; };
`

// startBIND runs named with the records. It skips the test if named is not
// installed.
func startBIND(t *testing.T, records ...string) *bind {
	t.Helper()
	named, err := exec.LookPath("named")
	if err != nil {
		t.Skip("NOT TESTED against BIND 9: there is no named on the PATH (Debian: apt-get install bind9)")
	}
	dir := t.TempDir()
	port, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Release() })
	b := &bind{t: t, addr: port.Address(), zone: filepath.Join(dir, "zone")}
	b.write(records)
	config := filepath.Join(dir, "named.conf")
	_, number := split(t, b.addr)
	if err := os.WriteFile(config, fmt.Appendf(nil, zoneConfig, dir, number, domain), 0o600); err != nil {
		t.Fatal(err)
	}
	var output buffer
	b.cmd = exec.Command(named, "-g", "-c", config) //nolint:noctx // ended by the clean-up below, in its own way
	b.cmd.Stdout, b.cmd.Stderr = &output, &output
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		if t.Failed() {
			t.Logf("named:\n%s", output.String())
		}
	})
	eventually(t, "named listens", func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.addr)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return strings.Contains(output.String(), "running")
	})
	return b
}

// set replaces the zone's records.
func (b *bind) set(records ...string) {
	b.t.Helper()
	b.write(records)
	if err := b.cmd.Process.Signal(syscall.SIGHUP); err != nil { // reload the zone
		b.t.Fatal(err)
	}
}

func (b *bind) write(records []string) {
	b.t.Helper()
	b.serial++
	text := fmt.Sprintf("$TTL 1\n@ SOA ns.%[1]s. root.%[1]s. %[2]d 60 60 60 1\n@ NS ns.%[1]s.\nns A 127.0.0.1\n%[3]s\n",
		domain, b.serial, strings.Join(records, "\n"))
	if err := os.WriteFile(b.zone, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// buffer is a bytes.Buffer that is safe for concurrent use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func srvRecord(t *testing.T, endpoint, target string) string {
	t.Helper()
	_, port := split(t, endpoint)
	return fmt.Sprintf("_etcd-client._tcp SRV 10 10 %d %s", port, target)
}

func TestBIND(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	var records []string
	for i, e := range c.Endpoints() {
		// The last target is an alias, which RFC 2782 forbids but is common.
		records = append(records, srvRecord(t, e, fmt.Sprintf("etcd0%d", i+1)))
	}
	records = append(records, "etcd01 A 127.0.0.1", "etcd02 A 127.0.0.1", "etcd03 CNAME etcd02")
	b := startBIND(t, records...)
	cl := dial(t, bySRV(b.addr))
	want := slices.Sorted(slices.Values(c.Endpoints()))
	if got := addresses(cl); !slices.Equal(got, want) {
		t.Errorf("the client knows %q, want %q", got, want)
	}
	if _, err := cl.Put(timeout(t), "k", "v"); err != nil {
		t.Error(err)
	}

	t.Run("follow", func(t *testing.T) {
		if err := c.Move(timeout(t)); err != nil {
			t.Fatal(err)
		}
		records = records[:0]
		for _, e := range c.Endpoints() {
			records = append(records, srvRecord(t, e, "etcd01"))
		}
		b.set(append(records, "etcd01 A 127.0.0.1")...)
		if _, err := cl.Get(timeout(t), "k"); err != nil {
			t.Error(err)
		}
	})
	t.Run("truncated", func(t *testing.T) {
		// This is too much for one packet, so the answer comes over TCP.
		many := slices.Clone(records)
		for i := range 60 {
			many = append(many, fmt.Sprintf("_etcd-client._tcp SRV 20 10 2379 a-rather-long-name-for-a-spare-%d", i),
				fmt.Sprintf("a-rather-long-name-for-a-spare-%d A 127.0.0.1", i),
				fmt.Sprintf("a-rather-long-name-for-a-spare-%d A 127.1.0.%d", i, i))
		}
		b.set(append(many, "etcd01 A 127.0.0.1")...)
		eventually(t, "all records arrive", func() bool {
			// 3 members, 60 spares with separate addresses, and one address that
			// all of them share.
			return len(cl.Endpoints()) == 3+60+1
		})
		if _, err := cl.Get(timeout(t), "k"); err != nil {
			t.Error(err)
		}
	})
	t.Run("no such domain", func(t *testing.T) {
		cfg := bySRV(b.addr)
		cfg.Endpoints[0] += ".invalid"
		none, err := client.New(checked(t, cfg))
		if err != nil {
			t.Fatal(err)
		}
		defer none.Close()
		eventually(t, "the failure shows", func() bool { return len(none.ResolverErrors()) > 0 })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err = none.WaitReady(ctx)
		if err == nil || !strings.Contains(err.Error(), domain+".invalid") {
			t.Errorf("got %v, want an error that names the domain", err)
		}
	})
	t.Run("A records", func(t *testing.T) {
		_, port := split(t, c.Endpoints()[0])
		byName := dial(t, client.Config{Endpoints: []string{fmt.Sprintf("dns://%s/etcd01.%s:%d", b.addr, domain, port)}})
		if _, err := byName.Get(timeout(t), "k"); err != nil {
			t.Error(err)
		}
	})
}
