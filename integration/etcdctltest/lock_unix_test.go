//go:build unix

package etcdctltest

import (
	"bufio"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/getcd/getcd/integration/cluster"
)

// A tool that was stopped for longer than its lease lives stops its command when it
// goes on: by then somebody else may hold the lock.
func TestLockStopsItsCommandAfterASuspension(t *testing.T) {
	b := newBench(t, cluster.Config{Size: 1})
	const script = `trap 'echo told; exit 0' TERM; echo on; while :; do sleep 0.01; done`
	cmd := command(t.Context(), b.getcd, at(words("lock", "--ttl=1", "resource", "--", "sh", "-c", script)), strings.NewReplacer(b.vars...))
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "on\n" {
		t.Fatalf("the command has said %q (%v)", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		r, err := b.kv.Range(t.Context(), &pb.RangeRequest{Key: []byte("resource/"), RangeEnd: []byte("resource0")})
		if err == nil && len(r.GetKvs()) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the lease lives on: %v, %v", r, err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil || string(rest) != "told\n" {
		t.Errorf("the command has said %q (%v), want that it was told", rest, err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "the command is stopped, since the lock was lost") {
		t.Errorf("got %v and %s, want status 1, and why", err, &said)
	}
}
