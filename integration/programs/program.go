package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// program is a third-party program.
type program struct {
	name, module, version string
	// what describes it in the report.
	what string
	// driver is, for a library, the main package that is added to the module. It
	// is empty if the module is a program.
	driver string
	// dropped are files that are removed from both copies, and why.
	dropped []string
	why     string
	// note explains the table.
	note string
	// edits are the changes that the moved copy needs in addition to the command,
	// usually for its loggers.
	edits []edit
	load  load
}

// edit replaces the matches of a pattern in a file.
type edit struct{ file, pattern, by string }

const zapImport = "\"github.com/getcd/getcd/observability/zap\"\n\t\"go.uber.org/zap\""

var programs = []program{
	{
		name: "etcdctl", module: "go.etcd.io/etcd/etcdctl/v3", version: "v3.7.3",
		what: "etcd's command-line tool. `watch`, `lock` and `lease keep-alive` run throughout the fault; each `put` and `get` is a new process, two a second",
		edits: []edit{
			{"ctlv3/command/global.go", `"go\.uber\.org/zap"`, zapImport},
			{"ctlv3/command/global.go", `NewClientConfig\(cc, lg\)`, "NewClientConfig(cc, getcdzap.New(lg))"},
			{"ctlv3/command/ep_command.go", `"go\.uber\.org/zap"`, zapImport},
			{"ctlv3/command/ep_command.go", `NewClientConfig\(cloneCfgSpec, lg\)`, "NewClientConfig(cloneCfgSpec, getcdzap.New(lg))"},
			{"ctlv3/command/ep_command.go", `}, lg\)`, "}, getcdzap.New(lg))"},
			{"ctlv3/command/ep_command.go", `cfg\.Logger = lg\.Named\("client"\)`, `cfg.Logger = getcdzap.New(lg.Named("client"))`},
			{"ctlv3/command/snapshot_command.go", `"go\.uber\.org/zap"`, zapImport},
			{"ctlv3/command/snapshot_command.go", `SaveWithVersion\(ctx, lg,`, "SaveWithVersion(ctx, getcdzap.New(lg),"},
		},
		load: etcdctl,
	},
	{
		name: "coredns", module: "github.com/coredns/coredns", version: "v1.15.0",
		what:   "the DNS server. Its `main` has only the plugins `etcd` and `bind`, built as its documentation says. Four resolvers ask for A records every 50 ms",
		driver: "coredns", load: coredns,
	},
	{
		name: "dskit", module: "github.com/grafana/dskit", version: "v0.0.0-20260703122047-de1ec7541c44",
		what:   "the key-value store of Mimir's and Loki's hash ring. Four members each increment a key with `CAS`, without a deadline, as the ring's heartbeat does; one watches them all with `WatchPrefix`",
		driver: "dskit", load: driven,
		dropped: []string{"kv/etcd/mock.go"}, why: "a test double that does not match clientv3 3.7 either",
		note: "If a write is in flight when its member stops, getcd gives it up after 2 s, or sooner if the connection breaks. The write may have been applied, and `CAS` makes it again: at most once for each of the four workers. clientv3's writes wait until the member is back, and are made again only when the connection breaks. In another run getcd had 2.1 s and 3 unasked when the member was stopped, and clientv3 had 1 unasked in one of three kills.",
	},
	{
		name: "go-zero", module: "github.com/zeromicro/go-zero", version: "v1.10.3",
		what:   "service discovery, `core/discov`. One service stays registered; others, one after another, are registered, seen by a subscriber, and removed",
		driver: "go-zero", load: driven,
	},
}

//go:embed drivers
var drivers embed.FS

// The modules that both copies use in the same versions.
var shared = []string{"go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/api/v3", "google.golang.org/grpc"}

// workshop fetches and builds programs.
type workshop struct {
	dir string // of the copies
	// repository is getcd's root directory, and versions has the versions of
	// shared in its integration module.
	repository string
	versions   map[string]string
	command    string // from docs/guides/from-clientv3.md
}

