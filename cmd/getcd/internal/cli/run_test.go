package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
)

// TestRunWithoutACluster has all that ends before a connection is needed. What
// needs one is compared with etcdctl in the integration module.
func TestRunWithoutACluster(t *testing.T) {
	for _, tt := range []struct {
		args    string
		environ []string
		code    int
		stdout  string // parts of them
		stderr  string
	}{
		{"", nil, exit.OK, "Key-value commands", ""},
		{"--help", nil, exit.OK, `Use "getcd options"`, ""},
		{"put --help", nil, exit.OK, "--prev-kv", ""},
		{"options", nil, exit.OK, "--endpoints", ""},
		{"version", nil, exit.OK, "API version: 3.", ""},
		{"version", []string{"ETCDCTL_DIAL_TIMEOUT=soon"}, exit.OK, "API version: 3.", ""},
		{"nonsense", nil, exit.Failure, "", "Error: unknown command \"nonsense\" for \"getcd\"\nRun 'getcd --help' for usage"},
		{"gte k --prefix", nil, exit.Failure, "", `Error: unknown command "gte" for "getcd": did you mean "get"?`},
		{"member", nil, exit.OK, "promote", ""},
		{"member nonsense", nil, exit.Failure, "", `Error: unknown command "nonsense" for "getcd member"`},
		{"member lst --consistency=s", nil, exit.Failure, "", `Error: unknown command "lst" for "getcd member": did you mean "list"?`},
		{"wire nonsense", nil, exit.Failure, "", `unknown command "nonsense" for "getcd wire"`},
		{"help nonsense", nil, exit.Failure, "", `unknown command "nonsense"`},
		{"help member lst", nil, exit.Failure, "", `unknown command "lst" for "getcd member": did you mean "list"?`},
		{"help member list", nil, exit.OK, "--consistency", ""},
		{"get k --nonsense", nil, exit.Failure, "", "Error: unknown flag: --nonsense\nRun 'getcd get --help' for usage"},
		{"get k --prefx", nil, exit.Failure, "", "Error: unknown flag: --prefx: did you mean \"--prefix\"?\nRun 'getcd get --help' for usage"},
		{"get k --pref", nil, exit.Failure, "", `unknown flag: --pref: did you mean "--prefix"?`},
		{"get k --endpoint=a:1", nil, exit.Failure, "", `unknown flag: --endpoint: did you mean "--endpoints"?`},
		{"get k --min-rev=1", nil, exit.Failure, "", "unknown flag: --min-rev\n"},
		{"get k --x", nil, exit.Failure, "", "unknown flag: --x\n"},
		{"get k -x", nil, exit.Failure, "", "unknown shorthand flag: 'x' in -x\n"},
		{"endpoint status a:1 b:1", nil, exit.BadArgs, "", "endpoint status takes no arguments; got 2: name the endpoints by --endpoints=a:1,b:1"},
		{"endpoint health a:1", nil, exit.BadArgs, "", "name the endpoints by --endpoints=a:1"},
		{"endpoint hashkv a:1", nil, exit.BadArgs, "", "name the endpoints by --endpoints=a:1"},
		{"lease list x", nil, exit.BadArgs, "", "lease list takes no arguments; got 1"},
		{"check perf x", nil, exit.BadArgs, "", "check perf takes no arguments; got 1"},
		{"check datascale x", nil, exit.BadArgs, "", "check datascale takes no arguments; got 1"},
		{"version x", nil, exit.BadArgs, "", "version takes no arguments; got 1"},
		{"options x", nil, exit.BadArgs, "", "options takes no arguments; got 1"},
		{"lock name --grace-period=-1s -- true", nil, exit.BadArgs, "", "--grace-period"},
		{"get k --limit=many", nil, exit.Failure, "", `Error: bad value "many" for --limit: want a 64-bit integer`},
		{"get k --hex=perhaps", nil, exit.Failure, "", `Error: bad value "perhaps" for --hex: want true or false`},
		{"get k --command-timeout=5", nil, exit.Failure, "", `Error: bad value "5" for --command-timeout: want a duration`},
		{"get k -w xml", nil, exit.BadFeature, "", `unsupported output format "xml"`},
		{"get k -w json --count-only", nil, exit.BadArgs, "", "--count-only needs --write-out=fields, not json"},
		{"get k -w json --print-value-only", nil, exit.BadArgs, "", "--print-value-only needs --write-out=simple, not json"},
		{"put k v -w table", nil, exit.BadFeature, "", "table not supported"},
		{"lease revoke 1 -w protobuf", nil, exit.BadFeature, "", "protobuf not supported"},
		{"lock name -w table", nil, exit.BadFeature, "", "table not supported"},
		{"lock name --ttl=9000000001", nil, exit.Failure, "", "etcdserver: too large lease TTL"},
		{"lock name --ttl=9223372036854775807", nil, exit.Failure, "", "etcdserver: too large lease TTL"},
		{"watch k -w table", nil, exit.BadFeature, "", "table not supported"},
		{"watch", nil, exit.BadArgs, "", "ETCDCTL_WATCH_KEY"},
		{"watch k", []string{"ETCDCTL_WATCH_KEY=l"}, exit.BadArgs, "", "two keys"},
		{"watch", []string{"ETCDCTL_WATCH_RANGE_END=l"}, exit.BadArgs, "", "ETCDCTL_WATCH_KEY is not set"},
		{"watch k l --prefix", nil, exit.BadArgs, "", "--prefix"},
		{"watch --help", nil, exit.OK, "--progress-notify", ""},
		{"get k --cacert=", nil, exit.BadArgs, "", "--cacert"},
		{"get k --endpoints=etcd://a", nil, exit.BadArgs, "", "etcd"},
		{`get k --endpoints=a"b`, nil, exit.Failure, "", `for --endpoints: want values with commas between them`},
		{"make-mirror a:1 --max-txn-ops=-1", nil, exit.Failure, "", "for --max-txn-ops: want an integer that is not negative"},
		{"endpoint status --cacert=/none", nil, exit.BadArgs, "", "Error: cannot read --cacert"},
		{"endpoint health --cert=/none --key=/none", nil, exit.BadArgs, "", "Error: cannot use --cert and --key"},
		{"defrag --cacert=/none", nil, exit.BadArgs, "", "Error: cannot read --cacert"},
		{"endpoint status --user=root", nil, exit.Failure, "", "Error: --user has no password"},
		{"get k --endpoints=a:1", []string{"ETCDCTL_ENDPOINTS=b:1"}, exit.Failure, "", "ETCDCTL_ENDPOINTS is shadowed by the flag --endpoints"},
		{"get k --trace=xml", nil, exit.BadArgs, "", `bad value "xml" for --trace: want one of frames, messages, curl, grpcurl, json`},
		{"wire decode --as=dns", nil, exit.BadArgs, "", `bad value "dns" for --as: want one of http2, pcap, grpc, message`},
		{"wire decode --as=message", nil, exit.BadArgs, "", "needs --type"},
		{"wire decode --as=message --type=Put", nil, exit.BadArgs, "", `unknown message type "Put"`},
		{"wire decode --as=grpc --from=server", nil, exit.BadArgs, "", "need --as=http2"},
		{"wire decode --from=server --answers=x", nil, exit.BadArgs, "", "so is the input"},
		{"wire decode /none", nil, exit.BadArgs, "", "/none"},
		{"wire decode --as=pcap", nil, exit.BadArgs, "", "no capture: it has 0 bytes"},
		{"wire decode --as=pcap --type=x", nil, exit.BadArgs, "", "--type has no use with --as=pcap"},
		{"wire decode --input=hex --as=grpc", nil, exit.OK, "", ""},
		{"wire protoset", nil, exit.OK, "rpc.proto", ""},
		{"get k --user=root", nil, exit.Failure, "", "no terminal"},
		{"get k --user=root:hunter2 --endpoints=a:b:c --debug", nil, exit.BadArgs, "", "ETCDCTL_USER=…"},
	} {
		var stdout, stderr bytes.Buffer
		a := &app{
			Streams: Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, environ: tt.environ,
			askPassword: func(io.Writer) (string, error) { return noPassword() },
		}
		code := a.run(t.Context(), strings.Fields(tt.args))
		if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
			t.Errorf("getcd %s\n got exit status %d, stdout %q, stderr %q\nwant %d, and in them %q and %q", tt.args, code, &stdout, &stderr, tt.code, tt.stdout, tt.stderr)
		}
		if tt.stdout == "" && stdout.Len() > 0 {
			t.Errorf("getcd %s: stdout is %q, want none", tt.args, &stdout)
		}
		if strings.Contains(stderr.String(), "hunter2") {
			t.Errorf("getcd %s: the password is in stderr: %s", tt.args, &stderr)
		}
	}
}

