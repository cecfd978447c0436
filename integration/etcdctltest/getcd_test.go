package etcdctltest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/dnsserver"
)

// discovery gives getcd a URI that etcdctl does not know, and expects the output
// of etcdctl for the addresses behind it.
func (b *bench) discovery(t *testing.T) {
	dns, err := dnsserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dns.Close() }()
	const name = "etcd.example."
	var records []dnsserver.SRV
	for i, ep := range b.cluster.Endpoints() {
		host, p, err := net.SplitHostPort(ep)
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		target := fmt.Sprintf("m%d.%s", i, name)
		if err := dns.SetA(target, time.Minute, host); err != nil {
			t.Fatal(err)
		}
		records = append(records, dnsserver.SRV{Priority: uint16(i), Port: uint16(port), Target: target})
	}
	if err := dns.SetSRV("_etcd-client._tcp."+name, time.Minute, records...); err != nil {
		t.Fatal(err)
	}
	uri := "dns+srv://" + dns.Addr() + "/etcd.example"

	b.pairs(t, 3)
	for _, line := range []string{"get key --prefix", "member list", "endpoint status", "endpoint hashkv"} {
		b.equivalent(t, sh("--endpoints "+uri+" "+line).unordered(), sh("--endpoints ‹eps› "+line))
	}
}

// gateways makes getcd use the members' JSON gateways, and expects the output of
// etcdctl over gRPC.
func (b *bench) gateways(t *testing.T) {
	var uris []string
	for _, ep := range b.cluster.Endpoints() {
		uris = append(uris, "gateway+http://"+ep)
	}
	over := "--endpoints " + strings.Join(uris, ",") + " "
	b.pairs(t, 3)
	for _, line := range []string{
		"get key --prefix", "get key --prefix --hex", "get nothing", "member list", "alarm list", "lease list", "user list",
		"lease timetolive 1234", "role get nobody", "get key --rev=1000000", "endpoint health --cluster -w simple",
	} {
		if strings.HasPrefix(line, "endpoint") { // it names the endpoints
			if r := b.getcdRun(t, sh(over+line)); r.code != 0 || strings.Count(r.stdout, "is healthy") != len(uris) {
				t.Errorf("%s: got %+v, want all healthy", line, r)
			}
			continue
		}
		b.equivalent(t, sh(over+line).unordered(), sh("--endpoints ‹eps› "+line))
	}
}

// promises are the intended differences of getcd.
func (b *bench) promises(t *testing.T) {
	b.promised(t, func() []string { return b.brokenPromises(t) })
}

