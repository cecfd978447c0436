package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// say prints to w. It ignores errors, since there is nowhere to report them.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// table writes one row for each server.
func table(w io.Writer, results []*result) {
	say(w, "| etcd | passed | failed | skipped | took |\n")
	say(w, "|---|---|---|---|---|\n")
	for _, r := range results {
		say(w, "| %s | %d | %d | %d | %v |\n", r.version, r.passed, len(r.failed), len(r.skipped), r.took)
	}
}

// writePage writes the results as Markdown.
func writePage(path string, results []*result) error {
	var b bytes.Buffer
	b.WriteString(`# Versions of etcd

Results of the integration suite on each version of etcd; written by ` + "`make versions`" + `
(integration/versions). Each member is a process of the etcd named, and is killed, stopped,
cut off and moved like the built-in one. A test with subtests counts as one, and so does each
of its subtests.

`)
	table(&b, results)
	first := results[0]
	fmt.Fprintf(&b, "\nPackages: %s. Run on %s, %s/%s, %d CPUs, %s.\n",
		"`"+strings.Join(first.packages, "`, `")+"`", first.started.UTC().Format("2006-01-02"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	list := func(title string, of func(*result) []outcome) {
		fmt.Fprintf(&b, "\n## %s\n", title)
		none := true
		for _, r := range results {
			if len(of(r)) == 0 {
				continue
			}
			none = false
			fmt.Fprintf(&b, "\n### etcd %s\n\n| test | reason |\n|---|---|\n", r.version)
			for _, o := range of(r) {
				fmt.Fprintf(&b, "| %s | %s |\n", o.name, strings.ReplaceAll(o.why, "|", `\|`))
			}
		}
		if none {
			b.WriteString("\nNone.\n")
		}
	}
	list("Skipped", func(r *result) []outcome { return r.skipped })
	list("Failed", func(r *result) []outcome { return r.failed })
	b.WriteString(`
## How to run it

    make versions                  # all of them, one after the other
    make versions VERSIONS="3.5"   # one of them
    GETCD_ETCD=/path/to/etcd go test ./integration -run TestStalls -v

` + "`make versions`" + ` builds the others from the module proxy (tools/etcd35 and so on), takes 3.4
from Debian's package etcd-server without installing it, and has the latest one built in. To
use another binary for 3.4, put it at bin/etcd-3.4.
`)
	return os.WriteFile(path, b.Bytes(), 0o600)
}
