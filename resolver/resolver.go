package resolver

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	grpcresolver "google.golang.org/grpc/resolver"
)

// Scheme is the scheme of the gRPC target that a Resolver serves.
const Scheme = "getcd"

// Target is the gRPC target to use with a Resolver:
//
//	grpc.NewClient(resolver.Target, grpc.WithResolvers(r), ...)
const Target = Scheme + ":///etcd"

// Resolver resolves the endpoints of one client for gRPC: it is a
// resolver.Builder of gRPC. It does nothing before gRPC builds it, and it owns
// no goroutine after gRPC closed what it built.
//
// What was resolved belongs to the Resolver, not to what gRPC builds: when a
// connection leaves gRPC's idle mode, it starts with the last good addresses.
type Resolver struct {
	// Read-only after New.
	opts      Config
	authority string
	security  verdict // what the configuration says before DNS is asked

	resolutions atomic.Uint64
	dialer      atomic.Bool // the user has one, which knows nothing of proxies

	mu       sync.Mutex // leaf: nothing is called while it is held
	building bool       // guarded by mu: what Build returned is not closed yet
	failures []error    // guarded by mu: in the order of the endpoints; never modified
	current  []Address  // guarded by mu: what gRPC was told last; never modified

	changed chan struct{} // capacity 1: next was set
	next    []*endpoint   // guarded by mu: SetEndpoints'; nil when the watcher has taken it

	// endpoints, and the state in it, belongs to the one watcher that is open.
	endpoints []*endpoint
	// settled belongs to the open watcher, like the state of the endpoints.
	settled verdict
}

// ownTLS is what a TLS configuration says.
var ownTLS = verdict{SecurityTLS, "the client's TLS configuration"}

// verdict says whether the client is TLS or plain, and who decided it.
type verdict struct {
	security Security
	by       string
}

// Interfaces of gRPC.
var (
	_ grpcresolver.Builder            = (*Resolver)(nil)
	_ grpcresolver.AuthorityOverrider = (*Resolver)(nil)
	_ grpcresolver.Resolver           = (*watcher)(nil)
)

// New makes a Resolver for endpoints, each a URI or host:port as the package
// documentation lists them. It validates everything and resolves nothing. The
// error tells of every endpoint and option that is wrong: malformed endpoints,
// unknown schemes, TLS mixed with plain. The endpoints among them are
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
		r.authority = "etcd" // no source has a name to offer
	}
	r.settled = r.security
	return r, nil
}

// list is what a list of endpoints says before anything is resolved.
type list struct {
	endpoints []*endpoint
	authority string
	security  verdict
}

// parse returns all that is wrong with endpoints, of which TLS must agree with what
// the resolver has settled on when it was made.
func (r *Resolver) parse(endpoints []string) (list, []error) {
	var failed []error
	l := list{security: r.security}
	// An empty element is what a comma too many leaves.
	endpoints = slices.DeleteFunc(slices.Clone(endpoints), func(e string) bool { return e == "" })
	if len(endpoints) == 0 {
		failed = append(failed, errors.New("resolver: the list of endpoints is empty; give at least one, such as 127.0.0.1:2379 or dns+srv:///example.com"))
	}
	so := SourceOptions{
		TLS: r.opts.TLS, VerifyTargetNames: r.opts.VerifyTargetNames,
		ResolvConf: r.opts.ResolvConf, Timeout: r.opts.Timeout, Logger: r.opts.Logger,
		InsecureDiscovery: r.opts.InsecureDiscovery,
		lookup:            r.opts.lookup, hosts: r.opts.hosts, proxied: r.proxied,
	}
	for _, raw := range endpoints {
		uri := redact(raw)
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

// SetEndpoints replaces the endpoints by others, which are validated as New does and
// must agree with the former ones on TLS; an error changes nothing. It does not wait:
// the others are resolved in the background, endpoints that are in both lists keep
// what is known of them, and the former addresses stay in use until some of the
// others' are known.
func (r *Resolver) SetEndpoints(endpoints []string) error {
	l, errs := r.parse(endpoints)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.mu.Lock()
	r.next = l.endpoints
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
	return nil
}

// takeNext returns what SetEndpoints was given last, once.
func (r *Resolver) takeNext() []*endpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.next
	r.next = nil
	return next
}

// admit settles v on s when it is open, and refuses an s that contradicts it.
func (v *verdict) admit(s Security, by string) error {
	switch {
	case s == SecurityUnknown || s == v.security:
		return nil
	case v.security == SecurityUnknown:
		*v = verdict{s, quote(by)}
		return nil
	}
	return fmt.Errorf("is %v while %s means %v: %w; use https:// for all, or http:// for all without a TLS configuration",
		s, v.by, v.security, ErrMixedTLS)
}

// Scheme implements gRPC's resolver.Builder.
func (r *Resolver) Scheme() string { return Scheme }

// OverrideAuthority implements gRPC's AuthorityOverrider: the :authority header
// of requests is the host and port of the first endpoint, or the domain when
// that is an SRV name, whatever the target is.
func (r *Resolver) OverrideAuthority(grpcresolver.Target) string { return r.authority }

// Build implements gRPC's resolver.Builder. It starts the goroutine that
// resolves; Close of what it returns ends it and waits for it. Only one may be
// open at a time: a Resolver belongs to one grpc.ClientConn. When that has a dialer
// of its user's (o.Dialer), bare host names are left to the dialer.
func (r *Resolver) Build(_ grpcresolver.Target, cc grpcresolver.ClientConn, o grpcresolver.BuildOptions) (grpcresolver.Resolver, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.building {
		return nil, errors.New("resolver: this Resolver serves another grpc.ClientConn already; make one for each")
	}
	r.building = true
	r.dialer.Store(o.Dialer != nil)
	return startWatcher(r, cc, o.Dialer != nil), nil
}

// proxied reports whether the dialer leaves host and port to a proxy.
func (r *Resolver) proxied(hostPort string) bool {
	return r.opts.Proxied != nil && !r.dialer.Load() && r.opts.Proxied(hostPort)
}

// Errors returns the current failure of each endpoint that fails, in the order
// of the endpoints; each is an *EndpointError. An endpoint can fail while its
// former addresses are still in use. The slice is the caller's.
func (r *Resolver) Errors() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.failures)
}

// Resolutions returns how many resolutions of an endpoint were begun so far.
func (r *Resolver) Resolutions() uint64 { return r.resolutions.Load() }

// Addresses returns the addresses that gRPC was told last, in the order in
// which they are to be tried. It is empty until something was resolved. The
// slice is the caller's.
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