// brokenPromises returns which of the promises are not kept.
func (b *bench) brokenPromises(t *testing.T) (broken []string) {
	t.Helper()
	b.wipe(t)
	// lost runs a script under a lock, and takes the lock away between its two parts.
	lost := func(args, before, after string) invocation {
		script := before + "\n" + `"$TOOL" lease revoke "${ETCD_LOCK_KEY#resource/}" >/dev/null` + "\n" + after
		return words(append(strings.Fields("lock "+args), "--", "sh", "-c", script)...).with("ETCDCTL_ENDPOINTS=‹ep0›", "TOOL="+b.getcd)
	}
	for _, tt := range []struct {
		i      invocation
		code   int
		stdout string
		stderr string // part of it
	}{
		// It makes no write that it cannot report.
		{at(sh("put foo bar -w table")), 4, "", "table not supported"},
		{at(sh("get foo")), 0, "", ""},
		// It refuses invalid values in the environment.
		{at(sh("get foo")).with("ETCDCTL_DIAL_TIMEOUT=soon", "ETCDCTL_ENDPOINTS=‹ep0›"), 1, "", "ETCDCTL_DIAL_TIMEOUT"},
		// Its time limit, wherever it is set, applies to every short command.
		{sh("lease list").with("ETCDCTL_ENDPOINTS=127.0.0.1:1", "ETCDCTL_COMMAND_TIMEOUT=100ms"), 2, "", "127.0.0.1:1"},
		{sh("lock resource").with("ETCDCTL_ENDPOINTS=127.0.0.1:1", "ETCDCTL_COMMAND_TIMEOUT=100ms"), 1, "", "127.0.0.1:1"},
		// If a lock is lost while its command runs, the command is stopped, and
		// killed if it does not stop, unless it may go on. That is never a success.
		{
			lost("resource", `trap 'echo told; exit 0' TERM`, `while :; do sleep 0.01; done`), 1, "told\n", "the command is stopped, since the lock was lost",
		},
		{lost("resource", "", "exec sleep 60"), 1, "", "signal: terminated"},
		{lost("resource", `trap 'exit 7' TERM`, `while :; do sleep 0.01; done`), 7, "", "lock: lost"},
		{
			lost("--grace-period=300ms resource", `trap 'echo told' TERM`, `while :; do sleep 0.01; done`),
			1, "told\n", "the command is killed: it has not ended within 300ms",
		},
		{lost("--keep-running resource", "", "echo done"), 1, "done\n", "lock: lost"}, // it may end before the tool knows
		{lost("--keep-running resource", "", "sleep 2; echo done"), 1, "done\n", "the command goes on without the lock"},
		// The command receives the signal with which the user ends the tool.
		{
			at(words("lock", "resource", "--", "sh", "-c", `trap 'echo told; exit 7' TERM; kill -TERM $PPID; while :; do sleep 0.01; done`)),
			7, "told\n", "exit status 7",
		},
		{at(words("get", "resource", "--prefix")), 0, "", ""},
		// A lock inside another lock tells the command its own key.
		{at(words("lock", "resource", "sh", "--", "-c", `echo "${ETCD_LOCK_KEY%/*}"`)).with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCD_LOCK_KEY=outer/1"), 0, "resource\n", ""},
		// It can compare leases, where etcdctl crashes.
		{at(sh("txn")).in("lease(\"foo\") = \"0\"\n\nput foo bar\n\n\n"), 0, "SUCCESS\n\nOK\n", ""},
		// It does not show secrets.
		{at(sh("get foo --debug --user= --password=hunter2")), 0, "foo\nbar\n", "ETCDCTL_PASSWORD=…"},
	} {
		r := b.getcdRun(t, tt.i)
		if r.code != tt.code || r.stdout != tt.stdout || !strings.Contains(r.stderr, tt.stderr) {
			broken = append(broken, fmt.Sprintf("%v\n got exit status %d, stdout %q, stderr %q\nwant %d, %q, and %q in stderr", tt.i, r.code, r.stdout, r.stderr, tt.code, tt.stdout, tt.stderr))
		}
		if strings.Contains(r.stderr, "hunter2") {
			t.Errorf("%v: the password is in stderr: %s", tt.i, r.stderr)
		}
	}
	return broken
}

func (b *bench) authentication(t *testing.T) {
	b.pairs(t, 3)
	prepare := func(line string) {
		t.Helper()
		if r := b.etcdctlRun(t, at(sh(line))); r.code != 0 {
			t.Fatalf("etcdctl %s: exit status %d: %s", line, r.code, r.stderr)
		}
	}
	for _, line := range []string{
		"user add root:secret", "user grant-role root root", "user add guest:pass:word", "role add reader",
		"role grant-permission reader read key01", "user grant-role guest reader", "auth enable",
	} {
		prepare(line)
	}
	defer prepare("--user root:secret auth disable")
	for _, line := range []string{
		"--user root:secret get key --prefix",
		"--user root --password secret get key --prefix",
		"--user guest:pass:word get key01",
		"--user guest:pass:word get key02",
		"--user guest:pass:word put key01 x",
		"--user guest:pass:word get key01 -w json",
		"--user root:wrong get key01",
		"--user root:wrong put key01 x",
		"--user nobody:secret get key01",
		"--user root: get key01",
		"--user root:wrong endpoint status",
		"--user root:wrong endpoint status --cluster",
		"--user root:wrong endpoint hashkv",
		"--user root:wrong endpoint health",
		"--user root:wrong defrag",
		"--user root:wrong move-leader 1",
		"--password secret get key01",
		"get key01",
		"put key01 x",
		"del key01",
		"member list",
		"--user guest:pass:word member list",
		"--user root:secret member list",
		"--user root:secret lease list",
		"--user guest:pass:word watch key02", // it ends
		"--user guest:pass:word watch key02 -w json",
		"--user guest:pass:word watch key02 -w fields",
		"--user guest:pass:word watch key02 -w protobuf",
		"watch key01",
	} {
		b.same(t, at(sh(line)))
	}
	// A password is read from stdin, before the command's own input.
	for _, i := range []invocation{
		sh("--user root get key01").in("secret\n"), sh("--user root get key01").in(" secret \r\nrest"), sh("--user root get key01").in("wrong\n"),
		sh("--user root txn").in("secret\n\nget key01\n\n\n"), sh("--user root endpoint status --cluster").in("secret\nsecret\n"),
	} {
		b.same(t, at(i.quiet())) // the prompts differ
	}
	// A login goes through raft, so the indexes always differ.
	b.same(t, at(sh("--user root:secret endpoint status")).quiet())
	b.same(t, at(sh("--user root:secret endpoint health")).quiet())
	b.same(t, at(sh("get key01")).with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCDCTL_USER=root:secret"))
	b.same(t, at(sh("get key01")).with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCDCTL_USER=root", "ETCDCTL_PASSWORD=secret"))
}

func TestSameAsEtcdctlOverTLS(t *testing.T) {
	b, user := newSecureBench(t)
	b.pairs(t, 3)
	cacert, cert, key := "--cacert="+user.CA, "--cert="+user.Cert, "--key="+user.Key
	short := "--command-timeout=500ms"
	for _, i := range []invocation{
		words("--endpoints", "‹ep0›", cacert, cert, key, "get", "key", "--prefix"),
		words("--endpoints", "https://‹ep0›", cacert, cert, key, "get", "key", "--prefix", "-w=json"),
		words("--endpoints", "‹ep0›", cacert, cert, key, "endpoint", "status"),
		words("--endpoints", "‹ep0›", cacert, cert, key, "endpoint", "status", "--cluster"),
		words("--endpoints", "‹ep0›", "--insecure-skip-tls-verify", cert, key, "get", "key01"),
		words("--endpoints", "‹ep0›", "--insecure-transport=false", short, "get", "key01"), // an unknown authority
		words("--endpoints", "https://‹ep0›", short, "get", "key01"),
		words("--endpoints", "‹ep0›", cacert, short, "get", "key01"), // no client certificate
		words("--endpoints", "‹ep0›", short, "get", "key01"),         // plain
		words("--endpoints", "‹ep0›", cacert, cert, "get", "key01"),  // a certificate without its key
		words("--endpoints", "‹ep0›", "--cacert="+user.Key, "get", "key01"),
	} {
		b.same(t, i)
	}
	b.same(t, words("get", "key01").with(
		"ETCDCTL_ENDPOINTS=https://‹ep0›", "ETCDCTL_CACERT="+user.CA, "ETCDCTL_CERT="+user.Cert, "ETCDCTL_KEY="+user.Key))
}

func (b *bench) etcdctlRun(t *testing.T, i invocation) result {
	t.Helper()
	return run(t, b.etcdctl, i, strings.NewReplacer(b.vars...))
}

func (b *bench) getcdRun(t *testing.T, i invocation) result {
	t.Helper()
	return run(t, b.getcd, i, strings.NewReplacer(b.vars...))
}
