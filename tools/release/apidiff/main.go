// Apidiff compares the API of the work tree with that of the last release, and fails if
// the next version, which is the first heading of CHANGELOG.md, may not change it so:
//
//	next version                  incompatible changes
//	Unreleased, or a patch        none
//	a minor version of v0         allowed: they are printed
//	a minor version from v1 on    none
//
// This is the promise of docs/reference/compatibility.md. It covers what can be imported:
// no commands, no internal packages, and not the modules that it excludes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"go/token"
	"go/types"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/exp/apidiff"
	"golang.org/x/mod/semver"
	"golang.org/x/tools/go/packages"

	"github.com/getcd/getcd/tools/release/internal/modules"
	"github.com/getcd/getcd/tools/release/internal/source"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	var report strings.Builder
	err := run(ctx, os.Args[1:], &report)
	cancel()
	_, printed := os.Stdout.WriteString(report.String())
	if err := errors.Join(err, printed); err != nil {
		fmt.Fprintln(os.Stderr, "apidiff:", err)
		os.Exit(1)
	}
}

// run writes to the report what has changed.
func run(ctx context.Context, args []string, report *strings.Builder) (err error) {
	if flags := flag.NewFlagSet("apidiff", flag.ContinueOnError); flags.Parse(args) != nil || flags.NArg() > 0 {
		return errors.New("takes no arguments")
	}
	root, err := source.Root(ctx, ".")
	if err != nil {
		return err
	}
	last, err := source.LastRelease(ctx, root)
	if err != nil {
		return err
	}
	if last == "" {
		fmt.Fprintln(report, "apidiff: no release yet: this repository has no tag such as v0.1.0, so there is nothing to compare with")
		return nil
	}
	next, err := source.NextRelease(root)
	if err != nil {
		return err
	}
	old, err := os.MkdirTemp("", "apidiff-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(old)) }()
	if err := source.Extract(ctx, root, last, old); err != nil {
		return err
	}
	broken, err := compare(ctx, old, root, report)
	switch {
	case err != nil:
		return err
	case len(broken) == 0:
		fmt.Fprintf(report, "apidiff: compatible with %s\n", last)
		return nil
	case mayBreak(last, next):
		fmt.Fprintf(report, "apidiff: not compatible with %s, as %s may be\n", last, next)
		return nil
	}
	return fmt.Errorf("%s: not compatible with %s, but CHANGELOG.md says that the next version is %s: undo the incompatible changes, or name a version there that may have them",
		strings.Join(broken, ", "), last, next)
}

// mayBreak tells whether programs that were built with the last release may fail with next.
func mayBreak(last, next string) bool {
	if !semver.IsValid(next) {
		return false // Unreleased: nobody has decided that it may
	}
	if semver.Major(last) == "v0" {
		return semver.MajorMinor(next) != semver.MajorMinor(last)
	}
	return semver.Major(next) != semver.Major(last)
}

// compare reports what has changed, and returns the modules that changed incompatibly.
func compare(ctx context.Context, old, root string, report *strings.Builder) ([]string, error) {
	before, err := modules.Find(old)
	if err != nil {
		return nil, err
	}
	after, err := modules.Find(root)
	if err != nil {
		return nil, err
	}
	var broken []string
	for _, m := range before {
		if !m.Promised() {
			continue
		}
		if !slices.ContainsFunc(after, func(n *modules.Module) bool { return n.Path() == m.Path() }) {
			fmt.Fprintf(report, "%s is no longer there\n", m.Path())
			broken = append(broken, m.Path())
			continue
		}
		was, err := load(ctx, filepath.Join(old, m.Dir), m.Path())
		if err != nil {
			return nil, fmt.Errorf("the last release: %w", err)
		}
		is, err := load(ctx, filepath.Join(root, m.Dir), m.Path())
		if err != nil {
			return nil, err
		}
		found := apidiff.ModuleChanges(was, is)
		if len(found.Changes) == 0 {
			continue
		}
		fmt.Fprintf(report, "%s\n", m.Path())
		if err := found.Text(report); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(found.Changes, func(c apidiff.Change) bool { return !c.Compatible }) {
			broken = append(broken, m.Path())
		}
	}
	return broken, nil
}

// load returns the packages of a module that others can import. The modules of the
// tree find each other by its go.work; in a tag's go.mod files nothing is replaced.
func load(ctx context.Context, dir, path string) (*apidiff.Module, error) {
	cfg := &packages.Config{
		Context: ctx, Dir: dir, Fset: token.NewFileSet(),
		Mode: packages.LoadTypes | packages.NeedDeps,
		Env:  append(os.Environ(), "GOWORK="), // as in the tree, and not as for this program
	}
	loaded, err := packages.Load(cfg, "./...")
	if err != nil {
		return nil, err
	}
	module := &apidiff.Module{Path: path}
	for _, p := range loaded {
		if len(p.Errors) > 0 {
			return nil, fmt.Errorf("%s: %w", p.PkgPath, p.Errors[0])
		}
		if p.Name != "main" && !internal(p.PkgPath) {
			module.Packages = append(module.Packages, p.Types)
		}
	}
	slices.SortFunc(module.Packages, func(a, b *types.Package) int { return strings.Compare(a.Path(), b.Path()) })
	return module, nil
}

func internal(path string) bool {
	return slices.Contains(strings.Split(path, "/"), "internal")
}
