// Licenses checks that everything that the released modules' packages link, on each
// system, is under a license that it knows and that the list allows, and prints how
// many modules have which. Whoever links getcd gets all these licenses with it.
//
// It reads the license files beside each package, from its folder up to the root of
// its module. Each such file has to be one of the known licenses.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/getcd/getcd/tools/release/internal/modules"
	"github.com/getcd/getcd/tools/release/internal/source"
)

// The systems whose packages are looked at: a dependency may be for one of them alone.
var systems = []string{"linux", "darwin", "windows"}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if flags := flag.NewFlagSet("licenses", flag.ContinueOnError); flags.Parse(args) != nil || flags.NArg() > 0 {
		return errors.New("takes no arguments")
	}
	root, err := source.Root(ctx, ".")
	if err != nil {
		return err
	}
	released, err := modules.Find(root)
	if err != nil {
		return err
	}
	linked := map[string][]string{} // folders of packages by module
	roots := map[string]string{}
	for _, m := range released {
		for _, system := range systems {
			packages, err := list(ctx, filepath.Join(root, m.Dir), system)
			if err != nil {
				return err
			}
			for _, p := range packages {
				if p.Module == nil || slices.ContainsFunc(released, func(r *modules.Module) bool { return r.Path() == p.Module.Path }) {
					continue // the standard library, and ourselves
				}
				name := p.Module.Path + "@" + p.Module.Version
				roots[name] = p.Module.Dir
				if !slices.Contains(linked[name], p.Dir) {
					linked[name] = append(linked[name], p.Dir)
				}
			}
		}
	}
	return check(linked, roots, stdout)
}

// check prints a table, and returns an error for each module that is not allowed.
func check(linked map[string][]string, roots map[string]string, stdout io.Writer) error {
	count := map[string]int{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(linked)) {
		found, err := licensesOf(roots[name], linked[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		count[strings.Join(found, " and ")]++
	}
	var table strings.Builder
	for _, l := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&table, "%3d modules: %s\n", count[l], l)
	}
	_, err := io.WriteString(stdout, table.String())
	return errors.Join(append(errs, err)...)
}

type listed struct {
	Dir    string
	Module *struct{ Path, Version, Dir string }
}

// list lists the packages that those of the module in dir link.
func list(ctx context.Context, dir, system string) ([]listed, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Module", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOARCH=amd64", "GOOS="+system)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w\n%s", dir, err, stderr.Bytes())
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

// The names that license files have: pkg.go.dev/license-policy lists them.
var fileName = regexp.MustCompile(`(?i)^(un)?licen[cs]e|^copying|^mit-licen[cs]e`)

// licensesOf returns the licenses of the packages in folders of the module in root.
func licensesOf(root string, folders []string) ([]string, error) {
	seen := map[string]bool{}
	found := map[string]bool{}
	for _, folder := range folders {
		for dir := folder; !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			entries, err := os.ReadDir(dir)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if e.IsDir() || !fileName.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
					continue
				}
				text, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					return nil, err
				}
				names, err := identify(string(text))
				if err != nil {
					return nil, fmt.Errorf("%s: %w", e.Name(), err)
				}
				for _, n := range names {
					found[n] = true
				}
			}
			if dir == root {
				break
			}
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no license file")
	}
	return slices.Sorted(maps.Keys(found)), nil
}
