// Release packs the repository's modules as one version of each, in the layout that
// GOPROXY=file:// reads (https://go.dev/ref/mod#goproxy-protocol), and makes the tags
// that a repository needs for the go command to find the same.
//
//	release -version v0.1.0 -o dist/v0.1.0 [-tag]
//
// Between them the modules require exactly that version, and nothing is replaced:
// go install refuses a module with replacements. The work tree is not changed. In a
// go.mod file everything else stays, so what the modules require of others is what
// the tests ran with.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/getcd/getcd/tools/release/internal/modules"
	"github.com/getcd/getcd/tools/release/internal/source"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	version := flags.String("version", "", "the version, such as v0.1.0; the first heading of CHANGELOG.md must have it")
	out := flags.String("o", "", "the folder to write the modules to; it must not exist")
	commit := flags.String("commit", "", "what to release; without it HEAD, if the work tree is clean")
	tag := flags.Bool("tag", false, "commit the changed go.mod and go.sum files beside the branch, and tag that commit for each module")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *out == "":
		return errors.New("-o names no folder to write to")
	case !semver.IsValid(*version) || semver.Canonical(*version) != *version || semver.Prerelease(*version) != "":
		return fmt.Errorf("-version is %q, want one such as v0.1.0", *version)
	case semver.Major(*version) > "v1":
		return fmt.Errorf("-version is %s, but from v2 on a module's path has to end in /%[1]s (https://go.dev/ref/mod#major-version-suffixes)", semver.Major(*version))
	}
	repository, err := source.Root(ctx, ".")
	if err != nil {
		return err
	}
	if *commit == "" {
		changed, err := source.Git(ctx, repository, "status", "--porcelain")
		if err != nil {
			return err
		}
		if changed != "" {
			return fmt.Errorf("the work tree has changes that a release would not contain; commit them:\n%s", changed)
		}
		*commit = "HEAD"
	}
	tree, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tree)) }()
	if err := source.Extract(ctx, repository, *commit, tree); err != nil {
		return err
	}
	next, err := source.NextRelease(tree)
	if err != nil {
		return err
	}
	if next != *version {
		return fmt.Errorf("CHANGELOG.md begins with %q, not with %q: name the version there, and say what it brings", "## "+next, "## "+*version)
	}
	all, err := modules.Find(tree)
	if err != nil {
		return err
	}
	when, err := commitTime(ctx, repository, *commit)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(*out), 0o777); err != nil {
		return err
	}
	if err := os.Mkdir(*out, 0o777); err != nil {
		return err
	}
	p := packer{tree: tree, out: *out, version: *version, time: when, all: all, sums: map[*modules.Module]string{}}
	for _, m := range all {
		if err := p.pack(m); err != nil {
			return fmt.Errorf("%s: %w", m.Path(), err)
		}
	}
	return finish(ctx, repository, *commit, *tag, &p, all, stdout)
}

// finish makes the tags, if they are wanted, and says what there is now.
func finish(ctx context.Context, repository, commit string, tag bool, p *packer, all []*modules.Module, stdout io.Writer) error {
	var text strings.Builder
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.Tag(p.version)
		fmt.Fprintf(&text, "packed %s@%s\n", m.Path(), p.version)
	}
	if tag {
		made, err := tagAll(ctx, repository, commit, p, names)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "tagged %s; publish with: git push --atomic origin %s\n", made, strings.Join(names, " "))
	} else {
		fmt.Fprintf(&text, "tags to be made with -tag: %s\n", strings.Join(names, " "))
	}
	_, err := io.WriteString(stdout, text.String())
	return err
}

func commitTime(ctx context.Context, repository, commit string) (time.Time, error) {
	text, err := source.Git(ctx, repository, "show", "-s", "--format=%cI", commit+"^{commit}")
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, text)
	return t.UTC(), err
}
