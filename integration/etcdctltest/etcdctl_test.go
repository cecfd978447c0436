package etcdctltest

import (
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
)

func TestSameAsEtcdctl(t *testing.T) {
	t.Parallel()
	b := newBench(t, cluster.Config{
		ElectionTimeout: 2 * time.Second, Flags: []string{"--watch-progress-notify-interval=200ms"},
	})
	t.Run("basics", b.basics)
	t.Run("reads", b.reads)
	t.Run("writes", b.writes)
	t.Run("transactions", b.transactions)
	t.Run("leases", b.leases)
	t.Run("locks", b.locks)
	t.Run("watches", b.watches)
	t.Run("interactive watches", b.interactiveWatches)
	t.Run("cluster", b.clusterCommands)
	t.Run("mistakes", b.mistakes)
	t.Run("environment", b.environment)
	t.Run("discovery", b.discovery)
	t.Run("gateways", b.gateways)
	t.Run("promises", b.promises)
	t.Run("authentication", b.authentication) // last, since it locks the others out
	b.tally(t, 500)
}

// at gives an invocation the endpoint that most tests use: a single member, since
// responses have the ID of the member that sent them.
func at(i invocation) invocation {
	return i.with(append([]string{"ETCDCTL_ENDPOINTS=‹ep0›"}, i.env...)...)
}

func (b *bench) basics(t *testing.T) {
	b.same(t, sh("--endpoints ‹eps› member list"))
	eps := []string{"--endpoints", "‹eps›"}
	b.scenario(t,
		words(append(eps, "put", "foo", "Hello World!")...),
		words(append(eps, "get", "foo")...),
		words(append(eps, "put", "web1", "1")...),
		words(append(eps, "put", "web2", "2")...),
		words(append(eps, "get", "web", "--prefix")...),
		words(append(eps, "del", "key")...),
		words(append(eps, "del", "foo")...),
		words(append(eps, "lock", "resource", "--ttl=5")...).interrupted(),
		words(append(eps, "lock", "resource", "--ttl=5", "echo", "ok")...),
	)
}

