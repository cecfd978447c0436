package release

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/internal/page"
)

const own = "github.com/getcd/getcd"

// A release installs for a stranger: the tool, the README's programs, the documentation,
// and a program that was written for clientv3.
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles everything anew, for two minutes")
	}
	clone, packed, version := pack(t)
	c, err := cluster.Start(t.Context(), cluster.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := newStranger(t, packed)
	all := found(t, clone)
	t.Run("tool", func(t *testing.T) { tool(t, s.in(t), version, c) })
	t.Run("README", func(t *testing.T) { readme(t, s.in(t), clone, c) })
	t.Run("doc", func(t *testing.T) { documentation(t, s.in(t)) })
	t.Run("moved", func(t *testing.T) { moved(t, s.in(t), clone, c) })
	t.Run("modules", func(t *testing.T) { complete(t, s.in(t), all, version) })
	t.Run("tags", func(t *testing.T) { tagged(t, s.in(t), all, clone, version) })
}

// ready waits for members that have had no leader while everything was compiled. The
// programs give up after some seconds.
func ready(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	if err := c.WaitHealthy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// go install installs the tool, which knows its version.
func tool(t *testing.T, s *stranger, version string, c *cluster.Cluster) {
	t.Helper()
	s.run(t.TempDir(), "go", "install", own+"/cmd/getcd@"+version)
	getcd := filepath.Join(s.bin, "getcd")
	if out := s.run(".", getcd, "version"); !strings.Contains(out, version) {
		t.Errorf("getcd version does not tell %s:\n%s", version, out)
	}
	ready(t, c)
	if out := s.run(".", getcd, "--endpoints", strings.Join(c.Endpoints(), ","), "put", "from", "the tool"); out != "OK\n" {
		t.Errorf("getcd put: %q", out)
	}
}

// The README's programs build in an empty module after the README's command, and run.
func readme(t *testing.T, s *stranger, clone string, c *cluster.Cluster) {
	t.Helper()
	text := read(t, filepath.Join(clone, "README.md"))
	get, err := page.Command(text, "go get ")
	if err != nil {
		t.Fatal(err)
	}
	programs := page.Programs(text)
	if len(programs) == 0 {
		t.Fatal("the README has no program")
	}
	for i, program := range programs {
		const documented = `"localhost:2379"`
		if !strings.Contains(program, documented) {
			t.Errorf("program %d of the README does not connect to %s", i+1, documented)
			continue
		}
		dir := s.module(map[string]string{"main.go": strings.ReplaceAll(program, documented, `"`+c.Endpoints()[0]+`"`)})
		s.run(dir, "sh", "-ec", get+"\ngo build -o program .")
		ready(t, c)
		var want []string
		if i == 0 { // it watches the key until it is stopped
			want = []string{"hello at revision", "PUT hello"}
		}
		runs(t, filepath.Join(dir, "program"), want)
	}
}

// runs runs a program. If lines are wanted, it must print lines that begin with these,
// and is stopped then; else it must end by itself, and well.
func runs(t *testing.T, program string, want []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for _, w := range want {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), w) {
			t.Errorf("printed %q, want %q\n%s", lines.Text(), w, stderr.Bytes())
		}
	}
	if want != nil {
		cancel()
		if err := cmd.Wait(); err == nil {
			t.Error("it ended by itself")
		}
		return
	}
	for lines.Scan() {
		t.Log(lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, stderr.Bytes())
	}
}

// go doc documents what go get has fetched.
func documentation(t *testing.T, s *stranger) {
	t.Helper()
	dir := s.module(nil)
	s.run(dir, "go", "get", own)
	for name, want := range map[string]string{
		own:                     "package getcd",
		own + "/client":         "package client",
		own + "/client.Config":  "Endpoints",
		own + "/kv.OpPut":       "func OpPut(",
		own + "/lock.Mutex.Txn": "func (m *Mutex) Txn(",
		own + "/clientv3.New":   "func New(",
	} {
		if out := s.run(dir, "go", "doc", name); !strings.Contains(out, want) {
			t.Errorf("go doc %s does not tell %q:\n%s", name, want, out)
		}
	}
}

