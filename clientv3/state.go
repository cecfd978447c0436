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

// The connections that a client returns have neither addresses nor transports of
// their own. gRPC learns a connection's state from its load balancing policy. So
// the resolver passes the client to the policy, which reports the state of the
// client's own connection.

// builder makes resolvers that pass the client to the policy, and reports when
// they are closed.
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

// mirror reports a client's state to gRPC until it is closed. gRPC calls its
// methods one after another.
type mirror struct {
	cc   grpcbalancer.ClientConn
	stop context.CancelFunc // nil if there is no client yet
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

// errNoPick never reaches a caller, since interceptors handle all calls.
var errNoPick = errors.New("clientv3: the connection has no connections of its own")

// state returns the state of a connection to several endpoints, as a policy would
// report it.
func state(endpoints []balancer.Status) connectivity.State {
	in := func(s connectivity.State) bool {
		return slices.ContainsFunc(endpoints, func(e balancer.Status) bool { return e.State == s })
	}
	failed := func(e balancer.Status) bool { return e.LastError != nil } // while it waits to reconnect, gRPC's own state is Idle
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
