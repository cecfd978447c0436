package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/getcd/getcd/integration/proxy"
)

func stallReports() []report {
	return []report{
		{"etcd-io/etcd#10821", "A lease is kept alive when the connection that renews it stalls, and another way to the cluster is there", "", leaseOnStalledConnection(clientv3.Config{})},
		{"milvus-io/milvus#29345", "The same, if connections are pinged every 10 s and the TTL of the lease is shorter", "", leaseOnStalledConnection(clientv3.Config{
			DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 20 * time.Second,
		})},
		{"etcd-io/etcd#8980", "A watch goes on when its connection stalls, and another way to the cluster is there", "", watchOnStalledConnection},
	}
}

// ways are two ways to a member.
type ways []*proxy.Link

func newWays(endpoint string) (w ways, err error) {
	for range 2 {
		l, err := newWay(endpoint)
		if err != nil {
			w.close()
			return nil, err
		}
		w = append(w, l)
	}
	return w, nil
}

func (w ways) close() {
	for _, l := range w {
		_ = l.Close()
	}
}

func (w ways) urls() (all []string) {
	for _, l := range w {
		all = append(all, "http://"+l.Address())
	}
	return all
}

// inTurn calls f while one of the ways is a black hole, until f has seen something: which of them
// the client uses is not known.
func (w ways) inTurn(f func() (seen string, err error)) (seen string, err error) {
	for _, l := range w {
		if err := l.Blackhole(); err != nil {
			return "", err
		}
		if seen, err := f(); seen != "" || err != nil {
			return seen, err
		}
		if err := l.Heal(); err != nil {
			return "", err
		}
	}
	return "", nil
}

// newWay returns a way to a member, by its URL.
func newWay(endpoint string) (*proxy.Link, error) {
	return proxy.New(proxy.Config{Target: strings.TrimPrefix(endpoint, "http://")})
}

func leaseOnStalledConnection(cfg clientv3.Config) func(ctx context.Context, members []string) (string, error) {
	const ttl = 2
	return func(ctx context.Context, members []string) (string, error) {
		w, err := newWays(members[0])
		if err != nil {
			return "", err
		}
		defer w.close()
		cfg.Endpoints = w.urls()
		cli, err := clientv3.New(cfg)
		if err != nil {
			return "", err
		}
		defer func() { _ = cli.Close() }()
		lease, err := cli.Grant(ctx, ttl)
		if err != nil {
			return "", err
		}
		renewed, err := cli.KeepAlive(ctx, lease.ID)
		if err != nil {
			return "", err
		}
		if resp, ok := within(ctx, ttl*time.Second, renewed); !ok || resp == nil {
			return "", fmt.Errorf("the lease was not renewed before the stall: %v", resp)
		}
		return w.inTurn(func() (string, error) {
			for end := time.Now().Add(4 * ttl * time.Second); time.Now().Before(end); {
				if resp, ok := within(ctx, time.Until(end), renewed); ok && resp == nil {
					return "it expires", nil
				}
			}
			return "", nil
		})
	}
}

func watchOnStalledConnection(ctx context.Context, members []string) (string, error) {
	w, err := newWays(members[0])
	if err != nil {
		return "", err
	}
	defer w.close()
	cli, err := clientv3.New(clientv3.Config{Endpoints: w.urls()})
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	direct, err := dial(members[0])
	if err != nil {
		return "", err
	}
	defer func() { _ = direct.Close() }()
	events, err := watch(ctx, cli, own("8980"))
	if err != nil {
		return "", err
	}
	return w.inTurn(func() (string, error) {
		if _, err := direct.Put(ctx, own("8980"), "v"); err != nil {
			return "", err
		}
		_, ok := within(ctx, 15*time.Second, events)
		return seenUnless(ok, "no event has come 15 s later"), nil
	})
}
