package output_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"

	"github.com/getcd/getcd/cmd/getcd/internal/output"
)

// TestTable compares the tables with those of the package that etcdctl uses.
func TestTable(t *testing.T) {
	for _, errors := range [][]string{
		nil,
		{""},
		{"down"},
		{"context deadline exceeded", "x", ""},
		{"two\nlines", " spaces ", "a\ttab", "a  b"},
		{"日本", "é", "e\u0301", "👩‍👩‍👧", "\xff"},
		{strings.Repeat("long ", 100)},
		{"\r\nx", "one\n\nthree", "x\n", "  a\n  b  "},
	} {
		var (
			health []output.EndpointHealth
			rows   [][]string
		)
		for _, e := range errors {
			health = append(health, output.EndpointHealth{Endpoint: "127.0.0.1:2379", Took: "1ms", Error: e})
			rows = append(rows, []string{"127.0.0.1:2379", "false", "1ms", e})
		}
		var got, want bytes.Buffer
		p, err := output.New(output.Options{Format: "table", Out: &got})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.EndpointHealth(health); err != nil {
			t.Fatal(err)
		}
		table := tablewriter.NewTable(&want, tablewriter.WithConfig(tablewriter.NewConfigBuilder().WithRowAlignment(tw.AlignRight).Build()))
		table.Header([]string{"endpoint", "health", "took", "error"})
		if err := table.Bulk(rows); err != nil {
			t.Fatal(err)
		}
		if err := table.Render(); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("%q: got\n%swant\n%s", errors, &got, &want)
		}
	}
}
