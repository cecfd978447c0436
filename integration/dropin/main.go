package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/getcd/getcd/integration/dropin/internal/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dropin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("dropin", flag.ContinueOnError)
	output := flags.String("o", "", "the `file` to write, - for standard output; docs/reference/dropin.md if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := goList(ctx, ".", "{{.Dir}}", "github.com/getcd/getcd/integration")
	if err != nil {
		return err
	}
	version, err := goList(ctx, dir, "{{.Version}}", report.Theirs)
	if err != nil {
		return err
	}
	all, err := report.Compare(ctx, dir)
	if err != nil {
		return err
	}
	if *output == "-" {
		return report.Write(out, version, all)
	}
	if *output == "" {
		*output = filepath.Join(filepath.Dir(dir), "docs", "reference", "dropin.md")
	}
	f, err := os.Create(*output)
	if err != nil {
		return err
	}
	if err := report.Write(f, version, all); err != nil {
		_ = f.Close() // return the first error instead
		return err
	}
	c := report.Count(all, "*")
	if err := f.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d of %d names\n", c.Same(), c.Total())
	return err
}

// goList asks the go command about a module, as dir sees it.
func goList(ctx context.Context, dir, format, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", format, module)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}
