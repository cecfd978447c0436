package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/concurrency/cas"
	"github.com/getcd/getcd/integration/faultbench/internal/dropin"
	"github.com/getcd/getcd/integration/faultbench/internal/etcdclient"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lock"
	"github.com/getcd/getcd/middleware/batch"
	"github.com/getcd/getcd/middleware/cache"
	"github.com/getcd/getcd/middleware/once"
	"github.com/getcd/getcd/watch"
)

// Client is an etcd client as the bench uses it. The empty string stands for a
// key that does not exist.
type Client interface {
	Put(ctx context.Context, key, value string) error
	// Swap writes value if the key holds old. If not, it returns the key's value.
	Swap(ctx context.Context, key, old, value string) (swapped bool, current string, err error)
	Get(ctx context.Context, key string, serializable bool) (string, error)
	// Watch calls each for every event of the key from the revision on. It
	// returns when ctx ends, or with an error when the watch ends.
	Watch(ctx context.Context, key string, from int64, each func(revision, version int64)) error
	// KeepLease grants a lease with the TTL in seconds and keeps it alive. It
	// returns when ctx ends, or with an error when the lease ends. It calls
	// renewed with the lease's ID for each response to a renewal.
	KeepLease(ctx context.Context, ttl int64, renewed func(id int64)) error
	// Lock waits for a lock, calls locked when it holds it, and unlocks it.
	Lock(ctx context.Context, name string, locked func()) error
	// Ambiguous reports whether a write that returned err may have been applied.
	Ambiguous(err error) bool
	Close() error
}

// sticky is a client that uses one member at a time.
type sticky interface {
	// active returns the endpoint in use, or an empty string if there is none.
	active() string
}

// target describes the cluster to its clients.
type target struct {
	endpoints []string
	// uri, if not empty, is for clients that can use DNS.
	uri string
	// count, if not nil, counts what the client sends.
	count *tally
	// tls, if not nil, is the TLS configuration.
	tls *tls.Config
	// username and password, if not empty, are the user to log in as.
	username, password string
}

func (t target) dialOptions() []grpc.DialOption {
	if t.count == nil {
		return nil
	}
	return []grpc.DialOption{grpc.WithStatsHandler(t.count)}
}

// settings returns the settings of the clients that do not use getcd.
func (t target) settings() etcdclient.Settings {
	return etcdclient.Settings{
		Endpoints: t.endpoints, TLS: t.tls, Username: t.username, Password: t.password,
		LoginTimeout: patience, DialOptions: t.dialOptions(),
	}
}

// clientType is a client with its settings.
type clientType struct {
	name, text string
	// marks says that its errors distinguish ambiguous failures from certain
	// ones.
	marks bool
	// held says that it must keep the bounds of report.Cell.Misses.
	held bool
	// sure says that none of its writes may fail, and prompt that none waits for the patience
	// with a silent member.
	sure, prompt bool
	// repeats says that a write may be applied twice, so that its history proves nothing.
	repeats bool
	dial    func(target) (Client, error)
}

// clientTypes returns the available clients. Sticky clients come first: the first
// sticky client that is chosen determines the victim.
func clientTypes() []clientType {
	return []clientType{
		{
			name: "getcd", text: "getcd with default settings", marks: true, held: true,
			dial: func(t target) (Client, error) { return dialGetcd(t) },
		},
		{
			name: "getcd-once", text: "getcd with package once, by which each write happens once", marks: true, held: true, sure: true, prompt: true,
			dial: func(t target) (Client, error) { return dialGetcd(t, once.Of("faultbench-once/")) },
		},
		{
			name: "getcd-once-batch", text: "the same with package batch above it, by which concurrent calls travel together", marks: true, held: true, sure: true, prompt: true,
			dial: func(t target) (Client, error) { return dialGetcd(t, batch.NewConn, once.Of("faultbench-batch/")) },
		},
		{
			name: "getcd-cached", text: "getcd with package cache, which answers reads and watches of the keys from memory", marks: true, held: true,
			dial: func(t target) (Client, error) { return dialGetcd(t, cache.Of([]string{"faultbench/"})) },
		},
		{
			name: "getcd-safe", text: "getcd whose puts are declared idempotent; its swaps settle their own doubt", marks: true, held: true, sure: true, repeats: true,
			dial: func(t target) (Client, error) {
				c, err := dialGetcd(t)
				if err != nil {
					return nil, err
				}
				swaps, err := cas.New(c.c, "faultbench-cas/")
				return &safeClient{c, swaps}, err
			},
		},
		{
			name: "clientv3", text: "etcd's own client with default settings",
			dial: func(t target) (Client, error) { return etcdclient.Dial(t.settings()) },
		},
		{
			name: "clientv3-tuned", text: "etcd's own client with DialKeepAliveTime 10 s and DialKeepAliveTimeout 3 s",
			dial: func(t target) (Client, error) {
				s := t.settings()
				s.KeepAliveTime, s.KeepAliveTimeout = 10*time.Second, 3*time.Second
				return etcdclient.Dial(s)
			},
		},
		{
			name: "dropin", text: "the program of clientv3 with one import path changed, to getcd's package clientv3",
			dial: func(t target) (Client, error) {
				c, err := dropin.Dial(t.settings())
				return dropinClient{c}, err
			},
		},
	}
}

