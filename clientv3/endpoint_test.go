package clientv3

import (
	"crypto/tls"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// The first endpoint decides whether TLS is used, as in clientv3, and the others
// are changed to agree with it.
func TestAdapt(t *testing.T) {
	own := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}}
	tests := []struct {
		name      string
		endpoints []string
		tls       *tls.Config
		secure    bool
		want      []string
	}{
		{"plain", []string{"a:1", "b:2"}, nil, false, []string{"a:1", "b:2"}},
		{"by the configuration", []string{"a:1", "b:2"}, own, true, []string{"a:1", "b:2"}},
		{"http drops TLS", []string{"http://a:1", "https://b:2"}, own, false, []string{"http://a:1", "http://b:2"}},
		{"https needs none", []string{"https://a:1", "http://b:2", "c:3"}, nil, true, []string{"https://a:1", "https://b:2", "c:3"}},
		{"https has one", []string{"https://a:1"}, own, true, []string{"https://a:1"}},
		{"a zone", []string{"http://[::1%25lo]:2379"}, nil, false, []string{"http://[::1%25lo]:2379"}},
		{"empty ones", []string{"a:1", ""}, nil, false, []string{"a:1"}},
		{"white space", []string{"http://a:1", " http://b:2", "c:3\n", " "}, own, false, []string{"http://a:1", "http://b:2", "c:3"}},
		{"the local host", []string{":2379", "http://:2379"}, nil, false, []string{":2379", "http://:2379"}},
		{"with paths", []string{"http://a:1/", "http://[::1]:2/x"}, nil, false, []string{"http://a:1", "http://[::1]:2"}},
		{"sockets", []string{"unix:///run/a", "unix://local", "unix:b"}, nil, false, []string{"unix:///run/a", "unix://local", "unix:b"}},
		{"secure sockets", []string{"unixs:///run/a"}, nil, true, []string{"unix:///run/a"}},
		{"names", []string{"dns+srv:///example.com"}, nil, false, []string{"dns+srv:///example.com"}},
		{"none", nil, nil, false, []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secure, got := adapt(tt.endpoints, tt.tls)
			if (secure != nil) != tt.secure {
				t.Errorf("TLS is %v, want %v", secure != nil, tt.secure)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("the endpoints are %q, want %q", got, tt.want)
			}
			if len(tt.endpoints) > 0 {
				c, err := New(Config{Endpoints: tt.endpoints, TLS: tt.tls})
				if err != nil {
					t.Fatalf("New: %v", err)
				}
				_ = c.Close() // returns the error of its context
			}
			if secure != nil && len(secure.NextProtos) > 0 {
				t.Errorf("NextProtos is %q, which is gRPC's to set", secure.NextProtos)
			}
			if tt.tls == own && secure != nil && secure.MinVersion != own.MinVersion {
				t.Error("it is another TLS configuration")
			}
		})
	}
	if len(own.NextProtos) != 1 {
		t.Error("the caller's TLS configuration was changed")
	}
}

// Credentials that secure nothing are left out for plain endpoints. Others are refused.
func TestCredentialsInOptions(t *testing.T) {
	plain, secure := grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithTransportCredentials(credentials.NewTLS(nil))
	for _, tt := range []struct {
		name     string
		endpoint string
		option   grpc.DialOption
		want     bool
	}{
		{"plain", "a:1", plain, true},
		{"secure on plain", "a:1", secure, false},
		{"plain on secure", "https://a:1", plain, false},
		{"an option without credentials", "a:1", grpc.WithUserAgent("x"), true},
	} {
		c, err := New(Config{Endpoints: []string{tt.endpoint}, DialOptions: []grpc.DialOption{tt.option}})
		if (err == nil) != tt.want {
			t.Errorf("%s: got %v, want success: %t", tt.name, err, tt.want)
		}
		if c != nil {
			_ = c.Close()
		}
	}
}

// Who sets the time between pings and no timeout gets gRPC's.
func TestKeepAliveTimeout(t *testing.T) {
	for _, tt := range []struct{ every, timeout, want time.Duration }{
		{0, 0, 0}, {-1, 0, 0}, {time.Minute, 0, 20 * time.Second}, {time.Minute, time.Second, time.Second}, {0, time.Second, time.Second},
	} {
		cfg := Config{DialKeepAliveTime: tt.every, DialKeepAliveTimeout: tt.timeout}
		if got := cfg.native().DialKeepAliveTimeout; got != tt.want {
			t.Errorf("every %v, timeout %v: got %v, want %v", tt.every, tt.timeout, got, tt.want)
		}
	}
}

func TestOlder(t *testing.T) {
	for version, want := range map[string]bool{
		"3.7.3": false, "3.6.0": false, "3.8.0-alpha.1": false, "4.0.0": false, "3.5.21": true, "3.4.0": true, "2.3.8": true, "": true,
	} {
		if got := older(version); got != want {
			t.Errorf("%q: older is %v, want %v", version, got, want)
		}
	}
}

func TestClone(t *testing.T) {
	spec := &ConfigSpec{Endpoints: []string{"a"}, DialTimeout: time.Second, Secure: &SecureConfig{Cert: "c"}, Auth: &AuthConfig{Username: "u"}}
	c := spec.Clone()
	c.Endpoints[0], c.Secure.Cert, c.Auth.Username = "x", "x", "x"
	if spec.Endpoints[0] != "a" || spec.Secure.Cert != "c" || spec.Auth.Username != "u" || c.DialTimeout != time.Second {
		t.Errorf("the original is %+v, %+v, %+v after the copy was changed", spec, spec.Secure, spec.Auth)
	}
	if (*ConfigSpec)(nil).Clone() != nil {
		t.Error("a copy of nothing")
	}
	if spec.Auth.Empty() || !(AuthConfig{}).Empty() {
		t.Error("Empty is wrong")
	}
}

func TestNewClientConfig(t *testing.T) {
	tests := []struct {
		name   string
		secure *SecureConfig
		tls    bool
		bad    bool
	}{
		{"nothing", nil, false, false},
		{"defaults", &SecureConfig{}, true, false},
		{"insecure", &SecureConfig{InsecureTransport: true}, false, false},
		{"unverified", &SecureConfig{InsecureTransport: true, InsecureSkipVerify: true}, true, false},
		{"a name", &SecureConfig{ServerName: "etcd"}, true, false},
		{"a certificate without its key", &SecureConfig{Cert: "c"}, false, true},
		{"files that are not there", &SecureConfig{Cert: "/nonexistent", Key: "/nonexistent"}, false, true},
		{"an authority that is not there", &SecureConfig{Cacert: "/nonexistent"}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := NewClientConfig(&ConfigSpec{Endpoints: []string{"a"}, Secure: tt.secure, Auth: &AuthConfig{Token: "t"}}, nil)
			if (err != nil) != tt.bad {
				t.Fatalf("%v, want an error: %v", err, tt.bad)
			}
			if err == nil && ((cfg.TLS != nil) != tt.tls || cfg.Token != "t" || !slices.Equal(cfg.Endpoints, []string{"a"})) {
				t.Errorf("%+v, want TLS: %v", cfg, tt.tls)
			}
		})
	}
}
