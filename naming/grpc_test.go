package naming_test

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	_ "google.golang.org/grpc/balancer/leastrequest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcresolver "google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/naming"
	"github.com/getcd/getcd/watch"
)

// conn is gRPC's side of a resolver.
type conn struct {
	grpcresolver.ClientConn
	states chan []string
	errs   chan error
}

func newConn() *conn { return &conn{states: make(chan []string, 10), errs: make(chan error, 10)} }

func (c *conn) UpdateState(s grpcresolver.State) error {
	var addrs []string
	for _, e := range s.Endpoints {
		for _, a := range e.Addresses {
			addrs = append(addrs, a.Addr)
		}
	}
	c.states <- addrs
	return nil
}

func (c *conn) ReportError(err error) { c.errs <- err }

func target(t *testing.T, s string) grpcresolver.Target {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return grpcresolver.Target{URL: *u}
}

func TestGRPCIsToldTheEndpoints(t *testing.T) {
	run(t, func(r *rig) {
		b, err := naming.NewBuilder(r.client)
		r.do(err)
		if got := b.Scheme(); got != "etcd" {
			r.t.Errorf("the scheme is %q", got)
		}
		web, cc := r.service("team/web"), newConn()
		r.do(web.Add(r.t.Context(), "team/web/b", naming.Endpoint{Addr: "10.0.0.2:80"}))
		res, err := b.Build(target(r.t, "etcd:///team/web"), cc, grpcresolver.BuildOptions{})
		r.do(err)
		defer res.Close()
		want := func(addrs ...string) {
			r.t.Helper()
			synctest.Wait()
			select {
			case got := <-cc.states:
				if !slices.Equal(got, addrs) {
					r.t.Errorf("gRPC was told %v, want %v", got, addrs)
				}
			default:
				r.t.Errorf("gRPC was told nothing, want %v", addrs)
			}
		}
		want("10.0.0.2:80")
		r.do(web.Add(r.t.Context(), "team/web/a", naming.Endpoint{Addr: "10.0.0.1:80"}))
		want("10.0.0.1:80", "10.0.0.2:80")
		r.do(web.Delete(r.t.Context(), "team/web/b"))
		want("10.0.0.1:80")
		r.do(web.Delete(r.t.Context(), "team/web/a"))
		want()
		if err := <-cc.errs; !errors.Is(err, naming.ErrNoEndpoints) {
			r.t.Errorf("gRPC was told the error %v, want ErrNoEndpoints", err)
		}
	})
}

// Whatever gRPC's policy, a call that finds no instance of the service says which
// service that is, before there was one and after the last one has gone.
func TestNoEndpointsNamesTheService(t *testing.T) {
	for _, policy := range []string{"pick_first", "round_robin", "least_request_experimental"} {
		t.Run(policy, func(t *testing.T) {
			run(t, func(r *rig) {
				b, err := naming.NewBuilder(r.client)
				r.do(err)
				cc, err := grpc.NewClient("etcd:///team/web", grpc.WithResolvers(b), grpc.WithTransportCredentials(insecure.NewCredentials()),
					grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("refused by the test") }),
					grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"`+policy+`":{}}]}`))
				r.do(err)
				defer func() { r.do(cc.Close()) }()
				says := func(text string) {
					r.t.Helper()
					synctest.Wait()
					err := cc.Invoke(r.t.Context(), "/service/Method", &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{})
					if status.Code(err) != codes.Unavailable || !strings.Contains(status.Convert(err).Message(), text) {
						r.t.Errorf("got %v, want Unavailable and %q", err, text)
					}
				}
				says(`the service "team/web" has no endpoints`)
				web := r.service("team/web")
				r.do(web.Add(r.t.Context(), "team/web/a", naming.Endpoint{Addr: "10.0.0.1:80"}))
				says("refused by the test")
				r.do(web.Delete(r.t.Context(), "team/web/a"))
				says(`the service "team/web" has no endpoints`)
			})
		})
	}
}

// ofBase is a policy that is made with gRPC's package base, as many of programs' own are.
const ofBase = "of_package_base"

type noPicker struct{}

func (noPicker) Build(base.PickerBuildInfo) balancer.Picker {
	return base.NewErrPicker(balancer.ErrNoSubConnAvailable)
}

func init() { balancer.Register(base.NewBalancerBuilder(ofBase, noPicker{}, base.Config{})) }

// A policy of package base knows addresses, and nothing of gRPC's endpoints.
func TestPolicyOfPackageBase(t *testing.T) {
	run(t, func(r *rig) {
		b, err := naming.NewBuilder(r.client)
		r.do(err)
		web := r.service("team/web")
		r.do(web.Add(r.t.Context(), "team/web/a", naming.Endpoint{Addr: "10.0.0.1:80"}))
		var dialed atomic.Int32
		cc, err := grpc.NewClient("etcd:///team/web", grpc.WithResolvers(b), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(_ context.Context, addr string) (net.Conn, error) {
				if addr == "10.0.0.1:80" {
					dialed.Add(1)
				}
				return nil, errors.New("refused by the test")
			}),
			grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"`+ofBase+`":{}}]}`))
		r.do(err)
		defer func() { r.do(cc.Close()) }()
		says := func(text string) {
			r.t.Helper()
			err := cc.Invoke(r.t.Context(), "/service/Method", &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{})
			if status.Code(err) != codes.Unavailable || !strings.Contains(status.Convert(err).Message(), text) {
				r.t.Errorf("got %v, want Unavailable and %q", err, text)
			}
		}
		says("refused by the test")
		if dialed.Load() == 0 {
			r.t.Error("the endpoint was not dialed")
		}
		r.do(web.Delete(r.t.Context(), "team/web/a"))
		synctest.Wait()
		says(`the service "team/web" has no endpoints`)
	})
}

// failing is a client whose Follow fails until the test repairs it.
type failing struct {
	naming.Client
	mended atomic.Bool
}

func (f *failing) Follow(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[watch.Update, error] {
	if f.mended.Load() {
		return f.Client.Follow(ctx, key, opts...)
	}
	return func(yield func(watch.Update, error) bool) { yield(watch.Update{}, errors.New("permission denied")) }
}

func TestGRPCIsToldWhyAndAsksAgain(t *testing.T) {
	run(t, func(r *rig) {
		f := &failing{Client: r.client}
		b, err := naming.NewBuilder(f)
		r.do(err)
		cc := newConn()
		res, err := b.Build(target(r.t, "etcd:web"), cc, grpcresolver.BuildOptions{})
		r.do(err)
		defer res.Close()
		synctest.Wait()
		if err := <-cc.errs; status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "permission denied" {
			r.t.Errorf("gRPC was told %v, want Unavailable and why", err)
		}
		f.mended.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(cc.states) != 1 {
			r.t.Errorf("gRPC was told %d states after the mend, want 1", len(cc.states))
		}
		res.ResolveNow(grpcresolver.ResolveNowOptions{})
	})
}

func TestATargetWithoutAServiceIsRefused(t *testing.T) {
	run(t, func(r *rig) {
		b, err := naming.NewBuilder(r.client)
		r.do(err)
		if _, err := b.Build(target(r.t, "etcd:///"), newConn(), grpcresolver.BuildOptions{}); status.Code(err) != codes.InvalidArgument {
			r.t.Errorf("Build: %v, want InvalidArgument", err)
		}
	})
}
