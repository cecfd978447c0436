package clientv3

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/attributes"
	grpcbalancer "google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/connectivity"
	grpcresolver "google.golang.org/grpc/resolver"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
)

// The connections that a client hands out have neither addresses nor connections.
// Their resolver hands the client to their load balancing policy, by which gRPC
// learns a connection's state: it tells the state of the client's own.

// builder makes resolvers that find the client, and tell when they are closed.
type builder struct {
	client *client.Client
	closed func()
}

func (builder) Scheme() string { return scheme }

func (b builder) Build(_ grpcresolver.Target, cc grpcresolver.ClientConn, _ grpcresolver.BuildOptions) (grpcresolver.Resolver, error) {
	return b, cc.UpdateState(grpcresolver.State{Attributes: attributes.New(clientKey{}, b.client)})
}

func (builder) ResolveNow(grpcresolver.ResolveNowOptions) {}

func (b builder) Close() { b.closed() }

type clientKey struct{}

const mirrorName = "getcd_clientv3"

//nolint:gochecknoinits // gRPC finds policies by their names
func init() { grpcbalancer.Register(mirrors{}) }

type mirrors struct{}

func (mirrors) Name() string { return mirrorName }

func (mirrors) Build(cc grpcbalancer.ClientConn, _ grpcbalancer.BuildOptions) grpcbalancer.Balancer {
	return &mirror{cc: cc}
}

// mirror tells gRPC a client's state until it is closed. gRPC calls its methods one
// after the other.
type mirror struct {
	cc   grpcbalancer.ClientConn
	stop context.CancelFunc // nil: there is no client yet
}

func (m *mirror) UpdateClientConnState(s grpcbalancer.ClientConnState) error {
	c, ok := s.ResolverState.Attributes.Value(clientKey{}).(*client.Client)
	if !ok || m.stop != nil {
		return nil
	}
	var ctx context.Context
	ctx, m.stop = context.WithCancel(context.Background())
	go func() { // ends with Close
		for ctx.Err() == nil {
			changed := c.EndpointsChanged()
			m.cc.UpdateState(grpcbalancer.State{ConnectivityState: state(c.Endpoints()), Picker: base.NewErrPicker(errNoPick)})
			select {
			case <-ctx.Done():
			case <-changed:
			}
		}
	}()
	return nil
}

// errNoPick is never seen: interceptors take all calls.
var errNoPick = errors.New("clientv3: the connection has no connections of its own")

// state is that of a connection to several endpoints, as a policy would have it.
func state(endpoints []balancer.Status) connectivity.State {
	in := func(s connectivity.State) bool {
		return slices.ContainsFunc(endpoints, func(e balancer.Status) bool { return e.State == s })
	}
	failed := func(e balancer.Status) bool { return e.LastError != nil } // and waits, for which gRPC's own is Idle
	switch {
	case in(connectivity.Ready):
		return connectivity.Ready
	case len(endpoints) == 0, in(connectivity.Connecting):
		return connectivity.Connecting
	case in(connectivity.TransientFailure), slices.ContainsFunc(endpoints, failed):
		return connectivity.TransientFailure
	default:
		return connectivity.Idle
	}
}

func (m *mirror) Close() {
	if m.stop != nil {
		m.stop()
	}
}

func (*mirror) ExitIdle()                                                          {}
func (*mirror) ResolverError(error)                                                {}
func (*mirror) UpdateSubConnState(grpcbalancer.SubConn, grpcbalancer.SubConnState) {}
