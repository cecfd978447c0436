package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/getcd/getcd/tools/release/internal/source"
)

// tagAll commits what the packer changed, as a child of commit that is on no branch,
// and gives it all the names, or none if one of them exists. It returns the commit.
func tagAll(ctx context.Context, repository, commit string, p *packer, names []string) (_ string, err error) {
	dir, err := os.MkdirTemp("", "release-index-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(dir, "index")} // not the user's
	git := func(stdin string, args ...string) (string, error) {
		return source.GitWith(ctx, repository, env, []byte(stdin), args...)
	}
	if _, err := git("", "read-tree", commit); err != nil {
		return "", err
	}
	for _, name := range p.changed {
		data, err := os.ReadFile(filepath.Join(p.tree, filepath.FromSlash(name)))
		if err != nil {
			return "", err
		}
		object, err := git(string(data), "hash-object", "-w", "--stdin")
		if err != nil {
			return "", err
		}
		if _, err := git("", "update-index", "--add", "--cacheinfo", "100644,"+object+","+name); err != nil {
			return "", err
		}
	}
	tree, err := git("", "write-tree")
	if err != nil {
		return "", err
	}
	parent, err := git("", "rev-parse", commit+"^{commit}")
	if err != nil {
		return "", err
	}
	made, err := git("", "commit-tree", tree, "-p", parent, "-m", "Release "+p.version)
	if err != nil {
		return "", err
	}
	var refs strings.Builder
	for _, name := range names {
		refs.WriteString("create refs/tags/" + name + " " + made + "\n")
	}
	_, err = git(refs.String(), "update-ref", "--stdin") // one transaction
	return made, err
}
