package cluster_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
)

// parentEnv turns this test program into a parent of members, for
// TestMembersDieWithTheirParent ("run", "pause"), or into a program that forgot
// to call Main ("forgot").
const parentEnv = "GETCD_CLUSTER_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentEnv) == "forgot" {
		_, err := cluster.Start(timeout(time.Second), cluster.Config{})
		say(err)
		os.Exit(0)
	}
	cluster.Main()
	if os.Getenv(parentEnv) != "" {
		runParent()
	}
	goleak.VerifyTestMain(m)
}

// runParent starts a cluster, prints its members' PIDs and its directory, and
// waits to be killed.
func runParent() {
	c, err := cluster.Start(timeout(30*time.Second), fast())
	if err != nil {
		say("error:", err)
		os.Exit(1)
	}
	m := c.Members()
	if os.Getenv(parentEnv) == "pause" {
		if err := m[1].Pause(); err != nil {
			say("error:", err)
			os.Exit(1)
		}
	}
	say("pids", m[0].PID(), m[1].PID(), m[2].PID(), c.Dir())
	select {}
}

// say sends words to the test that started this program.
func say(words ...any) { _, _ = fmt.Fprintln(os.Stdout, words...) }

// timeout returns a context for a program that is about to end anyway.
func timeout(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	time.AfterFunc(d, cancel)
	return ctx
}
