// Package source reads the repository: its commits, its tags and its changelog.
package source

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"
)

// Git runs a command in the repository and returns its output without the last newline.
func Git(ctx context.Context, repository string, args ...string) (string, error) {
	return GitWith(ctx, repository, nil, nil, args...)
}

// GitWith is Git with standard input, and with more of an environment.
func GitWith(ctx context.Context, repository string, env []string, stdin []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = repository, append(os.Environ(), env...), bytes.NewReader(stdin)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// Root returns the root folder of the repository that has dir.
func Root(ctx context.Context, dir string) (string, error) {
	return Git(ctx, dir, "rev-parse", "--show-toplevel")
}

// Extract writes the files of a commit into dir.
func Extract(ctx context.Context, repository, commit, dir string) error {
	archive, err := Git(ctx, repository, "archive", "--format=tar", commit)
	if err != nil {
		return err
	}
	files := tar.NewReader(strings.NewReader(archive))
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(h.Name) {
			return fmt.Errorf("%s: %q leaves the folder", commit, h.Name)
		}
		name := filepath.Join(dir, filepath.FromSlash(h.Name))
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(name, 0o777)
		case tar.TypeReg:
			err = write(name, files, h.FileInfo().Mode().Perm())
		default: // the archive's own comment; links, which a module's zip cannot have either
		}
		if err != nil {
			return err
		}
	}
}

func write(name string, from io.Reader, perm os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// LastRelease returns the newest tag of the root module that is no pre-release, or "".
func LastRelease(ctx context.Context, repository string) (string, error) {
	tags, err := Git(ctx, repository, "tag", "--list", "v*")
	if err != nil {
		return "", err
	}
	last := ""
	for tag := range strings.FieldsSeq(tags) {
		if semver.Canonical(tag) == tag && semver.Prerelease(tag) == "" && semver.Compare(tag, last) > 0 {
			last = tag
		}
	}
	return last, nil
}

var heading = regexp.MustCompile(`(?m)^## (\S+)`)

// NextRelease returns the first heading of the changelog in dir: the version that will
// be released next, or Unreleased while nobody has decided on it.
func NextRelease(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	found := heading.FindSubmatch(text)
	if found == nil {
		return "", errors.New(`CHANGELOG.md has no heading such as "## v0.1.0"`)
	}
	return string(found[1]), nil
}
