package naming

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	grpcresolver "google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/backoff"
	"github.com/getcd/getcd/internal/misuse"
)

// Scheme is the scheme of the gRPC targets that NewBuilder's resolvers handle:
// etcd:///SERVICE.
const Scheme = "etcd"

// ErrNoEndpoints is the error that gRPC gets from a resolver of NewBuilder while the
// service has no endpoints. gRPC's calls fail with a text that has this one, and so
// names the service.
var ErrNoEndpoints = errors.New("naming: the service has no endpoints")

// NewBuilder returns a gRPC resolver builder (for grpc.WithResolvers) for targets
// such as etcd:///web. The resolver reports all endpoints of the service, and each
// change as it happens. While there are none, gRPC's calls fail with ErrNoEndpoints
// or wait, as their options say. If the resolver cannot read the endpoints, it
// reports the error to gRPC, which keeps the last addresses, and tries again. It
// runs one goroutine for each connection, which ends with the connection. Close
// the connections before the client.
func NewBuilder(c Client, opts ...Option) (grpcresolver.Builder, error) {
	if c == nil {
		return nil, errors.New("naming: the client is nil")
	}
	if err := misuse.Options("naming: NewBuilder", opts); err != nil {
		return nil, err
	}
	return builder{c, opts}, nil
}

type builder struct {
	client Client
	opts   []Option
}

func (builder) Scheme() string { return Scheme }

func (b builder) Build(target grpcresolver.Target, cc grpcresolver.ClientConn, _ grpcresolver.BuildOptions) (grpcresolver.Resolver, error) {
	name := target.URL.Path
	if name == "" {
		name = target.URL.Opaque
	}
	s, err := New(b.client, strings.TrimPrefix(name, "/"), b.opts...)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, fmt.Sprintf("the target %s: %v", target.String(), err))
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{service: s, cc: cc, cancel: cancel}
	f.wg.Go(func() { f.run(ctx) })
	return f, nil
}

// noEndpointsError is ErrNoEndpoints with the service's name.
type noEndpointsError struct{ service string }

func (e noEndpointsError) Error() string {
	return fmt.Sprintf("naming: the service %q has no endpoints: no key begins with %q", e.service, e.service+"/")
}

func (noEndpointsError) Unwrap() error { return ErrNoEndpoints }

// follower reports the addresses of one service to one connection.
type follower struct {
	service *Service
	cc      grpcresolver.ClientConn
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// pauses are the pauses between attempts to follow the service again. The client
// itself has already retried what a retry can fix.
var pauses = backoff.Exponential{First: time.Second, Max: 30 * time.Second}

func (f *follower) run(ctx context.Context) {
	for failures := 0; ; failures++ {
		learned, err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if learned {
			failures = 0
		}
		f.service.logger.Warn("etcd: the endpoints of a service are not followed", "service", f.service.prefix, "cause", err)
		f.cc.ReportError(status.Error(codes.Unavailable, err.Error()))
		if !backoff.Sleep(ctx, pauses.Pause(failures)) {
			return
		}
	}
}

// follow reports the endpoints and their changes until that fails, and returns
// whether it has received the endpoints at least once.
func (f *follower) follow(ctx context.Context) (learned bool, err error) {
	all := make(map[string]grpcresolver.Endpoint)
	for updates, err := range f.service.Follow(ctx) {
		if err != nil {
			return learned, err
		}
		learned = true
		for _, u := range updates {
			if u.Op == Delete {
				delete(all, u.Key)
				continue
			}
			all[u.Key] = grpcresolver.Endpoint{Addresses: []grpcresolver.Address{{Addr: u.Endpoint.Addr}}}
		}
		var state grpcresolver.State
		for _, key := range slices.Sorted(maps.Keys(all)) {
			state.Endpoints = append(state.Endpoints, all[key])
			state.Addresses = append(state.Addresses, all[key].Addresses...) // all that policies of package base look at
		}
		if len(all) > 0 {
			_ = f.cc.UpdateState(state) // the next change replaces a state that gRPC refuses
			continue
		}
		// Of an empty list gRPC's policies say "no children to pick from" or "produced zero
		// addresses", and many ignore an error then. To an endpoint without addresses they
		// pass it on (balancer/endpointsharding; gRFC A61 allows such endpoints).
		_ = f.cc.UpdateState(grpcresolver.State{Endpoints: []grpcresolver.Endpoint{{}}})
		f.cc.ReportError(noEndpointsError{strings.TrimSuffix(f.service.prefix, "/")})
	}
	return learned, errors.New("naming: the watch has ended")
}

// ResolveNow does nothing: changes are reported as they happen.
func (*follower) ResolveNow(grpcresolver.ResolveNowOptions) {}

// Close ends the goroutine and waits for it.
func (f *follower) Close() {
	f.cancel()
	f.wg.Wait()
}
