//go:build unix

package coordination_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/integration/cluster"
)

// A holder is frozen, while clocks run on, until others have its locks.
// Afterwards it knows that without asking anybody; its writes with its old guards
// are refused, and its Unlock does not release the others' locks.
func TestFrozenHolder(t *testing.T) {
	c := startCluster(t, cluster.Config{})
	ctx := timeout(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(ctx, self)
	child.Env = append(os.Environ(), holderEnv+"="+strings.Join(c.Endpoints(), ","))
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the holder said %q (%v), want held", line, err)
	}
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}

	cl := dial(t, c.Endpoints()...)
	f, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	owners := make(map[string]owner)
	for _, kind := range kinds {
		// They live longer than the frozen one's: a busy machine may not renew them in time.
		if owners[kind], err = acquire(ctx, cl, f, kind, 20*time.Second); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
	}
	if _, err := in.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	var verdicts map[string]findings
	if err := json.NewDecoder(lines).Decode(&verdicts); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
	for _, kind := range kinds {
		v := verdicts[kind]
		if v.Err == "" {
			t.Errorf("%s: the frozen holder believed to hold it when another one did", kind)
		}
		if v.Wrote {
			t.Errorf("%s: the frozen holder's guarded write was accepted", kind)
		}
		if !v.Typed {
			t.Errorf("%s: the frozen holder's Unlock returned %q", kind, v.Unlock)
		}
		o := owners[kind]
		resp, err := cl.Txn(ctx).If(o.guard()).Commit()
		if err != nil || !resp.Succeeded || o.err() != nil {
			t.Errorf("%s: the new holder holds it no more, after the frozen one's Unlock: %v, %v", kind, err, o.err())
		}
		if err := o.unlock(ctx); err != nil {
			t.Errorf("%s: Unlock: %v", kind, err)
		}
	}
}
