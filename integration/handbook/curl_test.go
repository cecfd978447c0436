package main

import (
	"strings"
	"testing"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/wire"
)

// The command lines of the pages are those that `getcd --trace=curl` prints.
func TestCommandLinesAreThoseOfTheTracer(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a cluster")
	}
	p := &page{book: &book{}, name: "test", scene: scene{ctx: t.Context()}}
	t.Cleanup(func() {
		if err := p.end(); err != nil {
			t.Error(err)
		}
	})
	if err := p.begin(cluster.Config{Size: 1}); err != nil {
		t.Fatal(err)
	}
	p.header("token", "a.1")
	for _, c := range []struct{ method, request string }{
		{"KV/Put", `key:"foo" value:"it's"`},
		{"KV/Range", `key:"foo" range_end:"\x00" sort_order:DESCEND limit:3`},
		{"KV/Txn", `compare:{target:MOD key:"foo" mod_revision:3} success:{request_put:{key:"foo"}}`},
		{"Lease/LeaseGrant", `ID:1000 TTL:60`},
		{"Auth/AuthStatus", ``},
	} {
		a, err := p.invoke(c.method, c.request, wire.Options{Format: wire.Curl, Secrets: true})
		if err != nil {
			t.Fatal(err)
		}
		m, err := findMethod(c.method)
		if err != nil {
			t.Fatal(err)
		}
		x, err := p.exchange(m, httpPaths(m)[0], c.request)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSpace(a.trace); x.line != want {
			t.Errorf("%s: the page has\n%s\nand the tracer\n%s", c.method, x.line, want)
		}
	}
}
