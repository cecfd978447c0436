// Package modules knows which of the repository's modules are released.
package modules

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// unreleased are the folders whose modules no release contains, with all folders
// below them: examples are read, not installed.
var unreleased = []string{"examples", "tools"}

// unpromised are the folders of released modules that the promise in
// docs/reference/compatibility.md excludes: they start servers, for tests and for
// the demo, and no library links them.
var unpromised = []string{"integration", "cmd/playground"}

// A Module is a released one.
type Module struct {
	// Dir is its folder below the root, with slashes; "." is the root module.
	Dir  string
	File *modfile.File
	// Needs are the released modules that it requires, directly or not.
	Needs []*Module
}

// Path is the module's path.
func (m *Module) Path() string { return m.File.Module.Mod.Path }

// Tag is the name of the tag that the go command looks for when it wants the version
// from a repository (https://go.dev/ref/mod#vcs-version).
func (m *Module) Tag(version string) string { return path.Join(m.Dir, version) }

// Promised tells whether the module's API follows the compatibility promise.
func (m *Module) Promised() bool { return !within(m.Dir, unpromised) }

// Find returns the released modules below root, each one after those that it needs.
// A module that needs an unreleased one is an error, for nobody could install it.
func Find(root string) ([]*Module, error) {
	byPath := map[string]*Module{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(rel))
		switch {
		case d.IsDir() && rel != "." && (ignored(d.Name()) || within(filepath.ToSlash(rel), unreleased)):
			return fs.SkipDir
		case d.IsDir() || d.Name() != "go.mod":
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := modfile.Parse(path.Join(dir, "go.mod"), data, nil)
		if err != nil {
			return err
		}
		if file.Module == nil {
			return fmt.Errorf("%s/go.mod names no module", dir)
		}
		byPath[file.Module.Mod.Path] = &Module{Dir: dir, File: file}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rootModule := ""
	for p, m := range byPath {
		if m.Dir == "." {
			rootModule = p
		}
	}
	if rootModule == "" {
		return nil, fmt.Errorf("%s has no go.mod", root)
	}
	return sorted(byPath, rootModule)
}

// The go command ignores these folders, too; bin and dist are what make writes.
func ignored(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
		slices.Contains([]string{"testdata", "vendor", "bin", "dist"}, name)
}

func within(dir string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return dir == f || strings.HasPrefix(dir, f+"/") })
}

// sorted orders the modules by their needs, and otherwise by their paths.
func sorted(byPath map[string]*Module, root string) ([]*Module, error) {
	paths := make([]string, 0, len(byPath))
	for p := range byPath {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var order []*Module
	var visit func(m *Module, above []string) error
	visit = func(m *Module, above []string) error {
		if slices.Contains(order, m) {
			return nil
		}
		if slices.Contains(above, m.Path()) {
			return fmt.Errorf("modules require each other: %s", strings.Join(append(above, m.Path()), " → "))
		}
		above = append(above, m.Path())
		for _, r := range m.File.Require {
			if r.Mod.Path != root && !strings.HasPrefix(r.Mod.Path, root+"/") {
				continue
			}
			need := byPath[r.Mod.Path]
			if need == nil {
				return fmt.Errorf("%s requires %s, which is not released", m.Path(), r.Mod.Path)
			}
			if err := visit(need, above); err != nil {
				return err
			}
			for _, n := range append(slices.Clone(need.Needs), need) {
				if !slices.Contains(m.Needs, n) {
					m.Needs = append(m.Needs, n)
				}
			}
		}
		order = append(order, m)
		return nil
	}
	for _, p := range paths {
		if err := visit(byPath[p], nil); err != nil {
			return nil, err
		}
	}
	return order, nil
}
