package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/integration/certs"
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
		{"-d example.com --discovery-srv-name=prod", []string{"dns+srv:///example.com?name=prod"}},
		{"-d example.com --discovery-srv-name=a&b", []string{"dns+srv:///example.com?name=a%26b"}},
		{"--endpoints=a:1,,b:2,", []string{"a:1", "b:2"}},
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
	// What etcdctl takes and the library refuses.
	f, _, _ = flagsFrom(t, []string{"--dial-timeout=0", "--keepalive-timeout=0", "--max-recv-bytes=1000"}, nil)
	if cfg, err = f.config([]string{"a:1"}, io.Discard, noPassword); err != nil || cfg.MaxCallRecvMsgSize != 1000 {
		t.Errorf("limits: got %+v, error %v", cfg, err)
	} else if c, err := client.New(*cfg); err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}
	// The default of 2s is etcdctl's; gRPC would raise it, and the library
	// refuses it.
	f, _, _ = flagsFrom(t, nil, nil)
	if cfg, err = f.config([]string{"a:1"}, io.Discard, noPassword); err != nil || cfg.DialKeepAliveTime != 10*time.Second {
		t.Errorf("keepalive time: got %v, error %v, want 10s", cfg.DialKeepAliveTime, err)
	}
}

// Endpoints and the flags for TLS agree as with etcdctl: the first endpoint decides.
func TestConfigTLS(t *testing.T) {
	ca := writeAuthority(t)
	for _, tt := range []struct {
		args   string
		secure bool
		want   []string
		warn   string
	}{
		{"--endpoints=http://a:1,https://b:2", false, []string{"http://a:1", "http://b:2"}, ""},
		{"--endpoints=https://a:1/,http://b:2?x", true, []string{"https://a:1", "https://b:2"}, ""},
		{"--endpoints=a:1,https://b:2", false, []string{"a:1", "http://b:2"}, ""},
		{"--endpoints=http://a:1,b:2 --cacert=" + ca, false, []string{"http://a:1", "b:2"}, "Warning: http://a:1 is plain"},
		{"--endpoints=http://a:1 --insecure-skip-tls-verify", false, []string{"http://a:1"}, "Warning: http://a:1 is plain"},
		{"--endpoints=a:1,http://b:2 --cacert=" + ca, true, []string{"a:1", "https://b:2"}, ""},
		{"--endpoints=unix://localhost:2379", false, []string{"unix://localhost:2379"}, ""},
		{"--endpoints=unixs://localhost:2379", true, []string{"unix://localhost:2379"}, ""},
		{"--endpoints=:2379,http://:2379", false, []string{":2379", "http://:2379"}, ""},
		{"--endpoints=http://[::1%25lo]:2379", false, []string{"http://[::1%25lo]:2379"}, ""},
		{"--endpoints=dns+srv:///example.com --cacert=" + ca, true, []string{"dns+srv:///example.com"}, ""},
		{"-d example.com", false, []string{"dns+srv:///example.com"}, ""},
		{"-d example.com --cacert=" + ca, true, []string{"dns+srv:///example.com"}, ""},
	} {
		f, _, err := flagsFrom(t, strings.Fields(tt.args), nil)
		if err != nil {
			t.Fatal(err)
		}
		var warn strings.Builder
		cfg, err := f.config(f.targets(), &warn, noPassword)
		if err != nil {
			t.Fatalf("%q: %v", tt.args, err)
		}
		if (cfg.TLS != nil) != tt.secure || !slices.Equal(cfg.Endpoints, tt.want) || cfg.TLSFiles.CA != "" != (tt.secure && f.cacert != "") {
			t.Errorf("%q: TLS %v with files %+v, endpoints %q; want %v, %q", tt.args, cfg.TLS != nil, cfg.TLSFiles, cfg.Endpoints, tt.secure, tt.want)
		}
		if !strings.Contains(warn.String(), tt.warn) || tt.warn == "" && warn.Len() > 0 {
			t.Errorf("%q: the warning is %q, want %q", tt.args, &warn, tt.warn)
		}
		if want := f.discoverySRV != "" || !tt.secure; cfg.InsecureDiscovery != want {
			t.Errorf("%q: InsecureDiscovery is %v, want %v", tt.args, cfg.InsecureDiscovery, want)
		}
		c, err := client.New(*cfg)
		if err != nil {
			t.Errorf("%q: %v", tt.args, err)
			continue
		}
		_ = c.Close()
	}
}

// writeAuthority writes the certificate of an authority.
func writeAuthority(t *testing.T) string {
	t.Helper()
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return ca.File()
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
		{"--user=root:", "", "", ""},
		{"--user=:pw", "", "", ""},
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

// The time limit is for the cluster, not for who types the password.
func TestTypingThePasswordTakesTime(t *testing.T) {
	f, _, err := flagsFrom(t, []string{"--endpoints=dns:///localhost:1", "--user=root"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := &settings{flags: f, app: &app{askPassword: func(io.Writer) (string, error) {
			asked++
			time.Sleep(f.commandTimeout + time.Second)
			return "typed", nil
		}}}
		got, err := s.probes(t.Context(), false)
		if err != nil || len(got) == 0 || got[0].err != nil || asked != 1 {
			t.Errorf("got %+v, error %v, asked %d times; want the addresses of localhost, asked once", got, err, asked)
		}
	})
}
