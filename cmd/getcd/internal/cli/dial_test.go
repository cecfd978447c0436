package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
)

func noPassword() (string, error) { return "", errors.New("no terminal") }

func TestTargets(t *testing.T) {
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"", []string{"127.0.0.1:2379"}},
		{"--endpoints=a:1,unix:///run/etcd.sock", []string{"a:1", "unix:///run/etcd.sock"}},
		{"--endpoints=a:1 --endpoints=dns+srv:///example.com", []string{"a:1", "dns+srv:///example.com"}},
		{"-d example.com --endpoints=ignored:1", []string{"dns+srv:///example.com"}},
		{"-d example.com --discovery-srv-name=prod", []string{"dns+srv:///_etcd-client-prod._tcp.example.com"}},
		{"-d example.com --discovery-srv-name=prod --insecure-discovery=false", []string{"dns+srv:///_etcd-client-ssl-prod._tcp.example.com"}},
	} {
		f, _, err := flagsFrom(t, strings.Fields(tt.args), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.targets(); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.args, got, tt.want)
		}
	}
	f, _, err := flagsFrom(t, nil, []string{"ETCDCTL_ENDPOINTS=a:1, b:2"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.targets(), []string{"a:1", "b:2"}; !slices.Equal(got, want) {
		t.Errorf("spaces after commas: got %q, want %q", got, want)
	}
}

func TestConfig(t *testing.T) {
	f, _, err := flagsFrom(t, []string{
		"--dial-timeout=3s", "--keepalive-time=30s", "--keepalive-timeout=4s", "--max-request-bytes=5", "--max-recv-bytes=6",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := f.config([]string{"a:1"}, io.Discard, noPassword)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DialTimeout != 3*time.Second || cfg.DialKeepAliveTime != 30*time.Second || cfg.DialKeepAliveTimeout != 4*time.Second ||
		cfg.MaxCallSendMsgSize != 5 || cfg.MaxCallRecvMsgSize != 6 || cfg.TLS != nil || cfg.Logger != nil {
		t.Errorf("got %+v", cfg)
	}
	// The default of 2s is etcdctl's; gRPC would raise it, and the library
	// refuses it.
	f, _, _ = flagsFrom(t, nil, nil)
	if cfg, err = f.config([]string{"a:1"}, io.Discard, noPassword); err != nil || cfg.DialKeepAliveTime != 10*time.Second {
		t.Errorf("keepalive time: got %v, error %v, want 10s", cfg.DialKeepAliveTime, err)
	}
}

func TestCredentials(t *testing.T) {
	asked := func() (string, error) { return "typed", nil }
	for _, tt := range []struct{ args, user, password, token string }{
		{"", "", "", ""},
		{"--user=root:pw", "root", "pw", ""},
		{"--user=root:p:w", "root", "p:w", ""},
		{"--user=root --password=pw", "root", "pw", ""},
		{"--user=root:x --password=pw", "root:x", "pw", ""},
		{"--user=root", "root", "typed", ""},
		{"--password=pw", "", "", ""},
		{"--auth-jwt-token=t --user=root", "", "", "t"},
	} {
		f, _, err := flagsFrom(t, strings.Fields(tt.args), nil)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := f.config([]string{"a:1"}, io.Discard, asked)
		if err != nil || cfg.Username != tt.user || cfg.Password != tt.password || cfg.Token != tt.token {
			t.Errorf("%q: got user %q, password %q, token %q, error %v; want %q, %q, %q", tt.args, cfg.Username, cfg.Password, cfg.Token, err, tt.user, tt.password, tt.token)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"--endpoints=", exit.BadConnection, "no endpoints"},
		{"--cert=c.pem", exit.BadArgs, "--cert needs --key"},
		{"--key=k.pem", exit.BadArgs, "--key needs --cert"},
		{"--cert=no.pem --key=no.pem", exit.BadArgs, "--cert and --key"},
		{"--cacert=no.pem", exit.BadArgs, "--cacert"},
		{"--cacert=" + notPEM, exit.BadArgs, "no certificate"},
		{"--command-timeout=0s", exit.BadArgs, "--command-timeout"},
		{"--dial-timeout=-1s", exit.BadArgs, "bad value -1s for --dial-timeout"},
		{"--keepalive-timeout=-1s", exit.BadArgs, "--keepalive-timeout"},
		{"--user=root", exit.Failure, "no terminal"},
	} {
		f, _, err := flagsFrom(t, strings.Fields(tt.args), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.config(f.targets(), io.Discard, noPassword)
		if err == nil || exit.Code(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q\n got error %v with exit status %d\nwant one with %q and exit status %d", tt.args, err, exit.Code(err), tt.want, tt.code)
		}
	}
}
