package resolver

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	grpcresolver "google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/internal/redact"
)

// Scheme is the scheme of the gRPC target that a Resolver serves.
const Scheme = "getcd"

// Target is the gRPC target to use with a Resolver:
//
//	grpc.NewClient(resolver.Target, grpc.WithResolvers(r), ...)
const Target = Scheme + ":///etcd"

// Resolver resolves the endpoints of one client for gRPC. It implements gRPC's
// resolver.Builder. It does nothing before gRPC calls Build, and it has no
// goroutine left after gRPC has closed the built resolver.
//
// The addresses belong to the Resolver, not to what Build returns: when a
// connection leaves gRPC's idle mode, it starts with the last good addresses.
type Resolver struct {
	// Read-only after New.
	opts      Config
	authority string
	security  tlsDecision // what the configuration says before any DNS query

	resolutions atomic.Uint64
	dialer      atomic.Bool // the user has a dialer, which does not know about proxies

	mu       sync.Mutex // a leaf lock: nothing is called while it is held
	building bool       // guarded by mu: the resolver that Build returned is not closed yet
	failures []error    // guarded by mu: in the order of the endpoints; never modified
	current  []Address  // guarded by mu: what gRPC was told last; never modified

	changed chan struct{} // capacity 1: next was set
	next    *list         // guarded by mu: from SetEndpoints; nil once the watcher has taken it

	// The open watcher owns endpoints and the state in them.
	endpoints []*endpoint
	// The open watcher owns decided, too.
	decided tlsDecision
}

// ownTLS is the decision of a client with a TLS configuration.
var ownTLS = tlsDecision{SecurityTLS, "the client's TLS configuration"}

// tlsDecision says whether the client uses TLS, and what decided it.
type tlsDecision struct {
	security Security
	by       string
}

// The gRPC interfaces that Resolver implements.
var (
	_ grpcresolver.Builder            = (*Resolver)(nil)
	_ grpcresolver.AuthorityOverrider = (*Resolver)(nil)
	_ grpcresolver.Resolver           = (*watcher)(nil)
)

// New makes a Resolver for endpoints. Each is a URI or host:port, as the package
// documentation describes. New validates everything and resolves nothing. Its
// error covers every invalid endpoint and option: malformed endpoints, unknown
// schemes, and TLS mixed with plain. The errors about endpoints are
// *EndpointError values.
func New(endpoints []string, o Config) (*Resolver, error) {
	failed := []error{o.validate()}
	o = o.withDefaults()
	r := &Resolver{opts: o, changed: make(chan struct{}, 1)}
	if o.TLS && !o.InsecureDiscovery {
		r.security = ownTLS
	}
	l, errs := r.parse(endpoints)
	if err := errors.Join(append(failed, errs...)...); err != nil {
		return nil, err
	}
	r.endpoints, r.authority, r.security = l.endpoints, l.authority, l.security
	if r.authority == "" {
		r.authority = "etcd" // if no source has a name
	}
	r.decided = r.security
	return r, nil
}

// list is a parsed list of endpoints, before anything is resolved.
type list struct {
	endpoints []*endpoint
	authority string
	security  tlsDecision
}

// parse returns all errors in endpoints. Their use of TLS must agree with what
// the resolver decided when it was made.
func (r *Resolver) parse(endpoints []string) (list, []error) {
	var failed []error
	l := list{security: r.security}
	var single []string
	for _, e := range endpoints {
		if e != "" { // a stray comma leaves an empty element
			single = append(single, split(e, r.opts.Registry)...)
		}
	}
	endpoints = single
	if len(endpoints) == 0 {
		failed = append(failed, errors.New("resolver: the list of endpoints is empty; give at least one, such as 127.0.0.1:2379 or dns+srv:///example.com"))
	}
	if r.opts.OneEndpoint && len(endpoints) > 1 {
		failed = append(failed, fmt.Errorf("resolver: one endpoint is wanted, and there are %d", len(endpoints)))
	}
	so := SourceOptions{
		TLS: r.opts.TLS, VerifyTargetNames: r.opts.VerifyTargetNames,
		ResolvConf: r.opts.ResolvConf, Timeout: r.opts.Timeout, Logger: r.opts.Logger,
		InsecureDiscovery: r.opts.InsecureDiscovery,
		lookup:            r.opts.lookup, hosts: r.opts.hosts, proxied: r.proxied,
	}
	for _, raw := range endpoints {
		uri := redact.Endpoint(raw)
		source, err := newSource(raw, r.opts.Registry, so)
		if err != nil {
			failed = append(failed, &EndpointError{Endpoint: uri, Err: err})
			continue
		}
		var hint Hint
		if h, ok := source.(Hinter); ok {
			hint = h.Hint()
		}
		admitted := &l.security
		if r.opts.TLS && hint.Security == SecurityPlain {
			admitted = new(ownTLS) // only DNS may contradict it
		}
		if err := admitted.admit(hint.Security, uri); err != nil {
			failed = append(failed, &EndpointError{Endpoint: uri, Err: err})
		}
		if l.authority == "" {
			l.authority = hint.Authority
		}
		l.endpoints = append(l.endpoints, &endpoint{raw: raw, uri: uri, source: source})
	}
	return l, failed
}

