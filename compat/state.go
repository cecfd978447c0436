package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/serviceconfig"
)

// The connection of an original client has no transports of its own. Its load
// balancing policy reports the state of getcd's connection to gRPC. The policy
// finds that connection by a number in its service config, since clientv3 accepts
// no resolver from outside that could pass it on.

const policyName = "getcd_compat"

//nolint:gochecknoinits // gRPC finds policies by their names
func init() { balancer.Register(policies{}) }

var (
	mirrored sync.Map // from number to *reflection, until the connection takes it
	numbers  atomic.Int64
)

// reflection has what the policy of a connection needs.
type reflection struct {
	below        *grpc.ClientConn
	setEndpoints func(...string)
	closed       func()
}

// mirror returns a dial option. The first connection that is made with it reports
// the state of r's client below, and calls r's functions when it gets other
// endpoints and when it is closed. forget frees the resources of an option that
// is not used.
func mirror(r *reflection) (_ grpc.DialOption, forget func()) {
	n := numbers.Add(1)
	mirrored.Store(n, r)
	return grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig":[{%q:{"number":%d}}]}`, policyName, n)),
		func() { mirrored.Delete(n) }
}

type policies struct{}

func (policies) Name() string { return policyName }

type settings struct {
	serviceconfig.LoadBalancingConfig `json:"-"`

	Number int64 `json:"number"`
}

func (policies) ParseConfig(js json.RawMessage) (serviceconfig.LoadBalancingConfig, error) {
	var s settings
	err := json.Unmarshal(js, &s)
	return s, err
}

func (policies) Build(cc balancer.ClientConn, _ balancer.BuildOptions) balancer.Balancer {
	return &policy{cc: cc}
}

// policy reports a connection's state to gRPC until it is closed. gRPC calls its
// methods one after another.
type policy struct {
	cc   balancer.ClientConn
	of   *reflection // nil if there is nothing to report
	stop context.CancelFunc
	done sync.WaitGroup
}

func (p *policy) UpdateClientConnState(s balancer.ClientConnState) error {
	wanted, ok := s.BalancerConfig.(settings)
	if !ok {
		return nil
	}
	if p.of != nil { // after SetEndpoints of the original
		var endpoints []string
		for _, e := range s.ResolverState.Endpoints {
			for _, a := range e.Addresses {
				endpoints = append(endpoints, a.Addr) // without a scheme, which getcd's client knows
			}
		}
		p.of.setEndpoints(endpoints...)
		return nil
	}
	found, ok := mirrored.LoadAndDelete(wanted.Number)
	if !ok { // a connection from Dial
		p.tell(connectivity.TransientFailure, errDialed)
		return nil
	}
	r := found.(*reflection) //nolint:forcetypeassert // there are no others
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	p.of = r
	p.done.Go(func() {
		for state := r.below.GetState(); state != connectivity.Shutdown; state = r.below.GetState() {
			p.tell(state, errNoPick)
			if !r.below.WaitForStateChange(ctx, state) {
				return
			}
		}
		p.tell(connectivity.TransientFailure, errNoPick) // gRPC itself reports Shutdown
	})
	return nil
}

// errNoPick never reaches a caller, since interceptors handle all calls.
var errNoPick = errors.New("compat: the connection has no connections of its own")

func (p *policy) tell(state connectivity.State, err error) {
	p.cc.UpdateState(balancer.State{ConnectivityState: state, Picker: base.NewErrPicker(err)})
}

func (p *policy) Close() {
	if p.of == nil {
		return
	}
	p.stop()
	p.done.Wait()
	p.of.closed()
}

func (*policy) ExitIdle()                                                  {}
func (*policy) ResolverError(error)                                        {}
func (*policy) UpdateSubConnState(balancer.SubConn, balancer.SubConnState) {}
