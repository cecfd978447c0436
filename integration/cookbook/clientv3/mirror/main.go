// Mirror is examples/mirror, written on clientv3.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/srv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, prefix string) error {
	c, err := connect()
	if err != nil {
		return err
	}
	defer c.Close()
	m := mirror{prefix: prefix, synced: make(chan struct{})}
	ctx, end := context.WithCancelCause(ctx)
	go func() { end(m.keep(ctx, c)) }()
	select {
	case <-m.synced:
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		revision, values := m.snapshot() // all keys, as they were at one revision
		fmt.Println("revision", revision, "has", len(values), "keys")
		time.Sleep(200 * time.Millisecond)
	}
	return context.Cause(ctx)
}

// A mirror has the keys below a prefix in memory.
type mirror struct {
	prefix string
	synced chan struct{} // closed when it has read them

	mu       sync.RWMutex
	revision int64
	values   map[string]string
}

// snapshot returns a copy of all values as they were at one revision.
func (m *mirror) snapshot() (revision int64, values map[string]string) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.revision, maps.Clone(m.values)
}

// keep keeps the mirror in step until its context ends.
func (m *mirror) keep(ctx context.Context, c *clientv3.Client) error {
	synced := sync.OnceFunc(func() { close(m.synced) })
	for {
		err := m.read(ctx, c)
		if err == nil {
			synced()
			// A watch ends when what it has to send was compacted, or its member has no leader.
			err = m.follow(ctx, c)
		}
		if refused(err) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// read takes all keys as they are at one revision.
func (m *mirror) read(ctx context.Context, c *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // a member that hangs never answers
	defer cancel()
	now, err := c.Get(ctx, m.prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	values := make(map[string]string) // without those that were deleted
	for _, kv := range now.Kvs {
		values[string(kv.Key)] = string(kv.Value)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision, m.values = now.Header.Revision, values
	return nil
}

// follow takes each change that comes after, all of a transaction at once.
func (m *mirror) follow(ctx context.Context, c *clientv3.Client) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range c.Watch(ctx, m.prefix, clientv3.WithPrefix(), clientv3.WithRev(m.revision+1)) {
		m.mu.Lock()
		for _, e := range resp.Events {
			if e.Type == clientv3.EventTypePut {
				m.values[string(e.Kv.Key)] = string(e.Kv.Value)
			} else {
				delete(m.values, string(e.Kv.Key))
			}
			m.revision = e.Kv.ModRevision
		}
		m.mu.Unlock()
		if err := resp.Err(); err != nil {
			return err
		}
	}
	return ctx.Err()
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