// SetEndpoints replaces the endpoints. It validates the new ones like New, and
// they must agree on TLS with what New was given. What DNS alone has said about
// TLS gives way to what they say. After an error nothing has
// changed. It does not wait: the new endpoints are resolved in the background.
// Endpoints that are in both lists keep what is known of them, and the former
// addresses stay in use until some of the new endpoints' addresses are known.
func (r *Resolver) SetEndpoints(endpoints []string) error {
	l, errs := r.parse(endpoints)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.mu.Lock()
	r.next = &l
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
	return nil
}

// takeNext returns the list of the last SetEndpoints, once.
func (r *Resolver) takeNext() *list {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.next
	r.next = nil
	return next
}

// admit adopts s if v is still open, and otherwise returns an error if s
// contradicts v.
func (v *tlsDecision) admit(s Security, by string) error {
	switch {
	case s == SecurityUnknown || s == v.security:
		return nil
	case v.security == SecurityUnknown:
		*v = tlsDecision{s, quote(by)}
		return nil
	}
	return fmt.Errorf("is %v while %s means %v: %w; use https:// for all, or http:// for all without a TLS configuration",
		s, v.by, v.security, ErrMixedTLS)
}

// Scheme implements gRPC's resolver.Builder.
func (r *Resolver) Scheme() string { return Scheme }

// OverrideAuthority implements gRPC's AuthorityOverrider. The :authority header
// of requests is the host and port of the first endpoint, or its domain if it is
// an SRV name, regardless of the target.
func (r *Resolver) OverrideAuthority(grpcresolver.Target) string { return r.authority }

// Build implements gRPC's resolver.Builder. It starts the goroutine that
// resolves. Close of the returned resolver ends the goroutine and waits for it.
// Only one resolver may be open at a time, so a Resolver belongs to one
// grpc.ClientConn. If the user has given it a dialer (o.Dialer), bare host names
// are left to the dialer.
func (r *Resolver) Build(_ grpcresolver.Target, cc grpcresolver.ClientConn, o grpcresolver.BuildOptions) (grpcresolver.Resolver, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.building {
		return nil, errors.New("resolver: this Resolver already serves another grpc.ClientConn; make one for each")
	}
	r.building = true
	r.dialer.Store(o.Dialer != nil)
	return startWatcher(r, cc, o.Dialer != nil), nil
}

// proxied reports whether the dialer leaves hostPort to a proxy.
func (r *Resolver) proxied(hostPort string) bool {
	return r.opts.Proxied != nil && !r.dialer.Load() && r.opts.Proxied(hostPort)
}

// Errors returns the current errors of the endpoints that fail, in the order of
// the endpoints. Each is an *EndpointError. An endpoint can fail while its former
// addresses are still in use. The caller may modify the slice.
func (r *Resolver) Errors() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.failures)
}

// Resolutions returns how many resolutions of endpoints have been started.
func (r *Resolver) Resolutions() uint64 { return r.resolutions.Load() }

// Addresses returns the addresses that gRPC was told last, in the order in which
// they are tried. It is empty until something is resolved. The caller may modify
// the slice.
func (r *Resolver) Addresses() []Address {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.current)
}

func (r *Resolver) setFailures(failures []error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = failures
}

func (r *Resolver) setCurrent(addrs []Address) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = addrs
}

func (r *Resolver) closed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.building = false
}