// dialGetcd makes a client with the middleware, the first one outermost.
func dialGetcd(t target, middleware ...client.Middleware) (*getcdClient, error) {
	cfg := client.Config{Endpoints: t.endpoints, TLS: t.tls, Username: t.username, Password: t.password, Middleware: middleware}
	if t.uri != "" {
		cfg.Endpoints = []string{t.uri}
	}
	cfg.DialOptions = t.dialOptions()
	c, err := client.New(cfg)
	if err != nil {
		return nil, err
	}
	return &getcdClient{c: c, w: watch.New(c.Conn())}, nil
}

type getcdClient struct {
	c *client.Client
	w watch.Watcher
}

func (g *getcdClient) active() string { return active(g.c.Endpoints()) }

func active(endpoints []balancer.Status) string {
	for _, e := range endpoints {
		if e.Role == balancer.Active {
			return e.Address
		}
	}
	return ""
}

func (g *getcdClient) Put(ctx context.Context, key, value string) error {
	_, err := g.c.Put(ctx, key, value)
	return err
}

func (g *getcdClient) Swap(ctx context.Context, key, old, value string) (bool, string, error) {
	holds := kv.Compare(kv.Value(key), "=", old)
	if old == "" {
		holds = kv.Compare(kv.Version(key), "=", 0)
	}
	resp, err := g.c.Txn(ctx).If(holds).Then(kv.OpPut(key, value)).Else(kv.OpGet(key)).Commit()
	if err != nil || resp.Succeeded {
		return err == nil, "", err
	}
	if kvs := resp.Responses[0].GetResponseRange().GetKvs(); len(kvs) > 0 {
		return false, string(kvs[0].Value), nil
	}
	return false, "", nil
}

func (g *getcdClient) Get(ctx context.Context, key string, serializable bool) (string, error) {
	var opts []kv.OpOption
	if serializable {
		opts = append(opts, kv.WithSerializable())
	}
	resp, err := g.c.Get(ctx, key, opts...)
	if err != nil || len(resp.Kvs) == 0 {
		return "", err
	}
	return string(resp.Kvs[0].Value), nil
}

func (g *getcdClient) Ambiguous(err error) bool { return client.IsAmbiguous(err) }

func (g *getcdClient) Watch(ctx context.Context, key string, from int64, each func(revision, version int64)) error {
	for event, err := range g.w.Events(ctx, key, kv.WithRev(from)) {
		if err != nil {
			return err
		}
		each(event.Kv.ModRevision, event.Kv.Version)
	}
	return errEnded
}

func (g *getcdClient) KeepLease(ctx context.Context, ttl int64, renewed func(id int64)) error {
	granted, err := g.c.Grant(ctx, ttl)
	if err != nil {
		return err
	}
	answers, err := g.c.KeepAlive(ctx, granted.ID)
	if err != nil {
		return err
	}
	for range answers {
		renewed(int64(granted.ID))
	}
	return errEnded
}

func (g *getcdClient) Lock(ctx context.Context, name string, locked func()) error {
	mutex, err := lock.New(g.c.Conn(), name)
	if err != nil {
		return err
	}
	if err := mutex.Lock(ctx); err != nil {
		return err
	}
	locked()
	return mutex.Unlock(ctx)
}

func (g *getcdClient) Close() error { return errors.Join(g.w.Close(), g.c.Close()) }

// safeClient says of its puts that they may be repeated, and swaps by package cas.
type safeClient struct {
	*getcdClient
	swaps *cas.Store
}

// Swap compares the value, and then by what was read the revision.
func (s *safeClient) Swap(ctx context.Context, key, old, value string) (bool, string, error) {
	resp, err := s.c.Get(ctx, key)
	if err != nil {
		return false, "", err
	}
	now := ""
	var rev int64
	if len(resp.Kvs) > 0 {
		now, rev = string(resp.Kvs[0].Value), resp.Kvs[0].ModRevision
	}
	if now != old {
		return false, now, nil
	}
	r, err := s.swaps.Replace(ctx, key, rev, value)
	if err != nil || r.Done {
		return r.Done, "", err
	}
	return false, string(r.Kv.GetValue()), nil
}

func (s *safeClient) Put(ctx context.Context, key, value string) error {
	return s.getcdClient.Put(client.WithIdempotentWrites(ctx), key, value)
}

type dropinClient struct{ *dropin.Client }

func (d dropinClient) active() string { return active(d.Endpoints()) }
