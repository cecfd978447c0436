// Vulns runs govulncheck on the released modules: it fails if one of them calls a
// function that is known to be vulnerable. Modules that start servers, for tests and for
// the demo, are left out, since no program links them.
//
// It needs the Go vulnerability database. If that cannot be reached, nothing is checked;
// it says so, and does not fail, unless -require is set.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/vuln/scan"

	"github.com/getcd/getcd/tools/release/internal/modules"
	"github.com/getcd/getcd/tools/release/internal/source"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vulns:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("vulns", flag.ContinueOnError)
	db := flags.String("db", "https://vuln.go.dev", "the database's `URL`, as govulncheck takes it")
	required := flags.Bool("require", false, "fail if the database cannot be reached")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err := reach(ctx, *db); err != nil {
		if *required {
			return err
		}
		_, err = fmt.Fprintf(stdout, "vulns: skipped, NOTHING WAS CHECKED: %v\n", err)
		return err
	}
	root, err := source.Root(ctx, ".")
	if err != nil {
		return err
	}
	released, err := modules.Find(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range released {
		if !m.Promised() {
			continue
		}
		if _, err := fmt.Fprintf(stdout, "%s: ", m.Path()); err != nil {
			return err
		}
		cmd := scan.Command(ctx, "-C", filepath.Join(root, m.Dir), "-db", *db, "./...")
		cmd.Stdout = stdout
		cmd.Env = append(os.Environ(), "GOWORK=off") // with the versions that an importer gets
		err := cmd.Start()
		if err == nil {
			err = cmd.Wait()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Path(), err))
		}
	}
	return errors.Join(errs...)
}

// reach asks the database when it was last changed (https://go.dev/doc/security/vuln/database#api).
// Whatever fails after that is an error of the check.
func reach(ctx context.Context, db string) error {
	if strings.HasPrefix(db, "file://") {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	const failed = "the vulnerability database cannot be reached: %w"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, db+"/index/db.json", nil)
	if err != nil {
		return fmt.Errorf(failed, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf(failed, err)
	}
	if err := resp.Body.Close(); err != nil {
		return fmt.Errorf(failed, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf(failed, errors.New(resp.Status))
	}
	return nil
}
