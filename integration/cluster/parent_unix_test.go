//go:build unix

package cluster_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMembersDieWithTheirParent(t *testing.T) {
	modes := []string{"run"}
	if runtime.GOOS == "linux" {
		modes = append(modes, "pause")
	}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			parent := exec.CommandContext(t.Context(), os.Args[0])
			parent.Env = append(os.Environ(), parentEnv+"="+mode)
			stdout, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stdout).ReadString('\n')
			killed := parent.Process.Kill()
			_ = parent.Wait() // always an error: it was killed
			if err != nil || killed != nil {
				t.Fatal(err, killed)
			}
			fields := strings.Fields(line)
			if len(fields) != 5 || fields[0] != "pids" {
				t.Fatalf("the parent said %q", line)
			}
			if err := os.RemoveAll(fields[4]); err != nil {
				t.Log(err)
			}
			ctx := within(t, limit)
			for _, field := range fields[1:4] {
				pid, err := strconv.Atoi(field)
				if err != nil {
					t.Fatal(err)
				}
				for !gone(pid) {
					select {
					case <-ctx.Done():
						t.Fatalf("member %d lives %v after its parent died", pid, limit)
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
		})
	}
}

func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	// The process is dead, but init has not reaped it yet.
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestStartNeedsMain(t *testing.T) {
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), parentEnv+"=forgot")
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "call cluster.Main()") {
		t.Fatalf("got %q, %v, want the advice to call cluster.Main()", out, err)
	}
}
