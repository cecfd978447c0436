package endpoint_test

import (
	"slices"
	"testing"

	"github.com/getcd/getcd/internal/endpoint"
	"github.com/getcd/getcd/resolver"
)

// The first endpoint decides whether TLS is used, as in clientv3, and all others are
// made to agree with it.
func TestAdapt(t *testing.T) {
	for _, tt := range []struct {
		name      string
		endpoints []string
		tls       bool
		secure    bool
		want      []string
	}{
		{"plain", []string{"a:1", "b:2"}, false, false, []string{"a:1", "b:2"}},
		{"by the configuration", []string{"a:1", "b:2"}, true, true, []string{"a:1", "b:2"}},
		{"http drops TLS", []string{"http://a:1", "https://b:2"}, true, false, []string{"http://a:1", "http://b:2"}},
		{"https needs none", []string{"https://a:1", "http://b:2", "c:3"}, false, true, []string{"https://a:1", "https://b:2", "c:3"}},
		{"https has one", []string{"https://a:1"}, true, true, []string{"https://a:1"}},
		{"capitals", []string{"HTTP://a:1", "HTTPS://b:2", "UNIXS:///c"}, true, false, []string{"http://a:1", "http://b:2", "unix:///c"}},
		{"with paths", []string{"http://a:1/", "http://[::1]:2/x?y#z"}, false, false, []string{"http://a:1", "http://[::1]:2"}},
		{"with a user", []string{"http://u:p@a:1"}, false, false, []string{"http://a:1"}},
		{"a zone", []string{"http://[fe80::1%25lo]:2379"}, false, false, []string{"http://[fe80::1%25lo]:2379"}},
		{"the local host", []string{":2379", "http://:2379"}, false, false, []string{":2379", "http://:2379"}},
		{"empty ones", []string{"", "https://a:1", ""}, false, true, []string{"https://a:1"}},
		{"white space", []string{"http://a:1", " https://b:2", "c:3\n", "\td:4 ", " "}, true, false, []string{"http://a:1", "http://b:2", "c:3", "d:4"}},
		{"white space before the first", []string{" https://a:1", "b:2"}, false, true, []string{"https://a:1", "b:2"}},
		{"sockets", []string{"unix:///run/a", "unix://local", "unix:b"}, false, false, []string{"unix:///run/a", "unix://local", "unix:b"}},
		{"sockets of members", []string{"unixs://localhost:1", "unix://localhost:2"}, false, true, []string{"unix://localhost:1", "unix://localhost:2"}},
		{"names", []string{"dns+srv:///example.com"}, true, true, []string{"dns+srv:///example.com"}},
		{"hosts of those names", []string{"http:1", "https:2", "unixs:3"}, false, false, []string{"http:1", "https:2", "unixs:3"}},
		{"none", nil, false, false, []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			secure, got := endpoint.Adapt(tt.endpoints, tt.tls)
			if secure != tt.secure {
				t.Errorf("TLS is %v, want %v", secure, tt.secure)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("the endpoints are %q, want %q", got, tt.want)
			}
			if len(got) == 0 {
				return
			}
			if _, err := resolver.New(got, resolver.Config{TLS: secure}); err != nil {
				t.Errorf("they can't be used: %v", err)
			}
		})
	}
	// What is wrong is left for package client to say.
	for _, bad := range []string{"http://", "http://a:b", "http://%zz", "foo://a", "http:", "unixs:", "a b"} {
		_, got := endpoint.Adapt([]string{bad}, false)
		if _, err := resolver.New(got, resolver.Config{}); err == nil {
			t.Errorf("%q became %q, which can be used", bad, got)
		}
	}
}
