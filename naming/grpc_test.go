package naming_test

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
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
		addrs = append(addrs, e.Addresses[0].Addr)
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
