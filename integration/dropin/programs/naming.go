package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	"go.etcd.io/etcd/client/v3/naming/resolver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

func namingPrograms() map[string]program {
	return map[string]program{
		"naming/resolver": discovered,
		"naming/lease":    leasedEndpoint,
	}
}

// servers starts gRPC servers. It returns their addresses and a function that
// stops them.
func servers(n int) (addresses []string, stop func(), err error) {
	var all []*grpc.Server
	var wg sync.WaitGroup
	stop = func() {
		for _, s := range all {
			s.Stop()
		}
		wg.Wait()
	}
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // the server closes it
		if err != nil {
			stop()
			return nil, nil, err
		}
		s := grpc.NewServer()
		healthpb.RegisterHealthServer(s, health.NewServer())
		all, addresses = append(all, s), append(addresses, listener.Addr().String())
		wg.Go(func() { _ = s.Serve(listener) })
	}
	return addresses, stop, nil
}

// discovered calls a service by its name in etcd.
func discovered(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	addresses, stop, err := servers(2)
	if err != nil {
		return err
	}
	defer stop()
	m, err := endpoints.NewManager(cli, "shop")
	if err != nil {
		return err
	}
	for i, a := range addresses {
		if err := m.AddEndpoint(ctx, fmt.Sprintf("shop/%d", i), endpoints.Endpoint{Addr: a}); err != nil {
			return err
		}
	}
	builder, err := resolver.NewBuilder(cli)
	if err != nil {
		return err
	}
	p.line("%s", builder.Scheme())
	conn, err := grpc.NewClient("etcd:///shop", grpc.WithResolvers(builder),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	// answering makes calls until all of the servers have answered, and no other
	// has.
	answering := func(want ...string) error {
		for streak := 0; streak < 10; {
			var from peer.Peer
			_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Peer(&from), grpc.WaitForReady(true))
			if err != nil && status.Code(err) != codes.Unavailable {
				return err
			}
			ok := false
			for _, w := range want {
				ok = ok || err == nil && from.Addr.String() == w
			}
			if streak++; !ok {
				streak = 0
				time.Sleep(time.Millisecond)
			}
		}
		return nil
	}
	if err := answering(addresses...); err != nil {
		return err
	}
	p.line("both answer")
	if err := m.DeleteEndpoint(ctx, "shop/0"); err != nil {
		return err
	}
	if err := answering(addresses[1]); err != nil {
		return err
	}
	p.line("one answers")
	if err := m.AddEndpoint(ctx, "shop/0", endpoints.Endpoint{Addr: addresses[0]}); err != nil {
		return err
	}
	if err := m.DeleteEndpoint(ctx, "shop/1"); err != nil {
		return err
	}
	if err := answering(addresses[0]); err != nil {
		return err
	}
	p.line("the other answers")
	_, err = endpoints.NewManager(nil, "shop")
	p.line("without a client: %v", err != nil)
	_, err = endpoints.NewManager(cli, "")
	p.line("without a name: %v", err != nil)
	err = m.AddEndpoint(ctx, "elsewhere/0", endpoints.Endpoint{})
	p.line("elsewhere: %v", status.Code(err))
	return p.err
}

// leasedEndpoint adds an endpoint that is removed with its lease.
func leasedEndpoint(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	m, err := endpoints.NewManager(cli, "shop")
	if err != nil {
		return err
	}
	grant, err := cli.Grant(ctx, 60)
	if err != nil {
		return err
	}
	if err := m.AddEndpoint(ctx, "shop/a", endpoints.Endpoint{Addr: "10.0.0.1:80", Metadata: map[string]int{"weight": 3}}, clientv3.WithLease(grant.ID)); err != nil {
		return err
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, err := m.NewWatchChannel(watching)
	if err != nil {
		return err
	}
	show := func(updates []*endpoints.Update) {
		for _, u := range updates {
			p.line("%v %s %s %v", u.Op == endpoints.Add, u.Key, u.Endpoint.Addr, u.Endpoint.Metadata)
		}
	}
	show(<-changes)
	if _, err := cli.Revoke(ctx, grant.ID); err != nil {
		return err
	}
	show(<-changes)
	cancel()
	for range changes { // until it closes
	}
	list, err := m.List(ctx)
	if err != nil {
		return err
	}
	p.line("%d left", len(list))
	if err := m.Update(ctx, []*endpoints.UpdateWithOpts{{Update: endpoints.Update{Op: 7, Key: "shop/a"}}}); status.Code(err) != codes.InvalidArgument {
		return errors.Join(err, errors.New("an operation that does not exist is done"))
	}
	return p.err
}
