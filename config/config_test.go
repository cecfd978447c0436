package config_test

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/config"
)

func TestSettings(t *testing.T) {
	secure := func(serverName string, unchecked bool) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName, InsecureSkipVerify: unchecked} //nolint:gosec // as configured
	}
	local := []string{"http://localhost:2379"}
	for name, tt := range map[string]struct {
		file string
		env  []string
		want client.Config
	}{
		"nothing":                             {"", nil, client.Config{}},
		"only comments":                       {"# a client\n---\n", nil, client.Config{}},
		"null":                                {"endpoints:\ntoken: ~\nusername: null", nil, client.Config{}},
		"a list":                              {"endpoints:\n- http://a:1\n- http://b:2", nil, client.Config{Endpoints: []string{"http://a:1", "http://b:2"}}},
		"a text as list":                      {"endpoints: http://a:1, http://b:2", nil, client.Config{Endpoints: []string{"http://a:1", "http://b:2"}}},
		"an alias":                            {"server-name: &name example.com\nendpoints: [*name]", nil, client.Config{Endpoints: []string{"example.com"}, TLS: secure("example.com", false)}},
		"texts that look like something else": {"username: 0123\npassword: true\nendpoints: ['http://[::1]:2379']", nil, client.Config{Username: "0123", Password: "true", Endpoints: []string{"http://[::1]:2379"}}},
		"durations":                           {"dial-timeout: 1m30s\nwrite-patience: 500ms\nheartbeat-interval: -1s\ndial-keep-alive-timeout: 0", nil, client.Config{DialTimeout: 90 * time.Second, WritePatience: time.Second / 2, HeartbeatInterval: -time.Second}},
		"pings that gRPC would not send":      {"dial-keep-alive-time: 2s", nil, client.Config{DialKeepAliveTime: 10 * time.Second}},
		"a mapping":                           {"headers: {x-route: 0x1, x-zone: b}", nil, client.Config{Headers: map[string]string{"x-route": "0x1", "x-zone": "b"}}},
		"a text as mapping":                   {"headers: {a: b}", []string{"GETCD_HEADERS=x-route=a=b, x-zone=c"}, client.Config{Headers: map[string]string{"x-route": "a=b", "x-zone": "c"}}},
		"IDs":                                 {"cluster-id: 0xcdf818194e3a8c32", []string{"GETCD_CLUSTER_ID=14841639068965178418"}, client.Config{ClusterID: 0xcdf818194e3a8c32}},
		"TLS by files":                        {"trusted-ca-file: ca.pem\ncert-file: c.pem\nkey-file: k.pem", nil, client.Config{TLSFiles: client.TLSFiles{Cert: "c.pem", Key: "k.pem", CA: "ca.pem"}}},
		"TLS, not plain":                      {"insecure-transport: false\nendpoints: [localhost:2379]\ntoken: t", nil, client.Config{TLS: secure("", false), Endpoints: []string{"localhost:2379"}, Token: "t"}},
		"TLS that is not checked":             {"insecure-skip-tls-verify: yes", nil, client.Config{TLS: secure("", true)}},
		"plain":                               {"insecure-transport: true\nendpoints: [localhost:2379]\nusername: u\npassword: p", nil, client.Config{Endpoints: []string{"localhost:2379"}, Username: "u", Password: "p"}},
		"plain by itself":                     {"endpoints: [localhost:2379]", nil, client.Config{Endpoints: []string{"localhost:2379"}}},
		"a file of clientv3": {
			"Endpoints: [https://a:2379]\nauto-sync-interval: 60000000000\ndial-timeout: 5000000000\ndial-keep-alive-time: 30000000000\nMaxCallSendMsgSize: 1024\n" +
				"maxCallRecvMsgSize: 2048\nreject-old-cluster: false\npermit-without-stream: true\nmax-unary-retries: 3\nbackoff-jitter-fraction: 0.1\nca-file: ca.pem\ninsecure-transport: false", nil,
			client.Config{
				Endpoints: []string{"https://a:2379"}, AutoSyncInterval: time.Minute, DialTimeout: 5 * time.Second, DialKeepAliveTime: 30 * time.Second, MaxCallSendMsgSize: 1024, MaxCallRecvMsgSize: 2048,
				PermitWithoutStream: true, TLSFiles: client.TLSFiles{CA: "ca.pem"}, TLS: secure("", false),
			},
		},
		"the environment": {
			"",
			[]string{"GETCD_ENDPOINTS=a:1,b:2", "GETCD_DIAL_TIMEOUT=3s", "GETCD_ROUTING_SPREAD_READS=true", "GETCD_RESOLVER_RESOLV_CONF=/x", "HOME=/root", "GETCD_TOKEN="},
			func() client.Config {
				c := client.Config{Endpoints: []string{"a:1", "b:2"}, DialTimeout: 3 * time.Second}
				c.Routing.SpreadReads, c.Resolver.ResolvConf = true, "/x"
				return c
			}(),
		},
		"etcdctl's environment": {
			"",
			[]string{
				"ETCDCTL_API=3", "ETCDCTL_WRITE_OUT=table", "ETCDCTL_COMMAND_TIMEOUT=5s", "ETCDCTL_ENDPOINTS=a:1", "ETCDCTL_CACERT=ca.pem", "ETCDCTL_CERT=c.pem", "ETCDCTL_KEY=k.pem",
				"ETCDCTL_USER=ann:a:b", "ETCDCTL_DIAL_TIMEOUT=4s", "ETCDCTL_KEEPALIVE_TIME=2s", "ETCDCTL_KEEPALIVE_TIMEOUT=6s", "ETCDCTL_INSECURE_TRANSPORT=true", "ETCDCTL_MAX_REQUEST_BYTES=7",
			},
			client.Config{
				Endpoints: []string{"a:1"}, TLSFiles: client.TLSFiles{Cert: "c.pem", Key: "k.pem", CA: "ca.pem"}, Username: "ann", Password: "a:b",
				CallTimeout: 5 * time.Second, DialTimeout: 4 * time.Second, DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 6 * time.Second, MaxCallSendMsgSize: 7,
			},
		},
		"etcdctl's user and password": {"", []string{"ETCDCTL_USER=ann:a", "ETCDCTL_PASSWORD=b"}, client.Config{Username: "ann:a", Password: "b"}},
		"etcdctl's discovery": {
			"",
			[]string{"ETCDCTL_DISCOVERY_SRV=example.com", "ETCDCTL_DISCOVERY_SRV_NAME=a&b", "ETCDCTL_ENDPOINTS=a:1"},
			client.Config{Endpoints: []string{"dns+srv:///example.com?name=a%26b"}},
		},
		"etcdctl's word for never": {"", []string{"ETCDCTL_KEEPALIVE_TIME=0"}, client.Config{DialKeepAliveTime: -time.Second}},
		"precedence": {
			"endpoints: [http://file:1]\ndial-timeout: 1s\nwrite-patience: 1s",
			[]string{"ETCDCTL_ENDPOINTS=http://etcdctl:2", "ETCDCTL_DIAL_TIMEOUT=2s", "GETCD_ENDPOINTS=http://getcd:3"},
			client.Config{Endpoints: []string{"http://getcd:3"}, DialTimeout: 2 * time.Second, WritePatience: time.Second},
		},
		"another identity": {
			"endpoints: [http://localhost:2379]\nusername: u\npassword: p",
			[]string{"GETCD_TOKEN=t"},
			client.Config{Endpoints: local, Token: "t"},
		},
		"another password": {
			"endpoints: [http://localhost:2379]\nusername: u\npassword-file: p",
			[]string{"GETCD_PASSWORD=p"},
			client.Config{Endpoints: local, Username: "u", Password: "p"},
		},
		"Kubernetes and tests": {
			"",
			[]string{"GETCD_PORT=tcp://10.0.0.1:2379", "GETCD_SERVICE_HOST=10.0.0.1", "GETCD_PORT_2379_TCP_ADDR=10.0.0.1", "GETCD_SERVICE_PORT_CLIENT=2379", "ETCDCTL_PORT=x", "GETCD_ETCD=bin/etcd-3.4", "ETCDCTLX=1", "GETCDX=1"},
			client.Config{},
		},
		"variables of others": {"", []string{"ETCDCTL_SNAPSHOT_DIR=/x", "ETCDCTL_CA_FILE=old.pem", "ETCDCTL_CACERT=new.pem", "ETCDCTL_WRITE_OTU=x"}, client.Config{TLSFiles: client.TLSFiles{CA: "new.pem"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config.Parse("client.yaml", []byte(tt.file), tt.env)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"endpoints: [http://a]\ntrusted-ca-fiel: ca.pem": "config: client.yaml:2: trusted-ca-fiel: no such setting; did you mean trusted-ca-file?",
		"endpoint: [http://a]":                           "did you mean endpoints?",
		"dial_timeout: 5s":                               "dial_timeout: no such setting; did you mean dial-timeout?",
		"DialTimeout: 5s":                                "did you mean dial-timeout?",
		"cacert: ca.pem":                                 "did you mean trusted-ca-file?",
		"user: ann":                                      "did you mean username?",
		"colour: red":                                    "client.yaml:1: colour: no such setting: go doc",
		"tls:\n  server-name: x":                         "client.yaml:1: tls: it can't be set in a file: set trusted-ca-file",
		"logger: x":                                      "Config.Logger in the program",
		"resolver: {keep-order: true}":                   "write resolver-keep-order",
		"dial-timeout: soon":                             `config: client.yaml:1: dial-timeout: "soon" is not a duration: write one such as 500ms, 2s or 1m30s`,
		"dial-timeout: 5":                                `"5" has no unit: write 5s (clientv3 would take it for 5ns)`,
		"one-member: perhaps":                            `one-member: "perhaps" is not a boolean: write true or false`,
		"max-call-send-msg-size: 2MiB":                   `"2MiB" is not an integer`,
		"cluster-id: cdf818194e3a8c32":                   "write it as 0xcdf818194e3a8c32",
		"username: [a, b]":                               "username: it is a list: write one value",
		"username: {a: b}":                               "username: it is a mapping: write one value",
		"endpoints: {a: b}":                              "endpoints: it is a mapping: write a list",
		"headers: {a: [b]}":                              "headers: the value on line 1 is not text",
		"headers: {a: b, a: c}":                          "headers: line 1 has a again",
		"headers: a":                                     "it is not a mapping: write name=value",
		"endpoints: [a, [b]]":                            "endpoints: the value on line 1 is not text",
		"- a":                                            "client.yaml:1: it is not a mapping",
		"just words":                                     "it is not a mapping",
		"a: b\n---\nc: d":                                "a second document begins",
		"endpoints: [a":                                  "client.yaml: yaml: line 1",
		"\tendpoints: a":                                 "client.yaml: yaml:",
		"username: a\nusername: b":                       "client.yaml:2: username: client.yaml:1: username sets the same",
		"ca-file: a\ntrusted-ca-file: b":                 "trusted-ca-file: client.yaml:1: ca-file sets the same",
		"reject-old-cluster: true":                       "package client has no such setting",
		"insecure-transport: true\ncert-file: c.pem":     "client.yaml:1: insecure-transport: it is true, and client.yaml:2: cert-file is for TLS",
		"insecure-transport: true\nendpoints: [HTTPS://a:1]": `client.yaml:2: endpoints has "HTTPS://a:1", which uses TLS`,
		"endpoints: [a:1]\ntoken: t":                         `client.yaml:1: endpoints: "a:1" does not say whether it uses TLS, and client.yaml:2: token would go without it: write https://a:1, http://a:1 or insecure-transport`,
		"token: t\nusername: u":                              "client.yaml:1: token: client.yaml:2: username is set, too",
		"password: p\npassword-file: f":                      "client.yaml:1: password: client.yaml:2: password-file is set, too",
		"password-file: f":                                   "password-file: there is no username for it",
	} {
		_, err := config.Parse("client.yaml", []byte(text), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
	if _, err := config.Parse("", []byte("color: red"), nil); err == nil || !strings.HasPrefix(err.Error(), "config: line 1: color: no such") {
		t.Errorf("a text without a file: %v", err)
	}
	for variable, want := range map[string]string{
		"GETCD_ENDPIONTS=a":        "config: GETCD_ENDPIONTS: no such setting; did you mean GETCD_ENDPOINTS?",
		"GETCD_CACERT=a":           "did you mean GETCD_TRUSTED_CA_FILE?",
		"GETCD_COLOR=a":            "GETCD_COLOR: no such setting: go doc",
		"GETCD_MAX_UNARY_RETRIES=": "",
		"GETCD_DIAL_TIMEOUT=5":     `GETCD_DIAL_TIMEOUT: "5" has no unit: write 5s or 5ms`,
		"ETCDCTL_ENDPOINT=a":       "config: ETCDCTL_ENDPOINT: etcdctl has no such variable; did you mean ETCDCTL_ENDPOINTS?",
		"ETCDCTL_CA_FILE=a":        "did you mean ETCDCTL_CACERT?",
		"ETCDCTL_CA_CERT=a":        "did you mean ETCDCTL_CACERT?",
		"ETCDCTL_DIAL_TIMEOUT=x":   `ETCDCTL_DIAL_TIMEOUT: "x" is not a duration`,
	} {
		_, err := config.Parse("", nil, []string{variable})
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", variable, err, want)
		}
	}
}

// All errors come at once, and none has a secret.
func TestErrorsHaveNoSecrets(t *testing.T) {
	_, err := config.Parse("client.yaml", []byte("endpoints: [a:1]\npassword: [hunter2]\npasword: hunter2\ntoken: {a: hunter2}\nusername: a"),
		[]string{"ETCDCTL_USERR=ann:hunter2", "GETCD_TOKN=hunter2", "ETCDCTL_USER=ann:hunter2", "ETCDCTL_AUTH_JWT_TOKEN=hunter2"})
	if err == nil {
		t.Fatal("no error")
	}
	if n := strings.Count(err.Error(), "config: "); n < 6 {
		t.Errorf("%d errors, want all:\n%v", n, err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret in %v", err)
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client.yaml")
	if _, err := config.Load(file); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(file, []byte("endpoints: [http://file:1]\nheartbeat-interval: 7s"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GETCD_ENDPOINTS", "http://environment:1")
	want := client.Config{Endpoints: []string{"http://environment:1"}, HeartbeatInterval: 7 * time.Second}
	if got, err := config.Load(file); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	want.HeartbeatInterval = 0
	if got, err := config.Load(""); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("without a file: got %+v, %v; want %+v", got, err, want)
	}
}

// The files are read again for each login.
func TestFilesWithSecrets(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	withPassword, err := config.Parse("c.yaml", []byte("endpoints: [http://a]\nusername: ann\npassword-file: "+file), nil)
	if err != nil || withPassword.Username != "" {
		t.Fatalf("got %+v, %v", withPassword, err)
	}
	withToken, err := config.Parse("", nil, []string{"GETCD_TOKEN_FILE=" + file})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second\n", "third \r\n"} {
		write(text)
		want := strings.TrimRight(text, "\r\n")
		if user, password, err := withPassword.Credentials(t.Context()); user != "ann" || password != want || err != nil {
			t.Errorf("got %q, %q, %v; want %q", user, password, err, want)
		}
		if token, err := withToken.TokenSource(t.Context()); token != want || err != nil {
			t.Errorf("got %q, %v; want %q", token, err, want)
		}
	}
	write("\n")
	if _, _, err := withPassword.Credentials(t.Context()); err == nil || !strings.Contains(err.Error(), file+" is empty") {
		t.Errorf("an empty file: %v", err)
	}
}
