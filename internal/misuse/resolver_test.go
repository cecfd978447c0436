package misuse_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/getcd/getcd/resolver"
)

// Package resolver takes no context but a Source's own. What else can be nil or empty in
// it is an error that says so.
func TestMisuseOfTheResolver(t *testing.T) {
	registry := resolver.NewRegistry()
	if err := registry.Register("none", func(*url.URL, resolver.SourceOptions) (resolver.Source, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	r, err := resolver.New([]string{"127.0.0.1:1"}, resolver.Config{Options: resolver.Options{Registry: registry}})
	if err != nil {
		t.Fatal(err)
	}
	var missing *resolver.Registry
	newError := func(endpoints []string, o resolver.Config) error {
		_, err := resolver.New(endpoints, o)
		return err
	}
	for _, c := range []struct {
		what, want string
		err        error
	}{
		{"a nil factory", "is nil", registry.Register("x", nil)},
		{"a nil registry", "nil Registry", missing.Register("x", func(*url.URL, resolver.SourceOptions) (resolver.Source, error) { return nil, nil })},
		{"a scheme that is none", "is not a URI scheme", registry.Register("", func(*url.URL, resolver.SourceOptions) (resolver.Source, error) { return nil, nil })},
		{"a factory that returns nothing", "neither a source nor an error", newError([]string{"none://x"}, resolver.Config{Options: resolver.Options{Registry: registry}})},
		{"no endpoints", "empty", newError(nil, resolver.Config{})},
		{"empty endpoints", "empty", newError([]string{""}, resolver.Config{})},
		{"no new endpoints", "empty", r.SetEndpoints(nil)},
		{"schemes of an empty registry", "unknown scheme", newError([]string{"dns:///x"}, resolver.Config{Options: resolver.Options{Registry: &resolver.Registry{}}})},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.what, c.err, c.want)
		}
	}
	if got := missing.Schemes(); len(got) != 0 {
		t.Errorf("the schemes of a nil registry are %q, want none", got)
	}
}
