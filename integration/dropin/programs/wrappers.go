package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	"go.etcd.io/etcd/client/v3/ordering"
)

func wrapperPrograms() map[string]program {
	return map[string]program{
		"namespace/all":    inANamespace,
		"ordering/get":     inOrder,
		"mirror/sync":      mirrored,
		"naming/endpoints": named,
		"kubernetes/all":   forKubernetes,
	}
}

func inANamespace(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	plain := cli.KV
	cli.KV = namespace.NewKV(cli.KV, "garden/")
	cli.Watcher = namespace.NewWatcher(cli.Watcher, "garden/")
	cli.Lease = namespace.NewLease(cli.Lease, "garden/")
	events := cli.Watch(ctx, "fruit/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	if err := begun(events); err != nil {
		return err
	}
	if err := fill(ctx, cli, 2); err != nil {
		return err
	}
	if err := watched(p, events, 2); err != nil {
		return err
	}
	for _, store := range []clientv3.KV{cli.KV, plain} {
		resp, err := store.Get(ctx, "", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		p.pairs(resp)
	}
	s, end, err := sessions(cli, 1)
	if err != nil {
		return err
	}
	m := concurrency.NewMutex(s[0], "lock")
	if err := m.Lock(ctx); err != nil {
		return err
	}
	resp, err := plain.Get(ctx, "garden/"+m.Key(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	p.line("the lock is in the namespace: %v", resp.Count == 1)
	return errors.Join(m.Unlock(ctx), end(), p.err)
}

func inOrder(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	cli.KV = ordering.NewKV(cli.KV, ordering.NewOrderViolationSwitchEndpointClosure(cli))
	for i := range 20 {
		if _, err := cli.Put(ctx, "color", fmt.Sprint(i)); err != nil {
			return err
		}
		if _, err := cli.Get(ctx, "color"); err != nil {
			return err
		}
	}
	resp, err := cli.Get(ctx, "color")
	if err != nil {
		return err
	}
	p.pairs(resp)
	return p.err
}

func mirrored(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	if err := fill(ctx, cli, 3); err != nil {
		return err
	}
	s := mirror.NewSyncer(cli, "fruit/", 0)
	parts, errs := s.SyncBase(ctx)
	for part := range parts {
		for _, kv := range part.Kvs {
			p.line("%s = %s", kv.Key, kv.Value)
		}
	}
	if err := <-errs; err != nil {
		return err
	}
	if _, err := cli.Put(ctx, "fruit/new", "new"); err != nil {
		return err
	}
	return watched(p, s.SyncUpdates(ctx), 1)
}

func named(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	m, err := endpoints.NewManager(cli, "shop")
	if err != nil {
		return err
	}
	if err := m.AddEndpoint(ctx, "shop/a", endpoints.Endpoint{Addr: "10.0.0.1:80", Metadata: "red"}); err != nil {
		return err
	}
	changes, err := m.NewWatchChannel(ctx)
	if err != nil {
		return err
	}
	err = m.Update(ctx, []*endpoints.UpdateWithOpts{
		endpoints.NewAddUpdateOpts("shop/b", endpoints.Endpoint{Addr: "10.0.0.2:80"}),
		endpoints.NewDeleteUpdateOpts("shop/a"),
	})
	if err != nil {
		return err
	}
	for range 2 {
		for _, u := range <-changes {
			p.line("%v %s %s %v", u.Op, u.Key, u.Endpoint.Addr, u.Endpoint.Metadata)
		}
	}
	list, err := m.List(ctx)
	if err != nil {
		return err
	}
	p.line("%v", list)
	p.line("refused: %v", m.AddEndpoint(ctx, "else/a", endpoints.Endpoint{}) != nil)
	raw, err := cli.Get(ctx, "shop/b")
	if err != nil {
		return err
	}
	p.line("%s", raw.Kvs[0].Value)
	return p.err
}

func forKubernetes(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	k, err := kubernetes.New(clientv3.Config{Endpoints: cli.Endpoints()})
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	made, err := k.Kubernetes.OptimisticPut(ctx, "pods/a", []byte("1"), 0, kubernetes.PutOptions{})
	if err != nil {
		return err
	}
	p.line("made: %v", made.Succeeded)
	again, err := k.Kubernetes.OptimisticPut(ctx, "pods/a", []byte("2"), 0, kubernetes.PutOptions{GetOnFailure: true})
	if err != nil {
		return err
	}
	p.line("again: %v, it is %s", again.Succeeded, again.KV.Value)
	changed, err := k.Kubernetes.OptimisticPut(ctx, "pods/a", []byte("2"), made.Revision, kubernetes.PutOptions{})
	if err != nil {
		return err
	}
	p.line("changed: %v", changed.Succeeded)
	if _, err := k.Kubernetes.OptimisticPut(ctx, "pods/b", []byte("3"), 0, kubernetes.PutOptions{}); err != nil {
		return err
	}
	list, err := k.Kubernetes.List(ctx, "pods/", kubernetes.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	p.line("%s, one of %d", list.Kvs[0].Key, list.Count)
	rest, err := k.Kubernetes.List(ctx, "pods/", kubernetes.ListOptions{Continue: string(list.Kvs[0].Key) + "\x00", Revision: list.Revision})
	if err != nil {
		return err
	}
	p.line("%s, the rest of %d", rest.Kvs[0].Key, rest.Count)
	count, err := k.Kubernetes.Count(ctx, "pods/", kubernetes.CountOptions{})
	if err != nil {
		return err
	}
	gone, err := k.Kubernetes.OptimisticDelete(ctx, "pods/a", changed.Revision, kubernetes.DeleteOptions{})
	if err != nil {
		return err
	}
	get, err := k.Kubernetes.Get(ctx, "pods/a", kubernetes.GetOptions{})
	if err != nil {
		return err
	}
	p.line("%d, deleted: %v, there: %v", count, gone.Succeeded, get.KV != nil)
	return p.err
}
