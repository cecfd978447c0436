package bench

import (
	"context"
	"net"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/middleware/batch"
	"github.com/getcd/getcd/middleware/once"
)

// The clients, in the order of the table's columns.
const (
	Getcd     = "getcd"
	Clientv3  = "clientv3"
	Once      = "once"
	OnceBatch = "once+batch"
)

// rivals are compared in each case. The others, which are getcd with middleware that changes
// writes, are compared with getcd.
var (
	rivals     = []string{Getcd, Clientv3}
	middleware = map[string][]client.Middleware{
		Once:      {once.Of("slowbench-once/")},
		OnceBatch: {batch.NewConn, once.Of("slowbench-batch/")},
	}
)

// connection is a client as the bench uses it.
type connection interface {
	put(ctx context.Context, key, value string) error
	// get reads all keys with a prefix and returns the size of all values.
	get(ctx context.Context, prefix string) (int, error)
	// ambiguous reports whether a put that returned err may have been applied.
	ambiguous(err error) bool
	// active returns the endpoint in use, or an empty string if it may be any.
	active() string
	close() error
}

// dialer connects to an address. Nil means TCP.
type dialer = func(ctx context.Context, address string) (net.Conn, error)

func dial(name string, endpoints []string, dialer dialer) (connection, error) {
	var options []grpc.DialOption
	if dialer != nil {
		options = append(options, grpc.WithContextDialer(dialer))
	}
	if name != Clientv3 {
		c, err := client.New(client.Config{Endpoints: endpoints, DialOptions: options, Middleware: middleware[name]})
		return getcd{c}, err
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialOptions: options, Logger: zap.NewNop()})
	return etcd{c}, err
}

type getcd struct{ c *client.Client }

func (g getcd) put(ctx context.Context, key, value string) error {
	_, err := g.c.Put(ctx, key, value)
	return err
}

func (g getcd) get(ctx context.Context, prefix string) (int, error) {
	resp, err := g.c.Get(ctx, prefix, kv.WithPrefix())
	if err != nil {
		return 0, err
	}
	n := 0
	for _, one := range resp.Kvs {
		n += len(one.Value)
	}
	return n, nil
}

func (g getcd) ambiguous(err error) bool { return client.IsAmbiguous(err) }

func (g getcd) active() string {
	for _, e := range g.c.Endpoints() {
		if e.Role == balancer.Active {
			return e.Address
		}
	}
	return ""
}

func (g getcd) close() error { return g.c.Close() }

type etcd struct{ c *clientv3.Client }

func (e etcd) put(ctx context.Context, key, value string) error {
	_, err := e.c.Put(ctx, key, value)
	return err
}

func (e etcd) get(ctx context.Context, prefix string) (int, error) {
	resp, err := e.c.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return 0, err
	}
	n := 0
	for _, one := range resp.Kvs {
		n += len(one.Value)
	}
	return n, nil
}

func (etcd) ambiguous(error) bool { return false } // clientv3 does not say

func (etcd) active() string { return "" }

func (e etcd) close() error { return e.c.Close() }
