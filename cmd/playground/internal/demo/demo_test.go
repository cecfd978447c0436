package demo_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/playground/internal/demo"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/kv"
)

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

func run(t *testing.T, o demo.Options) (passed int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out bytes.Buffer
	o.Out = &out
	passed, failed, err := demo.Run(ctx, o)
	if err != nil || failed > 0 {
		t.Errorf("%d steps failed, error %v:\n%s", failed, err, out.String())
	}
	return passed, out.String()
}

func TestOwnCluster(t *testing.T) {
	passed, output := run(t, demo.Options{})
	if passed < 8 {
		t.Errorf("%d steps passed, want 8 at least", passed)
	}
	if want := " passed, 0 failed\n"; !strings.HasSuffix(output, want) {
		t.Errorf("the output does not end with %q:\n%s", want, output)
	}
}

func TestUsersCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // more than the demo may take
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Config{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	dial := func(ctx context.Context) (*client.Client, error) {
		return client.Dial(ctx, client.Config{Endpoints: c.Endpoints()})
	}
	// No client of the test lives while the demo runs: the demo would take a connection
	// that such a client makes meanwhile for a leak of its own.
	do := func(op kv.Op) kv.OpResponse {
		t.Helper()
		user, err := dial(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer user.Close()
		resp, err := user.Do(ctx, op)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	do(kv.OpPut("foo", "the user's"))
	if passed, output := run(t, demo.Options{Dial: dial}); passed < 6 || !strings.Contains(output, "skipped") {
		t.Errorf("%d steps passed, want 6 at least, and some skipped:\n%s", passed, output)
	}
	all := do(kv.OpGet("", kv.WithPrefix())).Get()
	if len(all.Kvs) != 1 || string(all.Kvs[0].Value) != "the user's" {
		t.Errorf("the demo left the cluster with %v, want the user's key alone", all.Kvs)
	}
}
