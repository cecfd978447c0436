package resolver

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Registry maps URI schemes to the factories of their sources. It belongs to one
// client, or to several clients that share it on purpose. It is safe for
// concurrent use. The zero value has no schemes and is ready for Register.
// Endpoints without a scheme work with every Registry.
type Registry struct {
	mu        sync.Mutex
	factories map[string]Factory // guarded by mu; keys are lower-case
}

// NewRegistry returns a Registry with the built-in schemes: http, https, ip,
// unix, unixs, dns and dns+srv.
func NewRegistry() *Registry {
	return &Registry{factories: map[string]Factory{
		"http":    newHTTPSource,
		"https":   newHTTPSource,
		ipScheme:  newIPSource,
		"unix":    newUnixSource,
		"unixs":   newUnixSource,
		"dns":     newDNSSource,
		"dns+srv": newSRVSource,
	}}
}

// Register adds a scheme. It does not affect clients that were made before. The
// case of the scheme does not matter (RFC 3986, section 3.1). Register returns an
// error for a name that is not a valid scheme, for a nil factory, and for a
// scheme that is already registered.
func (r *Registry) Register(scheme string, f Factory) error {
	if !validScheme(scheme) {
		return fmt.Errorf("resolver: %s is not a URI scheme: it must start with a letter, followed by letters, digits, '+', '-' and '.'", quote(scheme))
	}
	if f == nil {
		return fmt.Errorf("resolver: the factory for scheme %q is nil", scheme)
	}
	if r == nil {
		return errors.New("resolver: Register on a nil Registry; make one with NewRegistry")
	}
	scheme = strings.ToLower(scheme)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.factories[scheme]; ok {
		return fmt.Errorf("resolver: scheme %q is already registered", scheme)
	}
	if r.factories == nil {
		r.factories = make(map[string]Factory)
	}
	r.factories[scheme] = f
	return nil
}

// Schemes returns the registered schemes in alphabetical order. A nil Registry
// has none.
func (r *Registry) Schemes() []string {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.factories))
}

func (r *Registry) lookup(scheme string) (Factory, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.factories[strings.ToLower(scheme)]
	return f, ok
}

// validScheme implements the grammar of RFC 3986, section 3.1.
func validScheme(s string) bool {
	for i, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return s != ""
}
