package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"

	"github.com/getcd/getcd/tools/release/internal/modules"
)

// packer packs one module after the other; each one's go.sum needs the sums of
// those that were packed before it.
type packer struct {
	tree    string // a copy of the files, which the packer changes
	out     string
	version string
	time    time.Time
	all     []*modules.Module
	sums    map[*modules.Module]string // lines for go.sum
	changed []string                   // files in tree, with slashes
}

func (p *packer) pack(m *modules.Module) error {
	dir := filepath.Join(p.tree, filepath.FromSlash(m.Dir))
	mod, err := p.requireVersion(m)
	if err != nil {
		return err
	}
	if err := p.write(path.Join(m.Dir, "go.mod"), mod); err != nil {
		return err
	}
	if err := p.addSums(m); err != nil {
		return err
	}
	if err := p.addLicense(dir); err != nil {
		return err
	}
	escaped, err := module.EscapePath(m.Path())
	if err != nil {
		return err
	}
	to := filepath.Join(p.out, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{p.version, p.time})
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{"list": []byte(p.version + "\n"), p.version + ".info": info, p.version + ".mod": mod} {
		if err := os.WriteFile(filepath.Join(to, name), data, 0o666); err != nil {
			return err
		}
	}
	archive := filepath.Join(to, p.version+".zip")
	if err := createZip(archive, module.Version{Path: m.Path(), Version: p.version}, dir); err != nil {
		return err
	}
	return p.sum(m, archive, mod)
}

// requireVersion returns the module's go.mod with the version of each of ours, and
// without their replacements. What is left must be what go install takes.
func (p *packer) requireVersion(m *modules.Module) ([]byte, error) {
	f := m.File
	for _, need := range m.Needs {
		if slices.ContainsFunc(f.Require, func(r *modfile.Require) bool { return r.Mod.Path == need.Path() }) {
			if err := f.AddRequire(need.Path(), p.version); err != nil {
				return nil, err
			}
		}
	}
	for _, one := range p.all { // also what is not required, as of a module's other requirements
		if err := f.DropReplace(one.Path(), ""); err != nil {
			return nil, err
		}
	}
	f.Cleanup()
	if len(f.Replace) > 0 {
		return nil, fmt.Errorf("go.mod replaces %s: go install would refuse the module", f.Replace[0].Old.Path)
	}
	if len(f.Exclude) > 0 {
		return nil, fmt.Errorf("go.mod excludes %s: go install would refuse the module", f.Exclude[0].Mod)
	}
	return f.Format()
}

// addSums adds the sums of the modules that m needs to its go.sum.
func (p *packer) addSums(m *modules.Module) error {
	if len(m.Needs) == 0 {
		return nil
	}
	name := path.Join(m.Dir, "go.sum")
	data, err := os.ReadFile(filepath.Join(p.tree, filepath.FromSlash(name)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	lines := slices.Collect(strings.Lines(string(data)))
	for _, need := range m.Needs {
		lines = append(lines, slices.Collect(strings.Lines(p.sums[need]))...)
	}
	slices.SortStableFunc(lines, func(a, b string) int { // by path, as the go command does
		a, _, _ = strings.Cut(a, " ")
		b, _, _ = strings.Cut(b, " ")
		return cmp.Compare(a, b)
	})
	return p.write(name, []byte(strings.Join(lines, "")))
}

// addLicense copies the root's license into a module that has none of its own. The go
// command does it, too, when it makes a zip from a repository (modfetch/coderepo.go,
// codeRepo.Zip), so the zips are the same.
func (p *packer) addLicense(dir string) error {
	to := filepath.Join(dir, "LICENSE")
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(p.tree, "LICENSE"))
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o666)
}

func (p *packer) write(name string, data []byte) error {
	p.changed = append(p.changed, name)
	return os.WriteFile(filepath.Join(p.tree, filepath.FromSlash(name)), data, 0o666)
}

// sum keeps the module's two lines of go.sum.
func (p *packer) sum(m *modules.Module, archive string, mod []byte) error {
	all, err := dirhash.HashZip(archive, dirhash.Hash1)
	if err != nil {
		return err
	}
	one, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(string(mod))), nil
	})
	if err != nil {
		return err
	}
	p.sums[m] = fmt.Sprintf("%s %s %s\n%[1]s %[2]s/go.mod %[4]s\n", m.Path(), p.version, all, one)
	return nil
}

func createZip(name string, m module.Version, dir string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(zip.CreateFromDir(f, m, dir), f.Close())
}
