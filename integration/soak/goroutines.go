package main

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// settleTime is how long goroutines may take to end after their owner was closed.
const settleTime = 20 * time.Second

// stacks returns the stacks of all goroutines, except those of the cluster, its
// proxy and its links, which come and go with connections.
func stacks() []string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	var found []string
	for s := range bytes.SplitSeq(buf, []byte("\n\n")) {
		stack := string(s)
		if !strings.Contains(stack, "/integration/proxy.") && !strings.Contains(stack, "/integration/cluster.") && !strings.Contains(stack, "/integration/grpcproxy.") && !strings.Contains(stack, "/integration/frontproxy.") {
			found = append(found, stack)
		}
	}
	return found
}

// leaked waits until there are no more goroutines than before. If that takes too
// long, the error has their stacks.
func leaked(before int) error {
	deadline := time.Now().Add(settleTime)
	for {
		now := stacks()
		if len(now) <= before {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d goroutines, %d before:\n%s", len(now), before, strings.Join(now, "\n\n"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}