// Programs that use clientv3 are moved by the documented commands, and print the same.
func moved(t *testing.T, s *stranger, clone string, c *cluster.Cluster) {
	t.Helper()
	guide := read(t, documented(t, clone, "from-clientv3.md"))
	sources := filepath.Join(clone, "integration", "dropin", "programs")
	files := map[string]string{}
	names, err := filepath.Glob(filepath.Join(sources, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			files[filepath.Base(name)] = read(t, name)
		}
	}
	dir := s.module(files)
	versions := command(t, sources, nil, "go", "list", "-m", "-f", "{{.Path}}@{{.Version}}",
		"go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/client/pkg/v3", "go.etcd.io/etcd/api/v3", "google.golang.org/grpc")
	s.run(dir, "go", append([]string{"get"}, strings.Fields(versions)...)...)
	s.run(dir, "go", "build", "-mod=mod", "-o", "before", ".")
	var commands []string
	for _, words := range []string{"go get ", "grep -rlZ "} {
		c, err := page.Command(guide, words)
		if err != nil {
			t.Fatal(err)
		}
		commands = append(commands, c)
	}
	s.run(dir, "sh", "-ec", strings.Join(commands, "\n"))
	s.run(dir, "go", "build", "-o", "after", ".")
	if deps := s.run(dir, "go", "list", "-deps", "."); strings.Contains(deps, "go.etcd.io/etcd/client/v3") || !strings.Contains(deps, own+"/clientv3") {
		t.Error("the program was not moved")
	}
	getcd := filepath.Join(s.bin, "getcd") // from go install
	at := "--endpoints=" + strings.Join(c.Endpoints(), ",")
	ready(t, c)
	var printed []string
	for _, program := range []string{"before", "after"} {
		s.run(dir, getcd, at, "del", "", "--prefix")
		printed = append(printed, s.run(dir, filepath.Join(dir, program), "-"+at[2:], "kv/put"))
	}
	if printed[0] != printed[1] || printed[0] == "" {
		t.Errorf("with clientv3:\n%s\nmoved:\n%s", printed[0], printed[1])
	}
}

// Each packed module builds by itself, and its go.sum has all that its tests need.
func complete(t *testing.T, s *stranger, modules []string, version string) {
	t.Helper()
	for _, m := range modules {
		from, _ := s.download(path.Join(own, m), version)
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		s.run(dir, "go", "build", "-mod=readonly", "./...")
		s.run(dir, "go", "list", "-mod=readonly", "-deps", "-test", "./...")
	}
}

// The go command makes the same modules from the tags.
func tagged(t *testing.T, s *stranger, modules []string, clone, version string) {
	t.Helper()
	direct := &stranger{tb: t, env: append(append([]string{}, s.env...), "GOPROXY=direct", "GOMODCACHE="+t.TempDir(),
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url."+clone+".insteadOf", "GIT_CONFIG_VALUE_0=https://"+own)}
	for _, m := range modules {
		_, want := s.download(path.Join(own, m), version)
		if _, got := direct.download(path.Join(own, m), version); got != want {
			t.Errorf("%s: the sum is %s from the tag, %s as packed", m, got, want)
		}
	}
}

// found returns the folders of the modules that were packed.
func found(t *testing.T, clone string) []string {
	t.Helper()
	var dirs []string
	for tag := range strings.FieldsSeq(command(t, clone, nil, "git", "tag")) {
		dirs = append(dirs, path.Dir(tag))
	}
	if len(dirs) < 5 {
		t.Errorf("only these modules are released: %s", dirs)
	}
	return dirs
}

// documented returns the path of a page under docs.
func documented(t *testing.T, clone, name string) string {
	t.Helper()
	found := errors.New("found")
	var at string
	err := filepath.WalkDir(filepath.Join(clone, "docs"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == name {
			at = p
			return found
		}
		return err
	})
	if !errors.Is(err, found) {
		t.Fatalf("docs has no %s: %v", name, err)
	}
	return at
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