// pairs puts n keys with values, some of them twice.
func (b *bench) pairs(t *testing.T, n int) {
	t.Helper()
	b.wipe(t)
	for i := range n {
		for range i%3 + 1 {
			_, err := b.kv.Put(t.Context(), &pb.PutRequest{
				Key: fmt.Appendf(nil, "key%02d", i), Value: fmt.Appendf(nil, "value %d", (i*7)%n),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for k, v := range map[string]string{"other": "<&>\x00\xff\n", "empty": "", "ключ": "значение"} {
		if _, err := b.kv.Put(t.Context(), &pb.PutRequest{Key: []byte(k), Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bench) reads(t *testing.T) {
	b.pairs(t, 12)
	r, err := b.kv.Range(t.Context(), &pb.RangeRequest{Key: []byte("key03")})
	if err != nil {
		t.Fatal(err)
	}
	rev := r.GetKvs()[0].GetModRevision()
	gets := []string{
		"get key03", "get nothing", "get key03 key06", "get key --prefix", "get key10 --from-key",
		"get key --prefix --limit=3", "get key --prefix --limit=-1", "get --prefix --keys-only key",
		"get key --prefix --print-value-only", "get key --prefix --order=descend",
		"get key --prefix --order=ASCEND --sort-by=VALUE", "get key --prefix --sort-by=VERSION --order=DESCEND",
		"get key --prefix --sort-by=modify", "get key --prefix --sort-by=create --order=DESCEND --limit=2",
		"get key --prefix --consistency=s", "get key03 --hex", "get --prefix --hex --print-value-only key",
		"get other", "get empty", "get other --hex", "get ключ", "get key03 extra arguments",
		fmt.Sprintf("get key --prefix --rev=%d", rev), "get key --prefix --rev=-5",
		fmt.Sprintf("get key --prefix --min-mod-rev=%d", rev), fmt.Sprintf("get key --prefix --max-mod-rev=%d", rev),
		fmt.Sprintf("get key --prefix --min-create-rev=%d --max-create-rev=%d", rev-1, rev+3),
		"get key --prefix --stream", "get key --prefix --stream --keys-only", "get key --prefix --stream --limit=2",
		"get key --prefix --stream --order=ASCEND",
	}
	for _, g := range gets {
		b.same(t, at(sh(g)))
		for _, format := range []string{"json", "fields", "protobuf", "table"} {
			b.same(t, at(sh(g+" -w "+format)))
		}
	}
	for _, i := range []invocation{
		sh("get key --prefix --count-only -w fields"),
		sh("get key --prefix --count-only"),
		sh("get key --prefix --count-only -w json"),
		sh("get key --prefix --count-only -w table"),
		sh("get key --prefix --print-value-only -w json"),
		sh("get key03 -w fields --hex"),
		sh("get key03 -w json --hex"),
		words("get", "--prefix", ""),
		words("get", "--from-key", ""),
		words("get", "", "--prefix", "--keys-only"),
		words("get", "", "key03"),
		words("get", ""),
		sh("get key --prefix --stream --sort-by=VALUE --order=DESCEND"), // the server refuses it
		words("get", "key", ""),
	} {
		b.same(t, at(i))
	}
}

func (b *bench) writes(t *testing.T) {
	for _, format := range []string{"simple", "json", "fields"} {
		f := "-w=" + format
		b.scenario(t,
			at(words("put", f, "foo", "bar")),
			at(words("put", f, "foo", "baz", "--prev-kv")),
			at(words("put", f, "foo2").in("from stdin\n")),
			at(words("put", f, "foo2", "--ignore-value")),
			at(words("put", f, "foo2", "--ignore-value", "surplus")),
			at(words("put", f, "missing", "--ignore-value")),
			at(words("put", f, "foo2", "x", "--ignore-lease")),
			at(words("put", f, "foo3", "")),
			at(words("put", f, "foo4", "--", "-dash")),
			at(words("put", f, "--prev-kv", "--hex", "foo4", "x")),
			at(words("put", f, "foo5", "--lease=123abc", "v")),
			at(words("get", f, "--prefix", "foo")),
			at(words("del", f, "foo2", "--prev-kv")),
			at(words("del", f, "nothing", "--prev-kv")),
			at(words("del", f, "foo", "aaa", "--range")),
			at(words("del", f, "foo", "foo", "--range")),
			at(words("del", f, "foo", "foo3", "--range", "--prev-kv")),
			at(words("del", f, "--prefix", "foo")),
			at(words("put", f, "a", "1")),
			at(words("put", f, "b", "2")),
			at(words("del", f, "b", "--from-key")),
			at(words("del", f, "", "--prefix", "--prev-kv")),
			at(words("get", f, "", "--prefix")),
		)
	}
	// del with a range but without --range waits two seconds for an interrupt.
	b.scenario(t,
		at(sh("put a 1")), at(sh("put b 2")), at(sh("put c 3")), at(sh("del a c")), at(words("get", "", "--prefix")),
	)
	// These formats cannot print the response. Unlike etcdctl, getcd then does
	// not write. Both print nothing and have the same exit status.
	b.scenario(t, at(sh("put foo bar -w table")), at(sh("del foo -w table")), at(sh("put foo bar -w xml")))
}

func (b *bench) transactions(t *testing.T) {
	txns := []string{
		"\n\n\n",
		"\nput k 1\n\n\n",
		"mod(\"k\") = \"0\"\n\nput k created\nget k\n\nget k\n\n",
		"create(\"k\") != \"0\"\nver(\"k\") > \"0\"\n\ndel k --prev-kv\nget \"\" --prefix\n\nput k v\n\n",
		"val(\"k\") = \"created\"\n\nput k \"two words\" --prev-kv\n\nput 'single quoted' 'a b'\nget 'single quoted'\n\n",
		"value(\"k\") < \"x\"\nm(\"k\") > \"0\"\nc(\"k\") > \"0\"\nversion(\"k\") < \"99\"\n\nget k --rev=0 --order=DESCEND\ndel nothing\n\n\n",
		"\nput esc \"tab\\there\\u00e9\\x41\"\nget esc\n\n\n",
		"\ng k\np k2 v\nd k2\n\n\n",
		"\nput k 1\nput k 2\n\n\n", // a duplicate key, which the server refuses
		// Input that cannot be parsed.
		"", "\n", "\n\n", "\n\nput k", "mod(\"k\") = \"0\"", "mod(\"k\") = \"0\"\n",
		"mod\n\n\n\n", "mod(k) = \"0\"\n\n\n\n", "mod(\"k\")=\"0\"\n\n\n\n", "mod(\"k\" ) = \"0\"\n\n\n\n",
		"mod(\"k\") = 0\n\n\n\n", "mod(\"k\") = \"zero\"\n\n\n\n", "nonsense(\"k\") = \"0\"\n\n\n\n",
		" mod(\"k\")  >  \"-1\"  trailing words\n\n\n\n", "mod(`k`) > `-1`\n\n\n\n",
		"\nput\n\n\n", "\nput k\n\n\n", "\nfrob k v\n\n\n", "\nput --nonsense k v\n\n\n", "\nget k --limit=x\n\n\n",
		"\nget k --order=UP\n\n\n", "\nget --prefix --from-key k\n\n\n", "\nget k a b --prefix\n\n\n",
		"\ndel a b c\n\n\n", "\nput k \"bad \\q escape\"\n\n\n", "\nput k \"unclosed\n\n\n", "\nput k v --lease=xyz\n\n\n",
		"\nput k v extra\n\n\n", "\n\tput  k\tv\r\n\r\n\n", "\nput k a\"b c\"d\n\n\n", "\nput k 'a''b'\n\n\n", "\nput k ''\n\n\n",
		"\nget k --print-value-only\nget k --stream\n\n\n", "\nput k v --ignore-value\n\n\n", "\nput k --ignore-value\n\n\n", "\nget k --consistency=x\n\n\n",
	}
	var steps []invocation
	for _, text := range txns {
		for _, flags := range [][]string{{"txn"}, {"txn", "-i"}, {"txn", "-w=json"}, {"txn", "-w=fields"}} {
			steps = append(steps, at(words(flags...).in(text)))
		}
	}
	b.scenario(t, append(steps, at(sh("txn surplus")), at(words("get", "", "--prefix")))...)
}

func (b *bench) leases(t *testing.T) {
	for _, format := range []string{"simple", "json", "fields"} {
		f := " -w " + format
		b.scenario(t,
			at(sh("lease grant 100")), // the next steps use its ID
			at(sh("put k v --lease=‹lease›")),
			at(sh("put k2 v --lease=‹lease›"+f)),
			at(sh("get k"+f)),
			at(sh("lease list"+f)),
			at(sh("lease list --hex"+f)),
			at(sh("lease keep-alive --once ‹lease›"+f)),
			at(sh("lease keep-alive --once ‹lease› --hex"+f)),
			at(sh("lease revoke ‹lease›"+f)),
			at(sh("lease revoke ‹lease›"+f)),
			at(sh("lease timetolive ‹lease›"+f)),
			at(sh("lease keep-alive --once ‹lease›"+f)),
			at(sh("lease keep-alive ‹lease›"+f)),
			at(sh("lease list"+f)),
			at(sh("get k"+f)),
		)
	}
	// The server raises these to its minimum.
	b.scenario(t, at(sh("lease grant 0")), at(sh("lease grant -- -5")))
	b.wipe(t)
	if _, err := b.lease.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: 0x1234abcd, TTL: 3000}); err != nil {
		t.Fatal(err)
	}
	// Use one key only: the server returns several in any order.
	if _, err := b.kv.Put(t.Context(), &pb.PutRequest{Key: []byte("a key"), Lease: 0x1234abcd}); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"simple", "json", "fields", "protobuf", "table", "xml"} {
		f := " -w " + format
		for _, line := range []string{
			"lease timetolive 1234abcd", "lease timetolive 1234abcd --hex", "lease timetolive 1234abcd --keys",
			"lease timetolive abcdef --keys", "lease timetolive 0", "lease list",
		} {
			b.same(t, at(sh(line+f)))
		}
	}
	for _, line := range []string{
		"lease grant", "lease grant x", "lease grant 5 6", "lease grant 99999999999", "lease revoke", "lease revoke xyz", "lease revoke 1 2",
		"lease revoke 1", "lease revoke 0", "lease keep-alive 0", "lease keep-alive --once 0", "lease timetolive", "lease timetolive xyz", "lease keep-alive", "lease keep-alive xyz", "lease keep-alive 77",
		"lease keep-alive --once 77", "lease timetolive -w table 77", "lease grant 5 -w table",
	} {
		b.same(t, at(sh(line)))
	}
}

func (b *bench) locks(t *testing.T) {
	for _, format := range []string{"simple", "json", "fields"} {
		b.scenario(t,
			at(words("lock", "resource", "--ttl=5", "-w="+format)).interrupted(),
			at(words("get", "resource", "--prefix", "-w="+format)), // the lock was released
		)
	}
	b.scenario(t,
		at(sh("lock resource echo ok")),
		at(sh("lock resource --ttl=5 echo ok")),
		at(words("lock", "resource", "--", "sh", "-c", "echo $ETCD_LOCK_KEY rev=$ETCD_LOCK_REV; env | grep ^ETCD_LOCK | wc -l")),
		at(words("lock", "resource", "--", "sh", "-c", "exit 3")),
		at(words("lock", "resource", "--", "sh", "-c", "kill -9 $$")),
		at(words("lock", "resource", "cat")).in("stdin is not the command's"),
		at(words("lock", "resource", "no-such-command-anywhere")),
		at(words("lock", "resource", "sh", "-c", "exit 3")), // here -c is lock's flag
		at(words("lock", "resource", "--ttl=5", "-w=table", "echo", "ok")),
		at(words("get", "resource", "--prefix")),
	)
	// A TTL below 1 is that of a session without one.
	const granted = `"$TOOL" lease timetolive "${ETCD_LOCK_KEY#resource/}" | grep -o "TTL([0-9]*s)"`
	for _, ttl := range []string{"--ttl=0", "--ttl=-5"} {
		b.scenario(t, at(words("lock", "resource", ttl, "--", "sh", "-c", granted)).with("ETCDCTL_ENDPOINTS=‹ep0›", "TOOL=‹tool›"))
	}
	// A holder starts a waiter, waits until it is in the queue, and interrupts
	// it.
	const waiter = `"$TOOL" lock resource echo never & pid=$!
until [ "$("$TOOL" get resource/ --prefix | grep -c resource/)" -eq 2 ]; do :; done
kill -TERM $pid; wait $pid; echo the waiter exited with $?
"$TOOL" get resource/ --prefix | grep -c resource/`
	b.scenario(t,
		at(words("lock", "resource", "--", "sh", "-c", waiter)).with("ETCDCTL_ENDPOINTS=‹ep0›", "TOOL=‹tool›"),
		at(words("get", "resource", "--prefix")),
	)
	for _, line := range []string{"lock", "lock --ttl=x resource", "lock resource -w xml", "lock resource -w xml echo ok"} {
		b.same(t, at(sh(line)))
	}
}

func (b *bench) clusterCommands(t *testing.T) {
	for _, format := range []string{"simple", "json", "fields", "table", "protobuf", "xml"} {
		f := " -w " + format
		for _, line := range []string{
			"member list", "member list --hex", "member list --consistency=s", "member list --consistency=x", "mem l",
			"endpoint status", "endpoint status --hex", "endpoint status --cluster",
		} {
			b.same(t, at(sh(line+f)))
		}
		b.same(t, sh("--endpoints ‹eps› endpoint status"+f))
	}
	// In endpoint health, durations differ, and etcdctl prints the members in the
	// order of their responses.
	b.scenario(t,
		at(sh("endpoint health")), at(sh("endpoint health -w json")), at(sh("endpoint health -w fields")),
		at(sh("endpoint health -w table")).quiet(), at(sh("endpoint health -w protobuf")),
		sh("--endpoints ‹eps› endpoint health").unordered(), sh("--endpoints ‹ep0› endpoint health --cluster").unordered(),
		sh("--endpoints 127.0.0.1:1,‹ep0› --command-timeout=500ms endpoint health"),
		sh("--endpoints 127.0.0.1:1,‹ep0› --command-timeout=500ms endpoint status -w table").quiet(),
	)
}

func (b *bench) mistakes(t *testing.T) {
	for _, line := range []string{
		"nonsense", "--nonsense", "put", "put k", "put --nonsense k v", "put k v --lease=xyz", "get", "get k --limit=x",
		"get k --consistency=x", "get k --order=UP", "get k --sort-by=COLOUR", "get k --prefix --from-key",
		"get k z --prefix", "get k z --from-key", "get k --keys-only --count-only", "get k --min-mod-rev=5 --max-mod-rev=3",
		"get k --min-create-rev=5 --max-create-rev=3", "get k --rev=99999999", "get k --rev=x", "get k -w xml", "get -w xml",
		"get k --write-out", "get k --hex=perhaps", "del", "del a b c", "del a --prefix --from-key", "del a b --prefix", "del --nonsense",
		"txn", "txn surplus", "get k --cert nosuchfile --key nosuchfile", "get k --cacert nosuchfile", "get k --cert=",
		"endpoint status --cert nosuchfile --key nosuchfile", "endpoint health --cacert nosuchfile -w json", "endpoint hashkv --cacert nosuchfile",
		"defrag --cacert nosuchfile", "move-leader 1 --cacert nosuchfile", "--user root: get k", "--user : get k",
		"get k --dial-timeout=0", "get k --keepalive-timeout=0", "get key --prefix --max-recv-bytes=1000000",
		"get k --dial-timeout=x", "get k --command-timeout=-", "get k --auth-jwt-token",
	} {
		b.same(t, at(sh(line)))
	}
	for _, line := range []string{
		"--endpoints 127.0.0.1:1 --command-timeout=300ms get k",
		"--endpoints 127.0.0.1:1 --command-timeout=300ms put k v",
		"--endpoints 127.0.0.1:1 --command-timeout=300ms del k",
		"--endpoints 127.0.0.1:1 --command-timeout=300ms member list",
		"--endpoints 127.0.0.1:1,‹ep0› get k",
		"--endpoints http://‹ep0› get k",
		"--endpoints= get k",
	} {
		b.same(t, sh(line))
	}
}

func (b *bench) environment(t *testing.T) {
	get := sh("get key --prefix")
	b.pairs(t, 3)
	for _, i := range []invocation{
		get.with("ETCDCTL_ENDPOINTS=‹eps›"),
		get.with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCDCTL_WRITE_OUT=json"),
		get.with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCDCTL_WRITE_OUT=xml"),
		get.with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCDCTL_HEX=true"),
		get.with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCDCTL_NONSENSE=x", "ETCDCTL_API=3"),
		get.with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCDCTL_DEBUG=true"),
		get.with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCDCTL_PREFIX=true"), // local flags have no variable
		get.with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCDCTL_USER="),
		sh("--endpoints ‹ep0› get key --prefix").with("ETCDCTL_ENDPOINTS=127.0.0.1:1"), // the flag overrides it
		sh("--endpoints ‹ep0› get key --prefix").with("ETCDCTL_ENDPOINTS="),
		sh("--endpoints ‹ep0› get").with("ETCDCTL_ENDPOINTS=127.0.0.1:1"),
		sh("--endpoints ‹ep0› -w json get key --prefix").with("ETCDCTL_WRITE_OUT=simple"),
		sh("endpoint status").with("ETCDCTL_ENDPOINTS=‹ep0›", "ETCDCTL_CLUSTER=true"),
	} {
		b.same(t, i)
	}
}
