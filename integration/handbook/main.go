package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"

	"github.com/getcd/getcd/integration/cluster"
)

func main() {
	cluster.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "handbook:", err)
		os.Exit(1)
	}
}

// run writes the pages, or those that args name.
func run(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("handbook", flag.ContinueOnError)
	check := fs.Bool("check", false, "write nothing; fail when a page is not what it should be")
	curl := fs.Bool("curl", false, "make the gateway's calls with curl instead of net/http")
	if err := fs.Parse(args); err != nil {
		return err
	}
	b, err := newBook(ctx, *curl)
	if err != nil {
		return err
	}
	pages, err := b.render(ctx, fs.Args()...)
	if err != nil {
		return err
	}
	dir := filepath.Join(b.root, "docs", "protocol")
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		path := filepath.Join(dir, name)
		old, _ := os.ReadFile(path) // a new page has none
		switch {
		case bytes.Equal(old, pages[name]):
		case *check:
			return fmt.Errorf("%s: %s", path, firstDifference(old, pages[name]))
		default:
			if err := os.WriteFile(path, pages[name], 0o644); err != nil { //nolint:gosec // a page is for everybody
				return err
			}
			fmt.Fprintln(os.Stderr, "wrote", path)
		}
	}
	return nil
}

// firstDifference shows where two pages part.
func firstDifference(got, want []byte) string {
	a, b := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			return fmt.Sprintf("line %d is\n%s\nand live calls say\n%s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, and live calls make %d", len(a), len(b))
}
