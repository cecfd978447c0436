package etcdtest_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
)

// failing is a test that notes why it failed.
type failing struct{ why string }

func (f *failing) Helper()        {}
func (f *failing) Cleanup(func()) {}
func (f *failing) Fatalf(format string, args ...any) {
	f.why = fmt.Sprintf(format, args...)
	panic(f) // as FailNow, it does not return
}

func TestMisuse(t *testing.T) {
	c := etcdtest.Start(t, 1)
	other := etcdtest.Start(t, 1)
	for want, call := range map[string]func(tb etcdtest.TB){
		"Start: 0 members: a cluster has at least one":       func(tb etcdtest.TB) { etcdtest.Start(tb, 0) },
		"Start: server option 2 of 2 is nil":                 func(tb etcdtest.TB) { etcdtest.Start(tb, 1, grpc.MaxRecvMsgSize(1), nil) },
		"NewCluster: -1 members: a cluster has at least one": func(etcdtest.TB) { etcdtest.NewCluster(-1) },
		"Elect: not a member":                                func(etcdtest.TB) { c.Elect(nil) },
		"Elect: not a member of this cluster":                func(etcdtest.TB) { c.Elect(other.Member(0)) },
		"Restore: the backup is nil":                         func(etcdtest.TB) { c.Restore(nil) },
	} {
		if got := misused(call); !strings.HasPrefix(got, "etcdtest: "+want) {
			t.Errorf("got %q, want etcdtest: %s", got, want)
		}
	}
}

// misused returns what a call has failed its test or panicked with.
func misused(call func(etcdtest.TB)) (said string) {
	tb := &failing{}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *failing:
			said = p.why
		default:
			said = fmt.Sprint(p)
		}
	}()
	call(tb)
	return ""
}
