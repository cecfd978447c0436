package etcdctltest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/cluster"
)

// With --trace, stdout and the exit status are the same as without it.
func TestTraceLeavesTheOutputAlone(t *testing.T) {
	b := newBench(t, cluster.Config{Size: 1})
	for _, i := range []invocation{
		at(sh("put foo bar")), at(sh("get foo -w json")), at(sh("get foo --prefix")), at(sh("member list")), at(sh("endpoint health")),
		at(sh("txn")).in("\n\nput foo bar\n\n\n"), at(sh("lock resource true")), at(sh("watch foo --rev=2")).interrupted(), at(sh("lease revoke 1")),
	} {
		plain := b.getcdRun(t, i)
		for _, format := range []string{"--trace", "--trace=messages", "--trace=json", "--trace=curl", "--trace=grpcurl"} {
			traced := i
			traced.args = append([]string{format}, i.args...)
			got := b.getcdRun(t, traced)
			if got.code != plain.code || len(strings.Split(got.stdout, "\n")) != len(strings.Split(plain.stdout, "\n")) {
				t.Errorf("%v: got exit status %d and stdout %q, want %d and %q", traced, got.code, got.stdout, plain.code, plain.stdout)
			}
			if len(got.stderr) <= len(plain.stderr) {
				t.Errorf("%v: there is no trace in stderr: %q", traced, got.stderr)
			}
		}
	}
	r := b.getcdRun(t, at(sh("--trace put foo bar")))
	for _, want := range []string{"connection preface", "SETTINGS", ":path: /etcdserverpb.KV/Put", `key: "foo"  @0  1 LEN`, "grpc-status: 0"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("the trace of a put lacks %q:\n%s", want, r.stderr)
		}
	}
	if r := b.getcdRun(t, at(sh("--trace=xml get foo"))); r.code == 0 || !strings.Contains(r.stderr, `bad value "xml" for --trace`) {
		t.Errorf("an unknown format: got exit status %d, %s", r.code, r.stderr)
	}
}

// The lines of --trace=curl and --trace=grpcurl do the same as the command when
// pasted into a shell.
func TestTracedCommandsWorkWhenPasted(t *testing.T) {
	plain := newBench(t, cluster.Config{Size: 1})
	secure, files := newSecureBench(t)
	for what, b := range map[string]*bench{"plain": plain, "TLS": secure} {
		t.Run(what, func(t *testing.T) {
			flags := "--endpoints ‹ep0› "
			if b == secure {
				flags = "--endpoints https://‹ep0› --cacert " + files.CA + " --cert " + files.Cert + " --key " + files.Key + " "
			}
			for _, tt := range []struct{ command, want string }{
				{"put foo bar", `"revision"`},
				{"get foo", `"value":"YmFy"`},
				{"get foo --prefix", `"value":"YmFy"`},
				{"del none", `"header"`},
				{"lease list", `"header"`},
				{"member list", `"members"`},
			} {
				for _, program := range []string{"curl", "grpcurl"} {
					r := b.getcdRun(t, sh(flags+"--trace="+program+" "+tt.command))
					lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
					if r.code != 0 || len(lines) != 1 {
						t.Fatalf("%s: got exit status %d and %q, want one line", tt.command, r.code, lines)
					}
					if _, err := exec.LookPath(program); err != nil {
						t.Logf("NOT TRIED, since there is no %s here: %s", program, lines[0])
						continue
					}
					got := paste(t, filepath.Dir(b.getcd), lines[0])
					if !strings.Contains(strings.ReplaceAll(got, " ", ""), tt.want) {
						t.Errorf("%s\ngot %s\nwant in it %s", lines[0], got, tt.want)
					}
				}
			}
		})
	}
}

// paste runs a line in a shell that finds the tools.
func paste(t *testing.T, dir, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s\n%v: %s", line, err, out)
	}
	return string(out)
}
