// Package resolver has the names of go.etcd.io/etcd/client/v3/naming/resolver: gRPC
// finds the addresses of a service in etcd, and follows their changes.
//
//	b, err := resolver.NewBuilder(cli)
//	conn, err := grpc.NewClient("etcd:///my-service", grpc.WithResolvers(b), …)
package resolver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	gresolver "google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/naming/endpoints"
)

// NewBuilder returns a gRPC resolver for targets of the scheme etcd. The client must
// last as long as the connections do.
func NewBuilder(client *clientv3.Client) (gresolver.Builder, error) {
	if client == nil {
		return nil, errors.New("clientv3/naming: the client is nil")
	}
	return builder{client}, nil
}

type builder struct{ client *clientv3.Client }

func (builder) Scheme() string { return "etcd" }

func (b builder) Build(target gresolver.Target, cc gresolver.ClientConn, _ gresolver.BuildOptions) (gresolver.Resolver, error) {
	service := target.URL.Path
	if service == "" {
		service = target.URL.Opaque
	}
	m, err := endpoints.NewManager(b.client, strings.TrimPrefix(service, "/"))
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	r := &follower{manager: m, cc: cc}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.wg.Go(func() { r.run(ctx) })
	return r, nil
}

// follower tells gRPC the addresses of one service.
type follower struct {
	manager endpoints.Manager
	cc      gresolver.ClientConn
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// pause is between two tries to learn the addresses.
const pause = time.Second

func (r *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		changes, err := r.manager.NewWatchChannel(ctx)
		if err != nil {
			r.cc.ReportError(status.Error(codes.Unavailable, err.Error()))
		} else {
			r.follow(changes)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// follow tells each change until the channel closes. What it is told first is all
// that there is.
func (r *follower) follow(changes endpoints.WatchChannel) {
	all := make(map[string]gresolver.Endpoint)
	for updates := range changes {
		for _, u := range updates {
			if u.Op == endpoints.Delete {
				delete(all, u.Key)
				continue
			}
			all[u.Key] = gresolver.Endpoint{Addresses: []gresolver.Address{{Addr: u.Endpoint.Addr}}}
		}
		var state gresolver.State
		for _, key := range slices.Sorted(maps.Keys(all)) {
			state.Endpoints = append(state.Endpoints, all[key])
		}
		_ = r.cc.UpdateState(state) // gRPC asks again by itself, and the next change is told anyway
	}
}

// ResolveNow does nothing: changes are told as they happen.
func (*follower) ResolveNow(gresolver.ResolveNowOptions) {}

// Close ends the goroutine, and waits for it.
func (r *follower) Close() {
	r.cancel()
	r.wg.Wait()
}