func newWorkshop(ctx context.Context, dir string) (*workshop, error) {
	w := &workshop{dir: dir, versions: map[string]string{}}
	out, err := run(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/getcd/getcd")
	if err != nil {
		return nil, err
	}
	w.repository = strings.TrimSpace(out)
	for _, m := range shared {
		v, err := run(ctx, filepath.Join(w.repository, "integration"), "go", "list", "-m", "-f", "{{.Version}}", m)
		if err != nil {
			return nil, err
		}
		w.versions[m] = strings.TrimSpace(v)
	}
	page, err := os.ReadFile(filepath.Join(w.repository, "docs", "guides", "from-clientv3.md"))
	if err != nil {
		return nil, err
	}
	w.command, err = command(string(page))
	return w, err
}

// command returns the command in docs/guides/from-clientv3.md.
func command(page string) (string, error) {
	const first = "grep -rlZ "
	_, rest, ok := strings.Cut(page, "    "+first)
	rest, _, whole := strings.Cut(rest, "\n\n")
	if !ok || !whole {
		return "", errors.New("docs/guides/from-clientv3.md has no command any more that begins with " + first)
	}
	return first + rest, nil
}

// build returns the binaries of both copies.
func (w *workshop) build(ctx context.Context, p program) (theirs, ours string, err error) {
	out, err := run(ctx, w.dir, "go", "mod", "download", "-json", p.module+"@"+p.version)
	if err != nil {
		return "", "", err
	}
	var fetched struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &fetched); err != nil {
		return "", "", err
	}
	if theirs, err = w.copy(ctx, p, fetched.Dir, "clientv3"); err != nil {
		return "", "", err
	}
	ours, err = w.copy(ctx, p, fetched.Dir, "getcd")
	return theirs, ours, err
}

// copy builds one copy.
func (w *workshop) copy(ctx context.Context, p program, from, client string) (string, error) {
	dir := filepath.Join(w.dir, p.name+"-"+client)
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return "", err
	}
	if err := writable(dir); err != nil { // files in the module cache are not writable
		return "", err
	}
	for _, f := range p.dropped {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			return "", err
		}
	}
	pkg := "."
	if p.driver != "" {
		pkg = "./driver"
		source, err := drivers.ReadFile("drivers/" + p.driver + ".go.txt")
		if err == nil {
			err = os.Mkdir(filepath.Join(dir, "driver"), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "driver", "main.go"), source, 0o644)
		}
		if err != nil {
			return "", err
		}
	}
	mod := []string{"mod", "edit"}
	for _, m := range []string{"api", "client/pkg", "client", "pkg"} {
		mod = append(mod, "-dropreplace=go.etcd.io/etcd/"+m+"/v3") // etcd's modules replace their neighbors
	}
	for m, v := range w.versions {
		mod = append(mod, "-require="+m+"@"+v)
	}
	if client == "getcd" {
		for _, m := range []string{"", "/observability/zap"} {
			name := "github.com/getcd/getcd" + m
			mod = append(mod, "-require="+name+"@v0.0.0", "-replace="+name+"="+filepath.Join(w.repository, m))
		}
		if err := w.move(ctx, p, dir); err != nil {
			return "", err
		}
	}
	if _, err := run(ctx, dir, "go", mod...); err != nil {
		return "", err
	}
	binary := filepath.Join(w.dir, p.name+"-"+client+".bin")
	_, err := run(ctx, dir, "go", "build", "-mod=mod", "-o", binary, pkg)
	return binary, err
}

// move applies the documented command and the program's edits.
func (w *workshop) move(ctx context.Context, p program, dir string) error {
	if _, err := run(ctx, dir, "sh", "-c", w.command); err != nil {
		return err
	}
	for _, e := range p.edits {
		name := filepath.Join(dir, e.file)
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		pattern := regexp.MustCompile(e.pattern)
		if !pattern.Match(text) {
			return fmt.Errorf("%s: %s has no %s any more", p.name, e.file, e.pattern)
		}
		if err := os.WriteFile(name, pattern.ReplaceAllLiteral(text, []byte(e.by)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func writable(dir string) error {
	return filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		return os.Chmod(name, info.Mode()|0o200)
	})
}

// run returns a command's output. The error includes it.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out), nil
}
