package release

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// stranger is somebody who has Go, and no copy of the repository.
type stranger struct {
	tb testing.TB
	// bin has what go install installed.
	bin string
	env []string
}

// newStranger returns one whose go command finds getcd's modules among those that were
// packed, and nowhere else.
func newStranger(tb testing.TB, packed string) *stranger {
	tb.Helper()
	others := httptest.NewServer(proxy(tb))
	tb.Cleanup(others.Close)
	s := &stranger{tb: tb, bin: tb.TempDir()}
	s.env = []string{
		"GOPROXY=file://" + filepath.ToSlash(packed) + "," + others.URL,
		"GOMODCACHE=" + tb.TempDir(), "GOBIN=" + s.bin, "GOWORK=off", "GOTOOLCHAIN=local",
		// Unlike with a go.sum, the checksum database would be asked about each module.
		// It does not know ours, and not every machine reaches it.
		"GOSUMDB=off",
		// Writable, so that it can be removed. Without -trimpath each run would compile
		// everything anew, since the cache is in another folder each time.
		"GOFLAGS=-modcacherw -trimpath",
	}
	return s
}

// proxy serves all modules but getcd's own: from this machine's module cache, else by
// sending the client to the proxy that this machine uses.
func proxy(tb testing.TB) http.Handler {
	tb.Helper()
	env := strings.Split(command(tb, ".", nil, "go", "env", "GOMODCACHE", "GOPROXY"), "\n")
	cache := os.DirFS(filepath.Join(env[0], "cache", "download"))
	upstream := ""
	for _, p := range strings.FieldsFunc(env[1], func(r rune) bool { return r == ',' || r == '|' }) {
		if upstream == "" && strings.HasPrefix(p, "http") {
			upstream = strings.TrimSuffix(p, "/")
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if strings.HasPrefix(name, own+"/") {
			http.NotFound(w, r)
			return
		}
		if info, err := fs.Stat(cache, name); err == nil && info.Mode().IsRegular() {
			http.ServeFileFS(w, r, cache, name)
			return
		}
		if upstream == "" {
			http.NotFound(w, r)
			return
		}
		http.Redirect(w, r, upstream+r.URL.EscapedPath(), http.StatusFound)
	})
}

// in returns the same stranger for a subtest.
func (s *stranger) in(tb testing.TB) *stranger {
	tb.Helper()
	return &stranger{tb: tb, bin: s.bin, env: s.env}
}

// run runs a command in dir and returns its standard output. Its failure ends the test.
func (s *stranger) run(dir, name string, args ...string) string {
	s.tb.Helper()
	return command(s.tb, dir, s.env, name, args...)
}

// module makes an empty module with the files.
func (s *stranger) module(files map[string]string) string {
	s.tb.Helper()
	dir := s.tb.TempDir()
	s.run(dir, "go", "mod", "init", "example.com/stranger")
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			s.tb.Fatal(err)
		}
	}
	return dir
}

// download returns where the go command puts a module's files, and its sum.
func (s *stranger) download(module, version string) (dir, sum string) {
	s.tb.Helper()
	var found struct{ Dir, Sum string }
	out := s.run(s.tb.TempDir(), "go", "mod", "download", "-json", module+"@"+version)
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		s.tb.Fatal(err)
	}
	return found.Dir, found.Sum
}

func command(tb testing.TB, dir string, env []string, name string, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out)
}

// heading is that of a version in CHANGELOG.md.
var heading = regexp.MustCompile(`(?m)^## (\S+)`)

// pack packs the work tree as make release does, with tags, in a clone that it returns,
// and names the version.
func pack(tb testing.TB) (clone, packed, version string) {
	tb.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		tb.Skip("only a repository can be released: ", err)
	}
	clone, packed = filepath.Join(tb.TempDir(), "clone"), filepath.Join(tb.TempDir(), "packed")
	git := func(dir string, args ...string) string {
		tb.Helper()
		args = append([]string{"-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "advice.detachedHead=false"}, args...)
		return strings.TrimSpace(command(tb, dir, nil, "git", args...))
	}
	git(root, "clone", "-q", "--shared", "--no-tags", ".", clone)
	changed := git(root, "stash", "create") // a commit of what has changed; nothing is stashed
	if changed == "" {
		changed = git(root, "rev-parse", "HEAD")
	}
	git(clone, "checkout", "-q", "--detach", changed)
	changelog := filepath.Join(clone, "CHANGELOG.md")
	text, err := os.ReadFile(changelog)
	if err != nil {
		tb.Fatal(err)
	}
	at := heading.FindSubmatchIndex(text)
	if at == nil {
		tb.Fatal("CHANGELOG.md has no heading of a version")
	}
	version = string(text[at[2]:at[3]])
	if version == "Unreleased" { // nobody has decided on the number yet
		version = "v0.99.0"
		text = bytes.Join([][]byte{text[:at[2]], text[at[3]:]}, []byte(version))
		if err := os.WriteFile(changelog, text, 0o600); err != nil {
			tb.Fatal(err)
		}
		git(clone, "commit", "-qam", "Name the version")
	}
	program := filepath.Join(tb.TempDir(), "release")
	command(tb, filepath.Join(root, "tools", "release"), []string{"GOWORK=off"}, "go", "build", "-o", program, ".")
	before := git(clone, "rev-parse", "HEAD")
	out := command(tb, clone, []string{
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com",
		"GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com",
	}, program, "-version", version, "-o", packed, "-tag")
	tb.Logf("%s", out)
	if after := git(clone, "rev-parse", "HEAD"); after != before {
		tb.Errorf("HEAD was %s, and is now %s", before, after)
	}
	if status := git(clone, "status", "--porcelain"); status != "" {
		tb.Errorf("the work tree changed: %s", status)
	}
	return clone, packed, version
}
