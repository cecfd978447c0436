package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func flagsFrom(t *testing.T, args, environ []string) (f *globalFlags, warnings string, err error) {
	t.Helper()
	f = new(globalFlags)
	fs := pflag.NewFlagSet("getcd", pflag.ContinueOnError)
	f.register(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	var warn bytes.Buffer
	err = applyEnv(fs, environ, &warn)
	return f, warn.String(), err
}

func TestEnvironmentSetsFlags(t *testing.T) {
	f, warnings, err := flagsFrom(t, []string{"--hex"}, []string{
		"ETCDCTL_ENDPOINTS=a:1,b:2", "ETCDCTL_DIAL_TIMEOUT=7s", "ETCDCTL_INSECURE_SKIP_TLS_VERIFY=true",
		"ETCDCTL_MAX_RECV_BYTES=9", "ETCDCTL_USER=", "ETCDCTL_API=3", "HOME=/", "ETCDCTL_WRITE_OUT=json", "malformed",
		"ETCDCTL_WATCH_KEY=k", "ETCDCTL_WATCH_RANGE_END=l",
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a:1", "b:2"}; !slices.Equal(f.endpoints, want) {
		t.Errorf("endpoints: got %q, want %q", f.endpoints, want)
	}
	if f.dialTimeout != 7*time.Second || !f.insecureSkipVerify || f.maxRecvBytes != 9 || f.writeOut != "json" || !f.hex || f.user != "" {
		t.Errorf("got %+v", f)
	}
	if f.commandTimeout != 5*time.Second {
		t.Errorf("command timeout: got %v, want the default of 5s", f.commandTimeout)
	}
	if warnings != "" {
		t.Errorf("got warnings %q, want none", warnings)
	}
}

func TestEnvironmentConflicts(t *testing.T) {
	for _, value := range []string{"other:1", ""} {
		_, _, err := flagsFrom(t, []string{"--endpoints=a:1"}, []string{"ETCDCTL_ENDPOINTS=" + value})
		if err == nil || !strings.Contains(err.Error(), "ETCDCTL_ENDPOINTS") || !strings.Contains(err.Error(), "--endpoints") {
			t.Errorf("flag and variable set to %q: got error %v, want one that names both", value, err)
		}
	}
}

func TestEnvironmentMistakes(t *testing.T) {
	for _, tt := range []struct{ env, want string }{
		{"ETCDCTL_DIAL_TIMEOUT=soon", `bad value "soon" for ETCDCTL_DIAL_TIMEOUT: want a duration such as 500ms`},
		{"ETCDCTL_HEX=perhaps", `bad value "perhaps" for ETCDCTL_HEX: want true or false`},
		{"ETCDCTL_MAX_RECV_BYTES=many", `bad value "many" for ETCDCTL_MAX_RECV_BYTES: want an integer`},
	} {
		if _, _, err := flagsFrom(t, nil, []string{tt.env}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want %s", tt.env, err, tt.want)
		}
	}
}

func TestUnknownVariablesAreNamedWithoutTheirValues(t *testing.T) {
	_, warnings, err := flagsFrom(t, nil, []string{"ETCDCTL_PASWORD=hunter2", "ETCDCTL_API=2"})
	if err != nil {
		t.Fatal(err)
	}
	want := "Warning: environment variable ETCDCTL_API belongs to no flag\nWarning: environment variable ETCDCTL_PASWORD belongs to no flag\n"
	if warnings != want {
		t.Errorf("got %q, want %q", warnings, want)
	}
}

func TestLogFlagsKeepsSecrets(t *testing.T) {
	var f globalFlags
	fs := pflag.NewFlagSet("getcd", pflag.ContinueOnError)
	f.register(fs)
	if err := fs.Parse([]string{"--user=root:hunter2", "--password=hunter3", "--auth-jwt-token=hunter4", "--hex"}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logFlags(fs, &log)
	if strings.Contains(log.String(), "hunter") {
		t.Errorf("a secret is in the log:\n%s", &log)
	}
	for _, want := range []string{"ETCDCTL_HEX=true\n", "ETCDCTL_ENDPOINTS=[127.0.0.1:2379]\n", "ETCDCTL_USER=…\n"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &log)
		}
	}
}
