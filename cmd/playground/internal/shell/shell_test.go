package shell_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/playground/internal/shell"
	"github.com/getcd/getcd/integration/cluster"
)

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

// TestRun uses the cluster by what the screen says, while members fail and come back.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // much more than it takes
	defer cancel()
	keyboard, typing := io.Pipe()
	out, screen := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := shell.Run(ctx, keyboard, screen)
		_ = screen.Close() // has no error to return
		ended <- err
	}()
	lines := bufio.NewScanner(out)
	await := func(prefix string) string {
		t.Helper()
		for lines.Scan() {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), prefix); ok {
				return rest
			}
		}
		t.Fatalf("the screen ended without a line %q", prefix)
		return ""
	}

	members := await("export ETCDCTL_ENDPOINTS=")
	domain := await("export ETCDCTL_ENDPOINTS=")
	await("status")
	for _, endpoints := range [][]string{strings.Split(members, ","), {domain}} {
		c, err := client.New(client.Config{Endpoints: endpoints})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct{ command, want string }{
			{"kill 1", "m1: kill done"},
			{"status", "m1  " + strings.Split(members, ",")[0] + "  does not run"},
			{"heal 1", "m1: heal done"},
			{"pause 2", "m2: pause done"},
			{"heal 2", "m2: heal done"},
			{"cut 3", "m3: cut done"},
			{"hole 3", "m3: hole done"},
			{"heal 3", "m3: heal done"},
			{"heal 4", "heal takes the number of a member, 1 to 3"},
			{"kill", "kill takes the number of a member, 1 to 3"},
			{"burn 1", `unknown command "burn"; help lists them`},
		} {
			if _, err := fmt.Fprintln(typing, tt.command); err != nil {
				t.Fatal(err)
			}
			await(tt.want)
			if _, err := c.Get(ctx, "foo"); err != nil {
				t.Errorf("after %q: %v", tt.command, err)
			}
		}
		_ = c.Close() // has no error to return
	}
	if _, err := fmt.Fprintln(typing, "quit"); err != nil {
		t.Fatal(err)
	}
	await("stopping")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_ = typing.Close() // has no error to return
}