func TestWireDecode(t *testing.T) {
	for args, in := range map[string]string{
		"--as=message --type=etcdserverpb.PutRequest --input=hex": "0a 03 66:6f,6f\n12 03 62 61 72\n",
		"--as=grpc --type=etcdserverpb.PutRequest":                "\x00\x00\x00\x00\x0a\x0a\x03foo\x12\x03bar",
		"--from=server --format=frames":                           "\x00\x00\x00\x04\x01\x00\x00\x00\x00",
	} {
		var stdout, stderr bytes.Buffer
		a := &app{Streams: Streams{In: strings.NewReader(in), Out: &stdout, Err: &stderr}}
		code := a.run(t.Context(), append([]string{"wire", "decode"}, strings.Fields(args)...))
		if code != exit.OK || !strings.Contains(stdout.String(), `key: "foo"`) && !strings.Contains(stdout.String(), "SETTINGS  stream 0, length 0, ACK") {
			t.Errorf("getcd wire decode %s: got exit status %d, stdout\n%s\nstderr %s", args, code, &stdout, &stderr)
		}
	}
}

// A capture is known by its beginning, whatever it is called.
func TestWireDecodeKnowsACapture(t *testing.T) {
	empty := "\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + strings.Repeat("\x00", 8) + "\xff\xff\x00\x00\x01\x00\x00\x00"
	for _, args := range []string{"wire decode", "wire decode --as=pcap -"} {
		var stdout, stderr bytes.Buffer
		a := &app{Streams: Streams{In: strings.NewReader(empty), Out: &stdout, Err: &stderr}}
		code := a.run(t.Context(), strings.Fields(args))
		if want := "getcd: 0 packets, 0 connections of HTTP/2\n"; code != exit.OK || stdout.Len() > 0 || stderr.String() != want {
			t.Errorf("getcd %s: got exit status %d, stdout %q, stderr %q; want 0, none and %q", args, code, &stdout, &stderr, want)
		}
	}
}
