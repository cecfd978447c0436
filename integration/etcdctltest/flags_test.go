package etcdctltest

import (
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// flag is what a help text says about a flag.
type flag struct{ short, kind, def string }

// help is what a tool's help texts say, by command.
type help struct {
	flags    map[string]flag
	commands []string
}

var (
	helpCommand = regexp.MustCompile(`^  ([a-z][a-z-]*) +\S`)
	helpFlag    = regexp.MustCompile(`^ +(?:-(\w), )?--([\w-]+)(?: (\w+))?  `)
	helpDefault = regexp.MustCompile(`\(default (.*)\)`)
)

// readHelp reads the help of a command and of all its subcommands.
func readHelp(t *testing.T, path, command string, into map[string]help) {
	t.Helper()
	args := append(strings.Fields(command), "--help")
	if command == "options" {
		args = args[:1] // the help for the flags of all commands
	}
	out, err := exec.CommandContext(t.Context(), path, args...).Output()
	if err != nil {
		t.Fatalf("%s --help: %v", command, err)
	}
	h := help{flags: make(map[string]flag)}
	section := ""
	for line := range strings.Lines(string(out)) {
		if line[0] != ' ' && line[0] != '\n' {
			section = line
		}
		if m := helpCommand.FindStringSubmatch(line); m != nil && strings.Contains(section, "ommands") {
			h.commands = append(h.commands, m[1])
		}
		if m := helpFlag.FindStringSubmatch(line); m != nil {
			f := flag{short: m[1], kind: m[3]}
			if d := helpDefault.FindStringSubmatch(line); d != nil {
				f.def = d[1]
			}
			h.flags[m[2]] = f
		}
	}
	into[command] = h
	for _, c := range h.commands {
		readHelp(t, path, strings.TrimSpace(command+" "+c), into)
	}
}

// TestCommandsAndFlags checks that getcd has etcdctl's commands and flags, with
// the same shorthands, types and defaults.
func TestCommandsAndFlags(t *testing.T) {
	tl := buildTools(t)
	its, mine := make(map[string]help), make(map[string]help)
	readHelp(t, tl.etcdctl, "", its)
	readHelp(t, tl.getcd, "", mine)

	// If the parser of help texts found nothing, it would find no difference
	// either.
	if n := len(its); n < 60 {
		t.Errorf("found %d commands of etcdctl, want 60 or more: %v", n, slices.Sorted(maps.Keys(its)))
	}
	for command, flag := range map[string]string{"options": "write-out", "get": "order", "make-mirror": "dest-prefix", "check perf": "load"} {
		if _, ok := its[command].flags[flag]; !ok {
			t.Errorf("etcdctl %s: --%s was not found in %v", command, flag, its[command].flags)
		}
	}

	for command, want := range its {
		got, ok := mine[command]
		if !ok {
			t.Errorf("getcd has no command %q", command)
			continue
		}
		for name, f := range want.flags {
			g, ok := got.flags[name]
			switch {
			case !ok:
				t.Errorf("getcd %s has no --%s", command, name)
			case g != f:
				t.Errorf("getcd %s --%s: got shorthand, type and default %q, want %q", command, name, g, f)
			}
		}
	}
	// What only getcd has.
	for command := range mine {
		if _, ok := its[command]; !ok && command != "wire" && !strings.HasPrefix(command, "wire ") {
			t.Errorf("getcd has a command %q that etcdctl does not have", command)
		}
	}
}

var debugFlag = regexp.MustCompile(`(?m)^(ETCDCTL_\w+)=(.*)$`)

// TestEnvironmentOfFlags lets both tools show, with --debug, what they took from
// the environment for each of the flags of all commands.
func TestEnvironmentOfFlags(t *testing.T) {
	tl := buildTools(t)
	b := &bench{tools: tl}
	values := map[string]string{
		"CACERT": "", "CERT": "", "KEY": "", "USER": "", "PASSWORD": "", "AUTH_JWT_TOKEN": "",
		"COMMAND_TIMEOUT": "123ms", "DIAL_TIMEOUT": "1.5s", "KEEPALIVE_TIME": "11s", "KEEPALIVE_TIMEOUT": "7s",
		"ENDPOINTS": "127.0.0.1:1,127.0.0.1:2", "HEX": "true", "WRITE_OUT": "json", "MAX_REQUEST_BYTES": "1000", "MAX_RECV_BYTES": "2000",
		"INSECURE_DISCOVERY": "true", "INSECURE_SKIP_TLS_VERIFY": "false", "INSECURE_TRANSPORT": "true",
		"DISCOVERY_SRV": "", "DISCOVERY_SRV_NAME": "name",
	}
	i := sh("get k --debug")
	for name, value := range values {
		i.env = append(i.env, "ETCDCTL_"+name+"="+value)
	}
	shown := func(r result) map[string]string {
		m := make(map[string]string)
		for _, f := range debugFlag.FindAllStringSubmatch(r.stderr, -1) {
			m[f[1]] = f[2]
		}
		return m
	}
	want, got := shown(b.etcdctlRun(t, i)), shown(b.getcdRun(t, i))
	maps.DeleteFunc(got, func(name, _ string) bool { _, ok := want[name]; return !ok }) // only getcd has it
	if !maps.Equal(got, want) {
		t.Errorf("got the flags\n%v\nwant\n%v", got, want)
	}
	for name, value := range values {
		if f, ok := want["ETCDCTL_"+name]; !ok || name != "ENDPOINTS" && f != value {
			t.Errorf("etcdctl shows %q for %s, which was set to %q", f, name, value)
		}
	}
	for name := range want {
		if _, ok := values[strings.TrimPrefix(name, "ETCDCTL_")]; !ok && name != "ETCDCTL_DEBUG" {
			t.Errorf("%s was not tested", name)
		}
	}
}

// TestCompletion lets the installed shells read the output of completion and
// complete with it.
func TestCompletion(t *testing.T) {
	tl := buildTools(t)
	b := &bench{tools: tl}
	for _, line := range []string{"completion", "completion tcsh", "completion bash zsh"} {
		b.same(t, sh(line))
	}
	for shell, check := range map[string]string{
		"bash": "bash -n", "zsh": "zsh -n", "fish": "fish --no-execute", "powershell": "",
	} {
		r := b.getcdRun(t, sh("completion "+shell))
		if r.code != 0 || !strings.Contains(r.stdout, "getcd") {
			t.Errorf("completion %s: exit status %d, stdout %q", shell, r.code, r.stdout)
		}
		words := strings.Fields(check)
		if len(words) == 0 {
			continue
		}
		if _, err := exec.LookPath(words[0]); err != nil {
			t.Logf("%s is not installed: its script was not read", shell)
			continue
		}
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		cmd.Stdin = strings.NewReader(r.stdout)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", check, err, out)
		}
	}
	// The queries that the scripts make.
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"__complete", "snap"}, "snapshot\t"},
		{[]string{"__complete", "get", "--prin"}, "--print-value-only\t"},
		{[]string{"__complete", "get", "-w", ""}, "protobuf\n"},
		{[]string{"__complete", "get", "--consistency", ""}, "s\n"},
		{[]string{"__complete", "get", "--order", "D"}, "DESCEND\n"},
		{[]string{"__complete", "get", "--sort-by", "V"}, "VERSION\n"},
		{[]string{"__complete", "check", "perf", "--load", ""}, "medium\n"},
		{[]string{"__complete", "completion", "f"}, "fish\n"},
	} {
		if r := b.getcdRun(t, words(tt.args...)); r.code != 0 || !strings.Contains(r.stdout, tt.want) {
			t.Errorf("%q: got exit status %d, stdout %q, want %q in it", tt.args, r.code, r.stdout, tt.want)
		}
	}
}
