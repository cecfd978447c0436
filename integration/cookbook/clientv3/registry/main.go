// Registry is examples/registry, written on clientv3.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/srv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	"go.etcd.io/etcd/client/v3/naming/resolver"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

const (
	ttl      = 3           // seconds
	patience = time.Second // with one request: a member that hangs never answers
)

func run(ctx context.Context, args []string) error {
	c, err := connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if args[0] == "serve" {
		return serve(ctx, c, args[1])
	}
	return call(ctx, c)
}

func serve(ctx context.Context, c *clientv3.Client, name string) error {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer()) // the service, for the example
	context.AfterFunc(ctx, server.GracefulStop)
	service, err := endpoints.NewManager(c, "registry")
	if err != nil {
		return err
	}
	here := &registration{c: c, service: service, key: "registry/" + name, addr: listener.Addr().String()}
	for {
		err := here.register(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil || refused(err) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	keeping, end := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { here.keep(keeping) })
	fmt.Println(name, "serves on", listener.Addr())
	err = server.Serve(listener)
	end()
	keeper.Wait()
	return cmp.Or(err, here.revoke(here.lease))
}

// A registration is a server's key, which has a lease.
type registration struct {
	c         *clientv3.Client
	service   endpoints.Manager
	key, addr string
	lease     clientv3.LeaseID
}

func (r *registration) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lease, err := r.c.Grant(ctx, ttl)
	if err != nil {
		return err
	}
	if err := r.service.AddEndpoint(ctx, r.key, endpoints.Endpoint{Addr: r.addr}, clientv3.WithLease(lease.ID)); err != nil {
		// A copy that comes late must not take the key from the next lease.
		return errors.Join(err, r.revoke(lease.ID))
	}
	r.lease = lease.ID
	return nil
}

// keep renews the lease, one request at a time: the stream of KeepAlive stays with a member
// that hangs until the lease is lost. If it was lost, keep registers again.
func (r *registration) keep(ctx context.Context) {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		attempt, cancel := context.WithTimeout(ctx, patience)
		_, err := r.c.KeepAliveOnce(attempt, r.lease)
		cancel()
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			err = r.register(ctx)
		}
		if err != nil && ctx.Err() == nil {
			log.Print(err) // the next tick tries again
		}
	}
}

// revoke ends a lease, and so deletes the key, after ctrl-C as well.
func (r *registration) revoke(lease clientv3.LeaseID) error {
	ctx, cancel := context.WithTimeout(context.Background(), ttl*time.Second)
	defer cancel()
	_, err := r.c.Revoke(ctx, lease)
	return err
}

func call(ctx context.Context, c *clientv3.Client) error {
	builder, err := resolver.NewBuilder(c)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient("etcd:///registry", grpc.WithResolvers(builder),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin":{}}]}`))
	if err != nil {
		return err
	}
	defer conn.Close()
	for ctx.Err() == nil {
		var server peer.Peer
		if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.Peer(&server)); err != nil {
			log.Print(err)
		} else {
			fmt.Println("answered by", server.Addr)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// connect makes a client as etcdctl's variables say.
func connect() (*clientv3.Client, error) {
	user, password := os.Getenv("ETCDCTL_USER"), os.Getenv("ETCDCTL_PASSWORD")
	if password == "" {
		user, password, _ = strings.Cut(user, ":")
	}
	endpoints := strings.FieldsFunc(os.Getenv("ETCDCTL_ENDPOINTS"), func(r rune) bool { return r == ',' })
	domain := os.Getenv("ETCDCTL_DISCOVERY_SRV")
	if domain != "" {
		found, err := srv.GetClient("etcd-client", domain, os.Getenv("ETCDCTL_DISCOVERY_SRV_NAME"))
		if err != nil {
			return nil, err
		}
		endpoints = found.Endpoints
	}
	skipVerify := false
	if text := os.Getenv("ETCDCTL_INSECURE_SKIP_TLS_VERIFY"); text != "" {
		var err error
		if skipVerify, err = strconv.ParseBool(text); err != nil {
			return nil, fmt.Errorf("ETCDCTL_INSECURE_SKIP_TLS_VERIFY: %w", err)
		}
	}
	cfg, err := clientv3.NewClientConfig(&clientv3.ConfigSpec{
		Endpoints:        endpoints,
		DialTimeout:      5 * time.Second,
		KeepAliveTime:    10 * time.Second, // without these a watch waits forever for a member that hangs
		KeepAliveTimeout: 3 * time.Second,
		Secure: &clientv3.SecureConfig{
			Cacert:             os.Getenv("ETCDCTL_CACERT"),
			Cert:               os.Getenv("ETCDCTL_CERT"),
			Key:                os.Getenv("ETCDCTL_KEY"),
			ServerName:         domain,
			InsecureSkipVerify: skipVerify,
			InsecureTransport:  true, // unless an endpoint says https://
		},
		Auth: &clientv3.AuthConfig{Username: user, Password: password},
	}, zap.NewNop())
	if err != nil {
		return nil, err
	}
	return clientv3.New(*cfg)
}

// refused reports whether another try is of no use.
func refused(err error) bool {
	code := status.Code(err)
	if etcdErr, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		code = etcdErr.Code()
	}
	switch code {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.ResourceExhausted:
		return true
	default:
		return false
	}
}
