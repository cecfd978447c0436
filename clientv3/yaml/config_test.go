package yaml_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/yaml"
)

func read(t *testing.T, text string) (*clientv3.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "client.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return yaml.NewConfig(file)
}

func TestNewConfig(t *testing.T) {
	tests := []struct {
		name, text string
		want       clientv3.Config
	}{
		{"nothing", "", clientv3.Config{}},
		{"a comment before the document", "# a client\n\n--- # of a team\nusername: ann\n", clientv3.Config{Username: "ann"}},
		{"comments", "---\n# a client\n\nusername: ann # who\npassword: 'it''s # a secret'\n...\n", clientv3.Config{Username: "ann", Password: "it's # a secret"}},
		{"a list", "endpoints:\n- http://a:2379\n- \"http://b:2379\"\n\n# more\n- 'http://c:2379' # the last\ntoken: t", clientv3.Config{Endpoints: []string{"http://a:2379", "http://b:2379", "http://c:2379"}, Token: "t"}},
		{"an indented list", "endpoints:\n  - 10.0.0.1:2379\n  - 10.0.0.2:2379\n", clientv3.Config{Endpoints: []string{"10.0.0.1:2379", "10.0.0.2:2379"}}},
		{"a list in brackets", "endpoints: [ http://a:2379, \"http://[::1]:2379\", 'c' ] # three\r\nusername: ann\r\n", clientv3.Config{Endpoints: []string{"http://a:2379", "http://[::1]:2379", "c"}, Username: "ann"}},
		{"an empty list", "endpoints: []\n", clientv3.Config{Endpoints: []string{}}},
		{"durations", "dial-timeout: 5000000000\ndial-keep-alive-time: 10s\nauto-sync-interval: \"1m30s\"\ndial-keep-alive-timeout: 0", clientv3.Config{DialTimeout: 5 * time.Second, DialKeepAliveTime: 10 * time.Second, AutoSyncInterval: 90 * time.Second}},
		{"numbers", "MaxCallSendMsgSize: 1024\nmaxCallRecvMsgSize: 2048\nmax-unary-retries: 3\nbackoff-jitter-fraction: 0.25\n", clientv3.Config{MaxCallSendMsgSize: 1024, MaxCallRecvMsgSize: 2048, MaxUnaryRetries: 3, BackoffJitterFraction: .25}},
		{"truths", "reject-old-cluster: true\npermit-without-stream: yes\n", clientv3.Config{RejectOldCluster: true, PermitWithoutStream: true}},
		{"texts that look like something else", "password: 12345\nusername: \"true\"\n\"token\": null\n", clientv3.Config{Password: "12345", Username: "true"}},
		{"escapes", `password: "a\tb\u00e4\"\x41"`, clientv3.Config{Password: "a\tbä\"A"}},
		{"what nobody knows", "Logger: null\nTLS: ~\nContext:\nsomething: else\nothers: [1, 2]\nusername: ann", clientv3.Config{Username: "ann"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := read(t, tt.text+"\ninsecure-transport: true\n")
			if strings.HasSuffix(tt.text, "...\n") {
				got, err = read(t, "insecure-transport: true\n"+strings.TrimPrefix(tt.text, "---\n"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got, cmpopts.IgnoreUnexported(clientv3.Config{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestNewConfigRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"endpoints:\n\t- a":             "line 2",
		"- a":                           "line 1",
		"endpoints: a":                  "write a list",
		"username: [a]":                 "list",
		"username: a\nusername: b":      "twice",
		"endpoints: [a, b":              "no end",
		"endpoints: [a] b":              "after a list",
		"username: 'a":                  "quote",
		`username: "a\q"`:               "escape",
		"username: 'a' b":               "after a scalar",
		"username: a: b":                "mapping",
		"TLS:\n  ServerName: x":         "line 2",
		"username: &anchor a":           "not supported",
		"password: |\n  x":              "not supported",
		"{username: a}":                 "not supported",
		"username":                      "not a key",
		"dial-timeout: soon":            "line 1: dial-timeout",
		"max-unary-retries: -1":         "max-unary-retries",
		"reject-old-cluster: perhaps":   "true or false",
		"...\nusername: a":              "after the end",
		"username: a\n---\ntoken: t":    "line 2",
		"# a client\n---\n---":          "line 3",
		"trusted-ca-file: /nonexistent": "trusted-ca-file",
		"cert-file: /nonexistent\nkey-file: /nonexistent": "cert-file",
	} {
		if _, err := read(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
	if _, err := yaml.NewConfig(filepath.Join(t.TempDir(), "nothing")); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestTLS(t *testing.T) {
	for text, want := range map[string]bool{"": true, "insecure-transport: true": false, "insecure-skip-tls-verify: true": true} {
		cfg, err := read(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.TLS != nil; got != want {
			t.Errorf("%q: TLS is %v, want %v", text, got, want)
		}
	}
}
